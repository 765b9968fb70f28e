"""What stops the actors of a replica: purges, and its drain."""

from collections import deque

import gevent
import pytest

from actors.domain.payment import Payment
from actors.domain.records import NEVER_MS, NOTHING_MISSING, Watermarks
from actors.errors import (
    GatewayUnavailableError,
    LedgerUnavailableError,
)
from actors.messages.intake import Accept, AcceptAnswer, GetWaiting
from actors.messages.lease import Leave
from actors.messages.persistence import GetUnwritten
from actors.messages.processor import Drain, GetUnreported
from actors.messages.router import GetBeingWritten, GetDrivenCount, GetRouterStats
from actors.purge import PURGE_S_MAX
from actors.replica import DRAIN_S_MAX, DRAIN_STEP_S, PURGE_REST_S_MAX
from ops.simulation.purges import MemoryPurge
from ops.simulation.stores import MemoryLeases
from ops.simulation.tables import MemoryFence
from tests.actors.fakes import NOW_MS, READING, payment
from tests.actors.replicating import ACTORS, AT_REST, SETTLE_S_MAX, STATS, Process
from tests.lines import lines

UNDER_WAY = Watermarks(1_750_000_000_000, NEVER_MS)
"""What a processor's actor tells while a charge is under way."""
QUESTIONS = [
    ("default", GetUnreported()),
    ("fallback", GetUnreported()),
    ("router", GetBeingWritten()),
    ("persistence", GetUnwritten()),
]
"""By which it is found out whether something is under way."""
BUSY = [
    ("fallback", GetUnreported, UNDER_WAY),
    ("router", GetBeingWritten, 1),
    ("persistence", GetUnwritten, 1),
]
"""Who may be busy, and how they say so."""

# Purging.


def test_a_purge_stops_all_actors_in_reverse_order_and_starts_them_for_the_new_generation() -> None:
    process = Process().started()
    process.replica.purge()
    assert process.system.log == [
        ("default", Drain()),
        ("fallback", Drain()),
        *QUESTIONS,
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
    MemoryLeases(process.tables, other).register(0, READING)
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


@pytest.mark.parametrize(("name", "question", "busy"), BUSY)
def test_a_purge_lets_what_is_under_way_end_before_it_stops_the_actors(name: str, question: type, busy: object) -> None:
    process = Process().started()
    answers = deque([busy, busy, busy])
    process.system.answer(name, {question: lambda _: answers.popleft() if answers else AT_REST[name][question]})
    process.replica.purge()
    asked = [index for index, (_, message) in enumerate(process.system.log) if isinstance(message, question)]
    assert len(asked) == 4 * (2 if question is GetUnreported else 1)
    assert max(asked) < process.system.log.index(("health", "stop"))


def test_a_purge_does_not_wait_for_ever_for_what_is_under_way() -> None:
    process = Process().started()
    process.system.answer("default", {GetUnreported: UNDER_WAY})
    started_s = process.runtime.now_s()
    process.replica.purge()
    assert process.runtime.now_s() - started_s == pytest.approx(PURGE_REST_S_MAX, abs=2 * DRAIN_STEP_S)
    assert process.tables.purged_generation == 1
    assert PURGE_REST_S_MAX < PURGE_S_MAX / 2 + DRAIN_STEP_S


def test_payments_are_accepted_while_a_purge_waits() -> None:
    process = Process().started()
    process.system.answer("intake", {Accept: lambda message: message.reply(AcceptAnswer.ACCEPTED)})
    answers: list[AcceptAnswer] = []

    def post(_: object) -> Watermarks:
        if answers:
            return NOTHING_MISSING
        answers.append(process.replica.accept(payment(1)))
        return UNDER_WAY

    process.system.answer("default", {GetUnreported: post})
    process.replica.purge()
    assert answers == [AcceptAnswer.ACCEPTED]


def test_before_the_start_there_is_nothing_to_purge() -> None:
    process = Process(accept_s_max=0.001)
    with pytest.raises(GatewayUnavailableError):
        process.replica.purge()
    assert process.tables.generation == 0


def test_a_draining_replica_starts_no_actors_after_a_purge() -> None:
    process = Process().started()
    other = MemoryFence("2")
    MemoryLeases(process.tables, other).register(0, READING)
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


def test_a_start_follows_a_purge_that_nobody_has_finished() -> None:
    process = Process()
    process.purges.begin_purge(NOW_MS)
    process.start()
    assert (process.opened, process.system.generations) == ([0], [0])
    process.system.purged()
    assert process.tables.purged_generation == 1
    assert (process.journal.purges, process.system.generations) == ([1], [0, 1])


def test_a_purge_that_postgres_does_not_begin_is_refused() -> None:
    process = Process().started()
    process.purges.failures = 1
    with pytest.raises(LedgerUnavailableError):
        process.replica.purge()
    assert process.system.generations == [0]


# Draining.


def test_a_drain_stops_the_sending_waits_for_rest_gives_up_the_lease_and_ends_the_actors() -> None:
    process = Process().started()
    process.replica.drain()
    assert process.system.log == [
        ("intake", GetWaiting()),
        ("router", GetDrivenCount()),
        ("default", Drain()),
        ("fallback", Drain()),
        *QUESTIONS,
        ("lease", Leave()),
        *((name, "stop") for name in reversed(ACTORS)),
    ]
    assert process.journal.closed
    assert process.database.closed


@pytest.mark.parametrize("kept", [(), (payment(1),)])
def test_a_drain_tells_whether_nobody_has_to_wait_for_what_the_replica_holds(
    kept: tuple[Payment, ...], caplog: pytest.LogCaptureFixture
) -> None:
    process = Process().started()
    MemoryLeases(process.tables, MemoryFence("1")).register(0, READING)
    process.tables.leases["1"].end_epoch()
    process.journal.append(kept)
    process.replica.drain()
    assert process.tables.leases["1"].is_emptied == (not kept)
    told = [("payments may be in this journal alone", len(kept))] if kept else []
    assert lines(caplog, "payments") == told


@pytest.mark.parametrize(("name", "question", "busy"), BUSY)
def test_a_drain_waits_for_what_is_under_way(name: str, question: type, busy: object) -> None:
    process = Process().started()
    answers = deque([busy, busy, busy])
    process.system.answer(name, {question: lambda _: answers.popleft() if answers else AT_REST[name][question]})
    started_s = process.runtime.now_s()
    process.replica.drain()
    assert process.runtime.now_s() - started_s == pytest.approx(3 * DRAIN_STEP_S)
    assert len(process.told(question)) == 4 * (2 if question is GetUnreported else 1)
    assert process.told(Leave) == [("lease", Leave())]


@pytest.mark.parametrize(("name", "question"), [("intake", GetWaiting), ("router", GetDrivenCount)])
def test_a_drain_lets_what_was_accepted_be_settled_first(name: str, question: type) -> None:
    process = Process().started()
    left = iter([2, 1, 0])
    process.system.addresses[name].answers[question] = lambda _: next(left)
    process.replica.drain()
    asked = [message for _, message in process.system.log]
    assert asked.count(question()) == 3
    assert asked.index(Drain()) > len(asked) - 1 - asked[::-1].index(question())


def test_what_is_not_settled_in_time_stays_in_the_journal() -> None:
    process = Process().started()
    process.system.answer("intake", {GetWaiting: 2})
    started_s = process.runtime.now_s()
    process.replica.drain()
    assert process.runtime.now_s() - started_s == pytest.approx(SETTLE_S_MAX, abs=2 * DRAIN_STEP_S)
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
