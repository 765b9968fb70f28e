from collections.abc import Callable, Iterator
from itertools import count
from threading import Semaphore
from time import monotonic, time
from typing import Any
from uuid import UUID

import gevent
import pytest
from gevent import Greenlet
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from actors.adapters.runtime import GeventRuntime
from actors.domain.lifecycle import State
from actors.domain.money import Money
from actors.domain.payment import Claim, Payment, Settlement
from actors.domain.peers import Denials
from actors.domain.records import (
    FIRST,
    NEVER_MS,
    LedgerSummary,
    PaymentRecord,
    PaymentState,
    ProcessorTotal,
    Watermarks,
)
from actors.domain.work import Driven
from actors.errors import GatewayUnavailableError, LedgerUnavailableError
from actors.messages.gossip import AskPeers, GetDenials
from actors.messages.intake import FindAccepted, Found
from actors.messages.router import GetDriven
from actors.peer_questions import ANSWERS_S_MAX
from actors.queries import PaymentQueries, PaymentStatus
from actors.summaries import (
    ASKERS_MAX,
    AT_ONCE_MAX,
    PRESENT_MS,
    PRESENT_S_MAX,
    SUMMARY_S_MAX,
    SUMMARY_STEP_S,
    TURN_S_MAX,
    WindowSummary,
)
from ops.simulation.feed import MemoryFeed
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import NOW_MS, READING, Recorder, VirtualRuntime, payment

ONE = UUID(int=1)
MONEY = Money(1990, "BRL")
NOTHING_FOUND = Found({}, remembers_waiting=True)
DRIVEN = Driven(payment(1), State.CHARGING, "default", attempts=2, pinned=True)


class Desk:
    """Queries over tables that a test fills."""

    def __init__(self, replica: str = "1") -> None:
        self.tables = MemoryTables()
        fence = MemoryFence("1")
        MemoryLeases(self.tables, fence).register(0, READING)
        self.store = MemoryPayments(self.tables, fence)
        self.router, self.intake = Recorder({GetDriven: None}), Recorder({FindAccepted: NOTHING_FOUND})
        self.gossip = Recorder({AskPeers: 1, GetDenials: Denials()})
        self.runtime, self.turns = VirtualRuntime(), Semaphore(1)
        self._replica = replica
        self.queries = self.make_queries()

    def make_queries(self) -> PaymentQueries:
        first = iter([self.turns])
        return PaymentQueries(
            payments=self.store,
            ends=MemoryFeed(self.tables),
            intake=self.intake,
            router=self.router,
            gossip=self.gossip,
            lease=Recorder(),
            replica=self._replica,
            processors=("default", "third"),
            runtime=self.runtime,
            make_turns=lambda count: next(first, Semaphore(count)),
        )

    def claim(self, number: int, amount_minor: int = 1990, currency: str = "BRL") -> Payment:
        made = payment(number, amount_minor, currency)
        self.store.write([Claim(made, "default")], (), ())
        return made

    def settle(
        self, number: int, stamp_ms: int, amount_minor: int = 1990, currency: str = "BRL", answered_at_ms: int = 0
    ) -> None:
        made = self.claim(number, amount_minor, currency)
        self.store.write((), (), [Settlement(made, "default", stamp_ms, 1, answered_at_ms)])

    def publish(self, *, stamp_ms: int, answer_ms: int) -> None:
        """Publish the replica's watermarks."""
        lease = self.tables.leases["1"]
        lease.watermark_ms, lease.answered_ms = stamp_ms, answer_ms
        lease.published_ms = max(lease.published_ms, stamp_ms)


def test_a_summary_names_the_events_two_and_every_other_processor() -> None:
    desk = Desk()
    desk.settle(1, NOW_MS, 5)
    summary = desk.queries.summary(None, None)
    assert summary.totals == {
        "default": ProcessorTotal("default", 1, Money(5, "BRL")),
        "fallback": ProcessorTotal("fallback", 0, Money(0, "BRL")),
        "third": ProcessorTotal("third", 0, Money(0, "BRL")),
    }
    assert summary.others == {}


