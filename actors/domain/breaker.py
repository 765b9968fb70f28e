"""A circuit breaker as a pure state machine: events and `now_s` go in, permits and transitions come out.

The states are those of Nygard's *Release It!*. `docs/reliability.md` compares names and defaults with resilience4j and
Envoy.
"""

from dataclasses import dataclass
from enum import Enum
from math import inf
from random import Random

from actors.domain.breaker_causes import OWN_CAUSES, Cause
from actors.domain.breaker_limits import BreakerLimits
from actors.domain.sliding_window import SlidingWindow


class BreakerState(Enum):
    """Whether calls are let through."""

    CLOSED = "closed"
    """All calls are let through."""
    OPEN = "open"
    """No call is let through until the cool-down is over."""
    HALF_OPEN = "half-open"
    """A few calls are let through as probes, to find out whether the processor works again."""
    FORCED_OPEN = "forced-open"
    """No call is let through until an operator releases the breaker."""
    FORCED_CLOSED = "forced-closed"
    """All calls are let through, however they end, until an operator releases the breaker."""

    @property
    def is_closed(self) -> bool:
        """Whether all calls are let through."""
        return self is BreakerState.CLOSED or self is BreakerState.FORCED_CLOSED

    @property
    def is_forced(self) -> bool:
        """Whether an operator has fixed the state."""
        return self is BreakerState.FORCED_OPEN or self is BreakerState.FORCED_CLOSED


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was let through. The breaker is told once how it ended: `ended`, `turned_away` or `withdrawn`."""

    started_s: float
    half_open_period: int
    """Number of the half-open period in which the call is a probe; 0 if it is not a probe."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A breaker's change from one state to another."""

    before: BreakerState
    after: BreakerState
    cause: Cause
    at_s: float


