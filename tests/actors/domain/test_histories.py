"""The history of a payment is told step by step, as long as it is driven and for a while after its end."""

from uuid import UUID

import pytest

from actors.domain.breaker import BreakerState
from actors.domain.histories import ENDED_MAX, STEPS_MAX, Histories, ReplicaHistory, Step
from actors.domain.histories import waits_for as words_of
from actors.domain.lifecycle import Effect, Lifecycle
from actors.domain.lifecycle_events import (
    Adopted,
    ChargeEnded,
    Chosen,
    Claimed,
    ClaimRejected,
    Closed,
    DeclinedByAll,
    Event,
    LookUpChosen,
    LookUpEnded,
    Moved,
    MoveRejected,
    PauseEnded,
    PerhapsForgotten,
    Replayed,
    Resolved,
    RowDoubted,
    Settled,
    Unconfigured,
)
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim
from actors.domain.records import LookUpResult
from tests.actors.domain.dispatching import Dispatching, payment

ONE = UUID(int=1)


@pytest.fixture
def bench() -> Dispatching:
    return Dispatching()


def told(bench: Dispatching, number: int = 1) -> list[tuple[float, str, str | None]]:
    return [(step.at_s - 1000, step.what, step.processor) for step in bench.dispatcher.history(UUID(int=number)).steps]


def waits_for(bench: Dispatching) -> str | None:
    return bench.dispatcher.history(ONE).waits_for


def test_a_payment_that_nobody_drives_has_no_history(bench: Dispatching) -> None:
    history = bench.dispatcher.history(ONE)
    assert (bool(history), history.steps, history.waits_for) == (False, (), None)


def test_there_is_a_history_where_there_are_steps_or_something_is_waited_for() -> None:
    assert ReplicaHistory((Step(1.0, "settled", "default"),))
    assert ReplicaHistory(waits_for="a commit in Postgres")
    assert ReplicaHistory() == ReplicaHistory((), None)


def test_of_a_payment_to_which_nothing_happens_its_claim_is_told_and_nothing_is_kept(bench: Dispatching) -> None:
    bench.accept(1)
    assert (told(bench), waits_for(bench)) == ([], "a commit in Postgres")
    bench.now_s += 1
    bench.claimed(1)
    assert waits_for(bench) == "the end of its charge on default"
    assert told(bench) == [(1, "claimed: its row is committed", "default"), (1, "given to its processor", "default")]
    bench.now_s += 1
    bench.ended(Outcome.SETTLED)
    bench.settled(1)
    assert not bench.dispatcher.history(ONE)


def test_failures_look_ups_and_moves_are_steps(bench: Dispatching) -> None:
    bench.charging(1)
    bench.ended(Outcome.UNKNOWN)
    assert waits_for(bench) == "the end of a pause after a failure"
    bench.announce("default", BreakerState.OPEN)
    bench.advance(60)
    assert waits_for(bench) == "an answer of default, which is asked whether it has charged it"
    bench.looked_up(1, None)
    bench.advance(0)
    bench.moved(1)
    bench.ended(Outcome.SETTLED)
    bench.settled(1)
    assert [(what, processor) for _, what, processor in told(bench)] == [
        ("claimed: its row is committed", "default"),
        ("given to its processor", "default"),
        ("charge ended: unknown", "default"),
        ("looked up: missing", "default"),
        ("moved: its row names another processor", "fallback"),
        ("given to its processor", "fallback"),
        ("charge ended: settled", "fallback"),
        ("settled: its charge is recorded", "fallback"),
    ]


def test_a_payment_that_is_held_tells_why(bench: Dispatching) -> None:
    bench.announce("default", BreakerState.OPEN)
    bench.announce("fallback", BreakerState.OPEN)
    bench.accept(1)
    assert waits_for(bench) == "waits: no processor works"


def test_one_that_may_have_been_charged_by_who_is_gone_waits_for_an_operator(bench: Dispatching) -> None:
    bench.adopt(Claim(payment(1), "gone"))
    assert waits_for(bench) == "an operator: gone, which may have charged it, is not configured"
    assert told(bench) == [
        (0, "taken up from its row", "gone"),
        (0, "stranded: its processor is not configured", "gone"),
    ]


def life(number: int) -> Lifecycle:
    return Lifecycle(payment(number), row="default")


def test_the_last_ones_to_which_something_happened_are_remembered() -> None:
    histories = Histories()
    for number in range(1, ENDED_MAX + 2):
        one = life(number)
        histories.note(one, Moved(), Effect.NONE, 1.0)
        histories.ended(one)
    assert histories.steps(ONE, None) == ()
    assert len(histories.steps(UUID(int=2), None)) == 1


def test_of_a_very_long_history_the_beginning_and_the_end_are_kept() -> None:
    histories, one = Histories(), life(1)
    for step in range(3 * STEPS_MAX):
        histories.note(one, Moved(), Effect.NONE, float(step))
    instants = [step.at_s for step in histories.steps(ONE, one)]
    assert (len(instants), instants[0], instants[-1]) == (STEPS_MAX, 0, 3 * STEPS_MAX - 1)
    assert instants == sorted(instants)


