"""Counts begin at nothing, and a stepped wall clock makes nobody forget."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from actors.domain.asides import LOOK_UPS_ASKED_MAX
from actors.domain.breaker import BreakerState
from actors.domain.dispatcher import ASK_PAUSE_S_MAX, DRIVEN_MAX, WINDOW_MAX, Dispatcher
from actors.domain.level import Level
from actors.domain.outcome import Outcome
from actors.domain.patience import Patience
from actors.domain.payment import Claim
from actors.domain.processor_view import Availability
from actors.domain.processors import Processor
from actors.domain.rechecks import RECHECKS_MAX
from actors.domain.records import FORGOTTEN_S, NEVER_MS, Watermarks
from actors.domain.retries import RetryLimits
from actors.domain.routing import Choice, Reason, Routes
from actors.domain.work import Work
from tests.actors.domain.dispatching import HORIZON_S, NOW_MS, PROCESSORS, Dispatching, ids, payment, payments

(ONE,) = ids(1)


class WaitingRecorder(Routes):
    """Lets all wait, and notes how many more are said to wait behind the first."""

    def __init__(self) -> None:
        super().__init__(PROCESSORS, Patience())
        self.waiting: list[int] = []

    def choose(
        self,
        takers: Sequence[Processor],  # noqa: ARG002  # as in the product
        *,
        waiting: int,
        spent: str | None,  # noqa: ARG002  # the same
        now_s: float,  # noqa: ARG002  # the same
    ) -> Choice:
        self.waiting.append(waiting)
        return Choice(None, Reason.WAIT_FOR_ANY)


def whose_default_takes_only_reais() -> Dispatching:
    return Dispatching(processors=[PROCESSORS[0], replace(PROCESSORS[1], currencies=frozenset({"BRL"}))])


def asked_at(subject: Dispatching, *answering: str) -> set[str]:
    """Commit the payment's row, let these processors deny it one after another, and tell which ones were asked."""
    asked = set(subject.claimed(1).look_ups)
    for name in answering:
        asked |= set(subject.looked_up(1, None, at=name).look_ups) | set(subject.advance(10.0).look_ups)
    return asked


def test_those_behind_the_first_are_the_others_in_memory_and_those_still_in_the_journal() -> None:
    routes = WaitingRecorder()
    dispatcher = Dispatcher(routes, RetryLimits(), Random(1))
    dispatcher.adopted([Claim(payment(1), None)], NOW_MS, 1000.0)
    dispatcher.decide(1000.0, NOW_MS)
    dispatcher.accepted([payment(2), payment(3)], 40, 1000.0)
    dispatcher.decide(1000.0, NOW_MS)
    assert routes.waiting == [0, 42]


def test_all_rows_that_were_ever_taken_up_are_counted_and_no_payment_of_the_journal() -> None:
    subject = Dispatching()
    subject.accept(1)
    assert subject.dispatcher.adopted_in_all == 0
    subject.adopt(Claim(payment(2), "default"), Claim(payment(3), None))
    subject.adopt(Claim(payment(4), "default"))
    assert subject.dispatcher.adopted_in_all == 3


@pytest.mark.parametrize(
    ("posted_after_s", "since_change_s", "is_asked"),
    [
        (0.0, 0.0, True),
        (FORGOTTEN_S - 1, FORGOTTEN_S - 1, True),
        (FORGOTTEN_S, FORGOTTEN_S, False),
        (10 * FORGOTTEN_S, 1.0, True),  # The wall clock has stepped ahead.
        (5.0, 10 * FORGOTTEN_S, True),  # It has waited in the journal.
        (-5.0, 10 * FORGOTTEN_S, True),  # It was posted before, and has waited in the journal.
    ],
)
def test_a_payment_is_asked_for_everywhere_where_it_may_have_been_posted_soon_after_rows_were_lost(
    posted_after_s: float, since_change_s: float, *, is_asked: bool
) -> None:
    subject = Dispatching()
    subject.now_s = 2 * FORGOTTEN_S
    changed_at_ms = subject.now_ms
    subject.store_changed()
    subject.now_s += since_change_s
    subject.offer(replace(payment(1), accepted_at_ms=changed_at_ms + round(posted_after_s * 1000)))
    claim = subject.decide().claims
    assert [each.payment.correlation_id for each in claim] == [ONE]
    work = subject.claimed(1)
    assert (set(work.look_ups) != set(), set(work.charges) == set()) == (is_asked, is_asked)