def test_a_summary_keeps_other_currencies_apart() -> None:
    desk = Desk()
    desk.settle(1, NOW_MS, 5)
    desk.settle(2, NOW_MS, 7, "KWD")
    desk.settle(3, NOW_MS, 9, "JPY")
    desk.settle(4, NOW_MS, 4, "JPY")
    summary = desk.queries.summary(None, None)
    assert summary.totals["default"] == ProcessorTotal("default", 1, Money(5, "BRL"))
    assert list(summary.others) == ["JPY", "KWD"]
    assert summary.others["JPY"]["default"] == ProcessorTotal("default", 2, Money(13, "JPY"))
    assert summary.others["KWD"]["third"] == ProcessorTotal("third", 0, Money(0, "KWD"))
    assert desk.queries.summary(NOW_MS + 1, None).others == {}


ENDED_MS = NOW_MS - 1500
"""The end of a window as the event asks for it."""


def test_a_summary_is_final_when_every_watermark_lies_behind_its_end() -> None:
    desk = Desk()
    desk.publish(stamp_ms=ENDED_MS, answer_ms=NOW_MS)
    assert desk.queries.summary(None, ENDED_MS - 1).final
    assert not desk.queries.summary(None, ENDED_MS).final


def test_a_charge_under_way_is_neither_waited_for_nor_counted_and_the_summary_is_not_final() -> None:
    desk = Desk()
    desk.settle(1, ENDED_MS - 2)
    desk.claim(2)
    desk.publish(stamp_ms=ENDED_MS - 1, answer_ms=NOW_MS + 1)
    summary = desk.queries.summary(None, ENDED_MS)
    assert desk.runtime.now_ms() == NOW_MS
    assert (summary.totals["default"].requests, summary.final, summary.as_of_ms) == (1, False, NOW_MS)


def test_a_summary_does_not_say_what_it_is_of_while_an_answer_may_be_lost_with_who_had_it() -> None:
    desk = Desk()
    desk.claim(1)
    for owned in desk.tables.claims.values():
        owned.epoch = 0
    desk.publish(stamp_ms=ENDED_MS, answer_ms=NOW_MS + 1)
    assert desk.queries.summary(None, ENDED_MS).as_of_ms is None
    assert desk.queries.summary(None, ENDED_MS - 1).as_of_ms == NOW_MS, "nothing in this window is missing"
    assert desk.runtime.now_ms() == NOW_MS, "it is not waited for"


def test_what_was_answered_after_the_question_is_not_counted_and_leaves_the_summary_open() -> None:
    desk = Desk()
    desk.settle(1, ENDED_MS, answered_at_ms=NOW_MS)
    desk.claim(2)
    desk.publish(stamp_ms=ENDED_MS, answer_ms=NOW_MS)

    def settle_late() -> None:
        desk.settle(3, ENDED_MS, answered_at_ms=NOW_MS + 1)
        desk.publish(stamp_ms=NOW_MS + 50, answer_ms=NOW_MS + 50)

    desk.runtime.call_later(0.05, settle_late)
    summary = desk.queries.summary(None, ENDED_MS)
    # Everything with such a stamp is committed: it would be final, if all of it were in the totals.
    assert (summary.totals["default"].requests, summary.final, summary.as_of_ms) == (1, False, NOW_MS)
    again = desk.queries.summary(None, ENDED_MS)
    assert (again.totals["default"].requests, again.final) == (2, True)


def test_what_was_answered_before_the_question_is_waited_for() -> None:
    desk = Desk()
    desk.claim(1)
    desk.publish(stamp_ms=ENDED_MS, answer_ms=NOW_MS - 10)

    def commit() -> None:
        desk.settle(1, ENDED_MS, answered_at_ms=NOW_MS - 10)
        desk.claim(2)
        desk.publish(stamp_ms=NOW_MS + 250, answer_ms=NOW_MS + 250)

    desk.runtime.call_later(0.25, commit)
    summary = desk.queries.summary(None, ENDED_MS)
    assert 250 <= desk.runtime.now_ms() - NOW_MS < 300
    assert (summary.totals["default"].requests, summary.final) == (1, True)


