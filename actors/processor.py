"""One payment processor as the gateway sees it: owns its breaker, charges payments, looks them up."""

from collections import Counter, deque
from dataclasses import dataclass
from typing import assert_never

from actors.actor import Actor
from actors.domain.breaker import BreakerState, Transition
from actors.domain.breaker_causes import Cause
from actors.domain.charge_gate import ChargeGate, GateWork, Sent
from actors.domain.histogram import Histogram
from actors.domain.lifecycle_events import ChargeEnded
from actors.domain.outcome import Outcome
from actors.domain.processor_delay import ProcessorDelay
from actors.domain.records import NEVER_MS, LookUpResult, Watermarks
from actors.domain.replica_status import HealthTold
from actors.logs import get_logger
from actors.look_ups import LookUps, distrust_missing
from actors.messages.health import BreakerChanged, DelaySeen, ProbeWanted
from actors.messages.processor import (
    Charge,
    DatedTransition,
    DelayHeard,
    Drain,
    EndsDue,
    GetProcessorStatus,
    GetUnreported,
    HealthReported,
    HoldBreaker,
    KnockEnded,
    LeaseRenewed,
    LookUp,
    PeerRecovered,
    ProbeAnswered,
    ProcessorMessage,
    ProcessorStatus,
    QuorumFoundDown,
    StartDue,
    TurnedAwayElsewhere,
)
from actors.messages.router import AvailabilityChanged, ChargesEnded, LookUpsEnded
from actors.outages import OutageReporter
from actors.ports import ProcessorClient, Recipient, Runtime
from actors.timer import Timer

logger = get_logger(__name__)

GATHER_S = 0.020
"""How long the ends of charges are gathered, so that they are handled together."""
TRANSITIONS_MAX = 256
"""Changes of the breaker's state that are remembered."""
CHARGE_BOUNDS_S = (0.01, 0.025, 0.1, 0.5, 1.5, 5.0)
"""From 1.5 s on a processor counts as slow by default, and after 10 s a charge is given up."""


@dataclass(frozen=True, slots=True)
class _End:
    """The end of a charge, by both clocks."""

    sent: Sent
    outcome: Outcome
    at_s: float
    at_ms: int

    def as_event(self) -> ChargeEnded:
        requested_at_ms = self.sent.requested_at_ms if self.outcome.was_sent else 0
        return ChargeEnded(self.sent.payment.correlation_id, self.outcome, requested_at_ms, self.at_ms)


