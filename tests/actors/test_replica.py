from collections import deque

import gevent
import pytest

from actors.domain.breaker import BreakerState
from actors.errors import (
    GatewayUnavailableError,
    JournalLockedError,
    JournalUnavailableError,
    MailboxFullError,
)
from actors.messages.health import ForceBreaker, GetOrderReach, OrderReach
from actors.messages.intake import Accept, AcceptAnswer, FirstAmountsFound
from actors.messages.lease import GetLivingCount
from actors.messages.processor import GetProcessorStatus
from actors.messages.router import GetRouterStats
from actors.replica import JOURNAL_RETRY_S, JOURNAL_S_MAX, ORDER_S_MAX, ORDER_STEP_S, START_STEP_S
from tests.actors.fakes import payment
from tests.actors.replicating import ACTORS, STATS, STATUS, Process

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
