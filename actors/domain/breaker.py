"""A circuit breaker as a state machine: events and `now_s` go in, permits and transitions come out.

The states are those of Nygard's *Release It!*; names and defaults stand beside those of resilience4j and Envoy in
`docs/reliability.md`.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from random import Random


class BreakerState(Enum):
    """Whether calls are let through."""

    CLOSED = "closed"
    """All calls are."""
    OPEN = "open"
    """None is, until the cool-down is over."""
    HALF_OPEN = "half-open"
    """A few are, as probes, to see whether the processor works again."""
    FORCED_OPEN = "forced-open"
    """None is, until an operator says otherwise."""
    FORCED_CLOSED = "forced-closed"
    """All are, whatever becomes of them, until an operator says otherwise."""

    @property
    def is_closed(self) -> bool:
        """Whether all calls are let through."""
        return self is BreakerState.CLOSED or self is BreakerState.FORCED_CLOSED

    @property
    def is_forced(self) -> bool:
        """Whether an operator holds it."""
        return self is BreakerState.FORCED_OPEN or self is BreakerState.FORCED_CLOSED


class Cause(Enum):
    """Why a breaker changed its state."""

    FAILURE_RATE = "failure rate"
    SLOW_CALL_RATE = "slow-call rate"
    STALLED = "no call ends any more"
    HEALTH_FAILING = "its health answer says failing"
    QUORUM = "a quorum of replicas finds it down"
    PROBE_FAILED = "a probe failed"
    PROBE_LATE = "half open for too long"
    COOLED_DOWN = "the cool-down is over"
    HEALTH_WORKING = "its health answer says working"
    PEER_GOT_THROUGH = "another replica got through"
    PROBE_SUCCEEDED = "a probe succeeded"
    OPERATOR = "an operator"


OWN_EVIDENCE = frozenset(
    {Cause.FAILURE_RATE, Cause.SLOW_CALL_RATE, Cause.STALLED, Cause.PROBE_FAILED, Cause.PROBE_LATE}
)
"""Causes of opening that this replica's own calls gave; only such count for a quorum."""


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When a breaker opens, and for how long."""

    window_s: float = 1.0
    """Calls that ended longer ago are forgotten, once there are `calls_min` later ones."""
    window_s_max: float = 15.0
    """Calls that ended longer ago are forgotten in any case."""
    calls_min: int = 20
    """With fewer calls in the window no rate opens it."""
    failure_rate_max: float = 0.7
    """From this share of failures in the window on it opens."""
    slow_call_s: float = 8.0
    """From this duration on a call is slow; a slow probe counts as failed."""
    slow_call_rate_max: float = 0.9
    """From this share of slow calls in the window on it opens."""
    stall_s: float = 1.5
    """With `calls_min` calls under way of which none has ended for so long, it opens before they end."""
    stall_latencies: float = 4.0
    """The same in usual durations of a call: the longer of both counts."""
    cooldown_s_initial: float = 0.1
    """How long it stays open at first; doubles with each failed probe, up to `cooldown_s_max`."""
    cooldown_s_max: float = 0.6
    cooldown_jitter: float = 0.25
    """Each cool-down is drawn from within this share around its length, so that replicas do not probe in step."""
    probes_max: int = 1
    """Probes under way at once of one time of being half open; those that hung come on top."""
    half_open_s_max: float = 0.5
    """So long after its first probe a half-open breaker opens again: a probe that hangs must not hold up the next."""
    settled_s: float = 2.0
    """An outage is over only when the breaker has been closed for so long; until then the next is the same one."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was let through; given back to the breaker exactly once, when it has ended."""

    started_s: float
    probe_round: int
    """Which time of being half open it is a probe of; 0 for a call that is none."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state."""

    before: BreakerState
    after: BreakerState
    cause: Cause
    at_s: float


SLICES = 10
"""Parts of the shortest window; it slides by one of them at a time."""


@dataclass(slots=True)
class _Slice:
    number: int
    calls: int = 0
    failures: int = 0
    slow: int = 0


