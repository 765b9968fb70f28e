"""What an answer proves: which payments may move, which are closed, and which are asked for once more."""

from dataclasses import replace
from decimal import Decimal

import pytest

from actors.domain.asides import SILENT_ASK_S
from actors.domain.breaker import BreakerState
from actors.domain.lifecycle import State
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Closing, EndState, Mark, Move, Settlement
from actors.domain.processors import Processor
from actors.domain.rechecks import RECHECKS_MAX
from actors.domain.records import FORGOTTEN_S, NOTHING_MISSING, LookUpResult
from actors.domain.work import Work
from tests.actors.domain.dispatching import HORIZON_S, NOW_MS, PROCESSORS, Dispatching, ids, payment, payments

(ONE,) = ids(1)


def declined(subject: Dispatching, *numbers: int, at: str = "default") -> Work:
    """Let a processor decline payments that are charged there, and a horizon later not know them."""
    subject.ended(Outcome.DECLINED, *numbers)
    subject.advance(HORIZON_S)
    subject.announce(at)
    work = Work()
    for number in numbers:
        work = subject.looked_up(number, None, at=at)
    return work


# A status that proves nothing: the payment may be booked all the same.


def test_an_answer_from_something_in_front_of_the_processor_does_not_free_what_it_has_booked() -> None:
    subject = Dispatching().charging(*range(1, 9))
    subject.ended(Outcome.UNKNOWN, *range(1, 9))
    subject.announce("default", BreakerState.OPEN)
    subject.advance(0.1)
    for number in range(1, 9):
        work = subject.looked_up(number, NOW_MS)
        assert work.settlements == [Settlement(payment(number), "default", NOW_MS, 1, NOW_MS)]
        assert work.moves == []


def test_what_failed_is_looked_up_once_before_it_moves_and_settled_where_it_is_found() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.FAILED)
    subject.announce("default", BreakerState.OPEN)
    work = subject.advance(0.1)
    assert (work.moves, work.look_ups) == ([], {"default": payments(1)})
    assert subject.looked_up(1, NOW_MS - 3).settlements == [
        Settlement(payment(1), "default", NOW_MS - 3, 1, NOW_MS - 3)
    ]


def test_what_failed_moves_after_a_look_up_that_was_not_answered_since_the_failure_proves_enough() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.FAILED)
    subject.announce("default", BreakerState.OPEN)
    subject.advance(0.1)
    assert subject.looked_up(1, None, answered=False).moves == [Move(ONE, "fallback", attempts=1, moves=1)]


def test_a_payment_that_stays_unknown_at_a_processor_that_works_is_looked_up_after_four_tries_and_then_moves() -> None:
    subject = Dispatching().charging(1)
    for _ in range(3):
        subject.ended(Outcome.UNKNOWN)
        assert subject.advance(5.0).charges == {"default": payments(1)}
    subject.ended(Outcome.UNKNOWN)
    assert subject.advance(5.0) == Work(look_ups={"default": payments(1)})
    assert subject.looked_up(1, None) == Work()
    assert subject.advance(HORIZON_S).look_ups == {"default": payments(1)}
    assert subject.looked_up(1, None).moves == [Move(ONE, "fallback", attempts=4, moves=1)]


def test_a_payment_that_stays_unknown_is_charged_again_and_again_where_no_other_processor_works() -> None:
    subject = Dispatching().charging(1)
    subject.announce("fallback", BreakerState.OPEN)
    for _ in range(6):
        subject.ended(Outcome.UNKNOWN)
        assert subject.advance(10.0).charges == {"default": payments(1)}


def test_what_a_processor_turned_away_probes_it_since_its_look_ups_prove_nothing() -> None:
    subject = Dispatching().charging(1, 2)
    subject.ended(Outcome.MISCONFIGURED, 1, 2)
    subject.announce("default", BreakerState.OPEN, turns_away=True)
    assert subject.advance(0.1).look_ups == {"default": payments(1)}
    subject.announce("default", BreakerState.HALF_OPEN, turns_away=True)
    assert subject.looked_up(1, None, answered=False).charges == {"default": payments(2)}
    assert subject.advance(SILENT_ASK_S).look_ups == {"default": payments(1)}
    assert subject.ended(Outcome.SETTLED, 2).settlements