def test_what_is_not_told_takes_the_place_of_nothing_that_is() -> None:
    histories, one = Histories(), life(1)
    for step in range(STEPS_MAX):
        for event in (Moved(), Chosen("default"), LookUpChosen(), PauseEnded(in_outage=False)):
            histories.note(one, event, Effect.NONE, float(step))
    assert [step.at_s for step in histories.steps(ONE, one)] == list(range(STEPS_MAX))


@pytest.mark.parametrize("event", [Chosen("default"), LookUpChosen(), PauseEnded(in_outage=False)])
def test_an_event_by_which_a_payment_is_sent_tells_that_alone(event: Event) -> None:
    histories, one = Histories(), life(1)
    histories.note(one, Moved(), Effect.NONE, 1.0)
    histories.note(one, event, Effect.CHARGE, 2.0)
    assert histories.steps(ONE, one)[1:] == (Step(2.0, "given to its processor", "default"),)


def test_a_claim_after_which_nothing_is_sent_is_not_told_as_sent() -> None:
    histories, one = Histories(), life(1)
    histories.note(one, Claimed(), Effect.NONE, 1.0)
    assert histories.steps(ONE, one) == ()


def test_a_payment_that_is_freed_is_told_so() -> None:
    histories, one = Histories(), Lifecycle(payment(1), row=None)
    histories.note(one, Moved(), Effect.NONE, 1.0)
    assert histories.steps(ONE, one) == (Step(1.0, "freed: its row names no processor", None),)


def test_of_equal_look_ups_in_a_row_the_first_and_the_last_are_told() -> None:
    histories, one = Histories(), life(1)
    silent, missing = LookUpResult.NO_ANSWER, LookUpResult.MISSING
    asked = [("default", silent)] * 4 + [("default", missing)] * 3 + [("fallback", missing), ("default", missing)]
    for at_s, (processor, result) in enumerate(asked):
        histories.note(one, LookUpEnded(ONE, processor, result, None, 1.0, 20.0), Effect.NONE, at_s)
    histories.note(one, LookUpEnded(ONE, "default", missing, None, 1.0, 20.0), Effect.CHARGE, 9.0)
    told = [(step.at_s, step.what) for step in histories.steps(ONE, one)]
    assert [at_s for at_s, _ in told] == [0, 3, 4, 6, 7, 8, 9, 9]
    assert told[-1] == (9, "given to its processor")


def test_a_payment_that_is_driven_again_has_one_history() -> None:
    histories, before, again = Histories(), life(1), life(1)
    histories.note(before, Moved(), Effect.NONE, 1.0)
    histories.ended(before)
    histories.note(again, Adopted("default", 1, 1, 0), Effect.NONE, 2.0)
    assert [step.at_s for step in histories.steps(ONE, again)] == [1.0, 2.0]
    histories.ended(again)
    assert histories.steps(ONE, None) == (
        Step(1.0, "moved: its row names another processor", "default"),
        Step(2.0, "taken up from its row", "default"),
    )


@pytest.mark.parametrize(
    ("event", "what", "processor"),
    [
        (Moved(), "moved: its row names another processor", "default"),
        (ChargeEnded(ONE, Outcome.DECLINED, 1), "charge ended: declined", "default"),
        (LookUpEnded(ONE, "fallback", LookUpResult.MISSING, None, 1.0, 20.0), "looked up: missing", "fallback"),
        (Adopted("default", 1, 1, 0), "taken up from its row", "default"),
        (Replayed((), must_answer=False), "taken up from a journal", None),
        (PerhapsForgotten((), 1.0), "posted after Postgres may have forgotten payments", None),
        (RowDoubted(()), "Postgres may have forgotten what became of it", "default"),
        (ClaimRejected(), "left to another replica, which has its row", None),
        (MoveRejected(()), "its row could not be changed: another replica may have it", "default"),
        (Unconfigured(), "stranded: its processor is not configured", "default"),
        (DeclinedByAll(), "declined by every processor that takes it", None),
        (Resolved("fallback", 1), "an operator: charged", "fallback"),
        (Resolved(None, None), "an operator: not charged", None),
        (Settled(), "settled: its charge is recorded", "default"),
        (Closed(), "ended without a charge", "default"),
    ],
)
def test_each_event_is_told_in_words(event: Event, what: str, processor: str | None) -> None:
    histories, one = Histories(), life(1)
    histories.note(one, Moved(), Effect.NONE, 1.0)
    histories.note(one, event, Effect.NONE, 2.0)
    assert histories.steps(ONE, one)[-1] == Step(2.0, what, processor)


def test_a_held_payment_that_may_have_been_charged_waits_for_an_answer(bench: Dispatching) -> None:
    bench.charging(1)
    bench.ended(Outcome.UNKNOWN)
    bench.announce("default", BreakerState.OPEN, turns_away=True)
    bench.advance(0.2)
    bench.looked_up(1, None, answered=False)
    bench.now_s += 60
    assert waits_for(bench) == "the end of a pause after a failure"
    one = life(1)
    one.has_row, one.unproven_since_s = True, 1.0
    assert words_of(one, "room") == "an answer of default, which may have charged it"
    one.unproven_since_s = None
    assert words_of(one, "room") == "room"
