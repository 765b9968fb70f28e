"""Where each payment goes, when, and how many: the decisions, without actors."""

from uuid import UUID

import pytest

from actors.domain.breaker import BreakerState
from actors.domain.lifecycle import State
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Move, Settlement
from actors.domain.records import NEVER_MS, NOTHING_MISSING
from actors.domain.routing import Choice, Reason
from actors.domain.work import Driven, Work
from tests.actors.domain.dispatching import HORIZON_S, NOW_MS, Dispatching, ids, payment, payments

ONE, TWO = UUID(int=1), UUID(int=2)
MOVED_ON = Choice("fallback", Reason.RETRIES_SPENT)


def test_new_payments_are_claimed_for_the_cheapest_processor_before_anything_is_sent() -> None:
    work = Dispatching().accept(1, 2)
    assert work == Work(
        claims=[Claim(payment(1), "default"), Claim(payment(2), "default")],
        choices=[Choice("default", Reason.CHEAPEST)],
    )


def test_a_claimed_payment_is_charged_on_the_processor_that_its_row_names() -> None:
    subject = Dispatching()
    subject.accept(1)
    assert subject.claimed(1).charges == {"default": payments(1)}


def test_a_charge_is_settled_under_the_stamp_that_was_sent() -> None:
    subject = Dispatching().charging(1)
    subject.advance(0.5)
    assert subject.ended(Outcome.SETTLED) == Work(
        settlements=[Settlement(payment(1), "default", NOW_MS + 500, 1, NOW_MS + 500)]
    )


def test_a_payment_is_forgotten_once_its_settlement_is_committed() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.SETTLED)
    driven = subject.dispatcher.describe(ONE)
    assert driven == Driven(payment(1), State.SETTLING, "default", attempts=1, pinned=False)
    subject.settled(1)
    assert subject.dispatcher.describe(ONE) is None


def test_a_payment_whose_claim_is_rejected_is_never_charged() -> None:
    subject = Dispatching()
    subject.accept(1)
    subject.rejected(payment(1))
    assert subject.dispatcher.describe(ONE) is None
    assert subject.claimed(1) == Work()


def test_while_the_cheapest_is_open_payments_go_to_the_next() -> None:
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    assert subject.accept(1).claims == [Claim(payment(1), "fallback")]
    assert subject.claimed(1).charges == {"fallback": payments(1)}


def test_while_all_are_open_payments_are_held_without_a_row() -> None:
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    subject.announce("fallback", BreakerState.OPEN)
    assert subject.accept(1).claims == []
    subject.announce("default")
    assert subject.decide().claims == [Claim(payment(1), "default")]


def test_nothing_is_given_to_a_processor_that_has_not_announced_itself() -> None:
    subject = Dispatching()
    subject.announce("default", takes=0)
    assert subject.accept(1).choices == [Choice(None, Reason.WAIT_FOR_ROOM)]


def test_a_move_is_committed_before_the_other_processor_sees_the_payment() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.REFUSED)
    subject.announce("default", BreakerState.OPEN)
    work = subject.advance(0.1)
    assert (work.moves, work.charges) == ([Move(ONE, "fallback", attempts=1, moves=1)], {})
    assert subject.moved(1).charges == {"fallback": payments(1)}


def test_a_payment_whose_move_is_rejected_is_claimed_anew_and_so_given_up_where_its_row_is_another_replicas() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.REFUSED)
    subject.announce("default", BreakerState.OPEN)
    subject.advance(0.1)
    assert subject.moves_rejected(1) == Work(claims=[Claim(payment(1), "default", attempts=1)])
    assert subject.moved(1) == Work()
    assert subject.rejected(payment(1)) == Work()
    assert subject.dispatcher.describe(ONE) is None


def test_a_payment_whose_move_is_rejected_since_its_row_is_lost_is_neither_dropped_nor_charged_unasked() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.REFUSED)
    subject.announce("default", BreakerState.OPEN)
    subject.advance(0.1)
    subject.moves_rejected(1)
    assert subject.claimed(1) == Work(look_ups={"fallback": payments(1)})


def test_a_failed_charge_is_tried_again_after_a_growing_pause() -> None:
    subject = Dispatching().charging(1)
    subject.announce("fallback", BreakerState.OPEN)
    for pause_s in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0):
        assert subject.ended(Outcome.FAILED) == Work()
        assert subject.advance(pause_s * 0.99) == Work()
        assert subject.advance(pause_s * 0.02).charges == {"default": payments(1)}