# Declined payments.


def test_declined_payments_hold_up_no_others_and_are_closed_once_all_have_declined_them() -> None:
    bad, good = range(1, 201), range(301, 331)
    subject = Dispatching()
    subject.announce("default", takes=200)
    subject.announce("fallback", takes=200)
    subject.charging(*bad)
    subject.ended(Outcome.DECLINED, *bad)
    assert subject.accept(*good).claims == [Claim(payment(number), "default") for number in good]
    subject.advance(HORIZON_S)
    for number in bad:
        assert subject.looked_up(number, None).charges.get("default", []) == []
    assert subject.dispatcher.counts()["moving"] == 200
    subject.moved(*bad)
    subject.ended(Outcome.DECLINED, *bad)
    subject.advance(HORIZON_S)
    closings = [closing for number in bad for closing in subject.looked_up(number, None, at="fallback").closings]
    assert closings == [Closing(payment(number), EndState.DECLINED, "fallback", 2, subject.now_ms) for number in bad]
    assert subject.dispatcher.watermarks() == NOTHING_MISSING
    subject.closed(*bad)
    assert {subject.dispatcher.describe(each) for each in ids(*bad)} == {None}


def test_a_declined_payment_is_looked_up_though_its_processor_works_and_never_charged_there_again() -> None:
    subject = Dispatching().charging(1)
    subject.announce("fallback", BreakerState.OPEN)
    subject.ended(Outcome.DECLINED)
    for _ in range(5):
        work = subject.advance(5)
        assert (work.charges, work.look_ups) == ({}, {"default": payments(1)})
        subject.looked_up(1, None)
    subject.advance(HORIZON_S)
    subject.looked_up(1, None)
    work = subject.advance(600)
    assert (work.charges, work.look_ups) == ({}, {})
    subject.moved(1)
    subject.announce("fallback")
    assert [move.processor for move in subject.decide().moves] == ["fallback"]


def test_a_declined_payment_that_waits_for_another_processor_holds_up_no_others() -> None:
    subject = Dispatching(outage_s=60).charging(1)
    subject.announce("fallback", BreakerState.OPEN)
    declined(subject, 1)
    assert subject.accept(2).claims == [Claim(payment(2), "default")]


def test_a_payment_that_a_processor_declines_after_it_was_booked_there_is_settled() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.DECLINED)
    subject.advance(0.1)
    assert subject.looked_up(1, NOW_MS).settlements == [Settlement(payment(1), "default", NOW_MS, 1, NOW_MS)]


# Mismatched payments.


def test_an_id_that_was_booked_with_another_amount_is_closed_and_holds_up_no_summary() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.ALREADY_CHARGED)
    assert subject.dispatcher.watermarks().stamp_ms == NOW_MS
    work = subject.told(1, LookUpResult.MISMATCHED, at="default")
    assert work == Work(closings=[Closing(payment(1), EndState.MISMATCHED, "default", 1, NOW_MS)])
    assert subject.dispatcher.watermarks() == NOTHING_MISSING
    assert subject.dispatcher.being_written() == 1
    assert subject.closed(1) == Work()
    assert subject.dispatcher.describe(ONE) is None


def test_a_payment_that_was_charged_before_and_is_not_known_is_closed_after_the_horizon() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.ALREADY_CHARGED)
    subject.looked_up(1, None)
    work = subject.advance(HORIZON_S)
    assert (work.charges, work.look_ups) == ({}, {"default": payments(1)})
    assert [closing.state for closing in subject.looked_up(1, None).closings] == [EndState.MISMATCHED]


