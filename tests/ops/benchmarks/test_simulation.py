"""Simulated processors delay, then fail, then book; late and once."""

from random import Random

from actors.domain.outcome import Outcome
from ops.benchmarks.simulation import AT_ONCE_MAX, QUEUED_MAX, SERVICE_S, TIMEOUT_S, SimulatedProcessor, Simulation
from ops.benchmarks.stages import Condition

Answers = list[tuple[float, Outcome]]


def make(*conditions: tuple[float, Condition]) -> tuple[Simulation, SimulatedProcessor]:
    simulation = Simulation()
    return simulation, SimulatedProcessor(simulation, conditions, Random(1))


def charge(simulation: Simulation, processor: SimulatedProcessor, number: int, at_s: float = 0.0) -> Answers:
    answers: Answers = []
    simulation.call_at(at_s, processor.charge, number, lambda outcome: answers.append((simulation.now_s, outcome)))
    return answers


def test_what_is_due_happens_in_the_order_of_time_and_of_asking() -> None:
    simulation, happened = Simulation(), list[str]()
    simulation.call_at(2, happened.append, "late")
    simulation.call_at(1, happened.append, "first")
    simulation.call_at(1, happened.append, "second")
    simulation.call_at(9, happened.append, "never")
    simulation.run(5)
    assert happened == ["first", "second", "late"]
    assert simulation.now_s == 5


def test_a_charge_is_booked_after_the_delay() -> None:
    simulation, processor = make((0, Condition(0.5)))
    answers = charge(simulation, processor, 1)
    simulation.run(0.5)
    assert (answers, processor.booked) == ([], set())
    simulation.run(1)
    assert answers == [(0.5 + SERVICE_S, Outcome.SETTLED)]
    assert processor.booked == {1}


def test_whether_it_fails_is_decided_after_the_delay() -> None:
    simulation, processor = make(
        (0, Condition(1.0)), (0.5, Condition(0.0, 1)), (2, Condition(1.0, 1)), (2.5, Condition())
    )
    fails, works = charge(simulation, processor, 1), charge(simulation, processor, 2, at_s=2.0)
    simulation.run(5)
    assert fails == [(1.0 + SERVICE_S, Outcome.FAILED)]
    assert works == [(3.0 + SERVICE_S, Outcome.SETTLED)]
    assert processor.booked == {2}


def test_a_charge_is_booked_once() -> None:
    simulation, processor = make()
    charge(simulation, processor, 1)
    again = charge(simulation, processor, 1, at_s=1)
    simulation.run(2)
    assert [outcome for _, outcome in again] == [Outcome.ALREADY_CHARGED]


def test_what_was_given_up_is_booked_all_the_same() -> None:
    simulation, processor = make((0, Condition(TIMEOUT_S + 1)))
    answers = charge(simulation, processor, 1)
    simulation.run(30)
    assert answers == [(TIMEOUT_S, Outcome.UNKNOWN)]
    assert processor.booked == {1}


def test_more_than_it_takes_wait_and_the_rest_is_refused() -> None:
    simulation, processor = make((0, Condition(1.0)))
    answers = [charge(simulation, processor, number) for number in range(AT_ONCE_MAX + QUEUED_MAX + 1)]
    simulation.run(5)
    assert answers[AT_ONCE_MAX - 1] == [(1.0 + SERVICE_S, Outcome.SETTLED)]
    assert answers[AT_ONCE_MAX] == [(2 * (1.0 + SERVICE_S), Outcome.SETTLED)]
    assert answers[-1] == [(SERVICE_S, Outcome.OVERLOADED)]


def test_part_of_the_charges_fail_at_a_partial_rate_and_its_health_says_nothing_of_it() -> None:
    simulation, processor = make((0, Condition(0.0, 0.4)))
    answers = [charge(simulation, processor, number, at_s=number / 10) for number in range(1000)]
    simulation.run(200)
    assert 350 <= sum(outcome is Outcome.FAILED for ((_, outcome),) in answers) <= 450
    assert not processor.failing