def test_pauses_are_drawn_from_around_their_length() -> None:
    subject = Dispatching(jitter=0.25).charging(*range(1, 101))
    subject.ended(Outcome.FAILED, *range(1, 101))
    assert subject.advance(0.0749).charges == {}
    assert 20 < len(subject.advance(0.025).charges["default"]) < 80
    assert len(subject.advance(0.0252).charges["default"]) > 20


def test_a_payment_whose_outcome_is_unknown_never_leaves_its_processor() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    assert subject.advance(0.1) == Work(look_ups={"default": payments(1)})


def test_an_unknown_outcome_is_resolved_by_sending_again_where_the_processor_works() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.UNKNOWN)
    assert subject.advance(0.1) == Work(charges={"default": payments(1)})
    assert subject.ended(Outcome.SETTLED).settlements == [
        Settlement(payment(1), "default", NOW_MS + 100, 2, NOW_MS + 100)
    ]


def test_an_already_charged_payment_is_recorded_with_the_processors_own_instant() -> None:
    subject = Dispatching().charging(1)
    assert subject.ended(Outcome.ALREADY_CHARGED) == Work(look_ups={"default": payments(1)})
    work = subject.looked_up(1, NOW_MS - 77)
    assert work.settlements == [Settlement(payment(1), "default", NOW_MS - 77, 1, NOW_MS - 77)]


def test_a_failure_after_an_unknown_outcome_does_not_free_the_payment() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.advance(0.1)
    subject.ended(Outcome.FAILED)
    subject.announce("default", BreakerState.OPEN)
    assert subject.advance(0.2) == Work(look_ups={"default": payments(1)})


def test_a_missing_look_up_frees_the_payment_only_after_the_horizon() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    subject.advance(0.1)
    subject.looked_up(1, None)
    assert subject.advance(HORIZON_S).look_ups == {"default": payments(1)}
    assert subject.looked_up(1, None).moves == [Move(ONE, "fallback", attempts=1, moves=1)]


def test_a_look_up_without_answer_never_frees_the_payment() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    for _ in range(20):
        work = subject.advance(HORIZON_S)
        assert (work.look_ups, work.moves) == ({"default": payments(1)}, [])
        subject.looked_up(1, None, answered=False)


def test_half_open_lets_one_payment_through_and_the_others_wait() -> None:
    subject = Dispatching(outage_s=60).charging(1, 2, 3)
    subject.announce("default", BreakerState.OPEN)
    assert subject.ended(Outcome.NOT_SENT, 1, 2, 3).charges == {}
    subject.moved(1, 2, 3)
    subject.announce("default", BreakerState.HALF_OPEN)
    assert subject.decide().moves == [Move(ONE, "default", attempts=0, moves=2)]
    assert subject.moved(1).charges == {"default": payments(1)}
    subject.announce("default")
    assert [move.correlation_id for move in subject.decide().moves] == ids(2, 3)


def test_a_probe_whose_move_is_rejected_is_given_to_another() -> None:
    subject = Dispatching(outage_s=60)
    subject.announce("default", BreakerState.FORCED_OPEN)
    subject.charging(1, 2)
    subject.announce("fallback", BreakerState.OPEN)
    subject.ended(Outcome.NOT_SENT, 1, 2)
    subject.moved(1, 2)
    subject.announce("default", BreakerState.HALF_OPEN)
    assert subject.decide().moves == [Move(ONE, "default", attempts=0, moves=2)]
    assert subject.moves_rejected(1).moves == [Move(TWO, "default", attempts=0, moves=2)]
    assert subject.moved(2).charges == {"default": payments(2)}


@pytest.mark.parametrize("state", [BreakerState.OPEN, BreakerState.HALF_OPEN])
def test_a_pinned_payment_is_never_a_probe(state: BreakerState) -> None:
    subject = Dispatching()
    subject.announce("default", state)
    assert subject.adopt(Claim(payment(1), "default")) == Work(look_ups={"default": payments(1)})


@pytest.mark.parametrize("state", [BreakerState.CLOSED, BreakerState.OPEN])
def test_a_pinned_payment_waits_for_room_or_is_looked_up_where_its_processor_is_down(state: BreakerState) -> None:
    subject = Dispatching()
    subject.announce("default", takes=1)
    subject.charging(1)
    assert subject.adopt(Claim(payment(2), "default")) == Work()
    subject.announce("default", state)
    resolved = {"default": payments(2)}
    expected = Work(charges=resolved) if state is BreakerState.CLOSED else Work(look_ups=resolved)
    assert subject.decide() == expected