class SlidingWindow:
    """Counts of the calls that ended last, in slices of a tenth of `window_s`.

    It reaches back for `window_s`, and where that holds fewer than `calls_min`, as far as needed up to `window_s_max`:
    so it forgets fast under load, and still sees an outage when payments are few.
    """

    def __init__(self, window_s: float, window_s_max: float, calls_min: int) -> None:
        self._slice_s = window_s / SLICES
        self._slices: deque[_Slice] = deque()
        self._slices_max = round(window_s_max / self._slice_s)
        self._calls_min = calls_min

    def record(self, now_s: float, *, failed: bool, slow: bool) -> None:
        """Count a call that ended now."""
        number = int(now_s / self._slice_s)
        if not self._slices or self._slices[-1].number != number:
            self._slices.append(_Slice(number))
        current = self._slices[-1]
        current.calls += 1
        current.failures += failed
        current.slow += slow
        while self._slices[0].number <= number - self._slices_max:
            self._slices.popleft()

    def rates(self, now_s: float) -> tuple[int, float, float]:
        """Give the number of calls, the share that failed, and the share that was slow."""
        number = int(now_s / self._slice_s)
        calls = failures = slow = 0
        for each in reversed(self._slices):
            age = number - each.number
            if age >= self._slices_max or (age >= SLICES and calls >= self._calls_min):
                break
            calls += each.calls
            failures += each.failures
            slow += each.slow
        return (calls, failures / calls, slow / calls) if calls else (0, 0.0, 0.0)

    def clear(self) -> None:
        """Forget all calls."""
        self._slices.clear()


