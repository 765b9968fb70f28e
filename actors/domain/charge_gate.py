"""Decides which of the payments given to a processor are sent to it, and how many more it takes.

Only this module knows how much room a processor has: by its breaker, the concurrency limit, the rate of starts, granted
probes, the replica's lease, and whether charges end. It is pure: events and the time go in, `GateWork` comes out.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf, isclose
from uuid import UUID

from actors.domain.breaker import Breaker, BreakerState, Call, Transition
from actors.domain.concurrency_limit import ConcurrencyLimit
from actors.domain.outcome import Outcome
from actors.domain.pace import Pace
from actors.domain.payment import Payment
from actors.domain.probing import Probing
from actors.domain.processor_view import Availability
from actors.domain.rate_limiter import RateLimiter

CLAIMED_AHEAD_MAX = 32
"""Payments beyond the concurrency limit whose claims may be written, so that no charge waits for a commit."""
STALL_CHECK_S = 0.5
"""Time between two checks whether charges still end."""
CAPACITY_STEP = 0.2
"""A change of the capacity by less than this share is not announced."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A charge that is under way."""

    payment: Payment
    requested_at_ms: int
    call: Call
    in_flight: int
    """How many charges were under way when it was sent, itself included."""


@dataclass(slots=True)
class GateWork:
    """What the gate wants to be done now."""

    starts: list[Sent] = field(default_factory=list)
    """Charges to be sent, in this order."""
    not_sent: list[Payment] = field(default_factory=list)
    """Payments that go back to the router, in their order, because the processor takes them no more."""
    wants_knock: bool = False
    """Whether to find out if the processor accepts a connection."""
    wants_probe: bool = False
    """Whether to ask the budget of probes for one."""
    transitions: list[Transition] = field(default_factory=list)
    """Changes of the breaker since the last decision."""
    availability: Availability | None = None
    """What the processor takes from now on; None where that has not changed."""