def test_an_outage_of_the_cheapest_is_waited_out_and_fallback_is_never_paid() -> None:
    subject = Dispatching(outage_s=20).charging(1)
    subject.announce("default", BreakerState.OPEN)
    subject.ended(Outcome.REFUSED)
    subject.accept(2, 3)
    assert subject.advance(0.1).moves == [Move(ONE, None, attempts=1, moves=1)]
    subject.moved(1)
    work = subject.advance(19.8)
    assert (work.claims, work.moves, work.charges) == ([], [], {})
    subject.announce("default")
    work = subject.decide()
    assert work.moves == [Move(ONE, "default", attempts=1, moves=2)]
    assert work.claims == [Claim(payment(2), "default"), Claim(payment(3), "default")]


def test_the_patience_counts_from_the_start_of_the_outage_and_ends_without_any_news() -> None:
    subject = Dispatching(outage_s=20)
    subject.announce("default", BreakerState.OPEN)
    subject.advance(15)
    subject.accept(1)
    assert subject.dispatcher.wakes_at_s(subject.now_s) == 1020.0
    assert subject.advance(4.9).claims == []
    assert subject.advance(0.1).claims == [Claim(payment(1), "fallback")]


def test_after_an_outage_that_was_paid_for_payments_return_to_the_cheapest() -> None:
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    assert subject.accept(1).claims == [Claim(payment(1), "fallback")]
    subject.announce("default")
    assert subject.accept(2).claims == [Claim(payment(2), "default")]


def test_a_processor_is_given_no_more_than_it_takes_and_the_rest_follows_in_order() -> None:
    subject = Dispatching()
    subject.announce("default", takes=2)
    assert subject.accept(1, 2, 3, 4).claims == [Claim(payment(1), "default"), Claim(payment(2), "default")]
    subject.claimed(1, 2)
    assert subject.ended(Outcome.SETTLED, 2).claims == [Claim(payment(3), "default")]
    subject.announce("default", takes=3)
    assert subject.decide().claims == [Claim(payment(4), "default")]


def test_what_a_slow_processor_cannot_charge_in_time_goes_to_the_next() -> None:
    subject = Dispatching()
    subject.announce("default", takes=1, capacity_per_s=0.5)
    assert subject.accept(*range(1, 7)).claims == [
        Claim(payment(1), "default"),
        Claim(payment(2), "fallback"),
        Claim(payment(3), "fallback"),
    ]


def test_what_waits_in_the_journal_belongs_to_the_backlog() -> None:
    subject = Dispatching()
    subject.announce("default", takes=1, capacity_per_s=10.0)
    assert subject.accept(1, 2, behind=50).claims == [Claim(payment(1), "default")]
    assert subject.accept(behind=51).claims == [Claim(payment(2), "fallback")]


def test_after_three_retries_a_payment_goes_to_the_other_processor() -> None:
    subject = Dispatching().charging(1)
    for pause_s in (0.1, 0.2, 0.4):
        subject.ended(Outcome.FAILED)
        assert subject.advance(pause_s).charges == {"default": payments(1)}
    subject.ended(Outcome.FAILED)
    assert subject.advance(0.8) == Work(look_ups={"default": payments(1)}, choices=[MOVED_ON])
    assert subject.looked_up(1, None).moves == [Move(ONE, "fallback", attempts=4, moves=1)]
    assert subject.moved(1).charges == {"fallback": payments(1)}


def test_failures_that_belong_to_an_outage_use_up_no_retries() -> None:
    subject = Dispatching(outage_s=60).charging(1)
    for pause_s in (0.1, 0.2, 0.4):
        subject.ended(Outcome.REFUSED)
        subject.advance(pause_s)
    subject.ended(Outcome.REFUSED)
    subject.announce("default", BreakerState.OPEN)
    subject.advance(0.8)
    subject.moved(1)
    subject.announce("default")
    assert subject.decide().moves == [Move(ONE, "default", attempts=4, moves=2)]


def test_a_payment_that_failed_as_a_probe_goes_elsewhere_once_the_patience_has_ended() -> None:
    subject = Dispatching(outage_s=0)
    subject.announce("default", BreakerState.HALF_OPEN)
    subject.charging(1)
    subject.ended(Outcome.REFUSED)
    assert subject.advance(0.1).moves == [Move(ONE, "fallback", attempts=1, moves=1)]


def test_payments_that_were_not_sent_come_first_in_the_order_in_which_they_were_given() -> None:
    subject = Dispatching(outage_s=60).charging(1, 2, 3, 4)
    subject.announce("default", BreakerState.OPEN)
    subject.accept(5)
    subject.ended(Outcome.NOT_SENT, 3, 4)
    subject.ended(Outcome.NOT_SENT, 1, 2)
    subject.moved(3, 4)
    subject.moved(1, 2)
    subject.announce("default", takes=3)
    assert [move.correlation_id for move in subject.decide().moves] == ids(1, 2, 3)
    subject.announce("default", takes=5)
    work = subject.decide()
    assert ([move.correlation_id for move in work.moves], work.claims) == (ids(4), [Claim(payment(5), "default")])


