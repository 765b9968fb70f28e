"""What was never sent is free, and whoever adopts it knows: while nobody takes payments, their rows name nobody."""

import pytest

from actors.domain.breaker import BreakerState
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Move
from actors.domain.records import NOTHING_MISSING
from tests.actors.domain.dispatching import NOW_MS, Dispatching, ids, payment, payments

MANY = range(1, 401)


def unnamed(*numbers: int, attempts: int = 0) -> list[Move]:
    return [Move(each, None, attempts, moves=1) for each in ids(*numbers)]


def test_what_a_replica_that_died_in_an_outage_had_not_sent_is_charged_elsewhere_by_who_adopts_it() -> None:
    dying = Dispatching(outage_s=20)
    dying.announce("default", takes=1000)
    dying.charging(*MANY)
    dying.ended(Outcome.REFUSED, *MANY)
    dying.announce("default", BreakerState.OPEN)
    assert dying.advance(0.1).moves == unnamed(*MANY, attempts=1)

    adopting = Dispatching(outage_s=20)
    adopting.announce("default", BreakerState.OPEN)
    adopting.announce("fallback", takes=1000)
    adopting.advance(20)
    work = adopting.adopt(*(Claim(payment(number), None, 1, 1) for number in MANY))
    assert work.look_ups == {}
    assert work.moves == [Move(each, "fallback", 1, moves=2) for each in ids(*MANY)]
    assert adopting.moved(*MANY).charges == {"fallback": payments(*MANY)}


def test_a_free_payment_that_is_adopted_bears_no_stamp() -> None:
    subject = Dispatching(outage_s=20)
    subject.announce("default", BreakerState.OPEN)
    work = subject.adopt(Claim(payment(1), None, 1, 1), oldest_stamp_ms=NOW_MS - 5)
    assert (work.charges, work.look_ups, work.moves) == ({}, {}, [])
    assert subject.dispatcher.watermarks() == NOTHING_MISSING
    assert subject.dispatcher.unknown_for(0.0, subject.now_s + 1) == 0


@pytest.mark.parametrize("state", [BreakerState.OPEN, BreakerState.FORCED_OPEN])
def test_rows_name_nobody_as_soon_as_no_processor_takes_payments(state: BreakerState) -> None:
    subject = Dispatching(outage_s=20).charging(1, 2, 3)
    subject.announce("fallback", BreakerState.FORCED_OPEN)
    subject.announce("default", state)
    assert subject.ended(Outcome.NOT_SENT, 2, 3).moves == unnamed(2, 3)
    subject.moved(2, 3)
    assert subject.advance(1).moves == []


def test_while_there_is_merely_no_room_rows_keep_their_processor() -> None:
    subject = Dispatching().charging(1)
    subject.announce("default", takes=0)
    subject.ended(Outcome.NOT_SENT, 1)
    assert subject.advance(1).moves == []


def test_rows_are_named_again_by_a_commit_before_anything_is_sent_in_the_order_of_arrival() -> None:
    subject = Dispatching(outage_s=20).charging(1, 2, 3)
    subject.announce("default", BreakerState.OPEN)
    subject.ended(Outcome.NOT_SENT, 1, 2, 3)
    subject.moved(3, 1, 2)
    subject.announce("default")
    work = subject.decide()
    assert sorted(move.correlation_id for move in work.moves) == ids(1, 2, 3)
    assert {(move.processor, move.moves) for move in work.moves} == {("default", 2)}
    assert work.charges == {}
    assert subject.moved(1, 2, 3).charges == {"default": payments(1, 2, 3)}


@pytest.mark.parametrize("answered", [True, False])
def test_what_was_ever_sent_is_looked_up_before_its_row_names_nobody(answered: bool) -> None:  # noqa: FBT001
    subject = Dispatching(outage_s=20).charging(1)
    subject.ended(Outcome.FAILED)
    subject.announce("default", BreakerState.OPEN)
    work = subject.advance(0.1)
    assert (work.moves, work.look_ups) == ([], {"default": payments(1)})
    assert subject.looked_up(1, None, answered=answered).moves == unnamed(1, attempts=1)


def test_what_may_have_been_charged_is_never_unnamed() -> None:
    subject = Dispatching(outage_s=20).charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    for _ in range(20):
        assert subject.advance(5).moves == []
        subject.looked_up(1, None, answered=False)