def test_a_replica_that_does_not_publish_is_waited_for_within_a_limit() -> None:
    desk = Desk()
    desk.claim(1)
    desk.publish(stamp_ms=ENDED_MS, answer_ms=NOW_MS)
    summary = desk.queries.summary(None, ENDED_MS)
    assert SUMMARY_S_MAX * 1000 <= desk.runtime.now_ms() - NOW_MS < SUMMARY_S_MAX * 1000 + 100
    assert (summary.final, summary.as_of_ms) == (False, None)


def test_where_no_charge_of_the_window_is_missing_nobody_is_waited_for() -> None:
    desk = Desk()
    desk.claim(1)
    desk.publish(stamp_ms=ENDED_MS + 1, answer_ms=ENDED_MS + 1)
    summary = desk.queries.summary(None, ENDED_MS)
    assert desk.runtime.now_ms() == NOW_MS
    assert (summary.final, summary.as_of_ms) == (True, NOW_MS)


def test_a_replica_without_claims_has_nothing_to_commit_and_is_not_waited_for() -> None:
    desk = Desk()
    desk.publish(stamp_ms=NOW_MS - 200, answer_ms=NOW_MS - 200)
    summary = desk.queries.summary(None, ENDED_MS)
    assert desk.runtime.now_ms() == NOW_MS
    assert (summary.final, summary.as_of_ms) == (True, NOW_MS)


@pytest.mark.parametrize("to_ms", [None, NOW_MS + 3_600_000, NOW_MS, NOW_MS - PRESENT_MS + 1])
def test_a_window_up_to_the_present_waits_for_what_was_accepted_before_the_question(to_ms: int | None) -> None:
    desk = Desk()
    desk.publish(stamp_ms=NOW_MS, answer_ms=NOW_MS)

    def commit() -> None:
        desk.settle(1, NOW_MS - PRESENT_MS, answered_at_ms=NOW_MS + 200)
        desk.publish(stamp_ms=NOW_MS + 250, answer_ms=NOW_MS + 250)

    desk.runtime.call_later(0.25, commit)
    summary = desk.queries.summary(None, to_ms)
    assert 250 <= desk.runtime.now_ms() - NOW_MS < 300
    assert (summary.totals["default"].requests, summary.as_of_ms) == (1, None)


def test_a_window_up_to_the_present_waits_within_a_limit() -> None:
    desk = Desk()
    desk.publish(stamp_ms=NOW_MS, answer_ms=NOW_MS)
    desk.queries.summary(None, None)
    assert PRESENT_S_MAX * 1000 <= desk.runtime.now_ms() - NOW_MS < PRESENT_S_MAX * 1000 + 100


def test_a_clock_that_is_ahead_calls_nothing_final_that_others_may_still_stamp_charges_into() -> None:
    desk = Desk()
    desk.runtime.advance(5.0)
    desk.publish(stamp_ms=NOW_MS + 2, answer_ms=NOW_MS + 2)
    assert not desk.queries.summary(None, NOW_MS + 3_000).final
    desk.publish(stamp_ms=NOW_MS + 3_001, answer_ms=NOW_MS + 3_001)
    assert desk.queries.summary(None, NOW_MS + 3_000).final


def test_where_all_have_left_nothing_is_final_that_who_joins_may_stamp_charges_into() -> None:
    desk = Desk()
    desk.publish(stamp_ms=ENDED_MS, answer_ms=ENDED_MS)
    lease = desk.tables.leases["1"]
    lease.left_epoch, lease.watermark_ms, lease.published_ms = lease.epoch, NEVER_MS, ENDED_MS
    assert not desk.queries.summary(None, ENDED_MS).final
    assert desk.queries.summary(None, ENDED_MS - 1).final


@pytest.mark.parametrize("to_ms", [None, NOW_MS, NOW_MS + 1, NOW_MS + 3_000])
def test_a_window_that_has_not_ended_is_never_final(to_ms: int | None) -> None:
    desk = Desk()
    desk.publish(stamp_ms=NOW_MS + 3_600_000, answer_ms=NOW_MS)
    assert not desk.queries.summary(None, to_ms).final