def test_a_pinned_payment_that_was_not_sent_comes_first_among_the_pinned() -> None:
    subject = Dispatching(outage_s=60)
    subject.announce("default", takes=1)
    subject.adopt(Claim(payment(1), "default"), Claim(payment(2), "default"))
    assert subject.ended(Outcome.NOT_SENT) == Work(charges={"default": payments(1)})


def test_every_decision_is_counted_with_its_reason() -> None:
    subject = Dispatching(outage_s=20)
    subject.accept(1, 2)
    subject.announce("default", BreakerState.OPEN)
    subject.accept(3, 4)
    subject.accept(5)
    subject.announce("default", BreakerState.HALF_OPEN, takes=3)
    subject.decide()
    assert subject.dispatcher.routes.decisions == {
        ("default", Reason.CHEAPEST): 2,
        (None, Reason.WAIT_FOR_RECOVERY): 3,
        ("default", Reason.PROBE): 1,
    }


def test_the_choices_are_told_without_repetitions() -> None:
    subject = Dispatching()
    subject.announce("default", takes=2)
    choices = [Choice("default", Reason.CHEAPEST), Choice(None, Reason.WAIT_FOR_ROOM)]
    assert subject.accept(1, 2, 3, 4).choices == choices


def test_the_oldest_stamp_is_that_of_the_first_charge_that_may_be_missing_in_postgres() -> None:
    subject = Dispatching().charging(1, 2)
    assert subject.dispatcher.watermarks() == NOTHING_MISSING
    subject.ended(Outcome.UNKNOWN, 1)
    subject.advance(1)
    subject.ended(Outcome.SETTLED, 2)
    assert subject.dispatcher.watermarks().stamp_ms == NOW_MS
    subject.ended(Outcome.SETTLED, 1)
    subject.settled(1)
    assert subject.dispatcher.watermarks().stamp_ms == NOW_MS + 1000
    subject.settled(2)
    assert subject.dispatcher.watermarks() == NOTHING_MISSING


def test_the_earliest_answer_is_that_of_the_first_settlement_that_is_not_committed() -> None:
    subject = Dispatching().charging(1, 2, 3)
    subject.advance(1)
    subject.ended(Outcome.SETTLED, 1)
    subject.advance(1)
    subject.ended(Outcome.SETTLED, 2)
    subject.ended(Outcome.UNKNOWN, 3)
    assert subject.dispatcher.watermarks().answer_ms == NOW_MS + 1000
    subject.settled(1)
    assert subject.dispatcher.watermarks().answer_ms == NOW_MS + 2000
    subject.settled(2)
    assert subject.dispatcher.watermarks().answer_ms == NEVER_MS


def test_payments_are_counted_by_what_they_wait_for() -> None:
    subject = Dispatching().charging(1, 2)
    subject.accept(3, behind=7)
    counts = {name: count for name, count in subject.dispatcher.counts().items() if count}
    assert counts == {"journalled": 7, "claiming": 1, "charging": 2}
    assert subject.dispatcher.being_written() == 1


def test_an_outcome_that_stays_unknown_is_counted_after_a_while_and_still_tried() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    for _ in range(20):
        assert subject.dispatcher.unknown_for(100.0, subject.now_s) == 0
        assert subject.advance(5).look_ups == {"default": payments(1)}
        subject.looked_up(1, None, answered=False)
    assert subject.dispatcher.unknown_for(100.0, subject.now_s) == 0
    subject.now_s += 0.1
    assert subject.dispatcher.unknown_for(100.0, subject.now_s) == 1


def test_what_happens_to_payments_that_are_not_driven_here_is_ignored() -> None:
    subject = Dispatching()
    for work in (
        subject.claimed(1),
        subject.rejected(payment(1)),
        subject.moved(1),
        subject.settled(1),
        subject.ended(Outcome.SETTLED),
        subject.ended(Outcome.NOT_SENT),
        subject.looked_up(1, NOW_MS),
    ):
        assert work == Work()
    subject.moves_rejected(1)
    assert subject.decide() == Work()


def test_it_wakes_when_the_first_pause_ends_and_never_where_only_news_can_change_anything() -> None:
    subject = Dispatching()
    assert subject.dispatcher.wakes_at_s(subject.now_s) is None
    subject.charging(1, 2)
    assert subject.dispatcher.wakes_at_s(subject.now_s) is None
    subject.ended(Outcome.FAILED, 1)
    subject.now_s += 0.05
    subject.ended(Outcome.FAILED, 2)
    assert subject.dispatcher.wakes_at_s(subject.now_s) == pytest.approx(1000.1)


