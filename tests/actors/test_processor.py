"""The actor tells its gate what happens, and carries out what the gate decides; `test_charge_gate.py` tests that."""

import logging
from random import Random
from uuid import UUID

import pytest

from actors.domain.breaker import Breaker, BreakerState
from actors.domain.breaker_causes import Cause
from actors.domain.breaker_limits import BreakerLimits
from actors.domain.charge_gate import ChargeGate
from actors.domain.concurrency_limit import ConcurrencyLimit, ConcurrencyLimits
from actors.domain.lifecycle_events import ChargeEnded, LookUpEnded
from actors.domain.outage_log import QUIET_S
from actors.domain.outcome import Outcome
from actors.domain.pace import Pace
from actors.domain.processor_delay import ProcessorDelay
from actors.domain.rate_limiter import RateLimiter, RateLimits
from actors.domain.records import NEVER_MS, NOTHING_MISSING, LookUpAnswer, LookUpResult, Watermarks
from actors.look_ups import LOOK_UP_PAUSE_S, LOOK_UPS_MAX, LOOK_UPS_PER_S, OWN_PROOF_S, POLLED_S, PROOF_S
from actors.messages.health import BreakerChanged, DelaySeen, ProbeWanted
from actors.messages.processor import (
    Charge,
    DelayHeard,
    Drain,
    GetProcessorStatus,
    GetUnreported,
    HealthReported,
    HoldBreaker,
    LeaseRenewed,
    LookUp,
    PeerRecovered,
    ProbeAnswered,
    ProcessorMessage,
    ProcessorStatus,
    QuorumFoundDown,
    TurnedAwayElsewhere,
)
from actors.messages.router import AvailabilityChanged, ChargesEnded, LookUpsEnded
from actors.processor import GATHER_S, TRANSITIONS_MAX, ProcessorActor
from tests.actors.fakes import NOW_MS, Recorder, ScriptedProcessor, VirtualRuntime, deliver, payment
from tests.lines import lines

LIMITS = BreakerLimits(
    calls_min=2, cooldown_s_initial=0.5, cooldown_s_max=2.0, cooldown_jitter=0.0, half_open_s_max=5.0
)
HEALTHY = HealthReported(failing=False, asked_s_ago=0.0, response_time_s_min=0.0)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
FORCED_OPEN, FORCED_CLOSED = BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED


class Processor:
    """A processor's actor that is not started, with what stands around it. It has a lease for a minute."""

    def __init__(self, in_flight_max: int = 10, rate: RateLimits | None = None, *, charges: bool = True) -> None:
        self.client, self.router, self.health = ScriptedProcessor(), Recorder(), Recorder()
        self.runtime = VirtualRuntime()
        self.actor = ProcessorActor(
            name="default",
            client=self.client,
            gate=ChargeGate(
                "default",
                Breaker(LIMITS, Random(1)),
                ConcurrencyLimit(ConcurrencyLimits(min=1, initial=in_flight_max, max=in_flight_max)),
                RateLimiter(rate or RateLimits()),
                Pace(slow_s=1.5),
            ),
            delay=ProcessorDelay(setting_s=1.0, timeout_s=10.0, lease_s=5.0),
            charges=charges,
            router=self.router,
            health=self.health,
            runtime=self.runtime,
        )
        self.actor.on_start()
        self.announced_at_start = self.router.take()
        self.tell(LeaseRenewed(self.runtime.now_s() + 60))

    def tell(self, *messages: ProcessorMessage) -> None:
        """Let the actor handle these messages in one slice."""
        for message in messages:
            self.actor.actor_ref.tell(message)
        deliver(self.actor)

    def charge(self, *numbers: int) -> None:
        self.tell(Charge(tuple(payment(number) for number in numbers)))

    def look_up(self, *numbers: int) -> None:
        self.tell(LookUp(tuple(payment(number) for number in numbers)))

    def run(self) -> None:
        """Let all that is under way come to its end, and its end be taken in."""
        while self.runtime.spawned:
            self.runtime.run_spawned()
            self.advance(GATHER_S)

    def looked_up(self) -> list[LookUpEnded]:
        """Return the ends of look-ups that the router was told since the last call."""
        return [end for told in self.router.take() if isinstance(told, LookUpsEnded) for end in told.ends]

    def advance(self, seconds: float) -> None:
        self.runtime.advance(seconds)
        deliver(self.actor)

    def open(self) -> None:
        """Let the breaker open by two failures."""
        self.client.outcomes.extend([Outcome.FAILED] * 2)
        self.charge(101, 102)
        self.run()
        self.router.take()
        self.health.take()

    def half_open(self) -> None:
        """Let the breaker open and cool down."""
        self.open()
        self.advance(0.5)
        self.run()
        self.router.take()
        self.health.take()

    def sent(self) -> list[int]:
        """Return the numbers of the payments that reached the processor."""
        return [sent.correlation_id.int for sent, _ in self.client.charges]

    def states(self) -> list[BreakerState]:
        """Return the states that the router was told of since the last call."""
        return [told.availability.state for told in self.router.take() if isinstance(told, AvailabilityChanged)]

    def ends(self) -> list[tuple[ChargeEnded, ...]]:
        """Return the batches of ends that the router was told since the last call."""
        return [told.ends for told in self.router.take() if isinstance(told, ChargesEnded)]

    def unreported(self) -> object:
        return self.actor.on_receive(GetUnreported())

    def status(self) -> ProcessorStatus:
        status = self.actor.on_receive(GetProcessorStatus())
        assert isinstance(status, ProcessorStatus)
        return status


