from collections import deque
from collections.abc import Mapping
from dataclasses import replace

import gevent
import pytest

from actors.domain.breaker import BreakerState
from actors.errors import (
    FielError,
    GatewayUnavailableError,
    JournalLockedError,
    JournalUnavailableError,
    LedgerUnavailableError,
    MailboxFullError,
)
from actors.messages.health import ForceBreaker
from actors.messages.intake import Accept, AcceptAnswer
from actors.messages.lease import Leave
from actors.messages.persistence import GetUnwritten
from actors.messages.processor import Drain, GetOldestSent, GetProcessorStatus, ProcessorStatus
from actors.messages.router import GetBeingWritten, GetRouterStats, RouterStats
from actors.ports import OwnedJournal
from actors.replica import DRAIN_S_MAX, DRAIN_STEP_S, JOURNAL_S_MAX, START_STEP_S, Replica
from tests.actors.fakes import VirtualRuntime, payment
from tests.actors.fakes_storage import MemoryFence, MemoryLeases, MemoryPurge, MemoryTables
from tests.actors.fakes_system import MemoryDatabase, MemoryOwnedJournal, ScriptedSystem, memory_parts

AT_REST: Mapping[str, Mapping[type, object]] = {
    "default": {GetOldestSent: None},
    "fallback": {GetOldestSent: None},
    "router": {GetBeingWritten: 0},
    "persistence": {GetUnwritten: 0},
}
ACTORS = ["persistence", "router", "default", "fallback", "intake", "gossip", "lease", "health"]
"""In the order of their start."""
STATS = RouterStats(unsettled={"held": 3}, unresolved=0, decisions={})
STATUS = ProcessorStatus(
    BreakerState.CLOSED, 0, limit=8, latency_s=None, starts_per_s_max=800.0, transitions=(), transitions_by_cause={}
)


class Process:
    """A replica over parts in memory, whose actors are played by the test."""

    def __init__(self, accept_s_max: float = 5.0) -> None:
        self.runtime = VirtualRuntime()
        self.tables = MemoryTables(self.runtime.now_s)
        self.journal = MemoryOwnedJournal()
        self.journal_errors: deque[FielError] = deque()
        """Raised one after another when the journal is to be opened."""
        self.opened: list[int] = []
        """Generations for which the journal was opened."""
        parts = memory_parts(self.runtime, self.tables, self.open_journal)
        self.purges, self.database = MemoryPurge(self.tables, MemoryFence("1")), MemoryDatabase()
        self.system = ScriptedSystem(replace(parts, purges=self.purges, database=self.database))
        self.ends: list[str] = []
        """Reasons for which the process was to end."""
        self.replica = Replica(self.system, self.ends.append, accept_s_max)

    def open_journal(self, generation: int) -> OwnedJournal:
        if self.journal_errors:
            raise self.journal_errors.popleft()
        self.opened.append(generation)
        return self.journal

    def start(self) -> "Process":
        self.replica.start()
        self.runtime.run_spawned()
        return self

    def started(self) -> "Process":
        """Start it, with actors that have nothing to do."""
        for name, answers in AT_REST.items():
            self.system.answer(name, answers)
        self.start()
        self.system.log.clear()
        return self

    def told(self, *types: type) -> list[tuple[str, object]]:
        """Give what the actors were told and asked of these types, in order."""
        return [(name, message) for name, message in self.system.log if isinstance(message, types)]


# Start.


def test_a_start_connects_opens_the_journal_of_the_generation_and_starts_the_actors_in_order() -> None:
    process = Process()
    process.tables.generation = 3
    process.start()
    assert process.database.opened
    assert (process.opened, process.system.generations) == ([3], [3])
    assert process.system.log == [(name, "start") for name in ACTORS]
    assert process.replica.dead_actors() == ()


def test_a_start_waits_for_postgres() -> None:
    process = Process()
    process.purges.failures = 5
    started_s = process.runtime.now_s()
    process.start()
    assert process.runtime.now_s() - started_s >= 5 * START_STEP_S
    assert (process.opened, process.system.generations) == ([0], [0])


def test_a_journal_that_another_process_holds_is_waited_for() -> None:
    process = Process()
    process.journal_errors.extend(JournalLockedError("planted") for _ in range(5))
    started_s = process.runtime.now_s()
    process.start()
    assert process.runtime.now_s() - started_s >= 5 * START_STEP_S
    assert (process.ends, process.system.generations) == ([], [0])


def test_a_journal_that_another_process_holds_for_too_long_ends_the_process() -> None:
    process = Process()
    process.journal_errors.extend(JournalLockedError("planted") for _ in range(1000))
    started_s = process.runtime.now_s()
    process.start()
    assert JOURNAL_S_MAX <= process.runtime.now_s() - started_s < JOURNAL_S_MAX + 2 * START_STEP_S
    assert (process.ends, process.system.generations) == (["planted"], [])


def test_a_journal_that_cannot_be_opened_ends_the_process_at_once() -> None:
    process = Process()
    process.journal_errors.append(JournalUnavailableError("disk full"))
    process.start()
    assert (process.ends, process.system.generations) == (["disk full"], [])


