"""The way of a payment is told step by step, as long as it is driven and for a while after its end."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from actors.domain.breaker import BreakerState
from actors.domain.lifecycle import Effect
from actors.domain.lifecycle_events import Claimed, Settled
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim
from actors.domain.ways import EVENTFUL_MAX, PLAIN_MAX, PLAIN_STEPS, STEPS_MAX, Step, Ways
from tests.actors.domain.dispatching import Dispatching, payment

ONE = UUID(int=1)


@pytest.fixture
def bench() -> Dispatching:
    return Dispatching()


def told(bench: Dispatching, number: int = 1) -> list[tuple[float, str, str | None]]:
    return [(step.at_s - 1000, step.what, step.processor) for step in bench.dispatcher.way(UUID(int=number)).steps]


def waits_for(bench: Dispatching) -> str | None:
    return bench.dispatcher.way(ONE).waits_for


def test_a_payment_that_nobody_drives_has_no_way(bench: Dispatching) -> None:
    assert not bench.dispatcher.way(ONE)


def test_the_way_of_a_payment_to_which_nothing_happens_is_told_after_its_end(bench: Dispatching) -> None:
    bench.accept(1)
    assert waits_for(bench) == "a commit in Postgres"
    bench.now_s += 1
    bench.claimed(1)
    assert waits_for(bench) == "the end of its charge on default"
    bench.now_s += 1
    bench.ended(Outcome.SETTLED)
    bench.settled(1)
    assert told(bench) == [
        (1, "claimed: its row is committed", "default"),
        (1, "sent", "default"),
        (2, "charge ended: settled", "default"),
        (2, "settled: its charge is recorded", "default"),
    ]
    assert waits_for(bench) is None


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
        ("sent", "default"),
        ("charge ended: unknown", "default"),
        ("looked up: missing", "default"),
        ("moved: its row names another processor", "fallback"),
        ("sent", "fallback"),
        ("charge ended: settled", "fallback"),
        ("settled: its charge is recorded", "fallback"),
    ]


def test_a_payment_that_is_held_tells_why(bench: Dispatching) -> None:
    bench.announce("default", BreakerState.OPEN)
    bench.announce("fallback", BreakerState.OPEN)
    bench.accept(1)
    assert waits_for(bench) == "waits: none works"


def test_one_that_may_have_been_charged_by_who_is_gone_waits_for_an_operator(bench: Dispatching) -> None:
    bench.adopt(Claim(payment(1), "gone"))
    assert waits_for(bench) == "an operator: gone, which may have charged it, is not configured"
    assert told(bench) == [
        (0, "taken up from its row", "gone"),
        (0, "stranded: its processor is not configured", "gone"),
    ]


def note(ways: Ways, numbers: Iterator[int] | range, steps: int) -> None:
    for number in numbers:
        for step in range(steps):
            ways.note(UUID(int=number), Claimed(), Effect.NONE, "default", float(step))
        ways.ended(UUID(int=number))


def test_those_of_which_there_is_more_to_tell_are_remembered_longer() -> None:
    ways = Ways()
    note(ways, range(1, 3), PLAIN_STEPS + 1)
    note(ways, range(3, 3 + 2 * PLAIN_MAX), PLAIN_STEPS)
    assert len(ways.steps(ONE)) == PLAIN_STEPS + 1
    assert ways.steps(UUID(int=3)) == ()
    assert ways.steps(UUID(int=2 + 2 * PLAIN_MAX)) != ()
    note(ways, range(10_000, 10_000 + EVENTFUL_MAX), PLAIN_STEPS + 1)
    assert ways.steps(ONE) == ()


def test_of_a_very_long_way_the_beginning_and_the_end_are_kept() -> None:
    ways = Ways()
    for step in range(3 * STEPS_MAX):
        ways.note(ONE, Claimed(), Effect.NONE, "default", float(step))
    instants = [step.at_s for step in ways.steps(ONE)]
    assert (len(instants), instants[0], instants[-1]) == (STEPS_MAX, 0, 3 * STEPS_MAX - 1)
    assert instants == sorted(instants)


def test_a_payment_that_is_driven_again_has_one_way() -> None:
    ways = Ways()
    ways.note(ONE, Claimed(), Effect.NONE, "default", 1.0)
    ways.ended(ONE)
    ways.note(ONE, Settled(), Effect.NONE, "default", 2.0)
    assert [step.at_s for step in ways.steps(ONE)] == [1.0, 2.0]
    ways.ended(ONE)
    assert ways.steps(ONE) == (
        Step(1.0, "claimed: its row is committed", "default"),
        Step(2.0, "settled: its charge is recorded", "default"),
    )
