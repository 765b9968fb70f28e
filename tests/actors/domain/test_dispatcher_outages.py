"""What was never sent is free, and whoever adopts it knows: while no processor takes payments, rows name none."""

from itertools import pairwise
from uuid import UUID

import pytest

from actors.domain.asides import SILENT_ASK_S
from actors.domain.breaker import BreakerState
from actors.domain.dispatcher import ASK_PAUSE_S_MAX
from actors.domain.lifecycle_events import LookUpEnded
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Move
from actors.domain.records import NOTHING_MISSING, LookUpResult
from actors.domain.resolution import Finding
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
    assert dying.decide().moves == unnamed(*MANY, attempts=1)

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
def test_rows_name_none_as_soon_as_no_processor_takes_payments(state: BreakerState) -> None:
    subject = Dispatching(outage_s=20).charging(1, 2, 3)
    subject.announce("fallback", BreakerState.FORCED_OPEN)
    subject.announce("default", state)
    assert subject.ended(Outcome.NOT_SENT, 2, 3).moves == unnamed(2, 3)
    subject.moved(2, 3)
    assert subject.advance(1).moves == []


def test_while_there_is_merely_no_room_rows_keep_their_processor() -> None:
    subject = Dispatching().charging(1)
    subject.announce("default", takes=0)
    assert subject.ended(Outcome.NOT_SENT, 1).moves == []
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
def test_what_was_ever_sent_is_looked_up_before_its_row_names_no_processor(answered: bool) -> None:  # noqa: FBT001
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


def silent(subject: Dispatching) -> None:
    """Pin payment 1 to default, which is half open and does not answer the look-up."""
    subject.charging(1)
    subject.ended(Outcome.UNKNOWN)
    subject.announce("default", BreakerState.OPEN)
    assert subject.advance(0.2).look_ups == {"default": payments(1)}
    subject.looked_up(1, None, answered=False)
    subject.announce("default", BreakerState.HALF_OPEN)


def test_a_half_open_processor_that_answers_no_look_up_is_probed_by_no_fresh_payment() -> None:
    subject = Dispatching()
    silent(subject)
    assert [claim.processor for claim in subject.accept(2).claims] == ["fallback"]


def test_a_half_open_processor_that_answers_a_look_up_again_is_probed() -> None:
    subject = Dispatching()
    silent(subject)
    assert subject.advance(1).look_ups == {"default": payments(1)}
    subject.looked_up(1, None)
    assert [claim.processor for claim in subject.accept(2).claims] == ["default"]


def test_an_answer_counts_more_than_that_of_a_look_up_that_was_asked_before_and_hung() -> None:
    subject = Dispatching()
    silent(subject)
    subject.looked_up(1, None)
    hung = LookUpEnded(UUID(int=9), "default", LookUpResult.NO_ANSWER, None, subject.now_s - 5, 30.0)
    subject.dispatcher.look_ups_ended([hung], subject.now_s)
    assert [claim.processor for claim in subject.accept(2).claims] == ["default"]


def test_where_nothing_is_pinned_any_more_a_fresh_payment_probes() -> None:
    subject = Dispatching()
    silent(subject)
    subject.now_s += 100
    assert subject.dispatcher.resolved(Finding(UUID(int=1), None, None), None, None, subject.now_s, subject.now_ms)
    assert [claim.processor for claim in subject.accept(2).claims] == ["default"]


def test_one_of_the_pinned_payments_is_asked_for_often_however_long_nothing_is_answered() -> None:
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    subject.adopt(*(Claim(payment(number), "default") for number in range(20)))
    subject.dispatcher.look_ups_ended([no_answer(subject, number) for number in range(20)], subject.now_s)
    asked_s: list[float] = []
    for _ in range(600):
        asked = subject.advance(0.1).look_ups.get("default", [])
        asked_s += [subject.now_s] if asked else []
        ends = [no_answer(subject, each.correlation_id.int) for each in asked]
        subject.dispatcher.look_ups_ended(ends, subject.now_s)
    assert max(after - before for before, after in pairwise(asked_s)) <= ASK_PAUSE_S_MAX + 0.2


def no_answer(subject: Dispatching, number: int) -> LookUpEnded:
    return LookUpEnded(UUID(int=number), "default", LookUpResult.NO_ANSWER, None, subject.now_s, 30.0)


def test_a_dead_processor_is_asked_twice_a_second_for_thousands_that_are_pinned_to_it_until_it_answers() -> None:
    subject = Dispatching()
    subject.announce("default", BreakerState.OPEN)
    work = subject.adopt(*(Claim(payment(number), "default") for number in range(4000)))
    asked = 0
    for _ in range(600):
        for each in work.look_ups.get("default", ()):
            asked += 1
            subject.looked_up(each.correlation_id.int, None, answered=False)
        work = subject.advance(0.1)
        assert subject.dispatcher.counts()["pausing"] <= 20, "the others cost nothing"
    assert asked <= 1 + 60 / SILENT_ASK_S
    while not work.look_ups:
        work = subject.advance(0.1)
    (first,) = work.look_ups["default"]
    more = subject.looked_up(first.correlation_id.int, NOW_MS).look_ups["default"]
    assert len(more) == 2


def test_while_default_is_slow_one_payment_tries_it_and_the_others_go_to_fallback() -> None:
    subject = Dispatching(outage_s=20)
    subject.announce("default", is_slow=True)
    assert subject.accept(1, 2, 3).claims == [
        Claim(payment(1), "default"),
        Claim(payment(2), "fallback"),
        Claim(payment(3), "fallback"),
    ]
    subject.announce("default")
    assert subject.accept(4).claims == [Claim(payment(4), "default")]


def test_it_tells_how_long_a_processor_is_waited_for_while_a_dearer_one_works() -> None:
    bench = Dispatching(outage_s=20.0)
    assert bench.dispatcher.routes.waited_for_s(bench.now_s) == {}
    bench.announce("default", BreakerState.OPEN)
    bench.advance(5)
    assert bench.dispatcher.routes.waited_for_s(bench.now_s) == {"default": 15.0}
    bench.announce("fallback", BreakerState.OPEN)
    assert bench.dispatcher.routes.waited_for_s(bench.now_s) == {}
    bench.announce("default")
    assert bench.dispatcher.routes.waited_for_s(bench.now_s) == {}
