"""Decides how many charges may start per second, so that draining a backlog leaves CPU for new requests."""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The bounds of a `RateLimiter`, and how fast it moves between them."""

    per_s_min: float = 200.0
    """More than one replica's share of the event's new payments, so that these alone are never slowed."""
    per_s_initial: float = 300.0
    per_s_max: float = 1000.0
    burst: int = 16
    """How many charges may start at one moment. As many are claimed together at the event's rate."""
    several: int = 4
    """A timer waits until this many charges may start, so that it is worth its cost."""
    lag_s_max: float = 0.010
    """A timer that fires later than this shows that the process gets too little CPU."""
    step_s: float = 0.1
    """Time between two changes of the rate: one period of the kernel's CPU quotas."""
    growth_per_s: float = 5.0
    """Charges per second that a step without lag adds to the rate."""
    shrink: float = 0.7
    """Factor for the rate after a step with lag."""
    wait_s_min: float = 0.010
    """The shortest wait for the next start, so that timers do not cost more CPU than charges."""


class RateLimiter:
    """Limits how many charges start per second: a token bucket whose rate follows the lag of the process's timers.

    The rate grows by addition and falls by multiplication (AIMD, as Chiu and Jain describe it). A process that has used
    up its CPU quota stands still until the next period, so its timers fire late.
    """

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits
        self.per_s = limits.per_s_initial
        """The current rate, in charges per second."""
        self._tokens = float(limits.burst)
        self._filled_at_s = -inf
        self._changed_at_s = -inf
        self._lag_s = 0.0

    def take(self, now_s: float) -> bool:
        """Take the permission to start one charge now, if there is one; return whether there was."""
        self._fill(now_s)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def next_at_s(self, now_s: float) -> float:
        """Return when `several` charges may start again, but at least `wait_s_min` from now."""
        self._fill(now_s)
        missing = min(self._limits.several, self._limits.burst) - self._tokens
        return now_s + max(self._limits.wait_s_min, missing / self.per_s)

    def lagged(self, lag_s: float, now_s: float) -> None:
        """Record how late a timer has fired."""
        limits = self._limits
        self._lag_s = max(self._lag_s, lag_s)
        if now_s - self._changed_at_s < limits.step_s:
            return
        self._fill(now_s)
        if self._lag_s > limits.lag_s_max:
            self.per_s = max(self.per_s * limits.shrink, limits.per_s_min)
        else:
            self.per_s = min(self.per_s + limits.growth_per_s, limits.per_s_max)
        self._lag_s, self._changed_at_s = 0.0, now_s

    def _fill(self, now_s: float) -> None:
        if now_s > self._filled_at_s > -inf:
            self._tokens = min(self._limits.burst, self._tokens + (now_s - self._filled_at_s) * self.per_s)
        self._filled_at_s = max(self._filled_at_s, now_s)