class ProcessorActor(Actor):
    """Tells the charge gate what has happened, and carries out what it decides, once for all messages that waited."""

    REFUSED_WHEN_FULL = (GetProcessorStatus,)

    def __init__(
        self,
        *,
        name: str,
        client: ProcessorClient,
        gate: ChargeGate,
        delay: ProcessorDelay,
        charges: bool,
        router: Recipient,
        health: Recipient,
        runtime: Runtime,
    ) -> None:
        """`charges` is False where the processor is only asked for payments that it may have charged before."""
        super().__init__()
        self._name = name
        self._client = client
        self._gate = gate
        self._delay = delay
        self._charges = charges
        self._router = router
        self._health = health
        self._runtime = runtime
        self._timer = Timer(runtime, self.tell_self, StartDue())
        self._ends: list[_End] = []
        """Charges that have ended, and of which the router was not told yet."""
        self._ends_due = False
        self._look_ups = LookUps(name, client, delay, runtime, self._gather, is_polled=charges)
        self._delay_told_s = 0.0
        """The excess of the delay that health was told of last."""
        self._is_delay_logged = False
        self._outage = OutageReporter(logger, "the breaker is open", runtime.now_s, processor=name)
        self._is_misconfiguration_logged = False
        self._health_told: HealthTold | None = None
        self._transitions: deque[DatedTransition] = deque(maxlen=TRANSITIONS_MAX)
        self._transitions_by_cause: Counter[tuple[BreakerState, Cause]] = Counter()
        self._charges_ended = {each: Histogram(*CHARGE_BOUNDS_S) for each in Outcome if each.was_sent}
        self._looked_up = Counter(dict.fromkeys(LookUpResult, 0))

    def on_start(self) -> None:
        """Announce what the processor takes."""
        self.on_drained()

    def on_receive(self, message: ProcessorMessage) -> object:  # noqa: C901, PLR0912  # one line for each message
        """Handle one message."""
        gate, now_s = self._gate, self._runtime.now_s()
        match message:
            case Charge(payments):
                gate.given(payments)
            case LookUp(payments):
                self._look_ups.add(payments)
            case EndsDue():
                self._take_ends()
            case StartDue():
                self._timer.fired()
            case LeaseRenewed(until_s, replicas):
                gate.leased(until_s, replicas)
            case Drain():
                gate.drain()
            case HealthReported(failing, asked_s_ago, response_time_s_min):
                asked_at_ms = self._runtime.now_ms() - round(asked_s_ago * 1000)
                self._health_told = HealthTold(failing, response_time_s_min, asked_at_ms)
                self._look_ups.proven(now_s - asked_s_ago)
                in_doubt = gate.breaker.health_answered(failing=failing, asked_s_ago=asked_s_ago, now_s=now_s)
                if in_doubt and not gate.is_unreachable(now_s):
                    # The outage is over, though only a charge closes the breaker, and none may come for hours.
                    self._outage.succeeded()
                self._delay.told(response_time_s_min, now_s)
                gate.pace.told(response_time_s_min, now_s - asked_s_ago)
                self._note_delay(now_s)
            case DelayHeard(delay_s):
                self._delay.told(delay_s, now_s)
                self._note_delay(now_s)
            case QuorumFoundDown():
                gate.breaker.quorum_found_down(now_s)
            case TurnedAwayElsewhere():
                gate.breaker.turned_away_elsewhere()
            case PeerRecovered():
                gate.peer_recovered(now_s)
            case HoldBreaker(state):
                gate.breaker.force(state, now_s)
            case KnockEnded(accepted):
                gate.knocked(accepted=accepted, now_s=now_s)
            case ProbeAnswered(granted):
                gate.probe_answered(granted=granted, now_s=now_s)
            case GetUnreported():
                return self._unreported()
            case GetProcessorStatus():
                return self._status()
            case _:
                assert_never(message)
        return None

    def on_drained(self) -> None:
        """Carry out what follows from all that was received."""
        now_s = self._runtime.now_s()
        self._carry_out(self._gate.decide(now_s, self._runtime.now_ms()), now_s)
        self._timer.set(self._gate.wakes_at_s())
        # This happens with each renewal of the lease at the latest.
        if self._outage.is_open:
            self._outage.check()
        unasked = () if self._gate.is_draining else self._look_ups.start()
        if unasked:
            self._router.tell(LookUpsEnded(unasked))

    def _carry_out(self, work: GateWork, now_s: float) -> None:
        for transition in work.transitions:
            self._note(transition, now_s)
        if work.transitions:
            breaker = self._gate.breaker
            down, changed_at_s, away = breaker.is_down_by_own_calls, breaker.changed_at_s, breaker.turns_away_here
            self._health.tell(BreakerChanged(self._name, breaker.state(now_s), down, changed_at_s, away))
        if work.availability is not None:
            # Told before the router gets payments back, so that it does not give them here again.
            self._router.tell(AvailabilityChanged(work.availability))
        if work.not_sent:
            ends = (ChargeEnded(each.correlation_id, Outcome.NOT_SENT, 0) for each in work.not_sent)
            self._router.tell(ChargesEnded(tuple(ends)))
        if work.wants_knock:
            self._runtime.spawn(self._knock)
        if work.wants_probe:
            self._health.tell(ProbeWanted(self._name, max(1, self._gate.replicas)))
        for sent in work.starts:
            self._runtime.spawn(self._charge, sent)

    def _charge(self, sent: Sent) -> None:
        outcome = Outcome.UNKNOWN  # It stays so if the client raises an error, which it should not.
        try:
            # Asked again, as late as possible: the process may have stood still since the gate decided.
            leased = self._gate.may_send(self._runtime.now_s())
            outcome = self._client.charge(sent.payment, sent.requested_at_ms) if leased else Outcome.NOT_SENT
        finally:
            self._ends.append(_End(sent, outcome, self._runtime.now_s(), self._runtime.now_ms()))
            self._gather()

    def _knock(self) -> None:
        accepted = False
        try:
            accepted = self._client.knock()
        finally:
            self.tell_self(KnockEnded(accepted))

    def _gather(self) -> None:
        if not self._ends_due:
            self._ends_due = True
            self._runtime.call_later(GATHER_S, self.tell_self, EndsDue())

    def _take_ends(self) -> None:
        self._ends_due = False
        ends, self._ends = self._ends, []
        now_s = self._runtime.now_s()
        for end in ends:
            self._gate.ended(end.sent, end.outcome, ended_at_s=end.at_s, now_s=now_s)
            if end.outcome.was_sent:
                self._charges_ended[end.outcome].observe(end.at_s - end.sent.call.started_s)
            if end.outcome.is_of_processor:
                self._look_ups.proven(end.at_s)
        look_ups = self._look_ups.take_ends()
        if ends:
            self._delay.call_ended(max(end.at_s - end.sent.call.started_s for end in ends), now_s)
            self._router.tell(ChargesEnded(tuple(end.as_event() for end in ends)))
            self._note_delay(now_s)
        if look_ups:
            if self._gate.breaker.turns_away:
                # A server that answers 404 to charges does so to look-ups too, whatever was charged.
                look_ups = tuple(distrust_missing(end) for end in look_ups)
            self._looked_up.update(end.result for end in look_ups)
            for asked_at_s in self._look_ups.unanswered_at_s:
                self._gate.breaker.look_up_unanswered(asked_at_s=asked_at_s, now_s=now_s)
            self._router.tell(LookUpsEnded(look_ups))

    def _note_delay(self, now_s: float) -> None:
        """Tell health and the operator where the processor takes longer than the setting allows for."""
        excess_s, longest_s = self._delay.excess_s(now_s), self._delay.longest_s(now_s)
        if excess_s != self._delay_told_s:
            self._delay_told_s = excess_s
            self._health.tell(DelaySeen(self._name, excess_s))
        if longest_s > self._delay.setting_s and not self._is_delay_logged:
            self._is_delay_logged = True
            logger.warning(
                "a charge may take longer than PROCESSOR_DELAY_MAX_MS: the longer time counts",
                processor=self._name,
                longest_s=round(longest_s, 1),
            )

    def _unreported(self) -> Watermarks:
        stamp_ms = self._gate.oldest_stamp_ms()
        answered = (end.at_ms for end in self._ends if end.outcome.is_success)
        return Watermarks(NEVER_MS if stamp_ms is None else stamp_ms, min(answered, default=NEVER_MS))

    def _note(self, transition: Transition, now_s: float) -> None:
        after, cause = transition.after, transition.cause
        if after.is_closed:
            self._outage.succeeded()
        elif after is not BreakerState.HALF_OPEN:
            self._outage.failed(cause=cause.value)
        if cause is Cause.MISCONFIGURED and not self._is_misconfiguration_logged:
            logger.error(
                "the processor answers 401, 403, 404 or 405 to charges: its address or its access is wrong",
                processor=self._name,
            )
        self._is_misconfiguration_logged = self._gate.breaker.turns_away_here
        at_ms = self._runtime.now_ms() - round((now_s - transition.at_s) * 1000)
        self._transitions.append(DatedTransition(at_ms, transition))
        self._transitions_by_cause[after, cause] += 1

    def _status(self) -> ProcessorStatus:
        gate, now_s = self._gate, self._runtime.now_s()
        calls, failure_rate, slow_rate = gate.breaker.rates(now_s)
        return ProcessorStatus(
            self._charges,
            gate.breaker.state(now_s),
            gate.under_way,
            gate.concurrency.limit,
            gate.concurrency.latency_s,
            gate.rate.per_s,
            tuple(self._transitions),
            dict(self._transitions_by_cause),
            failure_rate if calls else None,
            slow_rate if calls else None,
            self._health_told,
            {outcome: each.counted() for outcome, each in self._charges_ended.items()},
            dict(self._looked_up),
            self._look_ups.level,
            gate.is_unreachable(now_s),
        )