def not_sent(number: int, ended_at_ms: int = 0) -> ChargeEnded:
    return ChargeEnded(UUID(int=number), Outcome.NOT_SENT, 0, ended_at_ms)


# Charges.


def test_a_charge_is_sent_under_the_stamp_that_is_reported() -> None:
    processor = Processor()
    processor.advance(1.5)
    processor.charge(1)
    processor.run()
    assert processor.client.charges == [(payment(1), NOW_MS + 1500)]
    assert processor.router.messages[0] == ChargesEnded(
        (ChargeEnded(UUID(int=1), Outcome.SETTLED, NOW_MS + 1500, NOW_MS + 1500),)
    )


def test_ends_are_gathered_for_a_moment_and_told_in_one_message() -> None:
    processor = Processor()
    processor.charge(1, 2)
    timers = len(processor.runtime.timers)
    processor.runtime.run_spawned()
    assert len(processor.runtime.timers) == timers + 1
    processor.advance(GATHER_S / 2)
    processor.charge(3)
    processor.runtime.run_spawned()
    assert processor.ends() == []
    processor.advance(GATHER_S / 2 + 0.001)
    (ends,) = processor.ends()
    assert [end.correlation_id.int for end in ends] == [1, 2, 3]
    processor.advance(1.0)
    assert processor.ends() == []


def test_the_end_of_a_charge_makes_room_for_the_next() -> None:
    processor = Processor(in_flight_max=1)
    processor.charge(1, 2, 3)
    assert len(processor.runtime.spawned) == 1
    processor.run()
    assert processor.sent() == [1, 2, 3]


def test_payments_in_one_slice_are_decided_on_once() -> None:
    processor = Processor()
    processor.open()
    processor.tell(Charge((payment(1),)), Charge((payment(2),)), Charge((payment(3),)))
    assert processor.ends() == [(not_sent(1), not_sent(2), not_sent(3))]


def test_what_the_rate_holds_back_follows_when_it_is_due() -> None:
    processor = Processor(in_flight_max=100, rate=RateLimits(burst=8))
    processor.charge(*range(1, 51))
    assert len(processor.runtime.spawned) == 8
    for _ in range(100):
        processor.advance(0.01)
        processor.run()
    assert processor.sent() == list(range(1, 51))


def test_the_stamp_of_a_charge_counts_as_under_way_until_its_end_is_told_to_the_router() -> None:
    """Otherwise a heartbeat in between would publish a watermark that passes the charge."""
    processor = Processor()
    assert processor.unreported() == NOTHING_MISSING
    processor.charge(1)
    processor.runtime.run_spawned()
    assert processor.unreported() == Watermarks(NOW_MS, NOW_MS)
    assert processor.ends() == []
    processor.advance(GATHER_S)
    assert processor.unreported() == NOTHING_MISSING
    assert len(processor.ends()) == 1