def test_a_replica_that_drains_while_it_waits_for_postgres_opens_no_journal() -> None:
    process = Process()
    process.purges.failures = 1000
    process.runtime.call_later(10 * START_STEP_S, process.replica.begin_drain)
    process.start()
    assert (process.opened, process.system.generations, process.ends) == ([], [], [])


def test_a_replica_that_drains_while_it_waits_for_its_journal_ends_in_good_order() -> None:
    process = Process()
    process.journal_errors.extend(JournalLockedError("planted") for _ in range(1000))
    process.runtime.call_later(10 * START_STEP_S, process.replica.begin_drain)
    process.start()
    assert (process.opened, process.system.generations, process.ends) == ([], [], [])


# Accepting.


def test_a_payment_is_answered_as_the_intake_does() -> None:
    process = Process().started()
    for answer in AcceptAnswer:
        process.system.answer("intake", {Accept: lambda message, told=answer: message.reply(told)})
        assert process.replica.accept(payment(1)) is answer
    asked = [message for _, message in process.told(Accept)]
    assert isinstance(asked[0], Accept)
    assert (asked[0].payment, asked[0].wanted_until_s) == (payment(1), process.runtime.now_s() + 5.0)


def test_beyond_a_full_mailbox_payments_are_refused() -> None:
    process = Process().started()
    process.system.answer("intake", {Accept: MailboxFullError()})
    assert process.replica.accept(payment(1)) is AcceptAnswer.OVERLOADED


def test_a_payment_that_is_not_answered_in_time_is_given_up() -> None:
    process = Process(accept_s_max=0.001).started()
    with pytest.raises(GatewayUnavailableError, match="journal"):
        process.replica.accept(payment(1))


def test_while_the_intake_is_dead_payments_are_refused_at_once() -> None:
    process = Process().started()
    process.system.addresses["intake"].alive = False
    with pytest.raises(GatewayUnavailableError):
        process.replica.accept(payment(1))
    assert process.told(Accept) == []


def test_who_posts_before_the_start_waits_for_it() -> None:
    process = Process()
    process.system.answer("intake", {Accept: lambda message: message.reply(AcceptAnswer.ACCEPTED)})
    posting = gevent.spawn(process.replica.accept, payment(1))
    gevent.sleep(0)
    assert not posting.ready()
    process.start()
    assert posting.get(timeout=5) is AcceptAnswer.ACCEPTED


def test_who_waits_for_too_long_for_the_start_is_refused() -> None:
    process = Process(accept_s_max=0.001)
    with pytest.raises(GatewayUnavailableError, match="starting"):
        process.replica.accept(payment(1))


# Purging.


def test_a_purge_stops_all_actors_in_reverse_order_and_starts_them_for_the_new_generation() -> None:
    process = Process().started()
    process.replica.purge()
    assert process.system.log == [
        *((name, "stop") for name in reversed(ACTORS)),
        *((name, "start") for name in ACTORS),
    ]
    assert (process.journal.purges, process.system.generations) == ([1], [0, 1])
    assert process.tables.purged_generation == 1


def test_a_purge_that_the_lease_has_seen_is_followed() -> None:
    process = Process().started()
    process.tables.generation = 1
    process.system.purged()
    assert (process.journal.purges, process.system.generations) == ([1], [0, 1])


def test_where_an_actor_does_not_stop_the_process_ends_and_nothing_is_purged() -> None:
    process = Process().started()
    process.system.addresses["router"].hangs = True
    with pytest.raises(GatewayUnavailableError):
        process.replica.purge()
    assert process.ends == ["router did not stop for a purge"]
    assert (process.journal.purges, process.system.generations) == ([], [0])


def test_who_posts_during_a_purge_is_answered_by_the_actors_that_come_after_it() -> None:
    process = Process().started()
    other = MemoryFence("2")
    MemoryLeases(process.tables, other).register(0, lease_s=60)
    process.system.answer("intake", {Accept: lambda message: message.reply(AcceptAnswer.ACCEPTED)})
    posts: list[gevent.Greenlet[..., AcceptAnswer]] = []

    def post() -> None:
        posts.append(gevent.spawn(process.replica.accept, payment(1)))
        gevent.sleep(0)
        assert not posts[0].ready()

    process.runtime.call_later(0.1, post)
    process.runtime.call_later(0.2, MemoryPurge(process.tables, other).acknowledge_purge, 1)
    process.replica.purge()
    assert posts[0].get(timeout=5) is AcceptAnswer.ACCEPTED
    names = [name for name, message in process.system.log if message == "start" or isinstance(message, Accept)]
    assert names == [*ACTORS, "intake"]


def test_before_the_start_there_is_nothing_to_purge() -> None:
    process = Process(accept_s_max=0.001)
    with pytest.raises(GatewayUnavailableError):
        process.replica.purge()
    assert process.tables.generation == 0


