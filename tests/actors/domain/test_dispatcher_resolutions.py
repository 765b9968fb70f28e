"""An operator's word decides about a payment of which no processor tells any more, and about no other."""

from dataclasses import replace
from uuid import UUID

import pytest

from actors.domain.asides import SILENT_ASK_S
from actors.domain.breaker import BreakerState
from actors.domain.lifecycle import STUCK_S
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Closing, EndState, Move, Settlement
from actors.domain.rechecks import POSTPONED_S
from actors.domain.resolution import Finding, ResolutionAnswer
from actors.domain.row_marks import UNKNOWN_TOLD_S
from actors.domain.work import Work
from tests.actors.domain.dispatching import NOW_MS, PROCESSORS, Dispatching, ids, payment, payments

(ONE,) = ids(1)
CHARGED = Finding(ONE, "default", NOW_MS - 7)
NOT_CHARGED = Finding(ONE, None, None)
APPLIED, MAY_SETTLE = ResolutionAnswer.APPLIED, ResolutionAnswer.MAY_SETTLE


def resolve(
    subject: Dispatching, finding: Finding, reopened: Claim | None = None, ended: EndState | None = None
) -> ResolutionAnswer | None:
    return subject.dispatcher.resolved(finding, reopened, ended, subject.now_s, subject.now_ms)


def unknown() -> Dispatching:
    """Leave a payment unknown at a processor that has gone."""
    subject = Dispatching().charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    subject.advance(0.1)
    subject.looked_up(1, None, answered=False)
    return subject


def ask_in_vain(subject: Dispatching, after_s: float) -> None:
    """Let time pass, and the processor not answer again."""
    subject.advance(after_s)
    subject.looked_up(1, None, answered=False)


def stranded() -> Dispatching:
    """Adopt a payment whose processor is not configured."""
    subject = Dispatching()
    subject.adopt(Claim(payment(1), "gone"))
    return subject


def settled(work_settlements: list[Settlement]) -> list[tuple[UUID, str, int]]:
    return [(each.correlation_id, each.processor, each.requested_at_ms) for each in work_settlements]


def test_a_payment_whose_processor_may_still_tell_is_left_to_it() -> None:
    subject = unknown()
    for finding in (CHARGED, NOT_CHARGED):
        assert resolve(subject, finding) is MAY_SETTLE
    ask_in_vain(subject, STUCK_S - 1)
    assert resolve(subject, CHARGED) is MAY_SETTLE
    assert subject.decide().settlements == []


def test_a_payment_that_is_driven_elsewhere_is_none_of_this_replica() -> None:
    assert resolve(Dispatching(), CHARGED) is None


def test_a_payment_that_is_charged_now_is_left_to_its_processor() -> None:
    subject = Dispatching().charging(1)
    subject.advance(10 * STUCK_S)
    assert resolve(subject, NOT_CHARGED) is MAY_SETTLE


@pytest.mark.parametrize("wait_s", [STUCK_S, 10 * STUCK_S])
def test_a_charge_that_an_operator_has_found_is_settled(wait_s: float) -> None:
    subject = unknown()
    ask_in_vain(subject, wait_s)
    assert resolve(subject, CHARGED) is APPLIED
    assert settled(subject.decide().settlements) == [(ONE, "default", NOW_MS - 7)]
    subject.dispatcher.settled([ONE], subject.now_s)
    assert subject.dispatcher.driven_count() == 0


def test_a_payment_that_was_not_charged_goes_to_whichever_processor_takes_it() -> None:
    subject = unknown()
    ask_in_vain(subject, STUCK_S)
    assert resolve(subject, NOT_CHARGED) is APPLIED
    assert subject.decide().moves == [Move(ONE, None, attempts=1, moves=1)]
    subject.dispatcher.moved([ONE], subject.now_s)
    assert subject.decide().moves == [Move(ONE, "fallback", attempts=1, moves=2)]


def test_an_answer_that_comes_after_an_operators_word_changes_nothing() -> None:
    subject = unknown()
    ask_in_vain(subject, STUCK_S)
    assert resolve(subject, CHARGED) is APPLIED
    assert resolve(subject, NOT_CHARGED) is MAY_SETTLE
    subject.looked_up(1, NOW_MS)
    assert subject.advance(60).look_ups == {}


def test_a_payment_that_its_processor_is_asked_for_is_left_to_the_answer() -> None:
    for finding in (Finding(ONE, "fallback", NOW_MS), NOT_CHARGED):
        subject = unknown()
        assert subject.advance(STUCK_S).look_ups == {"default": payments(1)}
        assert resolve(subject, finding) is MAY_SETTLE
        assert settled(subject.looked_up(1, NOW_MS - 3).settlements) == [(ONE, "default", NOW_MS - 3)]


def test_a_stranded_payment_is_resolved_at_once() -> None:
    subject = stranded()
    assert resolve(subject, Finding(ONE, "fallback", NOW_MS)) is APPLIED
    assert settled(subject.decide().settlements) == [(ONE, "fallback", NOW_MS)]
    subject = stranded()
    assert resolve(subject, NOT_CHARGED) is APPLIED
    assert subject.decide().moves == [Move(ONE, None, attempts=0, moves=1)]
    subject.dispatcher.moved([ONE], subject.now_s)
    assert subject.decide().moves == [Move(ONE, "default", attempts=0, moves=2)]


def test_a_payment_that_had_ended_is_charged_by_those_that_do_not_hold_its_id() -> None:
    subject = Dispatching()
    reopened = Claim(payment(1), "default", attempts=2)
    assert resolve(subject, NOT_CHARGED, reopened, EndState.MISMATCHED) is APPLIED
    assert subject.decide().moves == [Move(ONE, None, attempts=2, moves=1)]
    subject.dispatcher.moved([ONE], subject.now_s)
    assert subject.decide().moves == [Move(ONE, "fallback", attempts=2, moves=2)]