def test_an_answer_is_told_from_its_end_on_until_the_router_has_it() -> None:
    """Otherwise a heartbeat in between would publish that all answers until now are committed."""
    processor = Processor()
    processor.client.outcomes.extend([Outcome.SETTLED, Outcome.UNKNOWN])
    processor.charge(1, 2)
    assert processor.unreported() == Watermarks(NOW_MS, NEVER_MS)
    processor.runtime.advance(0.3)
    processor.runtime.run_spawned()
    assert processor.unreported() == Watermarks(NOW_MS, NOW_MS + 300)
    processor.advance(GATHER_S)
    assert processor.unreported() == NOTHING_MISSING
    ((first, second),) = processor.ends()
    assert (first.answered_at_ms, second.answered_at_ms) == (NOW_MS + 300, NOW_MS + 300)


def test_a_charge_whose_turn_comes_after_the_lease_has_ended_is_not_sent() -> None:
    processor = Processor()
    processor.charge(1)
    processor.advance(60)
    processor.run()
    assert processor.sent() == []
    assert processor.ends() == [(not_sent(1, NOW_MS + 60_000),)]


def test_a_renewed_lease_lets_go_what_waits() -> None:
    processor = Processor()
    processor.advance(60)
    processor.charge(1)
    assert not processor.runtime.spawned
    processor.tell(LeaseRenewed(processor.runtime.now_s() + 5))
    processor.run()
    assert processor.sent() == [1]


def test_a_client_that_raises_leaves_the_outcome_unknown_and_its_room_is_free_again() -> None:
    processor = Processor(in_flight_max=1)
    processor.client.error = ValueError("planted")
    processor.charge(1)
    with pytest.raises(ValueError, match="planted"):
        processor.runtime.run_spawned()
    processor.client.error = None
    processor.advance(GATHER_S)
    assert processor.ends() == [(ChargeEnded(UUID(int=1), Outcome.UNKNOWN, NOW_MS, NOW_MS),)]
    processor.charge(2)
    processor.run()
    assert processor.sent() == [2]


# Look-ups.


def test_what_a_look_up_found_is_told_with_the_processor_and_its_horizon() -> None:
    processor = Processor()
    answers = [
        LookUpAnswer(LookUpResult.CHARGED, NOW_MS - 7),
        *(LookUpAnswer(result) for result in (LookUpResult.MISSING, LookUpResult.MISMATCHED, LookUpResult.NO_ANSWER)),
    ]
    processor.client.look_ups.extend(answers)
    processor.tell(HEALTHY)
    processor.look_up(1, 2, 3, 4)
    processor.run()
    assert processor.looked_up() == [
        LookUpEnded(
            UUID(int=number), "default", answer.result, answer.requested_at_ms, asked_at_s=1000.0, horizon_s=1.0 + 15.0
        )
        for number, answer in enumerate(answers, 1)
    ]


def look_up_one(processor: Processor) -> LookUpResult:
    """Look a payment up that the processor does not know."""
    processor.advance(LOOK_UP_PAUSE_S)
    processor.look_up(1)
    processor.run()
    (end,) = processor.looked_up()
    return end.result


@pytest.mark.parametrize("charges", [True, False])
def test_who_never_answered_as_a_processor_does_is_not_believed_that_a_payment_is_missing(
    caplog: pytest.LogCaptureFixture, *, charges: bool
) -> None:
    processor = Processor(charges=charges)
    processor.client.tells_health = False
    assert {look_up_one(processor) for _ in range(200)} == {LookUpResult.NO_ANSWER}
    asked = len(processor.client.health_asked_at)
    assert 0 < asked <= 1 + 200 * (LOOK_UP_PAUSE_S + GATHER_S) / OWN_PROOF_S
    assert caplog.text.count("it is not believed") == 1