def test_a_draining_replica_starts_no_actors_after_a_purge() -> None:
    process = Process().started()
    other = MemoryFence("2")
    MemoryLeases(process.tables, other).register(0, lease_s=60)
    process.runtime.call_later(0.1, process.replica.begin_drain)
    process.runtime.call_later(0.2, MemoryPurge(process.tables, other).acknowledge_purge, 1)
    process.replica.purge()
    assert (process.journal.purges, process.system.generations) == ([1], [0])


def test_a_purge_during_a_drain_is_left_to_the_next_start_and_the_client_is_told() -> None:
    process = Process().started()
    process.replica.begin_drain()
    with pytest.raises(GatewayUnavailableError):
        process.replica.purge()
    assert (process.journal.purges, process.tables.generation) == ([], 1)


# Draining.


def test_a_drain_stops_the_sending_waits_for_rest_gives_up_the_lease_and_ends_the_actors() -> None:
    process = Process().started()
    process.replica.drain()
    assert process.system.log == [
        ("default", Drain()),
        ("fallback", Drain()),
        ("default", GetOldestSent()),
        ("fallback", GetOldestSent()),
        ("router", GetBeingWritten()),
        ("persistence", GetUnwritten()),
        ("lease", Leave()),
        *((name, "stop") for name in reversed(ACTORS)),
    ]
    assert process.journal.closed
    assert process.database.closed


@pytest.mark.parametrize(
    ("name", "question", "busy"),
    [
        ("fallback", GetOldestSent, 1_750_000_000_000),
        ("router", GetBeingWritten, 1),
        ("persistence", GetUnwritten, 1),
    ],
)
def test_a_drain_waits_for_what_is_under_way(name: str, question: type, busy: int) -> None:
    process = Process().started()
    answers = deque([busy, busy, busy])
    process.system.answer(name, {question: lambda _: answers.popleft() if answers else AT_REST[name][question]})
    started_s = process.runtime.now_s()
    process.replica.drain()
    assert process.runtime.now_s() - started_s == pytest.approx(3 * DRAIN_STEP_S)
    assert len(process.told(question)) == 4 * (2 if question is GetOldestSent else 1)
    assert process.told(Leave) == [("lease", Leave())]


def test_a_drain_that_never_comes_to_rest_gives_up_the_lease_all_the_same() -> None:
    process = Process().started()
    process.system.answer("router", {GetBeingWritten: 1})
    started_s = process.runtime.now_s()
    process.replica.drain()
    assert process.runtime.now_s() - started_s == pytest.approx(DRAIN_S_MAX, abs=2 * DRAIN_STEP_S)
    assert process.told(Leave) == [("lease", Leave())]
    assert process.journal.closed


@pytest.mark.parametrize("dead", ["router", "lease"])
def test_a_drain_goes_on_where_an_actor_does_not_answer(dead: str) -> None:
    process = Process().started()
    process.system.addresses[dead].alive = False
    process.replica.drain()
    assert [name for name, message in process.system.log if message == "stop"] == ACTORS[::-1]
    assert (process.journal.closed, process.database.closed) == (True, True)


def test_a_drain_goes_on_where_an_actor_does_not_stop() -> None:
    process = Process().started()
    process.system.addresses["health"].hangs = True
    process.replica.drain()
    assert (process.journal.closed, process.database.closed, process.ends) == (True, True, [])


def test_a_drain_before_the_start_closes_what_is_open() -> None:
    process = Process()
    process.replica.drain()
    assert (process.journal.closed, process.database.closed) == (False, True)
    process.start()
    assert process.system.generations == []


def test_a_replica_is_unready_from_the_beginning_of_its_drain() -> None:
    process = Process().started()
    process.system.answer("router", {GetRouterStats: STATS})
    assert process.replica.readiness().ready
    process.replica.begin_drain()
    assert process.replica.readiness().parts["gateway"] == "draining"
    assert process.told(Drain) == []


# Questions.


def test_before_its_start_a_replica_is_neither_ready_nor_dead() -> None:
    process = Process()
    assert not process.replica.readiness().ready
    assert process.replica.dead_actors() == ()


def test_actors_that_died_are_named() -> None:
    process = Process().started()
    process.system.addresses["intake"].alive = False
    assert process.replica.dead_actors() == ("intake",)


def test_questions_are_answered_by_the_actors_that_know() -> None:
    process = Process().started()
    process.system.answer("router", {GetRouterStats: STATS})
    for name in ("default", "fallback"):
        process.system.answer(name, {GetProcessorStatus: STATUS})
    process.system.answer("health", {ForceBreaker: lambda order: order.processor == "default"})
    assert process.replica.stats() == STATS
    assert process.replica.processors() == {"default": STATUS, "fallback": STATUS}
    assert process.replica.force_breaker("default", BreakerState.FORCED_OPEN)
    assert not process.replica.force_breaker("nobody", None)
    assert process.told(ForceBreaker)[0] == ("health", ForceBreaker("default", BreakerState.FORCED_OPEN))
    assert process.replica.now_ms() == process.runtime.now_ms()


def test_a_purge_that_postgres_does_not_begin_is_refused() -> None:
    process = Process().started()
    process.purges.failures = 1
    with pytest.raises(LedgerUnavailableError):
        process.replica.purge()
    assert process.system.generations == [0]