def test_it_wakes_at_the_end_of_a_pause_or_of_the_patience_whichever_comes_first() -> None:
    subject = Dispatching(outage_s=20).charging(1)
    subject.ended(Outcome.FAILED, 1)
    subject.announce("default", BreakerState.OPEN)
    subject.accept(2)
    assert subject.dispatcher.wakes_at_s(subject.now_s) == pytest.approx(1000.1)
    subject.advance(0.2)
    assert subject.dispatcher.wakes_at_s(subject.now_s) == 1020.0


def test_it_wakes_to_use_a_dearer_processor_that_has_just_come_back() -> None:
    subject = Dispatching(outage_s=0.5)
    subject.announce("default", BreakerState.OPEN)
    subject.announce("fallback", BreakerState.OPEN)
    subject.advance(2)
    subject.announce("fallback")
    assert subject.accept(1).choices == [Choice(None, Reason.WAIT_FOR_CHEAPER)]
    wakes_at_s = subject.dispatcher.wakes_at_s(subject.now_s)
    assert wakes_at_s == 1002.5
    assert subject.advance(0.5).claims == [Claim(payment(1), "fallback")]


def test_beside_a_probe_payments_wait_and_it_wakes_where_that_was_in_vain() -> None:
    subject = Dispatching(outage_s=20)
    subject.announce("default", BreakerState.OPEN)
    subject.advance(30)
    subject.announce("default", BreakerState.HALF_OPEN, down_since_s=1000.0, doubted_from_s=1010.0)
    work = subject.accept(1, 2, 3)
    assert work.claims == [Claim(payment(1), "default")]
    assert work.choices == [Choice("default", Reason.PROBE), Choice(None, Reason.WAIT_FOR_PROBE)]
    assert subject.dispatcher.wakes_at_s(subject.now_s) == 1035.0
    assert subject.advance(4.9).claims == []
    assert subject.advance(0.1).claims == [Claim(payment(2), "fallback"), Claim(payment(3), "fallback")]


def test_beside_a_probe_that_succeeds_payments_go_where_it_went() -> None:
    subject = Dispatching(outage_s=20)
    subject.announce("default", BreakerState.OPEN)
    subject.advance(30)
    subject.announce("default", BreakerState.HALF_OPEN, down_since_s=1000.0, doubted_from_s=1010.0)
    assert subject.accept(1, 2).claims == [Claim(payment(1), "default")]
    subject.announce("default")
    assert subject.decide().claims == [Claim(payment(2), "default")]


def test_the_patience_has_ended_at_the_instant_at_which_it_wakes_however_that_is_rounded() -> None:
    for thousandths in range(100):
        subject = Dispatching(outage_s=11.0)
        subject.now_s += 20 + thousandths / 1000  # the sum lies beyond 1024, where floats are coarser
        subject.announce("default", BreakerState.OPEN)
        subject.accept(1)
        wakes_at_s = subject.dispatcher.wakes_at_s(subject.now_s)
        assert wakes_at_s is not None
        subject.now_s = wakes_at_s
        assert subject.decide().claims == [Claim(payment(1), "fallback")]


def test_a_payment_whose_row_names_no_processor_moves_it_rather_than_claiming_it() -> None:
    dispatching = Dispatching()
    dispatching.dispatcher.accepted(payments(1, 2), 0, dispatching.now_s, have_rows=True)
    work = dispatching.decide()
    assert (work.claims, work.charges) == ([], {})
    assert work.moves == [Move(key, "default", attempts=0, moves=1) for key in ids(1, 2)]
    assert dispatching.moved(1, 2).charges == {"default": payments(1, 2)}


def test_a_row_of_before_postgres_may_have_forgotten_something_is_not_relied_on() -> None:
    dispatching = Dispatching()
    dispatching.dispatcher.store_changed(dispatching.now_s, dispatching.now_ms)
    dispatching.dispatcher.accepted(payments(1), 0, dispatching.now_s, have_rows=True)
    work = dispatching.decide()
    assert (work.moves, [claim.payment for claim in work.claims]) == ([], payments(1))


def test_a_row_that_another_replica_has_adopted_is_left_to_it() -> None:
    dispatching = Dispatching()
    dispatching.dispatcher.accepted(payments(1), 0, dispatching.now_s, have_rows=True)
    dispatching.decide()
    work = dispatching.moves_rejected(1)
    assert (work.charges, [claim.processor for claim in work.claims]) == ({}, [None])
