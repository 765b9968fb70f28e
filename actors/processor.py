"""One payment processor as the gateway sees it: its breaker, its charges under way, its pace."""

import logging
from collections import Counter, deque
from dataclasses import dataclass
from math import isclose
from uuid import UUID

from actors.actor import Actor
from actors.domain.breaker import Breaker, BreakerState, Call, Cause, Transition
from actors.domain.concurrency_limit import ConcurrencyLimit
from actors.domain.messages import (
    AvailabilityChanged,
    BreakerChanged,
    Charge,
    ChargeEnded,
    DatedTransition,
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
    ProbeDue,
    ProbeWanted,
    ProcessorStatus,
    Returned,
    StallDue,
    StartDue,
    Tick,
)
from actors.domain.outcome import Outcome
from actors.domain.payment import Payment
from actors.domain.rate_limiter import RateLimiter
from actors.ports import LookUpAnswer, ProcessorClient, Recipient, Runtime

logger = logging.getLogger(__name__)


LOOK_UPS_MAX = 16
"""Look-ups under way at once."""
PROBE_PAUSE_S = 0.1
"""After the fleet's budget had no probe left for this replica."""
STALL_CHECK_S = 0.5
TRANSITIONS_MAX = 256
"""Changes of the breaker's state that are remembered."""
CAPACITY_STEP = 0.2
"""A change of capacity by less than this share is not announced."""


@dataclass(frozen=True, slots=True)
class _Sent:
    payment: Payment
    requested_at_ms: int
    call: Call
    in_flight: int
    """How many were under way when it was sent, itself included."""


