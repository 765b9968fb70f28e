"""Charges over a simulated processor: delayed, then failed, then booked; late and once."""

from decimal import Decimal
from uuid import UUID

import pytest

from actors.domain.outcome import Outcome
from actors.domain.payment import Payment
from actors.domain.records import LookUpAnswer, LookUpResult, ProcessorHealth
from ops.simulation.clock import NOW_MS, Clock, SimulatedRuntime
from ops.simulation.processors import SimulatedClient, SimulatedProbe
from ops.simulator.faults import Faults
from ops.simulator.limits import QUEUED_MAX, RUNNING_MAX
from ops.simulator.processor import PaymentProcessor

NETWORK_S, TIMEOUT_S = 0.003, 10.0
Answers = list[tuple[float, Outcome]]


class Way:
    """One client of one processor in virtual time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.runtime = SimulatedRuntime(self.clock, system_ms=self.clock.now_ms, by_hand=False, after_step=lambda: None)
        self.processor = PaymentProcessor(Decimal("0.05"), self.clock)
        self.client = SimulatedClient(self.processor, self.runtime, timeout_s=TIMEOUT_S, network_s=NETWORK_S)

    def charge(self, number: int, amount_minor: int = 100) -> Answers:
        answers: Answers = []
        payment = Payment(UUID(int=number), amount_minor, NOW_MS)

        def charge() -> None:
            outcome = self.client.charge(payment, NOW_MS + number)
            answers.append((self.clock.time(), outcome))

        self.runtime.spawn(charge)
        return answers

    def look_up(self, number: int, amount_minor: int = 100) -> LookUpAnswer:
        answers: list[LookUpAnswer] = []
        payment = Payment(UUID(int=number), amount_minor, NOW_MS)
        self.runtime.spawn(lambda: answers.append(self.client.look_up(payment)))
        self.clock.run(self.clock.time() + 1)
        return answers[0]


@pytest.fixture
def way() -> Way:
    return Way()


def test_a_charge_is_booked_after_the_delay(way: Way) -> None:
    way.processor.delay_ms = 500
    answers = way.charge(1)
    way.clock.run(0.5)
    assert (answers, len(way.processor.ledger)) == ([], 0)
    way.clock.run(1)
    assert answers == [(0.5 + NETWORK_S, Outcome.SETTLED)]
    assert way.look_up(1) == LookUpAnswer(LookUpResult.CHARGED, NOW_MS + 1)


def test_whether_it_fails_is_decided_after_the_delay(way: Way) -> None:
    way.processor.delay_ms = 1000
    answers = way.charge(1)
    way.clock.run(0.5)
    way.processor.failing = True
    way.clock.run(5)
    assert answers == [(1 + NETWORK_S, Outcome.FAILED)]
    assert way.look_up(1) == LookUpAnswer(LookUpResult.MISSING)


def test_a_charge_is_booked_once(way: Way) -> None:
    way.charge(1)
    way.clock.run(1)
    again = way.charge(1)
    way.clock.run(2)
    assert [outcome for _, outcome in again] == [Outcome.ALREADY_CHARGED]


def test_what_was_given_up_is_booked_all_the_same(way: Way) -> None:
    way.processor.delay_ms = round(TIMEOUT_S * 1000) + 1000
    answers = way.charge(1)
    way.clock.run(30)
    assert answers == [(NETWORK_S + TIMEOUT_S, Outcome.UNKNOWN)]
    assert len(way.processor.ledger) == 1


def test_more_than_it_takes_wait_and_the_rest_is_refused(way: Way) -> None:
    way.processor.delay_ms = 1000
    answers = [way.charge(number) for number in range(RUNNING_MAX + QUEUED_MAX + 1)]
    way.clock.run(5)
    assert answers[RUNNING_MAX - 1] == [(1 + NETWORK_S, Outcome.SETTLED)]
    assert answers[RUNNING_MAX] == [(2 + NETWORK_S, Outcome.SETTLED)]
    assert answers[-1] == [(NETWORK_S, Outcome.OVERLOADED)]


@pytest.mark.parametrize(
    ("faults", "outcome", "booked"),
    [
        (Faults(failure_rate=1), Outcome.FAILED, 0),
        (Faults(refuse=True), Outcome.REFUSED, 0),
        (Faults(commit_then_drop_rate=1), Outcome.UNKNOWN, 1),
        (Faults(commit_then_hang_rate=1), Outcome.UNKNOWN, 1),
        (Faults(garbage_rate=1), Outcome.UNKNOWN, 1),
        (Faults(drip_rate=1), Outcome.UNKNOWN, 1),
    ],
)
def test_each_fault_is_seen_as_over_http(way: Way, faults: Faults, outcome: Outcome, booked: int) -> None:
    way.processor.faults = faults
    answers = way.charge(1)
    way.clock.run(20)
    assert [each for _, each in answers] == [outcome]
    assert len(way.processor.ledger) == booked


def test_a_late_commit_is_known_to_come(way: Way) -> None:
    way.processor.faults = Faults(late_commit_rate=1, late_commit_ms=3000)
    answers = way.charge(1)
    way.clock.run(1)
    assert [each for _, each in answers] == [Outcome.UNKNOWN]
    assert [entry.correlation_id for entry in way.processor.to_be_booked] == [UUID(int=1)]
    way.clock.run(4)
    assert (way.processor.to_be_booked, len(way.processor.ledger)) == ([], 1)


def test_a_look_up_tells_another_amount(way: Way) -> None:
    way.charge(1, amount_minor=100)
    way.clock.run(1)
    assert way.look_up(1, amount_minor=200) == LookUpAnswer(LookUpResult.MISMATCHED)


def test_its_health_is_answered_once_in_five_seconds(way: Way) -> None:
    way.processor.delay_ms, way.processor.failing = 20, True
    probe = SimulatedProbe({"default": way.processor}, way.runtime)
    answers: list[ProcessorHealth | None] = []
    for _ in range(2):
        way.runtime.spawn(lambda: answers.append(probe.ask("default")))
        way.clock.run(way.clock.time() + 2.5)
    assert answers == [ProcessorHealth("default", failing=True, response_time_ms_min=20, asked_at_ms=NOW_MS), None]
