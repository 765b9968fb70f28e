"""Payments are asked for once more at a pace, and what is not asked for is told."""

from actors.domain.lifecycle_events import LookUpEnded
from actors.domain.rechecks import DROPPED_TOLD_S, POSTPONED_S, RECHECKS_MAX, Recheck, Rechecks
from actors.domain.records import LookUpResult
from tests.actors.domain.dispatching import payment

NOW_S = 1000.0
NOW_AGAIN = Recheck(payment(1), "default", 1, 0.0)


def test_what_is_put_off_is_due_after_a_pause_however_short_its_horizon_is() -> None:
    subject = Rechecks()
    subject.add(NOW_AGAIN, NOW_S)
    assert subject.due(NOW_S) == [NOW_AGAIN]
    subject.postpone(NOW_AGAIN, NOW_S)
    assert subject.due(NOW_S + POSTPONED_S - 1) == []
    assert subject.due(NOW_S + POSTPONED_S) == [NOW_AGAIN]


def test_a_processor_that_does_not_answer_is_asked_again_after_a_pause() -> None:
    subject = Rechecks()
    subject.asked(NOW_AGAIN)
    key = NOW_AGAIN.payment.correlation_id
    silent = LookUpEnded(key, "default", LookUpResult.NO_ANSWER, None, NOW_S, horizon_s=0)
    assert subject.answered(silent, NOW_S) is None
    assert subject.next_s == NOW_S + POSTPONED_S


def test_what_is_dropped_is_counted_and_told_now_and_then() -> None:
    subject = Rechecks()
    told = []
    for number in range(RECHECKS_MAX + 3):
        subject.add(Recheck(payment(number), "default", 1, 30.0), NOW_S)
        told.append(subject.take_dropped(NOW_S))
    assert [each for each in told if each] == [1]
    assert subject.take_dropped(NOW_S + DROPPED_TOLD_S) == 2
    assert subject.take_dropped(NOW_S + 2 * DROPPED_TOLD_S) == 0