def test_the_totals_are_added_up_once() -> None:
    desk = Desk()
    asked: list[int | None] = []
    summary = desk.store.summary

    def counted(from_ms: int | None, to_ms: int | None, answered_by_ms: int | None = None) -> LedgerSummary:
        asked.append(answered_by_ms)
        return summary(from_ms, to_ms, answered_by_ms)

    desk.store.summary = counted  # type: ignore[method-assign]  # to count the calls
    desk.claim(1)
    desk.publish(stamp_ms=ENDED_MS, answer_ms=NOW_MS)
    desk.queries.summary(None, ENDED_MS)
    desk.queries.summary(None, None)
    assert asked == [None, None]


def test_a_summary_gives_up_its_turn_also_where_postgres_does_not_answer() -> None:
    desk = Desk()
    desk.store.failures = 1
    with pytest.raises(LedgerUnavailableError):
        desk.queries.summary(None, None)
    assert desk.turns.acquire(blocking=False)


class CountingPayments(MemoryPayments):
    """Counts what it is asked."""

    calls = 0

    def _answer(self) -> None:
        self.calls += 1


class NoTurns:
    """A semaphore whose turn never comes."""

    def acquire(self, *, timeout: float) -> bool:
        assert timeout in {SUMMARY_S_MAX, TURN_S_MAX}
        return False

    def release(self) -> None:
        raise AssertionError("nobody had a turn")


def test_a_summary_whose_turn_does_not_come_in_time_is_refused() -> None:
    desk = Desk()
    queries = PaymentQueries(
        payments=desk.store,
        ends=MemoryFeed(),
        intake=desk.intake,
        router=desk.router,
        gossip=desk.gossip,
        lease=Recorder(),
        replica="1",
        processors=("default",),
        runtime=desk.runtime,
        make_turns=lambda _: NoTurns(),
    )
    with pytest.raises(GatewayUnavailableError):
        queries.summary(None, None)


def test_a_payment_that_this_replica_drives_tells_what_the_router_knows() -> None:
    desk = Desk()
    desk.store.write([Claim(payment(1), "default")], (), ())
    desk.router.answers[GetDriven] = DRIVEN
    record = PaymentRecord(payment(1), "default", "1", None, ())
    assert desk.queries.payment(ONE) == PaymentStatus(ONE, MONEY, record, DRIVEN)


def test_a_payment_tells_what_postgres_knows_where_the_router_does_not_answer() -> None:
    desk = Desk()
    desk.store.write([Claim(payment(1), "default")], (), ())
    desk.router.answers[GetDriven] = GatewayUnavailableError("planted")
    assert desk.queries.payment(ONE) == PaymentStatus(ONE, MONEY, PaymentRecord(payment(1), "default", "1", None, ()))


def test_what_the_router_says_counts_only_where_this_replica_drives_the_payment() -> None:
    desk = Desk(replica="2")
    desk.store.write([Claim(payment(1), "default")], (), ())
    desk.settle(2, NOW_MS)
    desk.router.answers[GetDriven] = DRIVEN
    first, second = desk.queries.payment(ONE), desk.queries.payment(UUID(int=2))
    assert first is not None
    assert second is not None
    assert (first.record and first.record.owner, first.driven) == ("1", None)
    assert (second.record and second.record.settlement and second.record.settlement.requested_at_ms) == NOW_MS


def test_a_payment_without_a_row_is_told_from_the_memory_of_the_router() -> None:
    desk = Desk()
    desk.router.answers[GetDriven] = held = Driven(payment(1, 5), State.HELD, None, attempts=0, pinned=False)
    assert desk.queries.payment(ONE) == PaymentStatus(ONE, Money(5, "BRL"), driven=held)


def remember(desk: Desk, money: Money) -> None:
    desk.intake.answers[FindAccepted] = Found({ONE: money}, remembers_waiting=True)


def test_a_payment_that_waits_in_the_journal_is_told_from_the_memory_of_the_intake() -> None:
    desk = Desk()
    remember(desk, Money(700, "JPY"))
    assert desk.queries.payment(ONE) == PaymentStatus(ONE, Money(700, "JPY"))


def test_without_postgres_a_payment_is_told_as_far_as_it_is_remembered() -> None:
    desk = Desk()
    desk.store.failures = 1
    remember(desk, Money(700, "JPY"))
    assert desk.queries.payment(ONE) == PaymentStatus(ONE, Money(700, "JPY"))