@pytest.mark.parametrize("outcome", Outcome)
def test_a_charge_that_only_a_processor_answers_so_proves_it_for_a_while(outcome: Outcome) -> None:
    processor = Processor()
    processor.client.tells_health = False
    processor.client.outcomes.append(outcome)
    processor.charge(1)
    processor.run()
    processor.router.take()
    proves = outcome in {Outcome.SETTLED, Outcome.ALREADY_CHARGED, Outcome.FAILED}
    assert look_up_one(processor) is (LookUpResult.MISSING if proves else LookUpResult.NO_ANSWER)
    processor.advance(PROOF_S)
    assert look_up_one(processor) is LookUpResult.NO_ANSWER


def test_the_health_that_replicas_share_proves_it_from_when_it_was_asked() -> None:
    processor = Processor()
    processor.tell(HealthReported(failing=True, asked_s_ago=PROOF_S - 1, response_time_s_min=0.0))
    assert look_up_one(processor) is LookUpResult.MISSING
    processor.advance(1.0)
    assert look_up_one(processor) is LookUpResult.NO_ANSWER
    assert processor.client.health_asked_at == []


def test_a_processor_that_is_not_charged_any_more_is_asked_for_its_health_before_it_is_believed() -> None:
    processor = Processor(charges=False)
    assert [look_up_one(processor) for _ in range(3)] == [LookUpResult.MISSING] * 3
    assert processor.client.health_asked_at == [1]
    processor.advance(PROOF_S)
    assert look_up_one(processor) is LookUpResult.MISSING
    assert processor.client.health_asked_at == [1, 4]


def test_where_replicas_share_no_health_each_asks_after_a_while() -> None:
    processor = Processor()
    assert look_up_one(processor) is LookUpResult.NO_ANSWER
    processor.advance(POLLED_S)
    assert look_up_one(processor) is LookUpResult.MISSING


def test_no_more_look_ups_are_under_way_than_allowed_and_the_rest_follows() -> None:
    processor = Processor()
    processor.tell(HEALTHY)
    processor.look_up(*range(LOOK_UPS_MAX + 5))
    processor.look_up(99)
    assert len(processor.runtime.spawned) == LOOK_UPS_MAX
    processor.run()
    assert [looked_up.int for looked_up in processor.client.looked_up] == [*range(LOOK_UPS_MAX + 5), 99]


def test_a_look_up_in_which_the_client_raises_is_one_without_answer_and_its_room_is_free_again() -> None:
    processor = Processor()
    processor.client.error = ValueError("planted")
    processor.look_up(*range(LOOK_UPS_MAX))
    for _ in range(LOOK_UPS_MAX):
        with pytest.raises(ValueError, match="planted"):
            processor.runtime.run_spawned()
    processor.client.error = None
    processor.advance(GATHER_S)
    assert {(end.result, end.requested_at_ms) for end in processor.looked_up()} == {(LookUpResult.NO_ANSWER, None)}
    processor.advance(LOOK_UP_PAUSE_S)
    processor.look_up(*range(LOOK_UPS_MAX))
    assert len(processor.runtime.spawned) == LOOK_UPS_MAX


def test_a_processor_that_answers_no_look_up_is_asked_few_times_and_nobody_waits_for_it() -> None:
    processor = Processor()
    processor.client.look_ups.extend([LookUpAnswer(LookUpResult.NO_ANSWER)] * 1000)
    processor.look_up(*range(400))
    processor.run()
    assert len(processor.client.looked_up) == LOOK_UPS_MAX
    assert [end.correlation_id.int for end in processor.looked_up()] == list(range(400))
    for _ in range(100):
        processor.look_up(*range(400))
        processor.advance(0.01)
        processor.run()
    assert len(processor.client.looked_up) <= LOOK_UPS_MAX * (2 + round(100 * (0.01 + GATHER_S) / LOOK_UP_PAUSE_S))
    assert {end.result for end in processor.looked_up()} == {LookUpResult.NO_ANSWER}