def test_nothing_is_missing_until_a_charge_may_have_been_booked_and_then_the_oldest_counts() -> None:
    subject = Dispatching()
    assert subject.dispatcher.watermarks() == Watermarks(NEVER_MS, NEVER_MS)
    subject.adopt(Claim(payment(1), "default"), oldest_stamp_ms=NOW_MS - 5)
    subject.adopt(Claim(payment(2), "default"), oldest_stamp_ms=NOW_MS - 9)
    subject.adopt(Claim(payment(3), "default"), oldest_stamp_ms=NOW_MS - 7)
    assert subject.dispatcher.watermarks() == Watermarks(NOW_MS - 9, NOW_MS - 9)


def test_a_processor_without_an_announcement_takes_nothing() -> None:
    dispatcher = Dispatcher(WaitingRecorder(), RetryLimits(), Random(1))
    dispatcher.availability_changed(Availability("default", BreakerState.CLOSED, 1, 100.0, None), 1000.0)
    assert (dispatcher.routes.views["default"].has_room, dispatcher.routes.views["fallback"].has_room) == (True, False)


def test_a_pinned_payment_counts_as_pinned_until_its_charge_that_was_found_is_committed() -> None:
    subject = Dispatching().charging(1, 2)
    view = subject.dispatcher.routes.views["default"]
    subject.ended(Outcome.UNKNOWN, 1, 2)
    assert view.pinned == 2
    subject.announce("default", BreakerState.OPEN)
    subject.advance(10.0)
    subject.looked_up(1, NOW_MS)
    assert view.pinned == 2
    subject.settled(1)
    assert view.pinned == 1
    subject.looked_up(2, NOW_MS)
    subject.settled(2)
    assert (view.pinned, subject.dispatcher.driven_count()) == (0, 0)


def test_failures_before_an_outage_that_is_waited_out_do_not_count_after_it() -> None:
    subject = Dispatching(outage_s=11.0).charging(1)
    subject.ended(Outcome.REFUSED)
    for _ in range(2):
        assert subject.advance(1.0).charges == {"default": [payment(1)]}
        subject.ended(Outcome.REFUSED)
    subject.announce("default", BreakerState.OPEN)
    assert [move.processor for move in subject.advance(1.0).moves] == [None]
    subject.moved(1)
    subject.announce("default")
    assert [move.processor for move in subject.decide().moves] == ["default"]
    assert subject.moved(1).charges == {"default": [payment(1)]}
    for _ in range(3):
        subject.ended(Outcome.REFUSED)
        assert subject.advance(5.0).charges == {"default": [payment(1)]}


def test_payments_whose_rows_name_no_processor_any_more_go_on_in_the_order_of_their_acceptance() -> None:
    subject = Dispatching()
    offered = [replace(payment(number), accepted_at_ms=NOW_MS - number) for number in (1, 2, 3)]
    subject.offer(*offered)
    subject.decide()
    subject.claimed(1, 2, 3)
    for name in ("default", "fallback"):
        subject.announce(name, BreakerState.OPEN)
    subject.ended(Outcome.REFUSED, 1, 2, 3)
    moves = subject.advance(10.0).moves
    assert {move.processor for move in moves} == {None}
    subject.moved(1, 3, 2)
    subject.announce("default")
    assert [move.correlation_id for move in subject.decide().moves] == ids(3, 2, 1)


def test_where_rows_may_be_lost_every_processor_is_asked_for_a_payment_that_had_a_row() -> None:
    subject = whose_default_takes_only_reais()
    for name in ("default", "fallback"):
        subject.announce(name, BreakerState.OPEN)
    subject.adopt(Claim(payment(1, currency="USD"), None))
    assert [claim.payment.currency for claim in subject.store_changed().claims] == ["USD"]
    assert asked_at(subject, "default", "fallback") == {"default", "fallback"}


def test_the_payments_in_memory_and_the_late_look_ups_are_told_with_their_bounds() -> None:
    subject = Dispatching()
    subject.accept(1, 2)
    assert subject.dispatcher.levels() == (Level(2, DRIVEN_MAX), Level(0, RECHECKS_MAX))


