"""A row is marked while its payment lasts, and nothing is kept of one that has gone."""

from actors.domain.breaker import BreakerState
from actors.domain.lifecycle import Lifecycle
from actors.domain.lifecycle_events import Adopted, LookUpEnded, Moved, Resolved, Unconfigured
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Mark
from actors.domain.records import LookUpResult
from actors.domain.resolution import Finding
from actors.domain.routing import Choice, Reason
from actors.domain.row_marks import RowMarks
from actors.domain.work import Work
from tests.actors.domain.dispatching import HORIZON_S, NOW_MS, Dispatching, ids, payment, payments

(ONE,) = ids(1)


def stranded() -> Lifecycle:
    life = Lifecycle(payment(1))
    for event in (Adopted("gone", 1, 0, 5), Unconfigured()):
        life.transition(event, 0)
    return life


def test_a_stranded_payment_is_marked_once() -> None:
    marks = RowMarks()
    marks.stranded(stranded(), 1.0)
    assert marks.take(2.0, NOW_MS) == [Mark(ONE, "stranded", NOW_MS - 1000)]
    assert marks.take(3.0, NOW_MS) == []


def test_a_payment_that_is_stranded_no_more_is_not_marked_so() -> None:
    marks, life = RowMarks(), stranded()
    marks.stranded(life, 1.0)
    life.transition(Resolved(None, None), 1.0)
    life.transition(Moved(), 1.0)
    assert marks.take(2.0, NOW_MS) == []


def test_a_mark_is_taken_back_once() -> None:
    life = Lifecycle(payment(1))
    life.transition(Adopted("default", 1, 0, 5), 1.0)
    marks = RowMarks()
    marks.pinned(life, 1.0)
    assert marks.take(2.0, NOW_MS) == [Mark(ONE, "unknown", NOW_MS - 1000)]
    marks.freed(life, 2.0)
    assert marks.take(2.0, NOW_MS) == [Mark(ONE, None, NOW_MS)]
    # It is pinned again, and free before that is marked.
    marks.pinned(life, 3.0)
    marks.freed(life, 3.5)
    assert marks.take(3.5, NOW_MS) == []


def test_nothing_is_kept_of_a_payment_that_was_stranded_though_it_was_free() -> None:
    subject = Dispatching()
    subject.adopt(Claim(payment(1), "gone"))
    # An operator freed it, and the move that followed found no row.
    subject.dispatcher.resolved(Finding(ONE, None, None), None, None, subject.now_s, subject.now_ms)
    assert subject.moves_rejected(1).claims == [Claim(payment(1), "gone")]
    subject.claimed(1)
    subject.advance(HORIZON_S)
    for _ in range(3):
        subject.looked_up(1, None, at="fallback")
        subject.looked_up(1, None, at="default")
        subject.advance(5)
    driven = subject.dispatcher.describe(ONE)
    assert driven is not None
    assert (driven.state.value, driven.pinned) == ("stranded", False)
    subject.dispatcher.resolved(Finding(ONE, "default", NOW_MS), None, None, subject.now_s, subject.now_ms)
    subject.settled(1)
    assert subject.dispatcher.driven_count() == 0
    # Its id comes back after a purge, is unknown for a moment, and its row has nothing to take back.
    subject.announce("fallback", BreakerState.OPEN)
    subject.charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    assert subject.advance(0.2).look_ups == {"default": payments(1)}
    subject.announce("default")
    end = LookUpEnded(ONE, "default", LookUpResult.MISSING, None, subject.now_s, horizon_s=0)
    subject.dispatcher.look_ups_ended([end], subject.now_s)
    assert subject.decide() == Work(charges={"default": payments(1)}, choices=[Choice("default", Reason.CHEAPEST)])