def test_a_payment_is_not_closed_as_mismatched_before_all_others_have_been_asked() -> None:
    subject = Dispatching()
    subject.replay(1)
    subject.claimed(1)
    work = subject.told(1, LookUpResult.MISMATCHED, at="fallback")
    assert (work.closings, work.look_ups) == ([], {"default": payments(1)})
    assert subject.looked_up(1, NOW_MS - 9).settlements == [
        Settlement(payment(1), "default", NOW_MS - 9, 0, NOW_MS - 9)
    ]


@pytest.mark.parametrize("answered", [True, False])
def test_a_replayed_payment_that_one_holds_with_another_amount_and_no_other_knows_is_closed(*, answered: bool) -> None:
    subject = Dispatching()
    subject.replay(1)
    subject.claimed(1)
    subject.told(1, LookUpResult.MISMATCHED, at="fallback")
    work = subject.looked_up(1, None, answered=answered)
    assert work.closings == [Closing(payment(1), EndState.MISMATCHED, "fallback", 0, NOW_MS)]


def test_where_postgres_may_have_forgotten_a_mismatched_payment_is_closed_once_all_others_have_answered() -> None:
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    subject.store_changed()
    subject.replay(1)
    subject.claimed(1)
    subject.told(1, LookUpResult.MISMATCHED, at="fallback")
    subject.looked_up(1, None, answered=False)
    for _ in range(3):
        work = subject.advance(HORIZON_S)
        assert (work.closings, work.charges, work.moves, work.look_ups) == ([], {}, [], {"default": payments(1)})
        subject.looked_up(1, None, answered=False)
    subject.advance(HORIZON_S)
    assert [closing.processor for closing in subject.looked_up(1, None).closings] == ["fallback"]


# Payments that come from a journal and have no row.


def test_what_was_replayed_and_has_no_row_is_looked_up_everywhere_before_its_first_charge() -> None:
    subject = Dispatching()
    subject.replay(1)
    assert subject.claimed(1) == Work(look_ups={"fallback": payments(1)})
    assert subject.looked_up(1, None, at="fallback").look_ups == {"default": payments(1)}
    assert subject.looked_up(1, None, answered=False).charges == {"default": payments(1)}


def test_what_was_replayed_and_is_found_is_settled_where_it_was_charged() -> None:
    subject = Dispatching()
    subject.replay(1)
    subject.claimed(1)
    work = subject.looked_up(1, NOW_MS - 9, at="fallback")
    assert work.settlements == [Settlement(payment(1), "fallback", NOW_MS - 9, 0, NOW_MS - 9)]


def test_a_processor_that_is_down_is_not_asked_for_what_was_replayed() -> None:
    subject = Dispatching()
    subject.announce("fallback", BreakerState.OPEN)
    subject.replay(1)
    assert subject.claimed(1).look_ups == {"default": payments(1)}
    assert subject.looked_up(1, None).charges == {"default": payments(1)}


def test_what_was_replayed_while_its_first_copy_waits_is_looked_up_too() -> None:
    subject = Dispatching()
    subject.accept(1)
    subject.replay(1)
    assert subject.claimed(1).look_ups == {"fallback": payments(1)}


# Postgres forgets.


def assert_charged_after_a_horizon(subject: Dispatching, work: Work) -> None:
    """Check that a payment is asked for everywhere, and a horizon later once more, before it is charged."""
    for _ in PROCESSORS:
        (at,) = work.look_ups
        assert subject.looked_up(1, None, at=at) == Work()
        work = subject.advance(5)
    subject.advance(HORIZON_S)
    for _ in PROCESSORS:
        (at,) = work.look_ups
        work = subject.looked_up(1, None, at=at)
    assert work.charges == {"default": payments(1)}


