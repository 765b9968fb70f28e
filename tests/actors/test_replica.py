from collections import deque
from dataclasses import replace
from uuid import UUID

import gevent
import pytest

from actors.domain.breaker import BreakerState
from actors.domain.lease_watch import LEASE_S
from actors.errors import (
    GatewayUnavailableError,
    JournalLockedError,
    JournalUnavailableError,
    MailboxFullError,
)
from actors.lease import BEAT_S
from actors.messages.health import ForceBreaker, GetOrderReach, OrderReach
from actors.messages.intake import Accept, AcceptAnswer, FirstAmountsFound
from actors.messages.lease import GetLivingCount
from actors.messages.processor import GetProcessorStatus
from actors.messages.router import GetRouterStats
from actors.replica import JOURNAL_RETRY_S, ORDER_S_MAX, ORDER_STEP_S, START_STEP_S, TELL_S
from actors.settings import Durability
from actors.supervisor import WAIT_S
from ops.simulation.stores import MemoryLeases
from ops.simulation.tables import MemoryFence
from tests.actors.fakes import NOW_MS, READING, both, payment
from tests.actors.fakes_system import SETTINGS
from tests.actors.replicating import ACTORS, STATS, STATUS, Process
from tests.lines import lines

# Start.


def test_a_start_connects_opens_the_journal_of_the_generation_and_starts_the_actors_in_order() -> None:
    process = Process()
    process.tables.generation = process.tables.purged_generation = 3
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


def test_a_journal_that_another_process_holds_for_long_is_told_of_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = Process()
    process.journal_errors.extend(JournalLockedError("planted") for _ in range(round(2.5 * TELL_S / START_STEP_S)))
    told: list[dict[str, str]] = []
    process.runtime.call_later(TELL_S, lambda: told.append(dict(process.replica.readiness().parts)))
    process.start()
    assert told[0]["gateway"] == "planted"
    event = "the start waits for the journal"
    assert lines(caplog, "outage") == [(event, "began"), (event, "lasts"), (event, "lasts")]
    assert (process.ends, process.system.generations) == ([], [0])
    assert "gateway" not in process.replica.readiness().parts


# A name that another process has.


class Twin:
    """Another replica with the same name and a journal of its own, which beats by itself."""

    def __init__(self, process: Process) -> None:
        self.runtime, self.is_alive = process.runtime, True
        self.leases = MemoryLeases(process.tables, MemoryFence("1", instance=UUID(int=1)))
        self.epoch = self.leases.register(0, READING).epoch
        self.beat()

    def beat(self) -> None:
        if self.is_alive:
            self.leases.beat(self.epoch, both(NOW_MS), READING)
            self.runtime.call_later(BEAT_S, self.beat)

    def die(self) -> None:
        self.is_alive = False


def observe(process: Process, seen: list[object]) -> None:
    """See, of a replica that waits, whether it is ready or dead, and what becomes of a payment."""
    readiness = process.replica.readiness()
    seen.append((readiness.ready, readiness.parts["gateway"], process.replica.dead_actors(), process.opened))
    with pytest.raises(GatewayUnavailableError, match="another process has the name '1'"):
        process.replica.accept(payment(1))
    with pytest.raises(GatewayUnavailableError, match="another process has the name '1'"):
        process.replica.purge()


def test_a_replica_whose_name_another_process_has_waits_and_says_so_and_starts_after_its_lease() -> None:
    process = Process()
    twin, seen, died_s = Twin(process), list[object](), process.runtime.now_s() + 300.0
    process.runtime.call_later(299.0, lambda: observe(process, seen))
    process.runtime.call_later(300.0, twin.die)
    process.start()
    assert seen == [
        (False, "another process has the name '1': each replica needs a REPLICA of its own", (), [0]),
    ]
    assert died_s + LEASE_S - BEAT_S <= process.runtime.now_s() <= died_s + LEASE_S + 2 * WAIT_S
    assert [name for name, message in process.system.log if message == "start"] == ACTORS
    assert process.replica.readiness().ready
    assert process.ends == []


def test_a_replica_that_drains_while_it_waits_for_its_name_ends_in_good_order() -> None:
    process = Process()
    Twin(process)
    process.runtime.call_later(1.0, process.replica.drain)
    process.start()
    assert (process.system.generations, process.ends, process.journal.closed) == ([0], [], True)
    assert (("lease", "start") in process.system.log, process.tables.leases["1"].epoch) == (False, 1)


def test_a_replica_that_another_process_has_taken_the_name_from_waits_as_well() -> None:
    process = Process().started()
    assert process.replica.readiness().ready
    twin, seen = Twin(process), list[object]()
    process.runtime.call_later(200.0, lambda: observe(process, seen))
    process.runtime.call_later(300.0, twin.die)
    process.system.addresses["lease"].alive = False  # As its heartbeat found out.
    process.runtime.advance(1.0)
    process.runtime.run_spawned()
    process.runtime.advance(3.0)
    process.runtime.run_spawned()
    assert (len(seen), process.ends) == (1, [])
    assert process.replica.readiness().ready