def test_a_processor_that_declines_all_charges_and_answers_no_look_up_counts_as_down() -> None:
    processor = Processor()
    processor.client.outcomes.extend([Outcome.DECLINED] * 2)
    processor.charge(1, 2)
    processor.run()
    assert processor.status().state is CLOSED
    processor.client.look_ups.extend([LookUpAnswer(LookUpResult.NO_ANSWER)] * 2)
    processor.look_up(1, 2)
    processor.run()
    assert processor.status().state is OPEN


def test_after_one_answer_all_look_ups_are_made_again() -> None:
    processor = Processor()
    processor.client.look_ups.extend([LookUpAnswer(LookUpResult.NO_ANSWER)] * LOOK_UPS_MAX)
    processor.tell(HEALTHY)
    processor.look_up(*range(LOOK_UPS_MAX))
    processor.run()
    processor.advance(LOOK_UP_PAUSE_S)
    processor.look_up(*range(100))
    processor.run()
    assert len(processor.client.looked_up) == LOOK_UPS_MAX + 100


def test_no_more_look_ups_start_in_a_second_than_may() -> None:
    processor = Processor()
    processor.tell(HEALTHY)
    processor.look_up(*range(5000))
    started = []
    for _ in range(3):
        before = len(processor.client.looked_up)
        for _ in range(100):
            processor.runtime.run_spawned()
            processor.advance(0.01)
        started.append(len(processor.client.looked_up) - before)
    assert started[0] <= LOOK_UPS_PER_S + LOOK_UPS_MAX
    assert max(started[1:]) <= LOOK_UPS_PER_S * 1.1
    assert min(started) >= LOOK_UPS_PER_S * 0.8, "nor much fewer"


def test_a_processor_that_turns_all_charges_away_is_not_believed_that_a_payment_is_missing() -> None:
    processor = Processor()
    processor.client.outcomes.append(Outcome.MISCONFIGURED)
    processor.charge(1)
    processor.run()
    processor.client.look_ups.append(LookUpAnswer(LookUpResult.CHARGED, NOW_MS))
    processor.look_up(1, 2)
    processor.run()
    assert [end.result for end in processor.looked_up()] == [LookUpResult.CHARGED, LookUpResult.NO_ANSWER]


def test_a_processor_that_turns_another_replica_away_is_not_believed_until_a_charge_succeeds_here() -> None:
    processor = Processor()
    processor.tell(HealthReported(failing=False, asked_s_ago=0.0, response_time_s_min=0.0))
    processor.tell(TurnedAwayElsewhere(), QuorumFoundDown())
    processor.look_up(1)
    processor.run()
    assert [end.result for end in processor.looked_up()] == [LookUpResult.NO_ANSWER]
    processor.advance(1.0)
    processor.run()
    processor.charge(2)
    processor.tell(ProbeAnswered(granted=True))
    processor.run()
    assert processor.states()[-1] is CLOSED
    processor.look_up(1)
    processor.run()
    assert [end.result for end in processor.looked_up()] == [LookUpResult.MISSING]


def test_that_others_are_turned_away_is_not_said_as_of_this_replica() -> None:
    processor = Processor()
    processor.tell(TurnedAwayElsewhere(), QuorumFoundDown())
    assert processor.health.take() == [BreakerChanged("default", OPEN, down=False, changed_at_s=1000.0)]


def test_an_open_breaker_does_not_keep_payments_from_being_looked_up() -> None:
    processor = Processor()
    processor.open()
    processor.look_up(1)
    processor.run()
    assert processor.client.looked_up == [UUID(int=1)]


# What the router and health are told.


def test_the_router_is_told_at_the_start_what_the_processor_takes_and_not_again() -> None:
    processor = Processor(in_flight_max=7)
    (told,) = processor.announced_at_start
    assert isinstance(told, AvailabilityChanged)
    assert (told.availability.processor, told.availability.state) == ("default", CLOSED)
    processor.tell(LeaseRenewed(processor.runtime.now_s() + 60))
    assert processor.router.messages == []


