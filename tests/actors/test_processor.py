from uuid import UUID

import pytest

from actors.domain.breaker import Breaker, BreakerLimits, BreakerState
from actors.domain.messages import (
    AvailabilityChanged,
    Charge,
    ChargeEnded,
    Drain,
    HealthReported,
    LeaseRenewed,
    LookedUp,
    LookUp,
    OldestStamp,
    Returned,
)
from actors.domain.outcome import Outcome
from actors.ports import LookUpAnswer
from actors.processor import LOOK_UPS_MAX, ProcessorActor
from tests.actors.fakes import NOW_MS, Recorder, ScriptedProcessor, VirtualRuntime, deliver, payment

LIMITS = BreakerLimits(consecutive_failures_max=2, cooldown_s_initial=0.5, cooldown_s_max=2.0, probes_max=1)


class Processor:
    """A processor's actor that is not started, with what stands around it. It has a lease for a minute."""

    def __init__(self, in_flight_max: int = 10) -> None:
        self.client, self.router, self.runtime = ScriptedProcessor(), Recorder(), VirtualRuntime()
        self.actor = ProcessorActor(
            name="default",
            client=self.client,
            breaker=Breaker(LIMITS),
            router=self.router,
            runtime=self.runtime,
            in_flight_max=in_flight_max,
        )
        self.actor.on_receive(LeaseRenewed(self.runtime.now_s() + 60))

    def run(self) -> None:
        """Let all that is under way come to its end."""
        while self.runtime.spawned or not self.actor.actor_inbox.empty():
            self.runtime.run_spawned()
            deliver(self.actor)

    def advance(self, seconds: float) -> None:
        self.runtime.advance(seconds)
        deliver(self.actor)

    def charge(self, *numbers: int) -> None:
        for number in numbers:
            self.actor.on_receive(Charge(payment(number)))

    def open(self) -> None:
        """Let the breaker open."""
        self.client.outcomes.extend([Outcome.FAILED] * 2)
        self.charge(101, 102)
        self.run()
        self.router.take()


def test_a_charge_is_sent_under_the_stamp_that_is_reported() -> None:
    processor = Processor()
    processor.runtime.advance(1.5)
    processor.charge(1)
    processor.run()
    assert processor.client.charges == [(payment(1), NOW_MS + 1500)]
    assert processor.router.messages == [ChargeEnded(UUID(int=1), Outcome.SETTLED, NOW_MS + 1500)]


def test_no_more_charges_are_under_way_than_allowed() -> None:
    processor = Processor(in_flight_max=2)
    processor.charge(1, 2, 3)
    assert len(processor.runtime.spawned) == 2
    processor.run()
    assert [sent.correlation_id.int for sent, _ in processor.client.charges] == [1, 2, 3]


def test_an_already_charged_payment_is_looked_up_at_once() -> None:
    processor = Processor()
    processor.client.outcomes.append(Outcome.ALREADY_CHARGED)
    processor.client.look_ups.append(LookUpAnswer(answered=True, requested_at_ms=NOW_MS - 7))
    processor.charge(1)
    processor.run()
    assert processor.router.messages == [
        ChargeEnded(UUID(int=1), Outcome.ALREADY_CHARGED, NOW_MS),
        LookedUp(UUID(int=1), NOW_MS - 7, answered=True),
    ]


def test_a_look_up_that_found_nothing_is_told_apart_from_one_without_answer() -> None:
    processor = Processor()
    processor.client.look_ups.extend([LookUpAnswer(answered=True), LookUpAnswer(answered=False)])
    processor.actor.on_receive(LookUp(payment(1)))
    processor.actor.on_receive(LookUp(payment(1)))
    processor.run()
    assert processor.router.messages == [
        LookedUp(UUID(int=1), None, answered=True),
        LookedUp(UUID(int=1), None, answered=False),
    ]


def test_the_oldest_stamp_is_that_of_the_first_charge_under_way() -> None:
    processor = Processor()
    assert processor.actor.on_receive(OldestStamp()) is None
    processor.charge(1)
    processor.runtime.advance(0.25)
    processor.charge(2)
    assert processor.actor.on_receive(OldestStamp()) == NOW_MS
    processor.run()
    assert processor.actor.on_receive(OldestStamp()) is None