def test_without_postgres_nobody_denies_a_payment() -> None:
    desk = Desk()
    desk.store.failures = 2
    with pytest.raises(LedgerUnavailableError):
        desk.queries.payment(ONE)


def test_a_payment_is_unknown_where_postgres_this_replica_and_all_others_deny_it() -> None:
    desk = Desk()
    assert desk.queries.payment(ONE) is None
    desk.tables.leases["2"] = desk.tables.leases["3"] = desk.tables.leases["1"]
    desk.gossip.answers[GetDenials] = Denials(frozenset({"2", "3"}))
    assert desk.queries.payment(ONE) is None


def test_a_payment_is_denied_by_nobody_while_one_replica_does_not_answer() -> None:
    desk = Desk()
    desk.tables.leases["2"] = desk.tables.leases["3"] = desk.tables.leases["1"]
    desk.gossip.answers[GetDenials] = Denials(frozenset({"2"}))
    started_s = desk.runtime.now_s()
    with pytest.raises(GatewayUnavailableError, match="replica"):
        desk.queries.payment(ONE)
    assert ANSWERS_S_MAX <= desk.runtime.now_s() - started_s < 2 * ANSWERS_S_MAX


def test_once_the_other_replicas_are_known_nobody_waits_longer_than_for_their_answers() -> None:
    desk = Desk()
    desk.tables.leases["2"] = desk.tables.leases["1"]
    desk.gossip.answers[GetDenials] = Denials(frozenset({"2"}))
    desk.queries.payment(ONE)
    started_s = desk.runtime.now_s()
    desk.queries.payment(ONE)
    assert desk.runtime.now_s() == started_s


def test_a_payment_that_another_replica_told_of_is_found_in_the_memory_of_the_intake() -> None:
    desk = Desk()

    class Told(Recorder):
        def ask(self, message: object, timeout_s: float) -> Any:  # noqa: ANN401  # as in the protocol
            if isinstance(message, GetDenials):
                remember(desk, MONEY)
            return super().ask(message, timeout_s)

    desk.gossip = Told({AskPeers: 1, GetDenials: Denials(is_known=True)})
    assert desk.make_queries().payment(ONE) == PaymentStatus(ONE, MONEY)


def test_a_payment_whose_row_is_written_while_others_are_asked_is_found_in_postgres() -> None:
    desk = Desk()
    desk.runtime.call_later(ANSWERS_S_MAX / 2, desk.store.write, [Claim(payment(1), "default")], (), ())
    status = desk.queries.payment(ONE)
    assert status is not None
    assert status.record is not None


def test_an_unknown_id_asks_postgres_twice() -> None:
    desk = Desk()
    desk.store = asked = CountingPayments(desk.tables, MemoryFence("1"))
    desk.make_queries().payment(ONE)
    assert asked.calls == 2


@pytest.mark.parametrize("actor", ["intake", "router", "gossip"])
def test_while_an_actor_does_not_answer_nobody_denies_a_payment(actor: str) -> None:
    desk = Desk()
    question = {"intake": FindAccepted, "router": GetDriven, "gossip": AskPeers}[actor]
    getattr(desk, actor).answers[question] = GatewayUnavailableError("planted")
    with pytest.raises(GatewayUnavailableError, match="planted"):
        desk.queries.payment(ONE)


def test_a_replica_that_may_have_forgotten_what_waits_denies_nothing() -> None:
    desk = Desk()
    desk.intake.answers[FindAccepted] = Found({}, remembers_waiting=False)
    with pytest.raises(GatewayUnavailableError, match="remembers"):
        desk.queries.payment(ONE)


def test_where_too_many_ask_for_unknown_payments_one_more_is_refused() -> None:
    desk = Desk()
    desk.gossip.answers[AskPeers] = None
    with pytest.raises(GatewayUnavailableError, match="too many"):
        desk.queries.payment(ONE)


class SlowPayments(MemoryPayments):
    """Answers when a test says so, and counts its looks at the watermarks and how many it is asked at once."""

    def __init__(self, tables: MemoryTables) -> None:
        super().__init__(tables, MemoryFence("1"))
        self.may_answer = Event()
        self.looks = self.summaries = self.asked = self.asked_most = 0

    def _answer(self) -> None:
        self.asked += 1
        self.asked_most = max(self.asked, self.asked_most)
        self.may_answer.wait()
        self.asked -= 1

    def watermarks(self) -> Watermarks:
        self.looks += 1
        return super().watermarks()

    def summary(self, from_ms: int | None, to_ms: int | None, answered_by_ms: int | None = None) -> LedgerSummary:
        self.summaries += 1
        return super().summary(from_ms, to_ms, answered_by_ms)