class ProcessorActor(Actor):
    """Charges payments on one processor, as many at a time as its pace allows, while its breaker and the lease do."""

    REFUSED_WHEN_FULL = (DescribeProcessor,)

    def __init__(
        self,
        *,
        name: str,
        client: ProcessorClient,
        breaker: Breaker,
        concurrency: ConcurrencyLimit,
        starts: RateLimiter,
        router: Recipient,
        health: Recipient,
        runtime: Runtime,
    ) -> None:
        super().__init__()
        self._name = name
        self._client = client
        self._breaker = breaker
        self._concurrency = concurrency
        self._starts = starts
        self._router = router
        self._health = health
        self._runtime = runtime
        self._waiting: deque[Payment] = deque()
        self._in_flight: dict[UUID, _Sent] = {}
        self._to_look_up: deque[Payment] = deque()
        self._looking_up = 0
        self._lease_until_s = 0.0
        self._draining = False
        self._announced: AvailabilityChanged | None = None
        self._probe_asked = False
        self._probe_granted = False
        self._start_ordered = False
        self._stall_ordered = False
        self._ended_at_s = 0.0
        self._left_over: set[UUID] = set()
        """Charges from before the breaker opened that have not ended: they take no room from those after it."""
        self._tick_at_s: float | None = None
        self._transitions: deque[DatedTransition] = deque(maxlen=TRANSITIONS_MAX)
        self._transitions_by_cause: Counter[tuple[BreakerState, Cause]] = Counter()

    def on_receive(self, message: object) -> object:  # noqa: C901, PLR0912  # one line for each message
        """Handle one message of `actors.domain.messages`."""
        now_s = self._runtime.now_s()
        match message:
            case Charge(payment):
                self._waiting.append(payment)
            case ChargeEnded():
                self._ended(message)
            case LookUp(payment):
                self._to_look_up.append(payment)
            case LookedUp():
                self._looking_up -= 1
                self._router.tell(message)
            case HealthReported(failing=failing, asked_s_ago=asked_s_ago):
                self._breaker.health_answered(failing=failing, asked_s_ago=asked_s_ago, now_s=now_s)
            case FoundDown():
                self._breaker.quorum_found_down(now_s)
            case GotThrough():
                self._breaker.peer_recovered(now_s)
                # Worth a probe at once, also where one waits for the fleet's budget.
                self._probe_granted = self._breaker.state(now_s) is BreakerState.HALF_OPEN
            case ForceBreaker(state=state):
                self._breaker.force(state, now_s)
            case ProbeAnswered(granted):
                self._probe_answered(granted=granted)
            case ProbeDue():
                self._probe_asked = False
            case LeaseRenewed(until_s):
                self._lease_until_s = until_s
            case StartDue(due_s):
                self._start_ordered = False
                self._starts.lagged(max(0.0, now_s - due_s), now_s)
            case StallDue():
                self._stall_ordered = False
                self._check_stall(now_s)
            case Drain():
                self._draining = True
            case Tick():
                self._tick_at_s = None
            case OldestStamp():
                return min((sent.requested_at_ms for sent in self._in_flight.values()), default=None)
            case DescribeProcessor():
                return self._status()
        self._watch_breaker()
        self._send_waiting()
        self._look_up_waiting()
        return None

    def _send_waiting(self) -> None:
        while self._waiting:
            now_s = self._runtime.now_s()
            permits = 0 if self._draining else self._breaker.permits(now_s)
            if permits is not None and len(self._waiting) > permits:
                self._return_all_but(permits)
            # Asked before each: after a pause of the whole process the rows may belong to others.
            elif now_s >= self._lease_until_s or not self._may_start(now_s, probe=permits is not None):
                return
            else:
                self._send(self._waiting.popleft(), now_s)

    def _may_start(self, now_s: float, *, probe: bool) -> bool:
        if probe:
            if self._probe_granted:
                self._probe_granted = False
                return True
            if not self._probe_asked:
                self._probe_asked = True
                self._health.tell(ProbeWanted(self._name))
            return False
        if self._starts.take(now_s):
            return True
        if not self._start_ordered:
            self._start_ordered = True
            due_s = self._starts.next_at_s(now_s)
            self._runtime.call_later(due_s - now_s, self.tell_self, StartDue(due_s))
        return False

    def _send(self, payment: Payment, now_s: float) -> None:
        requested_at_ms = self._runtime.now_ms()
        call = self._breaker.started(now_s)
        sent = _Sent(payment, requested_at_ms, call, len(self._in_flight) + 1)
        self._in_flight[payment.correlation_id] = sent
        self._order_tick()
        self._order_stall_check()
        self._runtime.spawn(self._charge, payment, requested_at_ms)

    def _return_all_but(self, kept: int) -> None:
        returned = [self._waiting.pop() for _ in range(len(self._waiting) - kept)]
        self._router.tell(Returned(self._name, tuple(reversed(returned))))

    def _charge(self, payment: Payment, requested_at_ms: int) -> None:
        outcome = Outcome.UNKNOWN  # Also where the client raises what it should not.
        try:
            # Asked again, as late as possible: the process may have stood still since the actor decided.
            leased = self._runtime.now_s() < self._lease_until_s
            outcome = self._client.charge(payment, requested_at_ms) if leased else Outcome.REFUSED
        finally:
            self.tell_self(ChargeEnded(payment.correlation_id, outcome, requested_at_ms))

    def _ended(self, message: ChargeEnded) -> None:
        now_s = self._runtime.now_s()
        sent = self._in_flight.pop(message.correlation_id)
        self._ended_at_s = now_s
        self._left_over.discard(message.correlation_id)
        succeeded = message.outcome.is_success
        self._breaker.ended(sent.call, succeeded=succeeded, now_s=now_s)
        overloaded = message.outcome is Outcome.OVERLOADED
        if succeeded or overloaded:
            # The others end as fast or as slowly as they fail, which tells nothing of the pace.
            self._concurrency.ended(
                in_flight=sent.in_flight, latency_s=now_s - sent.call.started_s, overloaded=overloaded, now_s=now_s
            )
        self._router.tell(message)
        if message.outcome is Outcome.ALREADY_CHARGED:
            self._to_look_up.appendleft(sent.payment)

    def _check_stall(self, now_s: float) -> None:
        fresh = [sent.call.started_s for key, sent in self._in_flight.items() if key not in self._left_over]
        if fresh:
            idle_s = now_s - max(self._ended_at_s, min(fresh))
            usual_s = self._concurrency.latency_s or 0.0
            self._breaker.stalled(calls=len(fresh), idle_s=idle_s, latency_s=usual_s, now_s=now_s)
            self._order_stall_check()

    def _order_stall_check(self) -> None:
        if not self._stall_ordered:
            self._stall_ordered = True
            self._runtime.call_later(STALL_CHECK_S, self.tell_self, StallDue())

    def _probe_answered(self, *, granted: bool) -> None:
        if granted:
            self._probe_asked, self._probe_granted = False, True
        else:
            self._runtime.call_later(PROBE_PAUSE_S, self.tell_self, ProbeDue())

    def _look_up_waiting(self) -> None:
        while self._to_look_up and self._looking_up < LOOK_UPS_MAX and not self._draining:
            self._looking_up += 1
            self._runtime.spawn(self._look_up, self._to_look_up.popleft())

    def _look_up(self, payment: Payment) -> None:
        answer = LookUpAnswer(answered=False)
        try:
            answer = self._client.look_up(payment)
        finally:
            self.tell_self(LookedUp(payment.correlation_id, answer.requested_at_ms, answer.answered))

    def _watch_breaker(self) -> None:
        """Tell everybody what has changed since the last message."""
        now_s = self._runtime.now_s()
        state = self._breaker.state(now_s)
        transitions = self._breaker.take_transitions()
        for transition in transitions:
            self._note(transition, now_s)
        if transitions:
            changed_at_s, down = self._breaker.changed_at_s, self._breaker.is_down_by_own_calls
            self._health.tell(BreakerChanged(self._name, state, down, changed_at_s))
        self._announce(state, now_s, changed=bool(transitions))
        self._order_tick()

    def _note(self, transition: Transition, now_s: float) -> None:
        before, after, cause = transition.before, transition.after, transition.cause
        logger.info("breaker of %s: %s -> %s (%s)", self._name, before.value, after.value, cause.value)
        at_ms = self._runtime.now_ms() - round((now_s - transition.at_s) * 1000)
        self._transitions.append(DatedTransition(at_ms, transition))
        self._transitions_by_cause[after, cause] += 1
        # A probe that somebody else's success makes worth while costs the fleet's budget nothing.
        self._probe_granted = after is BreakerState.HALF_OPEN and cause is Cause.PEER_RECOVERED
        if before is BreakerState.CLOSED:
            self._left_over = set(self._in_flight)
        if after is BreakerState.CLOSED:
            self._concurrency.reset()

    def _announce(self, state: BreakerState, now_s: float, *, changed: bool) -> None:
        before = self._announced
        capacity_per_s = self._concurrency.capacity_per_s()
        if before is not None and isclose(capacity_per_s, before.capacity_per_s, rel_tol=CAPACITY_STEP):
            capacity_per_s = before.capacity_per_s
        now = AvailabilityChanged(
            self._name,
            BreakerState.OPEN if self._draining else state,
            self._concurrency.limit + len(self._left_over),
            capacity_per_s,
            self._breaker.down_since_s,
            (self._breaker.permits(now_s) or 0) if state is BreakerState.HALF_OPEN else 0,
        )
        if changed or before is None or now != before:
            self._announced = now
            self._router.tell(now)

    def _order_tick(self) -> None:
        """Come back when time alone changes the breaker's state."""
        at_s = self._breaker.changes_at_s
        if at_s is not None and at_s != self._tick_at_s:
            self._tick_at_s = at_s
            self._runtime.call_later(at_s - self._runtime.now_s(), self.tell_self, Tick())

    def _status(self) -> ProcessorStatus:
        return ProcessorStatus(
            self._breaker.state(self._runtime.now_s()),
            len(self._in_flight),
            self._concurrency.limit,
            self._concurrency.latency_s,
            self._starts.per_s,
            tuple(self._transitions),
            dict(self._transitions_by_cause),
        )