class Breaker:
    """The breaker of one processor, as one replica sees it. `now_s` is monotonic and never runs backwards."""

    def __init__(self, limits: BreakerLimits, chance: Random) -> None:
        """`chance` draws the jitter of the cool-downs."""
        self._limits = limits
        self._chance = chance
        self._state = BreakerState.CLOSED
        self._window = SlidingWindow(limits.window_s, limits.window_s_max, limits.calls_min)
        self._opened_by: Cause | None = None
        self._changed_at_s: float | None = None
        self._down_since_s: float | None = None
        self._cooldown_s = limits.cooldown_s_initial
        self._cooled_at_s = 0.0
        self._round = 0
        self._probes = 0
        self._probing_since_s: float | None = None
        self._succeeded_at_s: float | None = None
        self._transitions: list[Transition] = []

    def state(self, now_s: float) -> BreakerState:
        """Tell the state at `now_s`, after what time alone has changed."""
        changes_at_s = self.changes_at_s
        if changes_at_s is not None and now_s >= changes_at_s:
            if self._state is BreakerState.OPEN:
                self._half_open(Cause.COOLED_DOWN, now_s)
            else:
                self._open(Cause.PROBE_LATE, now_s)
        return self._state

    @property
    def changes_at_s(self) -> float | None:
        """When the state changes by itself, unless something happens before; None where time alone changes nothing."""
        if self._state is BreakerState.OPEN:
            return self._cooled_at_s
        if self._state is BreakerState.HALF_OPEN and self._probing_since_s is not None:
            return self._probing_since_s + self._limits.half_open_s_max
        return None

    @property
    def down_since_s(self) -> float | None:
        """When the present outage began; None where it works, or an operator holds it."""
        return self._down_since_s if self._state in {BreakerState.OPEN, BreakerState.HALF_OPEN} else None

    @property
    def changed_at_s(self) -> float | None:
        """When it last closed or opened; None where it never did."""
        return self._changed_at_s

    @property
    def is_down_by_own_evidence(self) -> bool:
        """Whether it is open or half open because of what this replica's own calls met."""
        return self.down_since_s is not None and self._opened_by in OWN_EVIDENCE

    def permits(self, now_s: float) -> int | None:
        """Tell how many more calls may start; None means any number."""
        match self.state(now_s):
            case BreakerState.CLOSED | BreakerState.FORCED_CLOSED:
                return None
            case BreakerState.OPEN | BreakerState.FORCED_OPEN:
                return 0
            case BreakerState.HALF_OPEN:
                return self._limits.probes_max - self._probes

    def started(self, now_s: float) -> Call:
        """Count a call that was permitted and starts now."""
        if self.state(now_s) is not BreakerState.HALF_OPEN:
            return Call(now_s, 0)
        self._probes += 1
        if self._probing_since_s is None:
            self._probing_since_s = now_s
        return Call(now_s, self._round)

    def ended(self, call: Call, *, succeeded: bool, now_s: float) -> None:
        """Record what became of a call: whether the processor did its work."""
        state = self.state(now_s)
        slow = now_s - call.started_s >= self._limits.slow_call_s
        if call.probe_round == self._round:
            self._probes = max(0, self._probes - 1)
        if succeeded:
            self._succeeded_at_s = now_s
        if state.is_closed:
            self._window.record(now_s, failed=not succeeded, slow=slow)
            self._check_rates(now_s)
        elif state.is_forced or not call.probe_round:
            pass  # A call from before it opened says nothing about now.
        elif succeeded and not slow:
            # Also of an earlier round: it hung, and came through in the end.
            self._close(Cause.PROBE_SUCCEEDED, now_s)
        elif state is BreakerState.HALF_OPEN and call.probe_round == self._round:
            self._open(Cause.PROBE_FAILED, now_s)

    def health_answered(self, *, failing: bool, asked_s_ago: float, now_s: float) -> None:
        """Take in what the processor's own health endpoint said, so long ago."""
        state = self.state(now_s)
        asked_at_s = now_s - asked_s_ago
        # Only what was asked after the latest change, or after the latest call that came through, is news.
        since_change = self._changed_at_s is None or asked_at_s >= self._changed_at_s
        since_success = self._succeeded_at_s is None or asked_at_s >= self._succeeded_at_s
        if not failing and state is BreakerState.OPEN and since_change:
            self._half_open(Cause.HEALTH_WORKING, now_s)
        elif failing and state is BreakerState.CLOSED and since_success:
            self._open(Cause.HEALTH_FAILING, now_s)

    def stalled(self, *, calls: int, idle_s: float, usual_s: float, now_s: float) -> None:
        """Take in that so many calls are under way and none has ended for `idle_s`; `usual_s` is what one takes."""
        limits = self._limits
        enough = calls >= limits.calls_min and idle_s >= max(limits.stall_s, limits.stall_latencies * usual_s)
        if enough and self.state(now_s) is BreakerState.CLOSED:
            self._open(Cause.STALLED, now_s)

    def fleet_found_down(self, now_s: float) -> None:
        """Open because a quorum of replicas has found the processor down."""
        if self.state(now_s) is BreakerState.CLOSED:
            self._open(Cause.QUORUM, now_s)

    def peer_got_through(self, now_s: float) -> None:
        """Cool down no longer: another replica's probe succeeded."""
        if self.state(now_s) is BreakerState.OPEN:
            self._half_open(Cause.PEER_GOT_THROUGH, now_s)

    def force(self, state: BreakerState | None, now_s: float) -> None:
        """Hold it in `FORCED_OPEN` or `FORCED_CLOSED`; None lets it go, after `FORCED_OPEN` with a probe first."""
        if state is not None:
            if state is not self.state(now_s):
                self._transition(state, Cause.OPERATOR, now_s)
        elif self._state is BreakerState.FORCED_OPEN:
            self._opened_by, self._changed_at_s, self._down_since_s = Cause.OPERATOR, now_s, now_s
            self._cooldown_s = self._limits.cooldown_s_initial
            self._half_open(Cause.OPERATOR, now_s)
        elif self._state is BreakerState.FORCED_CLOSED:
            self._window.clear()
            self._transition(BreakerState.CLOSED, Cause.OPERATOR, now_s)

    def take_transitions(self) -> list[Transition]:
        """Give the changes of state since the last call."""
        transitions, self._transitions = self._transitions, []
        return transitions

    def _check_rates(self, now_s: float) -> None:
        if self._state is not BreakerState.CLOSED:
            return
        calls, failure_rate, slow_rate = self._window.rates(now_s)
        if calls < self._limits.calls_min:
            return
        if failure_rate >= self._limits.failure_rate_max:
            self._open(Cause.FAILURE_RATE, now_s)
        elif slow_rate >= self._limits.slow_call_rate_max:
            self._open(Cause.SLOW_CALL_RATE, now_s)

    def _open(self, cause: Cause, now_s: float) -> None:
        if self._state is BreakerState.CLOSED:
            closed_at_s, settled_s = self._changed_at_s, self._limits.settled_s
            if self._down_since_s is None or closed_at_s is None or now_s - closed_at_s >= settled_s:
                self._down_since_s = now_s
                self._cooldown_s = self._limits.cooldown_s_initial
        else:
            self._cooldown_s = min(self._cooldown_s * 2, self._limits.cooldown_s_max)
        jitter = self._limits.cooldown_jitter
        self._cooled_at_s = now_s + self._cooldown_s * self._chance.uniform(1 - jitter, 1 + jitter)
        self._opened_by = cause
        self._changed_at_s = now_s
        self._transition(BreakerState.OPEN, cause, now_s)

    def _half_open(self, cause: Cause, now_s: float) -> None:
        self._round += 1
        self._probes = 0
        self._probing_since_s = None
        self._transition(BreakerState.HALF_OPEN, cause, now_s)

    def _close(self, cause: Cause, now_s: float) -> None:
        self._window.clear()
        self._changed_at_s = now_s
        self._transition(BreakerState.CLOSED, cause, now_s)

    def _transition(self, state: BreakerState, cause: Cause, now_s: float) -> None:
        self._transitions.append(Transition(self._state, state, cause, now_s))
        self._state = state