def test_a_charge_that_ended_is_reported_before_its_stamp_is_forgotten() -> None:
    """Otherwise a heartbeat in between would call the books final without it."""
    processor = Processor()
    processor.charge(1)
    processor.runtime.run_spawned()
    assert processor.actor.on_receive(OldestStamp()) == NOW_MS
    assert processor.router.messages == []
    deliver(processor.actor)
    assert len(processor.router.messages) == 1


def test_without_a_lease_nothing_is_sent() -> None:
    processor = Processor()
    processor.runtime.advance(60)
    processor.charge(1)
    assert not processor.runtime.spawned
    processor.actor.on_receive(LeaseRenewed(processor.runtime.now_s() + 5))
    processor.run()
    assert [sent for sent, _ in processor.client.charges] == [payment(1)]


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.FAILED, Outcome.UNKNOWN])
def test_failures_in_a_row_open_the_breaker_and_what_waits_goes_back(outcome: Outcome) -> None:
    processor = Processor(in_flight_max=2)
    processor.client.outcomes.extend([outcome] * 2)
    processor.charge(1, 2, 3, 4)
    processor.run()
    assert AvailabilityChanged("default", BreakerState.OPEN, 0) in processor.router.messages
    assert Returned("default", (payment(4),)) in processor.router.messages
    assert len(processor.client.charges) == 3


def test_an_open_breaker_sends_nothing() -> None:
    processor = Processor()
    processor.open()
    processor.charge(1)
    assert not processor.runtime.spawned
    assert processor.router.messages == [Returned("default", (payment(1),))]


def test_after_the_cool_down_one_probe_is_let_through_and_its_success_closes() -> None:
    processor = Processor()
    processor.open()
    processor.advance(0.5)
    assert processor.router.take() == [AvailabilityChanged("default", BreakerState.HALF_OPEN, 1)]
    processor.charge(1, 2)
    assert len(processor.runtime.spawned) == 1
    assert processor.router.take() == [Returned("default", (payment(2),))]
    processor.run()
    assert processor.router.take() == [
        ChargeEnded(UUID(int=1), Outcome.SETTLED, processor.runtime.now_ms()),
        AvailabilityChanged("default", BreakerState.CLOSED, None),
    ]


def test_a_failed_probe_opens_again_for_longer() -> None:
    processor = Processor()
    processor.open()
    processor.advance(0.5)
    processor.client.outcomes.append(Outcome.FAILED)
    processor.charge(1)
    processor.run()
    processor.router.take()
    processor.advance(0.999)
    assert processor.router.take() == []
    processor.advance(0.001)
    assert processor.router.take() == [AvailabilityChanged("default", BreakerState.HALF_OPEN, 1)]


def test_a_health_answer_counts_against_the_processor_only_when_it_says_failing() -> None:
    processor = Processor()
    for _ in range(2):
        processor.actor.on_receive(HealthReported("default", failing=False, response_time_ms_min=100))
    assert processor.router.messages == []
    for _ in range(2):
        processor.actor.on_receive(HealthReported("default", failing=True, response_time_ms_min=100))
    assert processor.router.messages == [AvailabilityChanged("default", BreakerState.OPEN, 0)]


def test_while_draining_what_is_under_way_ends_and_the_rest_goes_back() -> None:
    processor = Processor(in_flight_max=1)
    processor.charge(1, 2)
    processor.actor.on_receive(Drain())
    processor.run()
    assert [sent for sent, _ in processor.client.charges] == [payment(1)]
    assert processor.router.messages == [
        AvailabilityChanged("default", BreakerState.OPEN, 0),
        Returned("default", (payment(2),)),
        ChargeEnded(UUID(int=1), Outcome.SETTLED, NOW_MS),
    ]


def test_no_more_look_ups_are_under_way_than_allowed() -> None:
    processor = Processor()
    for number in range(LOOK_UPS_MAX + 5):
        processor.actor.on_receive(LookUp(payment(number)))
    assert len(processor.runtime.spawned) == LOOK_UPS_MAX
    processor.run()
    assert len(processor.client.looked_up) == LOOK_UPS_MAX + 5