def test_a_payment_that_no_other_takes_than_the_one_that_holds_its_id_ends_as_it_had_ended() -> None:
    fallback, default = PROCESSORS
    subject = Dispatching(processors=[replace(fallback, currencies=frozenset({"USD"})), default])
    assert resolve(subject, NOT_CHARGED, Claim(payment(1), "default", attempts=2), EndState.MISMATCHED) is APPLIED
    subject.decide()
    assert subject.moved(1).closings == [Closing(payment(1), EndState.MISMATCHED, "default", 2, NOW_MS)]
    subject.closed(1)
    assert subject.dispatcher.driven_count() == 0


def test_a_payment_that_waits_for_its_first_claim_waits_once_after_an_operators_word() -> None:
    subject = Dispatching()
    for name in ("default", "fallback"):
        subject.announce(name, BreakerState.OPEN)
    subject.store_changed()
    subject.replay(1)
    subject.advance(STUCK_S)
    assert resolve(subject, NOT_CHARGED) is APPLIED
    subject.announce("default", takes=1)
    assert subject.decide().claims == [Claim(payment(1), "default")]
    assert subject.claimed(1).charges == {"default": payments(1)}
    assert len(subject.ended(Outcome.SETTLED).settlements) == 1
    assert subject.settled(1) == Work()


def test_a_payment_that_all_had_declined_is_offered_to_all_again() -> None:
    subject = Dispatching()
    reopened = Claim(payment(1), "fallback", attempts=2)
    assert resolve(subject, NOT_CHARGED, reopened, EndState.DECLINED) is APPLIED
    subject.decide()
    subject.dispatcher.moved([ONE], subject.now_s)
    assert subject.decide().moves == [Move(ONE, "default", attempts=2, moves=2)]


def test_a_payment_that_all_had_declined_may_go_where_it_was_declined_last() -> None:
    subject = Dispatching()
    resolve(subject, NOT_CHARGED, Claim(payment(1), "default", attempts=2), EndState.DECLINED)
    subject.decide()
    assert subject.moved(1).moves == [Move(ONE, "default", attempts=2, moves=2)]


def test_a_payment_that_waits_aside_is_waited_for_no_more_once_it_is_resolved() -> None:
    subject = unknown()
    ask_in_vain(subject, STUCK_S)
    # Another one is asked for, so that this one waits for its turn.
    subject.announce("fallback", BreakerState.OPEN)
    subject.adopt(Claim(payment(2), "default"))
    assert subject.advance(10.0).look_ups == {"default": payments(2)}
    subject.adopt(Claim(payment(3), "default"))
    assert subject.dispatcher.counts()["held"] == 2
    assert resolve(subject, CHARGED) is APPLIED
    assert subject.advance(SILENT_ASK_S).look_ups == {"default": payments(3)}
    for number in (2, 3):
        subject.looked_up(number, NOW_MS)
    assert subject.settled(1, 2, 3) == Work()
    assert subject.advance(UNKNOWN_TOLD_S) == Work()
    assert subject.dispatcher.wakes_at_s(subject.now_s) is None


def test_a_processor_that_is_not_configured_is_not_asked_once_more() -> None:
    subject = stranded()
    resolve(subject, NOT_CHARGED)
    subject.decide()
    for _ in range(2):
        subject.moved(1)
    subject.ended(Outcome.SETTLED)
    assert subject.settled(1) == Work()
    assert subject.advance(10 * STUCK_S) == Work()


def test_a_payment_that_had_ended_is_settled_where_an_operator_has_found_its_charge() -> None:
    subject = Dispatching()
    assert resolve(subject, CHARGED, Claim(payment(1), "default", attempts=2), EndState.DECLINED) is APPLIED
    assert settled(subject.decide().settlements) == [(ONE, "default", NOW_MS - 7)]


def test_the_processor_that_was_said_not_to_have_charged_is_asked_once_more_when_another_has() -> None:
    subject = unknown()
    ask_in_vain(subject, STUCK_S)
    resolve(subject, NOT_CHARGED)
    subject.decide()
    subject.dispatcher.moved([ONE], subject.now_s)
    subject.decide()
    subject.dispatcher.moved([ONE], subject.now_s)
    subject.ended(Outcome.SETTLED)
    subject.dispatcher.settled([ONE], subject.now_s)
    subject.announce("default")
    assert subject.advance(STUCK_S).look_ups == {"default": payments(1)}


def test_a_payment_that_was_taken_up_again_is_asked_for_once_more_where_its_processor_has_gone() -> None:
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    resolve(subject, NOT_CHARGED, Claim(payment(1), "default", attempts=2), EndState.DECLINED)
    subject.decide()
    subject.moved(1)
    subject.moved(1)
    subject.ended(Outcome.SETTLED)
    subject.settled(1)
    for pause_s in (STUCK_S, POSTPONED_S, POSTPONED_S):
        assert subject.advance(pause_s) == Work(look_ups={"default": payments(1)})
        subject.looked_up(1, None, answered=False)


@pytest.mark.parametrize("first", [1, 7])
def test_a_word_that_is_told_twice_is_applied_once_also_the_very_first_one(first: int) -> None:
    subject = unknown()
    ask_in_vain(subject, STUCK_S)
    told = NOT_CHARGED, None, None, subject.now_s, subject.now_ms
    answers = [subject.dispatcher.resolved(*told, number) for number in (first, first, first + 1)]
    assert answers == [APPLIED, APPLIED, MAY_SETTLE]
    assert subject.decide().moves == [Move(ONE, None, attempts=1, moves=1)]