def test_what_ended_is_told_before_what_the_processor_takes_now_and_then_what_comes_back() -> None:
    """The router gives nothing to an open breaker, and counts the room of what has ended once."""
    processor = Processor(rate=RateLimits(burst=2))
    processor.client.outcomes.extend([Outcome.FAILED] * 2)
    processor.charge(1, 2, 3)
    processor.run()
    ended, closed_to_all, given_back = processor.router.take()
    assert isinstance(ended, ChargesEnded)
    assert [end.outcome for end in ended.ends] == [Outcome.FAILED] * 2
    assert isinstance(closed_to_all, AvailabilityChanged)
    assert closed_to_all.availability.state is OPEN
    assert given_back == ChargesEnded((not_sent(3),))


def test_the_router_is_told_when_health_says_that_it_is_slow_until_a_charge_shows_that_it_is_fast() -> None:
    processor = Processor()
    processor.tell(HealthReported(failing=False, asked_s_ago=1.0, response_time_s_min=2.0))
    processor.charge(1)
    processor.run()
    announced = [told.availability for told in processor.router.take() if isinstance(told, AvailabilityChanged)]
    assert [each.is_slow for each in announced] == [True, False]


def test_health_is_told_what_own_charges_have_shown() -> None:
    processor = Processor()
    processor.client.outcomes.extend([Outcome.FAILED] * 2)
    processor.charge(1, 2)
    processor.run()
    changed_at_s = 1000.0 + GATHER_S
    assert processor.health.take() == [BreakerChanged("default", OPEN, down=True, changed_at_s=changed_at_s)]


def test_a_quorum_opens_it_without_being_its_own_opinion() -> None:
    processor = Processor()
    processor.tell(QuorumFoundDown())
    assert processor.states() == [OPEN]
    assert processor.health.take() == [BreakerChanged("default", OPEN, down=False, changed_at_s=1000.0)]


def test_the_router_is_told_that_health_puts_an_outage_in_doubt_though_nobody_posts() -> None:
    processor = Processor()
    processor.open()
    processor.advance(60)
    processor.router.take()
    processor.tell(HealthReported(failing=False, asked_s_ago=1.0, response_time_s_min=0.0))
    (told,) = processor.router.take()
    assert isinstance(told, AvailabilityChanged)
    assert (told.availability.state, told.availability.doubted_from_s) == (HALF_OPEN, processor.runtime.now_s())


def test_the_end_of_a_cool_down_is_told_at_its_time() -> None:
    processor = Processor()
    processor.open()
    processor.advance(0.499)
    assert processor.states() == []
    processor.advance(0.001)
    assert set(processor.states()) == {HALF_OPEN}
    assert [type(told) for told in processor.health.take()] == [BreakerChanged]


def test_health_is_asked_for_a_probe_and_a_granted_one_is_sent() -> None:
    processor = Processor()
    processor.half_open()
    processor.charge(1)
    assert not processor.runtime.spawned
    assert processor.health.take() == [ProbeWanted("default", replicas=1)]
    processor.tell(ProbeAnswered(granted=False))
    assert not processor.runtime.spawned
    processor.tell(ProbeAnswered(granted=True))
    processor.run()
    assert processor.sent() == [101, 102, 1]
    assert processor.states()[-1] is CLOSED


def test_where_another_replica_recovered_a_probe_is_sent_without_asking() -> None:
    processor = Processor()
    processor.open()
    processor.tell(PeerRecovered())
    processor.run()
    processor.health.take()
    processor.charge(1)
    processor.run()
    assert processor.states()[-1] is CLOSED
    assert [type(told) for told in processor.health.take()] == [BreakerChanged]


def test_a_failing_health_answer_opens_it_and_a_working_one_lets_it_probe() -> None:
    processor = Processor()
    processor.tell(HealthReported(failing=False, asked_s_ago=0.1, response_time_s_min=0.0))
    assert processor.states() == []
    processor.tell(HealthReported(failing=True, asked_s_ago=0.1, response_time_s_min=0.0))
    assert processor.states() == [OPEN]
    processor.tell(HealthReported(failing=False, asked_s_ago=0.1, response_time_s_min=0.0))
    assert processor.states() == []
    processor.tell(HealthReported(failing=False, asked_s_ago=0.0, response_time_s_min=0.0))
    assert processor.states() == [HALF_OPEN]


