"""A circuit breaker as a state machine: events and `now` go in, permits come out."""

from dataclasses import dataclass
from enum import Enum


class BreakerState(Enum):
    """Whether calls are let through."""

    CLOSED = "closed"
    """All calls are."""
    OPEN = "open"
    """None is, until the cool-down is over."""
    HALF_OPEN = "half-open"
    """A few are, to see whether the processor works again."""


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When a breaker opens, and for how long."""

    consecutive_failures_max: int = 5
    cooldown_s_initial: float = 0.25
    cooldown_s_max: float = 1.0
    probes_max: int = 1
    """Calls under way at once while half open."""


class Breaker:
    """The breaker of one processor. Every call that was permitted is recorded or released exactly once."""

    def __init__(self, limits: BreakerLimits) -> None:
        self._limits = limits
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._probes = 0
        self._cooldown_s = limits.cooldown_s_initial
        self._opened_at_s = 0.0

    def state(self, now_s: float) -> BreakerState:
        """Tell the state at `now_s`; an open breaker is half open once its cool-down is over."""
        if self._state is BreakerState.OPEN and now_s >= self.retry_at_s:
            self._transition(BreakerState.HALF_OPEN)
        return self._state

    @property
    def retry_at_s(self) -> float:
        """When an open breaker lets the first probe through, on the clock that `now_s` comes from."""
        return self._opened_at_s + self._cooldown_s

    def permits(self, now_s: float) -> int | None:
        """Tell how many more calls may start; None means any number."""
        match self.state(now_s):
            case BreakerState.CLOSED:
                return None
            case BreakerState.OPEN:
                return 0
            case BreakerState.HALF_OPEN:
                return self._limits.probes_max - self._probes

    def started(self, now_s: float) -> None:
        """Count a call that was permitted and starts now."""
        if self.state(now_s) is BreakerState.HALF_OPEN:
            self._probes += 1

    def succeeded(self, now_s: float) -> None:
        """Record a call that the processor answered as it should."""
        match self.state(now_s):
            case BreakerState.CLOSED:
                self._failures = 0
            case BreakerState.HALF_OPEN:
                self._cooldown_s = self._limits.cooldown_s_initial
                self._transition(BreakerState.CLOSED)
            case BreakerState.OPEN:
                pass  # A call from before it opened; the probe decides.

    def failed(self, now_s: float) -> None:
        """Record a call that failed or was not answered."""
        match self.state(now_s):
            case BreakerState.CLOSED:
                self._failures += 1
                if self._failures >= self._limits.consecutive_failures_max:
                    self._open(now_s)
            case BreakerState.HALF_OPEN:
                self._cooldown_s = min(self._cooldown_s * 2, self._limits.cooldown_s_max)
                self._open(now_s)
            case BreakerState.OPEN:
                pass  # The same: it says nothing new.

    def _open(self, now_s: float) -> None:
        self._opened_at_s = now_s
        self._transition(BreakerState.OPEN)

    def _transition(self, state: BreakerState) -> None:
        self._state = state
        self._failures = 0
        self._probes = 0