def test_a_replica_whose_actors_start_anew_accepts_without_postgres() -> None:
    process = Process().started()
    store = process.system.parts.leases
    assert isinstance(store, MemoryLeases)
    store.failures = 1000
    process.system.addresses["lease"].alive = False
    process.runtime.advance(1.0)
    process.runtime.run_spawned()
    process.runtime.advance(3.0)
    process.runtime.run_spawned()
    process.system.answer("intake", {Accept: lambda message: message.reply(AcceptAnswer.ACCEPTED)})
    assert process.replica.accept(payment(1)) is AcceptAnswer.ACCEPTED
    assert store.failures < 1000


def test_a_replica_that_starts_without_postgres_waits_for_it_before_it_accepts() -> None:
    process = Process()
    store = process.system.parts.leases
    assert isinstance(store, MemoryLeases)
    store.failures = 5
    started_s = process.runtime.now_s()
    process.start()
    assert process.runtime.now_s() - started_s >= 5 * WAIT_S
    assert process.replica.readiness().ready


def test_a_journal_that_the_disk_does_not_give_is_tried_until_it_can_be_opened() -> None:
    process = Process()
    process.journal_errors.extend(JournalUnavailableError("disk full") for _ in range(50))
    started_s = process.runtime.now_s()
    process.start()
    assert process.runtime.now_s() - started_s >= 50 * JOURNAL_RETRY_S
    assert (process.ends, process.system.generations) == ([], [0])


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
    for answer in set(AcceptAnswer) - {AcceptAnswer.UNCONFIRMED, AcceptAnswer.CONTESTED}:
        process.system.answer("intake", {Accept: lambda message, told=answer: message.reply(told)})
        assert process.replica.accept(payment(1)) is answer
    asked = [message for _, message in process.told(Accept)]
    assert isinstance(asked[0], Accept)
    assert (asked[0].payment, asked[0].wanted_until_s) == (payment(1), process.runtime.now_s() + 5.0)


def test_what_the_intake_cannot_judge_postgres_decides() -> None:
    process = Process().started()
    process.tables.payments[payment(1).correlation_id] = payment(1, 100)
    for answer in (AcceptAnswer.UNCONFIRMED, AcceptAnswer.CONTESTED):
        process.system.answer("intake", {Accept: lambda message, told=answer: message.reply(told)})
        assert process.replica.accept(payment(1, 100)) is AcceptAnswer.REPEATED
        assert process.replica.accept(payment(1, 200)) is AcceptAnswer.CONFLICT
    assert set(process.told(FirstAmountsFound)) == {("intake", FirstAmountsFound((payment(1, 100),), is_news=True))}


def test_beyond_a_full_mailbox_payments_are_refused() -> None:
    process = Process().started()
    process.system.answer("intake", {Accept: MailboxFullError()})
    assert process.replica.accept(payment(1)) is AcceptAnswer.OVERLOADED


def test_a_payment_that_is_not_answered_in_time_is_given_up() -> None:
    process = Process(accept_s_max=0.001).started()
    with pytest.raises(GatewayUnavailableError, match="journal"):
        process.replica.accept(payment(1))


@pytest.mark.parametrize("durability", [Durability.LEDGER, Durability.LEDGER_OR_FSYNC])
def test_a_payment_whose_row_is_not_committed_in_time_is_in_doubt(durability: Durability) -> None:
    process = Process(0.001, replace(SETTINGS, durability=durability)).started()
    assert process.replica.accept(payment(1)) is AcceptAnswer.IN_DOUBT


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
    process.system.answer("health", {GetOrderReach: OrderReach(3, of=3)})
    process.system.answer("lease", {GetLivingCount: 3})
    assert process.replica.stats() == STATS
    assert process.replica.processors() == {"default": STATUS, "fallback": STATUS}
    assert process.replica.force_breaker("default", BreakerState.FORCED_OPEN) == OrderReach(3, of=3)
    assert not process.replica.force_breaker("nobody", None)
    assert process.told(ForceBreaker)[0] == ("health", ForceBreaker("default", BreakerState.FORCED_OPEN))
    assert process.replica.now_ms() == process.runtime.now_ms()


@pytest.mark.parametrize("living", [3, GatewayUnavailableError("lease does not answer")])
def test_an_order_is_answered_when_all_replicas_that_live_hold_it(living: object) -> None:
    process = Process().started()
    reaches = deque([OrderReach(1, of=3), OrderReach(2, of=3), OrderReach(3, of=3)])
    process.system.answer("health", {ForceBreaker: True, GetOrderReach: lambda _: reaches.popleft()})
    process.system.answer("lease", {GetLivingCount: living})
    started_s = process.runtime.now_s()
    assert process.replica.force_breaker("default", BreakerState.FORCED_OPEN) == OrderReach(3, of=3)
    assert process.runtime.now_s() - started_s == pytest.approx(2 * ORDER_STEP_S)


def test_an_order_that_redis_does_not_carry_is_answered_in_time_with_the_number_of_those_that_lack_it() -> None:
    process = Process().started()
    process.system.answer("health", {ForceBreaker: True, GetOrderReach: OrderReach(1, of=1)})
    process.system.answer("lease", {GetLivingCount: 3})
    started_s = process.runtime.now_s()
    assert process.replica.force_breaker("default", BreakerState.FORCED_OPEN) == OrderReach(1, of=3)
    assert process.runtime.now_s() - started_s == pytest.approx(ORDER_S_MAX, abs=2 * ORDER_STEP_S)