def test_an_operator_holds_the_breaker_and_lets_it_go() -> None:
    processor = Processor()
    for state in (FORCED_OPEN, FORCED_CLOSED, None):
        processor.tell(HoldBreaker(state))
    assert processor.states() == [FORCED_OPEN, FORCED_CLOSED, CLOSED]


def test_while_draining_what_is_under_way_ends_the_rest_comes_back_and_nothing_is_looked_up() -> None:
    processor = Processor(rate=RateLimits(burst=1))
    processor.charge(1, 2)
    processor.tell(Drain())
    assert processor.ends() == [(not_sent(2),)]
    processor.look_up(3)
    processor.run()
    assert processor.sent() == [1]
    assert processor.client.looked_up == []
    assert processor.ends() == [(ChargeEnded(UUID(int=1), Outcome.SETTLED, NOW_MS, NOW_MS),)]


def test_a_half_open_processor_is_knocked_at_and_takes_a_payment_where_it_accepts() -> None:
    processor = Processor()
    processor.client.accepts = False
    processor.open()
    processor.advance(0.5)
    processor.run()
    processor.charge(1)
    assert (processor.client.knocks, processor.ends()) == (1, [(not_sent(1),)])
    processor.client.accepts = True
    processor.advance(1.0)
    processor.run()
    processor.charge(1)
    processor.tell(ProbeAnswered(granted=True))
    processor.run()
    assert processor.sent() == [101, 102, 1]


def test_a_knock_in_which_the_client_raises_is_no_connection_and_another_follows() -> None:
    processor = Processor()
    processor.open()
    processor.client.error = ValueError("planted")
    processor.advance(0.5)
    with pytest.raises(ValueError, match="planted"):
        processor.runtime.run_spawned()
    processor.client.error = None
    processor.tell()
    processor.advance(1.0)
    processor.run()
    assert processor.client.knocks == 1


# How long the processor takes.


def horizon_s(processor: Processor) -> float:
    processor.router.take()
    processor.look_up(1)
    processor.run()
    (end,) = processor.looked_up()
    return end.horizon_s


def test_the_horizon_is_the_longest_delay_that_is_allowed_reported_heard_of_or_seen() -> None:
    processor = Processor()
    assert horizon_s(processor) == 1.0 + 15.0
    processor.charge(1)
    processor.runtime.advance(3.0)
    processor.run()
    assert horizon_s(processor) == pytest.approx(3.0 + 15.0, abs=2 * GATHER_S)
    processor.tell(DelayHeard(7.0))
    assert horizon_s(processor) == 7.0 + 15.0
    processor.tell(HealthReported(failing=False, asked_s_ago=0.0, response_time_s_min=25.0))
    assert horizon_s(processor) == 25.0 + 15.0


def test_health_is_told_of_a_charge_that_took_longer_than_allowed_and_of_no_other() -> None:
    processor = Processor()
    for seconds in (0.9, 0.5, 3.0, 2.0):
        processor.charge(1)
        processor.runtime.advance(seconds)
        processor.run()
    (told,) = processor.health.take()
    assert isinstance(told, DelaySeen)
    assert told.processor == "default"
    assert told.delay_s == pytest.approx(3.0, abs=2 * GATHER_S)


def test_a_setting_that_is_too_small_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    processor = Processor()
    for response_time_s in (1.0, 25.0, 26.0):
        processor.tell(HealthReported(failing=False, asked_s_ago=0.0, response_time_s_min=response_time_s))
    event = "a charge may take longer than PROCESSOR_DELAY_MAX_MS: the longer time counts"
    assert lines(caplog, "processor", "longest_s") == [(event, "default", 25.0)]


# Its status.


def test_its_status_tells_what_is_under_way_and_how_much_may_be() -> None:
    processor = Processor(in_flight_max=7, rate=RateLimits(per_s_initial=250.0))
    processor.charge(1, 2)
    status = processor.status()
    assert (status.state, status.under_way, status.limit, status.starts_per_s_max) == (CLOSED, 2, 7, 250.0)
    assert status.latency_s is None
    processor.runtime.advance(0.05)
    processor.run()
    status = processor.status()
    assert status.under_way == 0
    assert status.latency_s == pytest.approx(0.05)