def test_what_failed_a_pinned_payment_before_an_outage_does_not_keep_it_from_being_charged_after_it() -> None:
    subject = Dispatching(outage_s=60.0).charging(1)
    subject.ended(Outcome.UNKNOWN)
    for _ in range(3):
        assert subject.advance(1.0).charges == {"default": [payment(1)]}
        subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    assert set(subject.advance(10.0).look_ups) == {"default"}
    subject.looked_up(1, None, answered=False)
    subject.advance(10.0)
    subject.looked_up(1, None, answered=False)
    subject.announce("default")
    assert subject.advance(10.0).charges == {"default": [payment(1)]}


@pytest.mark.parametrize("later_s", [0.0, 0.1])
def test_the_only_payment_that_is_pinned_to_a_silent_processor_never_pauses_for_long(later_s: float) -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    for _ in range(10):
        assert set(subject.advance(ASK_PAUSE_S_MAX + later_s).look_ups) == {"default"}
        subject.looked_up(1, None, answered=False)


def test_no_rows_are_taken_up_beyond_what_may_be_in_memory_where_payments_of_the_journal_fill_it() -> None:
    subject = whose_default_takes_only_reais()
    subject.announce("fallback", BreakerState.OPEN)
    wanted, numbers = WINDOW_MAX, iter(range(1, 2 * DRIVEN_MAX))
    while wanted:
        subject.offer(*(payment(next(numbers), currency="USD") for _ in range(wanted)))
        wanted = subject.decide().wanted
        assert subject.dispatcher.adoption_room().count <= DRIVEN_MAX - subject.dispatcher.driven_count() - wanted
    assert (subject.dispatcher.driven_count(), subject.dispatcher.adoption_room().count) == (DRIVEN_MAX, 0)


def test_a_payment_that_waited_for_room_when_rows_were_lost_waits_for_answers_instead() -> None:
    subject = Dispatching()
    subject.announce("default", takes=0)
    subject.announce("fallback", BreakerState.OPEN)
    subject.adopt(Claim(payment(1), "default"), Claim(payment(2), "fallback"))
    subject.looked_up(2, None, answered=False, at="fallback")
    assert len(subject.store_changed().claims) == 2
    assert subject.claimed(1).look_ups == {}
    subject.announce("default")
    assert subject.decide().charges == {}
    assert subject.dispatcher.wakes_at_s(subject.now_s) is not None


@pytest.mark.parametrize("processors", [PROCESSORS, PROCESSORS[::-1]])
def test_a_processor_that_cannot_be_asked_holds_up_no_payments_of_another(processors: Sequence[Processor]) -> None:
    subject = Dispatching(processors=processors)
    subject.announce("default", BreakerState.OPEN)
    subject.adopt(Claim(payment(1), "default"))
    subject.looked_up(1, None, answered=False)
    subject.announce("fallback", takes=0)
    subject.adopt(Claim(payment(2), "default"), Claim(payment(3), "fallback"))
    subject.announce("fallback")
    assert subject.decide().charges == {"fallback": [payment(3)]}


def test_of_many_that_have_to_be_asked_for_only_the_first_are_asked_for_at_once() -> None:
    subject = Dispatching()
    numbers = range(1, LOOK_UPS_ASKED_MAX + 9)
    for name in ("default", "fallback"):
        subject.announce(name, takes=0)
    subject.adopt(*(Claim(payment(number), None) for number in numbers))
    assert len(subject.store_changed().claims) == len(numbers)
    look_ups = subject.claimed(*numbers).look_ups
    assert look_ups == {"fallback": payments(*numbers[:LOOK_UPS_ASKED_MAX])}


def test_who_never_took_a_currency_is_not_asked_for_what_had_no_row_when_rows_were_lost() -> None:
    subject = whose_default_takes_only_reais()
    subject.announce("fallback", BreakerState.OPEN)
    subject.offer(payment(1, currency="USD"))
    subject.decide()
    subject.store_changed()
    subject.announce("fallback")
    assert len(subject.decide().claims) == 1
    assert asked_at(subject, *["fallback"] * 3) == {"fallback"}


