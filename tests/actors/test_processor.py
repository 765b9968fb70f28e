from random import Random
from uuid import UUID

import pytest

from actors.domain.breaker import Breaker, BreakerState, Cause
from actors.domain.breaker_limits import BreakerLimits
from actors.domain.concurrency_limit import ConcurrencyLimit, ConcurrencyLimits
from actors.domain.messages import (
    AvailabilityChanged,
    BreakerChanged,
    Charge,
    ChargeEnded,
    DescribeProcessor,
    Drain,
    ForceBreaker,
    FoundDown,
    GotThrough,
    HealthReported,
    LeaseRenewed,
    LookedUp,
    LookUp,
    OldestStamp,
    ProbeAnswered,
    ProbeWanted,
    ProcessorStatus,
    Returned,
)
from actors.domain.outcome import Outcome
from actors.domain.rate_limiter import RateLimiter, RateLimits
from actors.ports import LookUpAnswer
from actors.processor import LOOK_UPS_MAX, PROBE_PAUSE_S, ProcessorActor
from tests.actors.fakes import NOW_MS, Recorder, ScriptedProcessor, VirtualRuntime, deliver, payment

LIMITS = BreakerLimits(
    calls_min=2, cooldown_s_initial=0.5, cooldown_s_max=2.0, cooldown_jitter=0.0, half_open_s_max=5.0
)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


class Processor:
    """A processor's actor that is not started, with what stands around it. It has a lease for a minute."""

    def __init__(self, in_flight_max: int = 10, starts: RateLimits | None = None) -> None:
        self.client, self.router, self.health, self.runtime = (
            ScriptedProcessor(),
            Recorder(),
            Recorder(),
            VirtualRuntime(),
        )
        self.actor = ProcessorActor(
            name="default",
            client=self.client,
            breaker=Breaker(LIMITS, Random(1)),
            concurrency=ConcurrencyLimit(ConcurrencyLimits(min=1, initial=in_flight_max, max=in_flight_max)),
            starts=RateLimiter(starts or RateLimits()),
            router=self.router,
            health=self.health,
            runtime=self.runtime,
        )
        self.tell(LeaseRenewed(self.runtime.now_s() + 60))
        self.router.take()

    def tell(self, *messages: object) -> None:
        for message in messages:
            self.actor.on_receive(message)

    def run(self) -> None:
        """Let all that is under way come to its end."""
        while self.runtime.spawned or not self.actor.actor_inbox.empty():
            self.runtime.run_spawned()
            deliver(self.actor)

    def advance(self, seconds: float) -> None:
        self.runtime.advance(seconds)
        deliver(self.actor)

    def charge(self, *numbers: int) -> None:
        self.tell(*[Charge(payment(number)) for number in numbers])

    def open(self) -> None:
        """Let the breaker open."""
        self.client.outcomes.extend([Outcome.FAILED] * 2)
        self.charge(101, 102)
        self.run()
        self.router.take()
        self.health.take()

    def half_open(self) -> None:
        """Let the breaker open and cool down."""
        self.open()
        self.advance(0.5)
        self.router.take()
        self.health.take()

    def states(self) -> list[BreakerState]:
        """The states that the router was told of since the last call."""
        return [told.state for told in self.router.take() if isinstance(told, AvailabilityChanged)]

    def status(self) -> ProcessorStatus:
        status = self.actor.on_receive(DescribeProcessor())
        assert isinstance(status, ProcessorStatus)
        return status


def test_a_charge_is_sent_under_the_stamp_that_is_reported() -> None:
    processor = Processor()
    processor.runtime.advance(1.5)
    processor.charge(1)
    processor.run()
    assert processor.client.charges == [(payment(1), NOW_MS + 1500)]
    assert processor.router.messages[0] == ChargeEnded(UUID(int=1), Outcome.SETTLED, NOW_MS + 1500)


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


def test_the_router_is_told_at_once_how_many_charges_may_be_under_way() -> None:
    processor = Processor(in_flight_max=7)
    processor.tell(LeaseRenewed(processor.runtime.now_s() + 60))
    assert processor.router.messages == []
    processor = Processor(in_flight_max=7)
    assert (processor.status().limit, processor.status().under_way) == (7, 0)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.OVERLOADED, Outcome.FAILED, Outcome.UNKNOWN])
def test_failures_open_the_breaker_and_what_waits_goes_back(outcome: Outcome) -> None:
    processor = Processor(starts=RateLimits(burst=2))
    processor.client.outcomes.extend([outcome] * 2)
    processor.charge(1, 2, 3)
    processor.run()
    assert len(processor.client.charges) == 2
    messages = processor.router.take()
    assert [told.state for told in messages if isinstance(told, AvailabilityChanged)][-1] is OPEN
    assert messages[-1] == Returned("default", (payment(3),))


