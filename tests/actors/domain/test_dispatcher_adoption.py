"""What is read of rows while their payments end here is known to be out of date, and nothing is charged by it."""

import pytest

from actors.domain.breaker import BreakerState
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, EndState
from actors.domain.resolution import Finding, ResolutionAnswer
from actors.domain.work import Work
from tests.actors.domain.dispatching import HORIZON_S, NOW_MS, Dispatching, ids, payment

READ = Claim(payment(1), "default", attempts=1)
"""The row of a payment as it is read before it moves."""


def driven_to_its_move() -> Dispatching:
    """Drive a payment whose row names a processor until that one no longer can have charged it."""
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    subject.adopt(READ)
    subject.advance(HORIZON_S)
    (move,) = subject.looked_up(1, None).moves
    assert move.processor == "fallback"
    return subject


def settle_at_fallback(subject: Dispatching) -> None:
    assert subject.moved(1).charges == {"fallback": [payment(1)]}
    subject.ended(Outcome.SETTLED, 1)
    subject.settled(1)
    assert subject.dispatcher.driven_count() == 0


def sent(work: Work) -> tuple[object, ...]:
    """Give what may lead to a charge."""
    return work.charges, work.look_ups, work.claims, work.moves


def test_a_row_that_was_read_before_its_payment_moved_and_is_told_after_it_is_settled_is_not_charged() -> None:
    subject = driven_to_its_move()
    subject.dispatcher.begin_adoption()
    settle_at_fallback(subject)
    subject.announce("default")
    assert sent(subject.adopt(READ)) == ({}, {}, [], [])
    assert subject.dispatcher.driven_count() == 0


def test_nor_where_the_journal_has_brought_a_copy_of_it_again() -> None:
    subject = driven_to_its_move()
    subject.dispatcher.begin_adoption()
    settle_at_fallback(subject)
    subject.announce("default")
    assert subject.replay(1).claims == [Claim(payment(1), "default")]
    assert sent(subject.adopt(READ)) == ({}, {}, [], [])
    subject.rejected(payment(1))
    assert subject.dispatcher.driven_count() == 0


def test_a_row_that_was_read_before_its_payment_ended_without_a_charge_is_not_charged() -> None:
    subject = Dispatching().charging(1)
    subject.dispatcher.begin_adoption()
    subject.ended(Outcome.DECLINED, 1)
    subject.moved(1)
    subject.ended(Outcome.DECLINED, 1)
    subject.closed(1)
    assert sent(subject.adopt(READ)) == ({}, {}, [], [])


def test_a_row_of_another_replica_may_be_taken_over_while_rows_are_read() -> None:
    subject = Dispatching()
    subject.dispatcher.begin_adoption()
    subject.accept(1)
    subject.rejected(payment(1))
    assert subject.adopt(READ).charges == {"default": [payment(1)]}


@pytest.mark.parametrize("is_begun_anew", [False, True])
def test_only_what_has_ended_since_rows_began_to_be_read_is_remembered(*, is_begun_anew: bool) -> None:
    subject = driven_to_its_move()
    subject.dispatcher.begin_adoption()
    settle_at_fallback(subject)
    if is_begun_anew:
        subject.dispatcher.begin_adoption()
    else:
        subject.dispatcher.end_adoption()
    subject.announce("default")
    assert subject.adopt(READ).charges == {"default": [payment(1)]}
    subject.ended(Outcome.SETTLED, 1)
    subject.settled(1)
    assert subject.dispatcher.driven_count() == 0


@pytest.mark.parametrize("finding", [Finding(ids(1)[0], None, None), Finding(ids(1)[0], "default", NOW_MS - 7)])
def test_a_payment_that_is_taken_up_again_is_not_charged_before_its_row_is_written_whatever_has_become_of_it(
    finding: Finding,
) -> None:
    subject = Dispatching()
    answer = subject.dispatcher.resolved(finding, READ, EndState.DECLINED, subject.now_s, subject.now_ms)
    work = subject.decide()
    assert (answer, work.charges) == (ResolutionAnswer.APPLIED, {})
    assert len(work.moves) + len(work.settlements) == 1
    # Its row has gone since: it was settled by what was known of it before.
    assert subject.moves_rejected(1).charges == {}
    assert subject.rejected(payment(1)).charges == {}