class ChargeGate:
    """Owns the payments that a replica gives to one processor, each until it is given back or its charge has ended.

    Every change is followed by a call of `decide`. `now_s` is monotonic time and never runs backwards.
    """

    def __init__(
        self, name: str, breaker: Breaker, concurrency: ConcurrencyLimit, rate: RateLimiter, pace: Pace
    ) -> None:
        self.breaker = breaker
        self.pace = pace
        self.concurrency = concurrency
        self.rate = rate
        self._name = name
        self._waiting: deque[Payment] = deque()
        self._in_flight: dict[UUID, Sent] = {}
        self._left_over: set[UUID] = set()
        """Charges that began before the breaker opened and have not ended. They do not use up the concurrency limit."""
        self._transitions: list[Transition] = []
        """Changes of the breaker since the last decision."""
        self._lease_until_s = -inf
        self.replicas = 0
        """How many replicas may send to the processor, as the lease told last; 0 before it has told."""
        self.is_draining = False
        """Whether nothing more is sent, since the replica is about to end."""
        self._ended_at_s = -inf
        self._probing = Probing()
        self._start_due_s: float | None = None
        """When the rate limiter allows the next start. How much later it is noticed is the lag of the process."""
        self._stall_check_at_s: float | None = None
        self._announced: Availability | None = None

    # What has happened.

    def given(self, payments: Iterable[Payment]) -> None:
        """Take payments that are to be charged."""
        self._waiting.extend(payments)

    def ended(self, sent: Sent, outcome: Outcome, *, ended_at_s: float, now_s: float) -> None:
        """Record that a charge ended at `ended_at_s`, at or before `now_s`. One that was not sent proves nothing."""
        del self._in_flight[sent.payment.correlation_id]
        self._left_over.discard(sent.payment.correlation_id)
        if outcome.was_sent:
            self._ended_at_s = ended_at_s
            self.pace.call_ended(sent.call.started_s, ended_at_s, charged=outcome.is_success)
        if not outcome.tells_health:
            self.breaker.withdrawn(sent.call)
        elif outcome is Outcome.MISCONFIGURED:
            self.breaker.turned_away(sent.call, now_s)
        else:
            self.breaker.ended(sent.call, succeeded=outcome.is_success, now_s=now_s)
        if outcome.tells_pace:
            latency_s, overloaded = ended_at_s - sent.call.started_s, outcome is Outcome.OVERLOADED
            self.concurrency.ended(in_flight=sent.in_flight, latency_s=latency_s, overloaded=overloaded, now_s=now_s)

    def knocked(self, *, accepted: bool, now_s: float) -> None:
        """Record whether the processor has just accepted a connection."""
        self._probing.knocked(accepted=accepted, is_probing=self._is_probing(now_s), now_s=now_s)
        if not accepted:
            self.breaker.refused(now_s)

    def probe_answered(self, *, granted: bool, now_s: float) -> None:
        """Record whether the shared budget of probes has granted one to this replica."""
        self._probing.answered(granted=granted, now_s=now_s)

    def peer_recovered(self, now_s: float) -> None:
        """Record that another replica's breaker has closed. That allows a probe at once, which costs no budget."""
        self.breaker.peer_recovered(now_s)
        self._follow_breaker(now_s)
        if self._is_probing(now_s):
            self._probing.hurry()

    def leased(self, until_s: float, replicas: int = 1) -> None:
        """Record that this replica may send until `until_s`, and how many replicas may send, itself included."""
        self._lease_until_s = until_s
        if replicas != self.replicas:
            self.replicas = replicas
            self.concurrency.share(replicas)

    def may_send(self, now_s: float) -> bool:
        """Tell whether the replica has its lease. This is asked again right before each charge is sent."""
        return now_s < self._lease_until_s

    def drain(self) -> None:
        """Send nothing more."""
        self.is_draining = True
        self._probing.begin()

    # What is to be done.

    def decide(self, now_s: float, now_ms: int) -> GateWork:
        """Decide all that can be decided now. The charges that start are stamped with `now_ms`."""
        self._note_lag(now_s)
        self._check_stall(now_s)
        self._probing.elapse(now_s)
        self._follow_breaker(now_s)
        wants_knock = self._is_probing(now_s) and self._probing.wants_knock(now_s)
        work = GateWork(transitions=self._transitions, wants_knock=wants_knock)
        self._transitions = []
        self._refuse(work, now_s)
        while self._waiting and self._may_start(work, now_s):
            self._start(work, self._waiting.popleft(), now_s, now_ms)
        self._announce(work, now_s)
        return work

    def wakes_at_s(self) -> float | None:
        """Tell when to call `decide` again if nothing else happens; None if time alone changes nothing."""
        times_s = (self.breaker.changes_at_s, self._probing.changes_at_s, self._start_due_s, self._stall_check_at_s)
        return min((time_s for time_s in times_s if time_s is not None), default=None)

    # Questions.

    def oldest_stamp_ms(self) -> int | None:
        """Tell the oldest stamp of a charge that is under way; None where none is."""
        return min((sent.requested_at_ms for sent in self._in_flight.values()), default=None)

    @property
    def under_way(self) -> int:
        """How many charges were sent and have not ended."""
        return len(self._in_flight)

    def is_unreachable(self, now_s: float) -> bool:
        """Tell whether the processor is due for a probe, but has accepted no connection since the breaker changed."""
        return self._is_probing(now_s) and not self._probing.accepts

    def _is_probing(self, now_s: float) -> bool:
        return self.breaker.state(now_s) is BreakerState.HALF_OPEN and not self.is_draining

    def _permits(self, now_s: float) -> int | None:
        """Tell how many more charges may start; None means any number."""
        permits = self.breaker.permits(now_s)
        return permits if permits is None or self._probing.accepts else 0

    def _refuse(self, work: GateWork, now_s: float) -> None:
        """Give back what the breaker does not let through, the latest payments first."""
        permits = 0 if self.is_draining else self._permits(now_s)
        while permits is not None and len(self._waiting) > permits:
            work.not_sent.append(self._waiting.pop())
        work.not_sent.reverse()

    def _may_start(self, work: GateWork, now_s: float) -> bool:
        if not self.may_send(now_s):
            return False
        if self._permits(now_s) is not None:
            return self._may_probe(work)  # `_refuse` has left no more payments than are permitted.
        if len(self._in_flight) - len(self._left_over) >= self.concurrency.limit:
            return False
        if self.rate.take(now_s):
            return True
        if self._start_due_s is None:
            self._start_due_s = self.rate.next_at_s(now_s)
        return False

    def _may_probe(self, work: GateWork) -> bool:
        granted = self._probing.take_grant()
        work.wants_probe = not granted and self._probing.wants_probe()
        return granted

    def _start(self, work: GateWork, payment: Payment, now_s: float, now_ms: int) -> None:
        sent = Sent(payment, now_ms, self.breaker.started(now_s), len(self._in_flight) + 1)
        self._in_flight[payment.correlation_id] = sent
        if self._stall_check_at_s is None:
            self._stall_check_at_s = now_s + STALL_CHECK_S
        work.starts.append(sent)

    def _note_lag(self, now_s: float) -> None:
        if self._start_due_s is not None and now_s >= self._start_due_s:
            self.rate.lagged(now_s - self._start_due_s, now_s)
            self._start_due_s = None

    def _check_stall(self, now_s: float) -> None:
        if self._stall_check_at_s is None or now_s < self._stall_check_at_s:
            return
        fresh = [sent.call.started_s for key, sent in self._in_flight.items() if key not in self._left_over]
        self._stall_check_at_s = now_s + STALL_CHECK_S if fresh else None
        if fresh:
            idle_s = now_s - max(self._ended_at_s, min(fresh))
            latency_s = self.concurrency.latency_s or 0.0
            self.breaker.stalled(calls=len(fresh), idle_s=idle_s, latency_s=latency_s, now_s=now_s)
            self.pace.under_way(fresh, now_s)

    def _follow_breaker(self, now_s: float) -> None:
        self.breaker.state(now_s)  # Time alone may have changed it.
        for transition in self.breaker.take_transitions():
            self._transitions.append(transition)
            self._probing.begin()
            if transition.before.is_closed and not transition.after.is_closed:
                self._left_over = set(self._in_flight)
            elif transition.after.is_closed and not transition.before.is_closed:
                self.concurrency.reset()

    def _announce(self, work: GateWork, now_s: float) -> None:
        state = BreakerState.OPEN if self.is_draining else self.breaker.state(now_s)
        before, capacity_per_s = self._announced, min(self.concurrency.capacity_per_s(), self.rate.per_s)
        if before is not None and isclose(capacity_per_s, before.capacity_per_s, rel_tol=CAPACITY_STEP):
            capacity_per_s = before.capacity_per_s
        takes, breaker, pace = self._takes(state, now_s), self.breaker, self.pace
        outage = breaker.down_since_s, breaker.turns_away, breaker.doubted_from_s, breaker.found_down_s
        slow = (True, pace.told_fast_s) if pace.is_slow else ()
        availability = Availability(self._name, state, takes, capacity_per_s, *outage, *slow)
        if availability != before:
            self._announced = work.availability = availability

    def _takes(self, state: BreakerState, now_s: float) -> int:
        if state.is_closed:
            return self.concurrency.limit + len(self._left_over) + CLAIMED_AHEAD_MAX
        return len(self._in_flight) + (self._permits(now_s) or 0) if state is BreakerState.HALF_OPEN else 0