def test_when_postgres_may_have_forgotten_nothing_is_charged_before_every_processor_has_answered() -> None:
    subject = Dispatching(outage_s=20).charging(1)
    subject.announce("default", BreakerState.OPEN)
    subject.ended(Outcome.NOT_SENT)
    subject.moved(1)
    assert subject.store_changed().claims == [Claim(payment(1), None, attempts=0, moves=1)]
    assert subject.claimed(1).look_ups == {"fallback": payments(1)}
    subject.looked_up(1, None, at="fallback")
    assert subject.advance(5).look_ups == {"default": payments(1)}
    subject.announce("default")
    subject.looked_up(1, None)
    assert subject.advance(HORIZON_S) == Work(look_ups={"fallback": payments(1)})
    assert subject.looked_up(1, None, at="fallback").look_ups == {"default": payments(1)}
    assert subject.looked_up(1, None).moves == [Move(ONE, "default", attempts=0, moves=2)]


def test_a_processor_that_does_not_answer_keeps_what_postgres_may_have_forgotten_from_being_charged() -> None:
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    subject.store_changed()
    subject.replay(1)
    work = subject.claimed(1)
    for _ in range(20):
        assert (work.charges, work.moves) == ({}, [])
        for at in work.look_ups:
            subject.looked_up(1, None, answered=at == "fallback", at=at)
        work = subject.advance(HORIZON_S)


def test_what_waits_without_a_row_when_postgres_may_have_forgotten_is_charged_once_all_processors_have_denied_it() -> (
    None
):
    subject = Dispatching()
    subject.announce("default", takes=0)
    subject.accept(1)
    subject.store_changed()
    subject.announce("default")
    assert subject.decide().claims == [Claim(payment(1), "default")]
    assert_charged_after_a_horizon(subject, subject.claimed(1))


def test_what_is_claimed_when_postgres_may_have_forgotten_is_charged_once_all_processors_have_denied_it() -> None:
    subject = Dispatching()
    assert subject.accept(1).claims == [Claim(payment(1), "default")]
    subject.store_changed()
    # It may have been committed by the one before.
    assert subject.claimed(1).claims == [Claim(payment(1), "default")]
    assert_charged_after_a_horizon(subject, subject.claimed(1))


def test_what_waits_without_a_row_when_postgres_may_have_forgotten_is_settled_where_it_was_charged_before() -> None:
    subject = Dispatching()
    subject.announce("default", takes=0)
    subject.accept(1)
    subject.store_changed()
    subject.announce("default")
    subject.decide()
    assert subject.claimed(1) == Work(look_ups={"fallback": payments(1)})
    assert subject.looked_up(1, NOW_MS - 7, at="fallback").settlements == [
        Settlement(payment(1), "fallback", NOW_MS - 7, 0, NOW_MS - 7)
    ]


def test_what_was_posted_soon_after_and_came_from_the_journal_hours_later_is_looked_up_too() -> None:
    subject = Dispatching()
    subject.store_changed()
    subject.advance(3 * FORGOTTEN_S)
    subject.accept(1)
    assert subject.claimed(1) == Work(look_ups={"fallback": payments(1)})


def test_what_is_posted_after_postgres_may_have_forgotten_is_settled_where_it_was_charged_before() -> None:
    subject = Dispatching()
    subject.store_changed()
    subject.advance(HORIZON_S)
    assert subject.accept(1).claims == [Claim(payment(1), "default")]
    assert subject.claimed(1) == Work(look_ups={"fallback": payments(1)})
    assert subject.looked_up(1, NOW_MS - 7, at="fallback").settlements == [
        Settlement(payment(1), "fallback", NOW_MS - 7, 0, NOW_MS - 7)
    ]


def test_what_is_posted_a_horizon_after_postgres_may_have_forgotten_is_charged_once_all_processors_have_denied_it() -> (
    None
):
    subject = Dispatching()
    subject.store_changed()
    subject.advance(HORIZON_S)
    subject.accept(1)
    subject.claimed(1)
    assert subject.looked_up(1, None, at="fallback") == Work(look_ups={"default": payments(1)})
    assert subject.looked_up(1, None).charges == {"default": payments(1)}