def crowd(
    desk: Desk, store: SlowPayments, question: Callable[[PaymentQueries], object], askers: int
) -> "list[Greenlet[Any, Any]]":
    """Let many ask at once on a clock that does not stand still."""
    queries = PaymentQueries(
        payments=store,
        ends=MemoryFeed(),
        intake=desk.intake,
        router=desk.router,
        gossip=desk.gossip,
        lease=Recorder(),
        replica="1",
        processors=("default",),
        runtime=GeventRuntime(),
        make_turns=BoundedSemaphore,
    )
    crowd = [gevent.spawn(question, queries) for _ in range(askers)]
    gevent.idle()
    return crowd


def ask_for_another_window(queries: PaymentQueries, windows: Iterator[int] = count()) -> None:  # noqa: B008  # shared
    queries.summary(next(windows), None)


def test_all_that_ask_for_one_window_while_its_summary_is_read_share_the_next_one() -> None:
    desk = Desk()
    store = SlowPayments(desk.tables)
    found: list[WindowSummary] = []
    askers = crowd(desk, store, lambda queries: found.append(queries.summary(None, None)), ASKERS_MAX)
    for number in range(ASKERS_MAX):
        desk.settle(number, stamp_ms=1)
    store.may_answer.set()
    gevent.joinall(askers, raise_error=True)
    assert store.summaries == 2
    assert [each.totals["default"].requests for each in found] == [ASKERS_MAX] * ASKERS_MAX


def test_the_summary_of_a_window_that_has_ended_is_read_for_each_also_where_a_replica_stands_still() -> None:
    desk = Desk()
    desk.claim(1)
    store = SlowPayments(desk.tables)
    store.may_answer.set()
    asked_ms: list[int] = []

    def ask(queries: PaymentQueries) -> None:
        asked_ms.append(round(time() * 1000))
        assert queries.summary(None, asked_ms[-1] - 2 * PRESENT_MS).as_of_ms is None, "nobody knows of the claim"

    askers = crowd(desk, store, ask, 6)
    gevent.joinall(askers, raise_error=True)
    assert store.summaries == len(asked_ms) == 6


def test_one_who_asks_after_a_reading_began_is_not_answered_by_it() -> None:
    desk = Desk()
    store = SlowPayments(desk.tables)
    first, second = crowd(desk, store, lambda queries: queries.summary(None, None), 2)
    del first
    desk.settle(1, stamp_ms=1)
    store.may_answer.set()
    assert second.get().totals["default"].requests == 1
    assert store.summaries == 2


def test_all_that_wait_share_their_looks_at_how_far_the_replicas_are() -> None:
    desk = Desk()
    store = SlowPayments(desk.tables)
    store.may_answer.set()
    started_s = monotonic()
    askers = crowd(desk, store, ask_for_another_window, ASKERS_MAX)
    gevent.joinall(askers, raise_error=True)
    # Each looks once on its own, since nobody has looked since it asked.
    assert store.looks <= ASKERS_MAX + AT_ONCE_MAX * ((monotonic() - started_s) / SUMMARY_STEP_S + 1)


@pytest.mark.parametrize(
    "question",
    [ask_for_another_window, lambda queries: queries.payments(PaymentState.ACCEPTED, FIRST, 10)],
)
def test_few_ask_postgres_at_once_and_one_more_than_may_wait_is_refused_at_once(
    question: Callable[[PaymentQueries], object],
) -> None:
    desk = Desk()
    store = SlowPayments(desk.tables)
    askers = crowd(desk, store, question, ASKERS_MAX + 1)
    *waiting, refused = askers
    with pytest.raises(GatewayUnavailableError, match="too many"):
        refused.get(block=False)
    assert (store.asked_most, any(each.ready() for each in waiting)) == (AT_ONCE_MAX, False)
    gevent.killall(waiting)