def test_health_is_told_what_own_calls_have_found() -> None:
    processor = Processor()
    processor.client.outcomes.extend([Outcome.FAILED] * 2)
    processor.charge(1, 2)
    processor.run()
    assert processor.health.take() == [BreakerChanged("default", OPEN, down=True, changed_at_s=1000.0)]


def test_an_open_breaker_sends_nothing() -> None:
    processor = Processor()
    processor.open()
    processor.charge(1)
    assert not processor.runtime.spawned
    assert processor.router.take() == [Returned("default", (payment(1),))]


def test_after_the_cool_down_one_payment_may_probe() -> None:
    processor = Processor()
    processor.open()
    processor.advance(0.5)
    told = processor.router.take()
    assert [(each.state, each.probes) for each in told if isinstance(each, AvailabilityChanged)] == [(HALF_OPEN, 1)]


def test_a_probe_is_sent_when_the_fleet_grants_it_and_the_rest_goes_back() -> None:
    processor = Processor()
    processor.half_open()
    processor.charge(1, 2)
    assert not processor.runtime.spawned
    assert processor.health.take() == [ProbeWanted("default")]
    assert processor.router.take() == [Returned("default", (payment(2),))]
    processor.tell(ProbeAnswered(granted=True))
    processor.run()
    assert [sent.correlation_id.int for sent, _ in processor.client.charges] == [101, 102, 1]
    assert processor.states()[-1] is CLOSED


def test_a_probe_that_is_not_granted_is_asked_for_again_after_a_pause() -> None:
    processor = Processor()
    processor.half_open()
    processor.charge(1)
    processor.tell(ProbeAnswered(granted=False))
    processor.health.take()
    processor.advance(PROBE_PAUSE_S * 0.9)
    assert processor.health.take() == []
    processor.advance(PROBE_PAUSE_S * 0.2)
    assert processor.health.take() == [ProbeWanted("default")]
    assert not processor.runtime.spawned


def test_where_no_charge_ends_any_more_it_opens_and_what_hangs_takes_no_room_afterwards() -> None:
    processor = Processor(in_flight_max=4)
    processor.charge(1, 2, 3, 4)
    processor.advance(1.4)
    assert processor.states() == []
    processor.advance(0.7)
    told = [message for message in processor.router.take() if isinstance(message, AvailabilityChanged)]
    assert [message.state for message in told][:1] == [OPEN]
    assert processor.status().transitions[0].transition.cause is Cause.STALLED
    assert (told[-1].limit, processor.status().under_way) == (8, 4)
    processor.run()
    assert [message.limit for message in processor.router.take() if isinstance(message, AvailabilityChanged)][-1] == 4


def test_a_few_charges_that_hang_are_no_outage() -> None:
    processor = Processor()
    processor.charge(1)
    processor.advance(60)
    assert processor.states() == []


def test_a_probe_that_waits_for_the_fleets_budget_goes_when_another_replica_got_through() -> None:
    processor = Processor()
    processor.half_open()
    processor.charge(1)
    processor.tell(GotThrough())
    assert len(processor.runtime.spawned) == 1


def test_where_another_replica_got_through_a_probe_needs_no_grant() -> None:
    processor = Processor()
    processor.open()
    processor.tell(GotThrough())
    processor.health.take()
    processor.charge(1)
    processor.run()
    assert processor.states()[-1] is CLOSED
    assert [type(told) for told in processor.health.take()] == [BreakerChanged]


def test_a_failed_probe_opens_again_for_longer() -> None:
    processor = Processor()
    processor.half_open()
    processor.client.outcomes.append(Outcome.FAILED)
    processor.charge(1)
    processor.tell(ProbeAnswered(granted=True))
    processor.run()
    assert processor.states()[-1] is OPEN
    processor.advance(0.99)
    assert processor.states() == []
    processor.advance(0.02)
    assert processor.states() == [HALF_OPEN]


def test_a_probe_that_hangs_is_followed_by_another() -> None:
    processor = Processor()
    processor.half_open()
    processor.charge(1)
    processor.tell(ProbeAnswered(granted=True))
    assert len(processor.runtime.spawned) == 1
    processor.advance(5.0)
    assert processor.states()[-1] is OPEN
    processor.advance(1.0)
    assert processor.states() == [HALF_OPEN]
    processor.charge(2)
    processor.tell(ProbeAnswered(granted=True))
    assert len(processor.runtime.spawned) == 2