def test_what_is_posted_sooner_waits_until_a_horizon_has_passed_since_postgres_may_have_forgotten() -> None:
    subject = Dispatching()
    subject.store_changed()
    subject.accept(1)
    assert_charged_after_a_horizon(subject, subject.claimed(1))


def test_what_is_posted_an_hour_after_postgres_may_have_forgotten_is_charged_at_once() -> None:
    subject = Dispatching()
    subject.store_changed()
    subject.advance(FORGOTTEN_S)
    posted = replace(payment(1), accepted_at_ms=subject.now_ms)
    subject.offer(posted)
    subject.decide()
    assert subject.claimed(1).charges == {"default": [posted]}


@pytest.mark.parametrize(("currencies", "is_asked"), [(frozenset({"KWD"}), False), (frozenset[str](), True)])
def test_who_never_took_a_currency_is_not_asked_for_what_is_posted_after_postgres_may_have_forgotten(
    currencies: frozenset[str], *, is_asked: bool
) -> None:
    third = Processor("third", "http://t", Decimal("0.2"), currencies)
    subject = Dispatching(processors=(*PROCESSORS, third))
    subject.announce("third")
    subject.store_changed()
    subject.advance(HORIZON_S)
    subject.accept(1)
    work, asked = subject.claimed(1), set[str]()
    while work.look_ups:
        (at,) = work.look_ups
        asked.add(at)
        work = subject.looked_up(1, None, at=at)
    assert work.charges == {"default": payments(1)}
    # One that is only looked up now may have charged it when it was not.
    assert ("third" in asked) == is_asked


def test_what_is_under_way_when_postgres_forgets_is_settled() -> None:
    subject = Dispatching().charging(1)
    assert subject.store_changed() == Work()
    assert subject.ended(Outcome.SETTLED).settlements == [Settlement(payment(1), "default", NOW_MS, 1, NOW_MS)]


def test_a_row_that_is_adopted_after_postgres_may_have_forgotten_proves_nothing() -> None:
    subject = Dispatching()
    subject.store_changed()
    assert subject.adopt(Claim(payment(1), "default")).look_ups == {"fallback": payments(1)}


def test_what_waits_for_processors_to_answer_leaves_room_for_others() -> None:
    subject = Dispatching()
    subject.announce("default", takes=500)
    numbers = range(1, 501)
    subject.charging(*numbers)
    subject.ended(Outcome.NOT_SENT, *numbers)
    subject.announce("default", takes=0)
    assert subject.store_changed().wanted == 500


# A late charge.


def moved_and_settled(subject: Dispatching) -> None:
    """Let default not know a payment a horizon after an attempt, and fallback charge it."""
    subject.charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    subject.advance(HORIZON_S)
    subject.looked_up(1, None)
    subject.moved(1)
    subject.ended(Outcome.SETTLED)
    subject.settled(1)
    subject.announce("default")


def test_where_a_payment_may_be_charged_late_its_processor_is_asked_once_more() -> None:
    subject = Dispatching()
    moved_and_settled(subject)
    assert subject.dispatcher.wakes_at_s(subject.now_s) == subject.now_s + HORIZON_S
    assert subject.advance(HORIZON_S) == Work(look_ups={"default": payments(1)})
    assert subject.looked_up(1, None) == Work()
    assert subject.advance(10 * HORIZON_S) == Work()


def test_a_charge_that_came_late_is_a_second_settlement() -> None:
    subject = Dispatching()
    moved_and_settled(subject)
    subject.advance(HORIZON_S)
    assert subject.looked_up(1, NOW_MS + 7) == Work(
        settlements=[Settlement(payment(1), "default", NOW_MS + 7, 2, NOW_MS + 7)]
    )


def test_a_payment_that_was_charged_late_after_all_had_declined_it_is_settled() -> None:
    subject = Dispatching().charging(1)
    declined(subject, 1)
    subject.moved(1)
    declined(subject, 1, at="fallback")
    subject.closed(1)
    assert subject.advance(HORIZON_S).look_ups == {"default": payments(1), "fallback": payments(1)}
    assert subject.looked_up(1, NOW_MS + 7, at="fallback") == Work(
        settlements=[Settlement(payment(1), "fallback", NOW_MS + 7, 2, NOW_MS + 7)]
    )


