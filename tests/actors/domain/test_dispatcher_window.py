"""How many payments a dispatcher holds, and what it does where one id comes twice: from the journal or from a row."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import count, islice
from uuid import UUID

import pytest

from actors.domain.breaker import BreakerState
from actors.domain.dispatcher import ADOPTED_MAX, DRIVEN_MAX, WANTED_MIN, WINDOW_MAX
from actors.domain.lifecycle import State
from actors.domain.lifecycle_events import ChargeEnded
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Mark, Move, Settlement
from actors.domain.processors import Processor
from actors.domain.routing import Reason
from actors.domain.work import AdoptionRoom, Driven, Work
from tests.actors.domain.dispatching import HORIZON_S, NOW_MS, Dispatching, ids, payment, payments

ONE = UUID(int=1)
RIVAL = payment(1, 5)
"""Another amount under the id of `payment(1)`."""


def test_it_begins_by_waiting_for_the_window_that_the_intake_owes_it() -> None:
    subject = Dispatching()
    assert subject.decide().wanted == 0
    assert subject.accept(*range(WINDOW_MAX)).wanted == 0


def test_it_asks_for_as_many_payments_as_have_ended_once_they_are_worth_asking() -> None:
    subject = Dispatching().charging(*range(WANTED_MIN))
    assert subject.ended(Outcome.SETTLED, *range(WANTED_MIN)).wanted == 0
    assert subject.settled(*range(WANTED_MIN - 1)).wanted == 0
    assert subject.settled(WANTED_MIN - 1).wanted == WANTED_MIN
    assert subject.decide().wanted == 0


def test_it_asks_for_a_single_payment_where_the_intake_owes_none() -> None:
    subject = Dispatching()
    subject.announce("default", takes=WINDOW_MAX)
    subject.charging(*range(WINDOW_MAX))
    subject.ended(Outcome.SETTLED, 7)
    assert subject.settled(7).wanted == 1


def test_repeated_payments_make_room_for_others() -> None:
    subject = Dispatching()
    assert subject.accept(*[1] * WANTED_MIN).wanted == 0
    assert subject.accept(1).wanted == WANTED_MIN


def test_pinned_payments_do_not_keep_new_ones_out_of_the_window() -> None:
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    subject.adopt(*(Claim(payment(number), "default") for number in range(5000, 5000 + ADOPTED_MAX)))
    claims = subject.accept(*range(WANTED_MIN)).claims
    assert [claim.processor for claim in claims] == ["fallback"] * WANTED_MIN
    subject.claimed(*range(WANTED_MIN))
    subject.ended(Outcome.UNKNOWN, *range(WANTED_MIN))
    assert subject.decide().wanted == 0
    assert subject.dispatcher.counts()["held"] + subject.dispatcher.counts()["looking up"] == ADOPTED_MAX


def test_payments_that_become_pinned_make_room_for_new_ones() -> None:
    subject = Dispatching().charging(*range(WANTED_MIN))
    assert subject.ended(Outcome.UNKNOWN, *range(WANTED_MIN)).wanted == WANTED_MIN


def test_however_many_are_pinned_no_more_are_in_memory_than_may_be() -> None:
    subject = Dispatching()
    subject.announce("default", takes=DRIVEN_MAX)
    given, wanted = 0, WINDOW_MAX
    for _ in range(DRIVEN_MAX // WINDOW_MAX + 1):
        numbers = range(given, given + wanted)
        given += wanted
        subject.charging(*numbers)
        wanted = subject.ended(Outcome.UNKNOWN, *numbers).wanted if numbers else 0
    assert given == DRIVEN_MAX


def test_payments_that_are_free_again_are_not_replaced_until_there_is_room() -> None:
    subject = Dispatching()
    subject.announce("default", takes=200)
    subject.charging(*range(200))
    assert subject.ended(Outcome.UNKNOWN, *range(200)).wanted == 200
    subject.announce("default", BreakerState.OPEN)
    subject.advance(HORIZON_S)
    for number in range(200):
        subject.looked_up(number, None)
    assert subject.accept(*range(1000, 1200)).wanted == 0


def test_rows_have_a_window_of_their_own_beside_what_the_intake_owes() -> None:
    subject = Dispatching()
    assert subject.dispatcher.adoption_room().count == ADOPTED_MAX
    subject.adopt(*(Claim(payment(number), None) for number in range(300)))
    assert subject.dispatcher.adoption_room().count == ADOPTED_MAX - 300
    subject.adopt(*(Claim(payment(number), None) for number in range(300, 3000)))
    assert subject.dispatcher.adoption_room().count == 0


def test_rows_of_payments_that_wait_for_an_answer_keep_no_others_from_being_adopted_and_leave_a_window() -> None:
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    subject.adopt(*(Claim(payment(number), "default") for number in range(3000)))
    assert subject.dispatcher.adoption_room().count == ADOPTED_MAX
    subject.adopt(*(Claim(payment(number), "default") for number in range(3000, DRIVEN_MAX - WINDOW_MAX)))
    assert subject.dispatcher.adoption_room().count == 0


def adopt_all_there_is_room_for(subject: Dispatching, claims: Iterator[Claim]) -> int:
    """Adopt pages of rows until there is no room; tell how many."""
    adopted = 0
    while page := list(islice(claims, min(subject.dispatcher.adoption_room().count, 500))):
        subject.adopt(*page)
        adopted += len(page)
    return adopted


SHARE = (DRIVEN_MAX - WINDOW_MAX - ADOPTED_MAX) // 3
"""Of each of two processors, and of all those together that are not configured."""


def test_a_window_stays_free_for_the_journal_also_right_after_all_of_its_payments_have_ended() -> None:
    subject = Dispatching()
    subject.announce("default", takes=DRIVEN_MAX)
    pinned = range(10_000, 10_000 + 500)
    subject.charging(*pinned)
    assert subject.ended(Outcome.UNKNOWN, *pinned).wanted == 500
    subject.announce("default", BreakerState.OPEN)
    subject.announce("fallback", takes=WINDOW_MAX)
    subject.adopt(*(Claim(payment(number), "default") for number in range(20_000, 20_000 + 3250)))
    subject.charging(*range(WINDOW_MAX))
    subject.ended(Outcome.SETTLED, *range(WINDOW_MAX))
    subject.dispatcher.settled(ids(*range(WINDOW_MAX)), subject.now_s)
    assert subject.dispatcher.driven_count() == 3750
    assert subject.dispatcher.adoption_room().count == DRIVEN_MAX - WINDOW_MAX - 3750


def test_only_payments_that_wait_for_an_answer_take_of_a_processors_share() -> None:
    subject = Dispatching()
    subject.announce("default", takes=SHARE)
    subject.charging(*range(SHARE))
    subject.announce("fallback", BreakerState.OPEN)
    subject.adopt(Claim(payment(SHARE), "fallback"))
    assert subject.dispatcher.adoption_room().full == frozenset()


def test_whatever_becomes_of_payments_that_were_set_aside_the_journal_gives_a_window_afterwards() -> None:
    subject = Dispatching()
    subject.announce("default", takes=200)
    subject.announce("fallback", takes=200)
    subject.charging(*range(200))
    owed = WINDOW_MAX - 200 + subject.ended(Outcome.UNKNOWN, *range(200)).wanted
    subject.announce("default", BreakerState.OPEN)
    subject.advance(HORIZON_S)
    for number in range(200):
        owed += subject.looked_up(number, NOW_MS if number < 100 else None).wanted
    owed += subject.settled(*range(100)).wanted
    owed += subject.moved(*range(100, 200)).wanted
    owed += subject.ended(Outcome.SETTLED, *range(100, 200)).wanted
    owed += subject.settled(*range(100, 200)).wanted
    assert (subject.dispatcher.driven_count(), owed) == (0, WINDOW_MAX)
    assert subject.dispatcher.adoption_room() == AdoptionRoom(ADOPTED_MAX)
    given = range(1000, 1000 + WINDOW_MAX)
    subject.announce("default", takes=WINDOW_MAX)
    subject.charging(*given)
    subject.ended(Outcome.SETTLED, *given)
    assert subject.settled(*given).wanted == WINDOW_MAX


def test_another_amount_from_an_earlier_run_is_looked_up_before_it_is_charged_in_place_of_the_first() -> None:
    subject = Dispatching()
    subject.accept(1)
    subject.dispatcher.accepted([RIVAL], 0, subject.now_s, {ONE})
    assert subject.rejected(payment(1)).claims == [Claim(RIVAL, "default")]
    work = subject.claimed(1)
    assert (work.charges, work.look_ups) == ({}, {"fallback": [RIVAL]})


def test_another_amount_in_place_of_the_first_is_looked_up_everywhere_where_rows_may_be_lost() -> None:
    subject = Dispatching()
    subject.store_changed()
    subject.accept(1)
    subject.offer(RIVAL)
    assert subject.rejected(payment(1)).claims == [Claim(RIVAL, "default")]
    work = subject.claimed(1)
    assert (work.charges, set(work.look_ups)) == ({}, {"fallback"})


def test_rows_that_wait_for_one_processor_leave_room_for_those_of_all_others() -> None:
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    subject.adopt(*(Claim(payment(number), "default") for number in range(SHARE - 1)))
    assert subject.dispatcher.adoption_room() == AdoptionRoom(ADOPTED_MAX)
    subject.adopt(Claim(payment(SHARE), "default"))
    assert subject.dispatcher.adoption_room() == AdoptionRoom(ADOPTED_MAX, frozenset({"default"}))


def test_payments_of_the_journal_that_wait_for_a_processor_count_towards_its_share() -> None:
    subject = Dispatching()
    subject.announce("default", takes=SHARE)
    subject.charging(*range(SHARE))
    subject.ended(Outcome.UNKNOWN, *range(SHARE))
    assert subject.dispatcher.adoption_room().full == {"default"}


def test_a_share_is_of_whole_payments() -> None:
    names = ("default", "fallback", *(f"p{number}" for number in range(4)))
    subject = Dispatching(processors=[Processor(name, "http://p", Decimal("0.1")) for name in names])
    subject.announce("default", BreakerState.OPEN)
    share = (DRIVEN_MAX - WINDOW_MAX - ADOPTED_MAX) // (len(names) + 1)
    subject.adopt(*(Claim(payment(number), "default") for number in range(share - 1)))
    assert subject.dispatcher.adoption_room().full == frozenset()
    subject.adopt(Claim(payment(share), "default"))
    assert subject.dispatcher.adoption_room().full == {"default"}


def test_rows_that_name_processors_which_are_not_configured_have_one_share_together() -> None:
    subject = Dispatching()
    subject.adopt(*(Claim(payment(number), f"gone {number % 2}") for number in range(SHARE - 1)))
    assert subject.dispatcher.adoption_room() == AdoptionRoom(ADOPTED_MAX)
    subject.adopt(Claim(payment(SHARE), "gone 0"))
    assert subject.dispatcher.adoption_room() == AdoptionRoom(ADOPTED_MAX, frozenset({"gone 0", "gone 1"}))


def test_when_all_shares_are_taken_there_is_room_for_rows_that_name_no_processor() -> None:
    subject = Dispatching()
    for name in ("default", "fallback"):
        subject.announce(name, BreakerState.OPEN)
    names = ("default", "fallback", "gone")
    subject.adopt(*(Claim(payment(number), names[number % 3]) for number in range(3 * SHARE)))
    assert subject.dispatcher.adoption_room() == AdoptionRoom(ADOPTED_MAX, frozenset(names))


@pytest.mark.parametrize("named", [None, "default"])
def test_of_ten_thousand_rows_no_more_are_adopted_than_leave_new_payments_their_window(named: str | None) -> None:
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    subject.announce("fallback", takes=10)
    claims = (Claim(payment(number), named) for number in range(100_000, 110_000))
    adopted = adopt_all_there_is_room_for(subject, claims)
    assert adopted == (ADOPTED_MAX if named is None else DRIVEN_MAX - WINDOW_MAX)
    assert subject.dispatcher.driven_count() == adopted
    assert subject.accept(*range(WINDOW_MAX - 1)).wanted == 0
    assert subject.accept(WINDOW_MAX).wanted == 0, "the window is full"
    assert subject.dispatcher.driven_count() == adopted + WINDOW_MAX <= DRIVEN_MAX


def test_while_more_rows_are_adopted_than_are_charged_new_payments_get_their_share_of_the_charges_and_rows_too() -> (
    None
):
    subject = Dispatching()
    subject.announce("fallback", BreakerState.FORCED_OPEN)
    subject.announce("default", takes=10)
    claims = (Claim(payment(number), None) for number in range(100_000, 150_000))
    fresh, charged = count(), list[UUID]()
    work, wanted = subject.decide(), WINDOW_MAX
    for _ in range(1500):
        dispatcher, now_s = subject.dispatcher, subject.now_s
        charging = [each.correlation_id for each in work.charges.get("default", ())]
        charged += charging
        ends = [ChargeEnded(key, Outcome.SETTLED, NOW_MS, NOW_MS) for key in charging]
        dispatcher.charges_ended(ends, now_s)
        dispatcher.settled([each.correlation_id for each in work.settlements], now_s)
        dispatcher.claimed([claim.payment.correlation_id for claim in work.claims], now_s)
        dispatcher.moved([move.correlation_id for move in work.moves], now_s)
        dispatcher.accepted([payment(next(fresh)) for _ in range(wanted)], 0, now_s)
        page = list(islice(claims, min(dispatcher.adoption_room().count, 500)))
        dispatcher.adopted(page, NOW_MS, now_s)
        work = subject.decide()
        wanted = work.wanted
    new_ones = sum(key.int < 100_000 for key in charged)
    assert len(charged) > 5000
    assert 0.3 < new_ones / len(charged) < 0.7


def test_an_adopted_payment_counts_as_perhaps_charged_where_its_row_says() -> None:
    subject = Dispatching()
    subject.announce("fallback", BreakerState.OPEN)
    work = subject.adopt(Claim(payment(1), "fallback"), Claim(payment(2), "default"))
    assert work == Work(charges={"default": payments(2)}, look_ups={"fallback": payments(1)})


def test_attempts_of_an_earlier_owner_count() -> None:
    subject = Dispatching()
    subject.adopt(Claim(payment(1), "default", attempts=2))
    assert subject.ended(Outcome.SETTLED).settlements == [Settlement(payment(1), "default", NOW_MS, 3, NOW_MS)]


def test_a_payment_that_is_charging_is_not_adopted_again() -> None:
    subject = Dispatching().charging(1)
    assert subject.adopt(Claim(payment(1), "fallback", attempts=4)) == Work()
    assert subject.dispatcher.describe(ONE) == Driven(payment(1), State.CHARGING, "default", attempts=0, pinned=False)


@pytest.mark.parametrize("outcome", [Outcome.SETTLED, Outcome.UNKNOWN])
def test_a_charge_under_an_older_stamp_than_believed_lowers_the_oldest_stamp(outcome: Outcome) -> None:
    subject = Dispatching()
    subject.adopt(Claim(payment(1), "default"), oldest_stamp_ms=2**63 - 1)
    subject.ended(outcome)
    assert subject.dispatcher.watermarks().stamp_ms == NOW_MS


def test_a_look_up_that_finds_an_older_stamp_than_believed_lowers_the_oldest_stamp() -> None:
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    subject.adopt(Claim(payment(1), "default"))
    subject.looked_up(1, NOW_MS - 5)
    assert subject.dispatcher.watermarks().stamp_ms == NOW_MS - 5


def test_a_payment_whose_processor_is_not_configured_any_more_waits_and_harms_nobody() -> None:
    subject = Dispatching()
    work = subject.adopt(Claim(payment(1), "gone"), Claim(payment(2), "default"))
    assert work == Work(charges={"default": payments(2)}, marks=[Mark(ONE, "stranded", NOW_MS)])
    subject.ended(Outcome.SETTLED, 2)
    subject.settled(2)
    assert subject.advance(60) == Work()
    assert subject.dispatcher.counts()["stranded"] == 1
    assert subject.dispatcher.wakes_at_s(subject.now_s) is None


def test_a_row_that_is_adopted_while_its_payment_is_held_pins_it_and_frees_the_journal_of_it() -> None:
    subject = Dispatching()
    subject.announce("default", takes=0)
    subject.accept(1)
    subject.announce("default", takes=2)
    assert subject.adopt(Claim(payment(1), "fallback")) == Work(charges={"fallback": payments(1)}, recorded=[ONE])


def test_a_payment_that_was_adopted_while_it_was_held_comes_first_once_it_is_free() -> None:
    subject = Dispatching(outage_s=1000)
    subject.announce("default", BreakerState.OPEN)
    subject.accept(1, 2)
    subject.adopt(Claim(payment(1), "default"))
    subject.advance(HORIZON_S)
    subject.looked_up(1, None)
    subject.advance(0.1)
    subject.moved(1)
    subject.announce("default", takes=1)
    assert subject.decide().moves == [Move(ONE, "default", attempts=0, moves=2)]
    subject.announce("default", takes=2)
    assert subject.decide().claims == [Claim(payment(2), "default")]


def test_a_row_that_is_adopted_while_its_payment_is_claiming_pins_it_and_frees_its_room() -> None:
    subject = Dispatching()
    subject.announce("default", takes=1)
    subject.accept(1, 2)
    work = subject.adopt(Claim(payment(1), "fallback"))
    assert work.charges == {"fallback": payments(1)}
    assert work.claims == [Claim(payment(2), "default")]
    assert subject.claimed(1).charges == {}


def test_a_held_payment_gives_way_to_a_row_with_another_amount_and_is_offered_so_that_it_is_reported() -> None:
    subject = Dispatching()
    subject.announce("default", takes=0)
    subject.accept(1, 2)
    subject.announce("default", takes=1)
    work = subject.adopt(Claim(RIVAL, "default"))
    assert (work.charges, work.claims) == ({"default": [RIVAL]}, [Claim(payment(1), "default")])
    assert subject.rejected(payment(1)) == Work(choices=work.choices)
    assert subject.ended(Outcome.SETTLED).claims == [Claim(payment(2), "default")]


def test_a_claiming_payment_gives_way_to_a_row_with_another_amount_and_is_not_offered_twice() -> None:
    subject = Dispatching()
    subject.announce("default", takes=1)
    subject.accept(1)
    assert subject.adopt(Claim(RIVAL, "default")) == Work(charges={"default": [RIVAL]})
    assert subject.rejected(payment(1)) == Work()


def test_another_amount_waits_until_the_row_of_the_first_is_committed_and_is_then_compared_with_it() -> None:
    subject = Dispatching()
    subject.accept(1)
    subject.offer(RIVAL)
    assert subject.decide() == Work()
    assert subject.claimed(1) == Work(claims=[Claim(RIVAL, "default")], charges={"default": payments(1)})
    assert subject.rejected(RIVAL) == Work()
    assert subject.dispatcher.describe(ONE) == Driven(payment(1), State.CHARGING, "default", attempts=0, pinned=False)


def test_another_amount_takes_the_place_of_the_first_where_that_was_rejected() -> None:
    subject = Dispatching()
    subject.accept(1)
    subject.offer(RIVAL, payment(1, 6), RIVAL)
    assert subject.rejected(payment(1)).claims == [Claim(RIVAL, "default")]
    assert subject.rejected(RIVAL).claims == [Claim(payment(1, 6), "default")]


def test_another_amount_is_compared_at_once_where_the_row_is_committed() -> None:
    subject = Dispatching().charging(1)
    subject.offer(RIVAL)
    assert subject.decide() == Work(claims=[Claim(RIVAL, "default")])


def test_another_amount_under_the_id_of_a_payment_that_is_moving_changes_nothing_about_it() -> None:
    subject = Dispatching().charging(1)
    subject.ended(Outcome.REFUSED)
    subject.announce("default", BreakerState.OPEN)
    assert subject.advance(0.1).moves == [Move(ONE, "fallback", attempts=1, moves=1)]
    subject.rejected(RIVAL)
    assert subject.moved(1).charges == {"fallback": payments(1)}


def test_the_other_amount_of_an_adopted_row_is_compared_with_it() -> None:
    subject = Dispatching()
    subject.accept(1)
    subject.offer(RIVAL)
    work = subject.adopt(Claim(payment(1), "default"))
    assert work == Work(claims=[Claim(RIVAL, "default")], charges={"default": payments(1)})


def test_a_rival_that_turns_out_to_be_the_payment_of_the_row_needs_no_comparison() -> None:
    subject = Dispatching()
    subject.accept(1)
    subject.offer(RIVAL)
    assert subject.adopt(Claim(RIVAL, "default")) == Work(charges={"default": [RIVAL]}, recorded=ids(1))


def test_nor_does_one_from_an_earlier_run() -> None:
    subject = Dispatching()
    subject.accept(1)
    subject.dispatcher.accepted([RIVAL], 0, subject.now_s, {ONE})
    assert subject.adopt(Claim(RIVAL, "default")) == Work(charges={"default": [RIVAL]}, recorded=ids(1))


def test_a_payment_that_comes_again_before_its_row_is_committed_changes_nothing() -> None:
    subject = Dispatching()
    subject.accept(1)
    assert subject.accept(1) == Work()
    assert subject.claimed(1) == Work(charges={"default": payments(1)})


def test_a_payment_that_comes_again_after_its_row_is_committed_need_not_stay_in_the_journal() -> None:
    assert Dispatching().charging(1).accept(1) == Work(recorded=ids(1))


def test_a_held_payment_whose_late_claim_is_rejected_is_forgotten_and_decided_about_no_more() -> None:
    subject = Dispatching()
    subject.announce("default", takes=0)
    subject.accept(1, 2)
    subject.rejected(payment(1))
    subject.accept(3)
    subject.announce("default", takes=5)
    assert subject.decide().claims == [Claim(payment(2), "default"), Claim(payment(3), "default")]
    assert subject.dispatcher.routes.decisions == {
        (None, Reason.WAIT_FOR_ROOM): 3,
        ("default", Reason.CHEAPEST): 2,
    }


def test_a_rejection_of_another_amount_is_not_that_of_the_payment_that_is_claiming() -> None:
    subject = Dispatching()
    subject.accept(1)
    assert subject.rejected(RIVAL) == Work()
    assert subject.claimed(1).charges == {"default": payments(1)}