def test_its_status_tells_what_changed_when_and_why() -> None:
    processor = Processor()
    processor.advance(1.5)
    processor.tell(QuorumFoundDown())
    processor.advance(0.5)
    status = processor.status()
    assert status.state is HALF_OPEN
    told = [(each.at_ms - NOW_MS, each.transition.after, each.transition.cause) for each in status.transitions]
    assert told == [(1500, OPEN, Cause.QUORUM), (2000, HALF_OPEN, Cause.COOLED_DOWN)]
    assert status.transitions_by_cause == {(OPEN, Cause.QUORUM): 1, (HALF_OPEN, Cause.COOLED_DOWN): 1}


def test_the_latest_transitions_are_remembered_and_all_are_counted() -> None:
    processor = Processor()
    for _ in range(TRANSITIONS_MAX):
        processor.tell(HoldBreaker(FORCED_CLOSED), HoldBreaker(None))
    status = processor.status()
    assert len(status.transitions) == TRANSITIONS_MAX
    assert sum(status.transitions_by_cause.values()) == 2 * TRANSITIONS_MAX


def test_that_a_breaker_opens_is_logged_with_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    Processor().tell(QuorumFoundDown())
    told = lines(caplog, "processor", "outage", "cause")
    assert told == [("the breaker is open", "default", "began", Cause.QUORUM.value)]


def test_a_breaker_that_flaps_is_one_outage_in_the_log_with_a_count(caplog: pytest.LogCaptureFixture) -> None:
    processor = Processor()
    for _ in range(200):
        processor.tell(HoldBreaker(FORCED_OPEN))
        processor.advance(0.2)
        processor.tell(HoldBreaker(FORCED_CLOSED))
        processor.advance(0.2)
    processor.advance(QUIET_S)
    processor.tell(LeaseRenewed(processor.runtime.now_s() + 5))
    event = "the breaker is open"
    assert lines(caplog, "outage", "failures") == [(event, "began", None), (event, "lasts", 151), (event, "ended", 200)]


@pytest.mark.parametrize("accepts", [True, False])
def test_an_outage_ends_in_the_log_while_nobody_posts_where_health_works_and_connections_are_accepted(
    caplog: pytest.LogCaptureFixture, *, accepts: bool
) -> None:
    processor = Processor()
    processor.client.accepts = accepts
    processor.half_open()
    processor.runtime.advance(0.1)
    for _ in range(2):
        processor.tell(HEALTHY)
        processor.advance(QUIET_S)
    processor.tell(HEALTHY)
    assert processor.status().state is HALF_OPEN
    assert processor.status().unreachable is not accepts
    assert [told for (_, told) in lines(caplog, "outage")] == (["began", "ended"] if accepts else ["began"])


def test_an_outage_goes_on_in_the_log_where_a_probe_fails_after_health_has_worked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    processor = Processor()
    processor.half_open()
    processor.tell(HEALTHY)
    processor.client.outcomes.append(Outcome.FAILED)
    processor.charge(1)
    processor.tell(ProbeAnswered(granted=True))
    processor.run()
    processor.advance(QUIET_S)
    processor.tell()
    assert [told for (_, told) in lines(caplog, "outage")] == ["began"]


def test_a_processor_that_turns_all_away_is_reported_loudly_and_once_until_it_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    processor = Processor()
    for _ in range(2):
        processor.client.outcomes.extend([Outcome.MISCONFIGURED] * 2)
        processor.charge(1)
        processor.run()
        processor.advance(0.5)
        processor.run()
        processor.charge(2)
        processor.tell(ProbeAnswered(granted=True))
        processor.run()
        processor.advance(1.0)
        processor.run()
        processor.charge(3)
        processor.tell(ProbeAnswered(granted=True))
        processor.run()
        assert processor.states()[-1] is CLOSED
        processor.advance(LIMITS.recovery_s)
    assert [record.levelname for record in caplog.records if record.levelno > logging.WARNING] == ["ERROR"] * 2