def test_a_failing_health_answer_opens_it_and_a_working_one_lets_it_probe() -> None:
    processor = Processor()
    processor.tell(HealthReported("default", failing=False, response_time_ms_min=100, asked_s_ago=0.1))
    assert processor.states() == []
    processor.tell(HealthReported("default", failing=True, response_time_ms_min=100, asked_s_ago=0.1))
    assert processor.states() == [OPEN]
    processor.tell(HealthReported("default", failing=False, response_time_ms_min=100, asked_s_ago=0.1))
    assert processor.states() == []
    processor.tell(HealthReported("default", failing=False, response_time_ms_min=100, asked_s_ago=0.0))
    assert processor.states() == [HALF_OPEN]


def test_a_quorum_opens_it_without_being_its_own_opinion() -> None:
    processor = Processor()
    processor.tell(FoundDown())
    assert processor.states() == [OPEN]
    assert processor.health.take() == [BreakerChanged("default", OPEN, down=False, changed_at_s=1000.0)]


def test_an_operator_forces_it_and_lets_it_go() -> None:
    processor = Processor()
    processor.tell(ForceBreaker("default", BreakerState.FORCED_OPEN))
    processor.charge(1)
    assert processor.router.messages[-1] == Returned("default", (payment(1),))
    processor.tell(ForceBreaker("default", None))
    assert processor.states() == [BreakerState.FORCED_OPEN, HALF_OPEN]


def test_its_status_tells_what_changed_when_and_why() -> None:
    processor = Processor()
    processor.runtime.advance(1.5)
    processor.tell(FoundDown())
    processor.advance(0.5)
    status = processor.status()
    assert status.state is HALF_OPEN
    told = [(each.at_ms - NOW_MS, each.transition.after, each.transition.cause) for each in status.transitions]
    assert told == [(1500, OPEN, Cause.QUORUM), (2000, HALF_OPEN, Cause.COOLED_DOWN)]
    assert status.transitions_by_cause == {(OPEN, Cause.QUORUM): 1, (HALF_OPEN, Cause.COOLED_DOWN): 1}


def test_no_more_charges_start_at_once_than_the_cpu_has_time_for_and_the_rest_follows() -> None:
    processor = Processor(in_flight_max=100, starts=RateLimits(burst=8))
    processor.charge(*range(1, 51))
    assert len(processor.runtime.spawned) == 8
    for _ in range(100):
        processor.run()
        processor.advance(0.01)
    assert [sent.correlation_id.int for sent, _ in processor.client.charges] == list(range(1, 51))


def test_a_processor_that_says_too_many_gets_fewer() -> None:
    processor = Processor(in_flight_max=10)
    processor.client.outcomes.extend([Outcome.SETTLED] * 30 + [Outcome.OVERLOADED] * 10 + [Outcome.SETTLED] * 30)
    for number in range(70):
        processor.charge(number)
        processor.advance(0.05)
        processor.run()
    assert processor.status().limit < 10


def test_while_draining_what_is_under_way_ends_and_the_rest_goes_back() -> None:
    processor = Processor(starts=RateLimits(burst=1))
    processor.charge(1, 2)
    processor.tell(Drain())
    processor.run()
    assert [sent for sent, _ in processor.client.charges] == [payment(1)]
    messages = [told for told in processor.router.take() if not isinstance(told, AvailabilityChanged)]
    assert messages == [Returned("default", (payment(2),)), ChargeEnded(UUID(int=1), Outcome.SETTLED, NOW_MS)]
    assert processor.states() == []


def test_a_client_that_raises_what_it_should_not_leaves_the_outcome_unknown() -> None:
    processor = Processor()
    processor.client.error = ValueError("planted")
    processor.charge(1)
    processor.tell(LookUp(payment(2)))
    for _ in range(2):
        with pytest.raises(ValueError, match="planted"):
            processor.runtime.run_spawned()
    deliver(processor.actor)
    assert processor.router.take()[:2] == [
        ChargeEnded(UUID(int=1), Outcome.UNKNOWN, NOW_MS),
        LookedUp(UUID(int=2), None, answered=False),
    ]


def test_no_more_look_ups_are_under_way_than_allowed() -> None:
    processor = Processor()
    for number in range(LOOK_UPS_MAX + 5):
        processor.actor.on_receive(LookUp(payment(number)))
    assert len(processor.runtime.spawned) == LOOK_UPS_MAX
    processor.run()
    assert len(processor.client.looked_up) == LOOK_UPS_MAX + 5