def test_a_row_that_is_written_anew_twice_is_asked_for_at_every_processor() -> None:
    subject = whose_default_takes_only_reais()
    for name in ("default", "fallback"):
        subject.announce(name, BreakerState.OPEN)
    subject.adopt(Claim(payment(1, currency="USD"), "fallback"))
    subject.looked_up(1, None, answered=False, at="fallback")
    subject.advance(10.0)
    subject.looked_up(1, None, answered=False, at="fallback")
    for _ in range(2):
        subject.store_changed()
    assert len(subject.claimed(1).claims) == 1
    assert asked_at(subject, "default", "fallback") == {"default", "fallback"}


def test_no_processor_is_chosen_for_a_payment_whose_row_is_written_anew() -> None:
    subject = Dispatching()
    for name in ("default", "fallback"):
        subject.announce(name, BreakerState.OPEN)
    subject.adopt(Claim(payment(1), None))
    assert len(subject.store_changed().claims) == 1
    subject.announce("default")
    assert subject.decide().choices == []


def test_payments_without_a_row_keep_their_order_when_rows_are_lost() -> None:
    subject = Dispatching()
    for name in ("default", "fallback"):
        subject.announce(name, BreakerState.OPEN)
    subject.accept(1, 2)
    subject.store_changed()
    subject.announce("default")
    assert [claim.payment.correlation_id for claim in subject.decide().claims] == ids(1, 2)


def test_a_replayed_payment_that_comes_long_after_rows_were_lost_is_not_charged_before_all_have_answered() -> None:
    subject = Dispatching()
    subject.store_changed()
    subject.now_s += 2 * FORGOTTEN_S
    late = replace(payment(1), accepted_at_ms=subject.now_ms)
    subject.dispatcher.accepted([late], 0, subject.now_s, {ONE})
    assert [claim.payment for claim in subject.decide().claims] == [late]
    asked, work = [], subject.claimed(1)
    for _ in range(4):
        (name,) = work.look_ups
        asked.append(name)
        subject.looked_up(1, None, answered=False, at=name)
        work = subject.advance(10.0)
        assert work.charges == {}
    assert asked == ["fallback", "default"] * 2


def test_pauses_end_early_only_where_their_processor_has_just_gone() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.REFUSED)
    subject.announce("default", takes=50)
    assert subject.decide() == Work()
    subject.announce("fallback", BreakerState.OPEN)
    assert subject.decide() == Work()
    subject.announce("fallback", BreakerState.HALF_OPEN)
    subject.announce("fallback")
    subject.announce("default", BreakerState.OPEN)
    assert [move.processor for move in subject.decide().moves] == ["fallback"]


def test_at_the_instant_at_which_the_patience_ends_nobody_wakes_for_it_again() -> None:
    subject = Dispatching(outage_s=10.0)
    subject.announce("default", BreakerState.OPEN)
    subject.announce("fallback", BreakerState.FORCED_OPEN)
    subject.accept(1)
    ends_s = subject.now_s + 10.0
    assert subject.dispatcher.wakes_at_s(subject.now_s) == ends_s
    subject.advance(10.0)
    assert subject.now_s == ends_s
    assert subject.dispatcher.wakes_at_s(ends_s) is None


def freed_from_default() -> Dispatching:
    """Let a payment of unknown outcome be missing at the default a horizon later."""
    subject = Dispatching().charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    assert set(subject.advance(HORIZON_S).look_ups) == {"default"}
    assert [move.processor for move in subject.looked_up(1, None).moves] == ["fallback"]
    return subject


def test_who_gives_a_payment_up_does_not_ask_for_it_once_more() -> None:
    subject = freed_from_default()
    subject.moves_rejected(1)
    subject.rejected(payment(1))
    assert subject.dispatcher.driven_count() == 0
    assert subject.advance(10 * HORIZON_S) == Work()


def test_the_processor_that_has_charged_a_payment_in_the_end_is_not_asked_for_it_once_more() -> None:
    subject = freed_from_default()
    subject.moved(1)
    subject.ended(Outcome.REFUSED)
    subject.announce("default")
    subject.announce("fallback", BreakerState.OPEN)
    assert [move.processor for move in subject.decide().moves] == ["default"]
    subject.moved(1)
    subject.ended(Outcome.SETTLED)
    subject.settled(1)
    assert subject.dispatcher.driven_count() == 0
    assert subject.advance(10 * HORIZON_S) == Work()