@pytest.mark.parametrize("state", [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.FORCED_OPEN])
def test_a_processor_is_asked_though_it_takes_nothing_and_later_where_it_does_not_answer(state: BreakerState) -> None:
    subject = Dispatching()
    moved_and_settled(subject)
    subject.announce("default", state)
    assert subject.advance(HORIZON_S).look_ups == {"default": payments(1)}
    subject.looked_up(1, None, answered=False)
    assert subject.advance(HORIZON_S).look_ups == {"default": payments(1)}


def test_what_failed_with_a_proof_is_not_asked_for_again() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.FAILED)
    subject.announce("default", BreakerState.OPEN)
    subject.advance(0.1)
    subject.looked_up(1, None)
    subject.moved(1)
    subject.ended(Outcome.SETTLED)
    subject.settled(1)
    assert subject.dispatcher.wakes_at_s(subject.now_s) is None


def test_no_more_are_asked_for_again_than_may_be() -> None:
    subject = Dispatching()
    numbers = range(1, RECHECKS_MAX + 2)
    subject.announce("default", takes=len(numbers))
    for first in (1, 501, 1001):
        some = numbers[first - 1 : first + 499]
        subject.charging(*some)
        subject.ended(Outcome.UNKNOWN, *some)
    subject.announce("default", BreakerState.OPEN)
    subject.announce("fallback", takes=len(numbers))
    subject.advance(HORIZON_S)
    for number in numbers:
        subject.looked_up(number, None)
    subject.moved(*numbers)
    subject.ended(Outcome.SETTLED, *numbers)
    assert subject.settled(*numbers).rechecks_dropped == 1
    subject.announce("default")
    work = subject.advance(HORIZON_S)
    assert (len(work.look_ups["default"]), work.rechecks_dropped) == (RECHECKS_MAX, 0)


# What rows tell readers.


def test_a_row_says_that_its_payment_is_unknown_once_that_lasts() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    assert subject.advance(0.9).marks == []
    assert subject.dispatcher.wakes_at_s(subject.now_s) == pytest.approx(1001.0)
    assert subject.advance(0.1).marks == [Mark(ONE, "unknown", NOW_MS)]
    assert subject.advance(60).marks == []


def test_a_row_of_a_payment_that_is_resolved_soon_is_left_alone() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.advance(0.5)
    subject.ended(Outcome.SETTLED)
    assert subject.advance(5).marks == []


def test_a_row_says_no_more_that_its_payment_is_unknown_when_that_is_free_and_does_not_move() -> None:
    subject = Dispatching().charging(1)
    subject.announce("fallback", BreakerState.OPEN)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    subject.advance(HORIZON_S)
    subject.announce("default")
    work = subject.looked_up(1, None)
    assert (work.marks, work.charges) == ([Mark(ONE, None, subject.now_ms)], {"default": payments(1)})


def test_a_move_needs_no_mark() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    subject.advance(HORIZON_S)
    work = subject.looked_up(1, None)
    assert (work.marks, len(work.moves)) == ([], 1)


def test_a_stranded_payment_whose_row_may_be_lost_is_looked_up_elsewhere_and_stranded_again() -> None:
    subject = Dispatching()
    subject.adopt(Claim(payment(1), "gone"))
    assert subject.store_changed().claims == [Claim(payment(1), "gone")]
    assert subject.claimed(1).look_ups == {"fallback": payments(1)}
    subject.advance(HORIZON_S)
    for _ in range(3):
        subject.looked_up(1, None, at="fallback")
        subject.looked_up(1, None, at="default")
        subject.advance(5)
    driven = subject.dispatcher.describe(ONE)
    assert driven is not None
    assert driven.state is State.STRANDED