class Breaker:
    """The breaker of one processor on one replica. `now_s` is monotonic time and never runs backwards."""

    def __init__(self, limits: BreakerLimits, rng: Random) -> None:
        """`rng` draws the jitter of the cool-downs."""
        self._limits = limits
        self._rng = rng
        self._state = BreakerState.CLOSED
        self._window = SlidingWindow(limits.window_s, limits.window_s_max, limits.calls_min)
        self._opened_by: Cause | None = None
        self.turns_away_here = False
        """Whether the breaker has opened because the processor turned away all calls, and has not closed since."""
        self._turns_away_elsewhere = False
        """Whether another replica has reported that all its calls are turned away, and no own call succeeded since."""
        self.changed_at_s: float | None = None
        """When the breaker last closed or opened; None if it never did."""
        self.doubted_from_s = inf
        """Time from which the outage may be over: the processor was last found down long before, or news says that it
        works. Infinite while the breaker is closed."""
        self._news_at_s = -inf
        """When something other than a call last said that the outage may be over."""
        self.found_down_s = -inf
        """Start of the latest call that found the processor down."""
        self._down_since_s: float | None = None
        self._cooldown_s = limits.cooldown_s_initial
        self._cooled_at_s = 0.0
        self._half_open_period = 0
        self._probes = 0
        self._probing_since_s: float | None = None
        self._succeeded_at_s: float | None = None
        self._transitions: list[Transition] = []

    def state(self, now_s: float) -> BreakerState:
        """Return the state at `now_s`, after any transition that is due by then."""
        changes_at_s = self.changes_at_s
        if changes_at_s is not None and now_s >= changes_at_s:
            if self._state is BreakerState.OPEN:
                self._half_open(Cause.COOLED_DOWN, now_s)
            else:
                self._open(Cause.PROBE_LATE, now_s, self._probing_since_s)
        return self._state

    @property
    def changes_at_s(self) -> float | None:
        """When the state changes by itself if nothing else happens; None if it does not change with time."""
        if self._state is BreakerState.OPEN:
            return self._cooled_at_s
        if self._state is BreakerState.HALF_OPEN and self._probing_since_s is not None:
            return self._probing_since_s + self._limits.half_open_s_max
        return None

    @property
    def down_since_s(self) -> float | None:
        """When the current outage began; None if there is none, or if an operator has fixed the state."""
        return self._down_since_s if self._state in {BreakerState.OPEN, BreakerState.HALF_OPEN} else None

    @property
    def turns_away(self) -> bool:
        """Whether the processor is known to turn away all calls, of this replica or of another one."""
        return self.turns_away_here or self._turns_away_elsewhere

    @property
    def is_down_by_own_calls(self) -> bool:
        """Whether the breaker is open or half open because of this replica's own calls."""
        return self.down_since_s is not None and self._opened_by in OWN_CAUSES

    def permits(self, now_s: float) -> int | None:
        """Return how many more calls may start; None means any number."""
        state = self.state(now_s)
        if state.is_closed:
            return None
        return self._limits.probes_max - self._probes if state is BreakerState.HALF_OPEN else 0

    def started(self, now_s: float) -> Call:
        """Count a call that was permitted and starts at `now_s`."""
        if self.state(now_s) is not BreakerState.HALF_OPEN:
            return Call(now_s, 0)
        self._probes += 1
        if self._probing_since_s is None:
            self._probing_since_s = now_s
        return Call(now_s, self._half_open_period)

    def ended(self, call: Call, *, succeeded: bool, now_s: float) -> None:
        """Record that a call has ended, and whether the processor did its work."""
        state = self.state(now_s)
        slow = now_s - call.started_s >= self._limits.slow_call_s
        if succeeded:
            self._succeeded_at_s = now_s
            self._turns_away_elsewhere = False
        if state.is_closed:
            self._count(now_s, failed=not succeeded, slow=slow)
        elif state.is_forced or not call.half_open_period:
            pass  # A call that began before the breaker opened says nothing about the present.
        elif succeeded and not slow:
            # A probe of an earlier half-open period counts too: it took long, but it succeeded.
            self._close(Cause.PROBE_SUCCEEDED, now_s)
        else:
            self.found_down_s = max(self.found_down_s, call.started_s)
            if state is BreakerState.HALF_OPEN and call.half_open_period == self._half_open_period:
                self._open(Cause.PROBE_FAILED, now_s, call.started_s)

    def look_up_unanswered(self, *, asked_at_s: float, now_s: float) -> None:
        """Count a look-up without an answer as a failed call. An answered one is not a success: charges may fail."""
        if self.state(now_s).is_closed and (self.changed_at_s is None or asked_at_s >= self.changed_at_s):
            self._count(now_s, failed=True, slow=False)

    def turned_away(self, call: Call, now_s: float) -> None:
        """Open at once, because a call has shown that the processor turns away whatever this gateway sends."""
        state = self.state(now_s)
        is_probe = state is BreakerState.HALF_OPEN and call.half_open_period == self._half_open_period
        if is_probe or state is BreakerState.CLOSED:
            self.found_down_s = max(self.found_down_s, call.started_s)
            self._open(Cause.MISCONFIGURED, now_s, call.started_s)

    def turned_away_elsewhere(self) -> None:
        """Record that the processor turns away all calls of another replica."""
        self._turns_away_elsewhere = True

    def withdrawn(self, call: Call) -> None:
        """Forget a call that says nothing about the processor: it was not made after all, or was declined."""
        if call.half_open_period == self._half_open_period:
            self._probes = max(0, self._probes - 1)
        if not self._probes:
            self._probing_since_s = None

    def health_answered(self, *, failing: bool, asked_s_ago: float, now_s: float) -> bool:
        """Record what the processor's health endpoint answered when asked `asked_s_ago` seconds before `now_s`.

        Return whether that puts an outage in doubt.
        """
        state = self.state(now_s)
        asked_at_s = now_s - asked_s_ago
        # An answer from before the latest change, or from before the latest success, is outdated.
        since_change = self.changed_at_s is None or asked_at_s >= self.changed_at_s
        since_success = self._succeeded_at_s is None or asked_at_s >= self._succeeded_at_s
        if not failing and self.down_since_s is not None and since_change:
            self.doubted_from_s = self._news_at_s = now_s
            if state is BreakerState.OPEN:
                self._half_open(Cause.HEALTH_WORKING, now_s)
            return True
        if failing and state is BreakerState.CLOSED and since_success:
            self._open(Cause.HEALTH_FAILING, now_s)
        return False

    def refused(self, now_s: float) -> None:
        """Record that the processor has refused a connection, which shows a half-open breaker that it is down."""
        if self.state(now_s) is BreakerState.HALF_OPEN:
            self.doubted_from_s, self.found_down_s = now_s + self._limits.certain_s, now_s

    def stalled(self, *, calls: int, idle_s: float, latency_s: float, now_s: float) -> None:
        """Record that `calls` are under way and none has ended for `idle_s`. A call usually takes `latency_s`."""
        limits = self._limits
        enough = calls >= limits.calls_min and idle_s >= max(limits.stall_s, limits.stall_latencies * latency_s)
        if enough and self.state(now_s) is BreakerState.CLOSED:
            self._open(Cause.STALLED, now_s)

    def quorum_found_down(self, now_s: float) -> None:
        """Open the breaker, because a quorum of replicas has found the processor down."""
        if self.state(now_s) is BreakerState.CLOSED:
            self._open(Cause.QUORUM, now_s)

    def peer_recovered(self, now_s: float) -> None:
        """End the cool-down, because another replica's probe succeeded."""
        state = self.state(now_s)
        if self.down_since_s is not None:
            self.doubted_from_s = self._news_at_s = now_s
        if state is BreakerState.OPEN:
            self._half_open(Cause.PEER_RECOVERED, now_s)

    def force(self, state: BreakerState | None, now_s: float) -> None:
        """Fix the state to `FORCED_OPEN` or `FORCED_CLOSED`, or release it (None) to half-open or closed."""
        if state is not None:
            if state is not self.state(now_s):
                self._transition(state, Cause.OPERATOR, now_s)
        elif self._state is BreakerState.FORCED_OPEN:
            self._opened_by, self.changed_at_s, self._down_since_s = Cause.OPERATOR, now_s, now_s
            self._cooldown_s = self._limits.cooldown_s_initial
            self.doubted_from_s = self._news_at_s = now_s
            self._half_open(Cause.OPERATOR, now_s)
        elif self._state is BreakerState.FORCED_CLOSED:
            self._window.clear()
            self._transition(BreakerState.CLOSED, Cause.OPERATOR, now_s)

    def rates(self, now_s: float) -> tuple[int, float, float]:
        """Tell how many calls have ended lately, the share of them that failed, and the share that was slow."""
        return self._window.rates(now_s)

    def take_transitions(self) -> list[Transition]:
        """Return the transitions since the last call of this method."""
        transitions, self._transitions = self._transitions, []
        return transitions

    def _count(self, now_s: float, *, failed: bool, slow: bool) -> None:
        self._window.record(now_s, failed=failed, slow=slow)
        calls, failure_rate, slow_rate = self._window.rates(now_s)
        if self._state is not BreakerState.CLOSED or calls < self._limits.calls_min:
            return
        if failure_rate >= self._limits.failure_rate_max:
            self._open(Cause.FAILURE_RATE, now_s)
        elif slow_rate >= self._limits.slow_call_rate_max:
            self._open(Cause.SLOW_CALL_RATE, now_s)

    def _open(self, cause: Cause, now_s: float, began_s: float | None = None) -> None:
        """Open the breaker. `began_s` is the start of the call that caused it; None where no call did."""
        if self._state is BreakerState.CLOSED:
            closed_at_s, recovery_s = self.changed_at_s, self._limits.recovery_s
            if closed_at_s is None or now_s - closed_at_s >= recovery_s:
                self._down_since_s = now_s
                self._cooldown_s = self._limits.cooldown_s_initial
            self.found_down_s = now_s
        else:
            self._cooldown_s = min(self._cooldown_s * 2, self._limits.cooldown_s_max)
        jitter = self._limits.cooldown_jitter
        self._cooled_at_s = now_s + self._cooldown_s * self._rng.uniform(1 - jitter, 1 + jitter)
        self._opened_by = cause
        self.changed_at_s = now_s
        if self._state is BreakerState.CLOSED or began_s is None or began_s >= self._news_at_s:
            # Otherwise the call began before the news that put the outage in doubt.
            self.doubted_from_s = now_s + self._limits.certain_s
        self._transition(BreakerState.OPEN, cause, now_s)

    def _half_open(self, cause: Cause, now_s: float) -> None:
        self._half_open_period += 1
        self._probes = 0
        self._probing_since_s = None
        self._transition(BreakerState.HALF_OPEN, cause, now_s)

    def _close(self, cause: Cause, now_s: float) -> None:
        self._window.clear()
        self.changed_at_s, self.doubted_from_s = now_s, inf
        self._transition(BreakerState.CLOSED, cause, now_s)

    def _transition(self, state: BreakerState, cause: Cause, now_s: float) -> None:
        self._transitions.append(Transition(self._state, state, cause, now_s))
        self._state = state
        self.turns_away_here = cause is Cause.MISCONFIGURED or (self.turns_away_here and not state.is_closed)
