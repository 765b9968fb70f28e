"""How many charges may be under way at once, and how many may start in a second: both adapt to what is observed.

The first is for the processor's sake: enough for its latency, not so many that they queue there (TCP Vegas' estimate
of the queue). The second is for the replica's own: what drains a backlog must leave CPU to new requests (AIMD by the
lag of its timers, since a process that has used up its CPU quota stands still).
"""

from dataclasses import dataclass
from math import inf
from statistics import median


@dataclass(frozen=True, slots=True)
class ConcurrencyLimits:
    """The bounds of a `ConcurrencyLimit`, and how it moves between them."""

    min: int = 4
    initial: int = 32
    max: int = 266
    """A third of the 800 requests that a processor takes at once: three replicas share it."""
    queue_max: float = 3.0
    queue_share_max: float = 0.2
    """So many of the charges under way may queue at the processor; the greater of both counts."""
    growth: float = 0.05
    """Share by which the limit grows in a round once a queue was seen; before, it doubles."""
    shrink_on_queue: float = 0.9
    shrink_on_overload: float = 0.7
    round_s_min: float = 0.05
    round_calls: int = 10
    """A round is judged by at least so many charges, or as many as the limit."""
    smoothing: float = 0.2
    """Weight of the latest charge in the smoothed latency."""


class ConcurrencyLimit:
    """How many charges may be under way on one processor. Judged in rounds of one round trip each."""

    def __init__(self, limits: ConcurrencyLimits) -> None:
        self._limits = limits
        self.reset()

    def reset(self) -> None:
        """Begin anew, as after an outage."""
        self._limit = float(self._limits.initial)
        self.latency_s: float | None = None
        """Smoothed duration of a charge; None where none has ended yet."""
        self._base_s = inf
        """Latency without a queue."""
        self._proven = 0.0
        """With so many under way there was no queue."""
        self._congested = False
        self._ends_at_s = -inf
        self._latencies_s: list[float] = []
        self._in_flight: list[int] = []
        self._overloaded = False

    @property
    def limit(self) -> int:
        """How many charges may be under way at once."""
        return int(self._limit)

    def capacity_per_s(self) -> float:
        """Tell how many charges a second it could be given at its latency; infinite while nothing is known."""
        if not self.latency_s:
            return inf
        return (self.limit if self._congested else self._limits.max) / self.latency_s

    def ended(self, *, in_flight: int, latency_s: float, overloaded: bool, now_s: float) -> None:
        """Take in a charge that ended; `in_flight` were under way when it began, itself included.

        `overloaded`: the processor said that it has too many.
        """
        self._overloaded |= overloaded
        if not overloaded:
            self._latencies_s.append(latency_s)
            self._in_flight.append(in_flight)
            before_s = latency_s if self.latency_s is None else self.latency_s
            self.latency_s = before_s + self._limits.smoothing * (latency_s - before_s)
        enough = self._overloaded or len(self._latencies_s) >= min(self._limits.round_calls, self.limit)
        if now_s >= self._ends_at_s and enough:
            self._judge()
            self._ends_at_s = now_s + max(self._limits.round_s_min, self.latency_s or 0.0)
            self._latencies_s, self._in_flight, self._overloaded = [], [], False

    def _judge(self) -> None:
        limits = self._limits
        if self._overloaded:
            self._congested = True
            self._set(self._limit * limits.shrink_on_overload)
            return
        latency_s, in_flight = median(self._latencies_s), median(self._in_flight)
        self._base_s = min(self._base_s, latency_s)
        queue = in_flight * (1 - self._base_s / latency_s) if latency_s else 0.0
        if queue <= max(limits.queue_max, limits.queue_share_max * in_flight):
            self._proven = max(self._proven, in_flight)
            if max(self._in_flight) >= self._limit * (1 - limits.queue_share_max):
                self._set(self._limit * (1 + limits.growth) + 1 if self._congested else self._limit * 2)
        elif in_flight <= self._proven:
            # As many were under way without a queue before: the processor itself has become slower. Found out anew.
            self._base_s, self._proven, self._congested = latency_s, 0.0, False
            self._set(self._limit / 2)
        else:
            self._congested = True
            self._set(self._limit * limits.shrink_on_queue)

    def _set(self, limit: float) -> None:
        self._limit = min(max(limit, self._limits.min), self._limits.max)


@dataclass(frozen=True, slots=True)
class StartRateLimits:
    """The bounds of a `StartRate`, and how it moves between them."""

    per_s_min: float = 100.0
    """More than a third of the event's new payments per replica, so that these alone are never slowed."""
    per_s_initial: float = 200.0
    per_s_max: float = 1000.0
    burst: int = 8
    """So many may start at one moment."""
    lag_s_max: float = 0.010
    """A timer that fires later says that the process has not the CPU that it wants."""
    shrink: float = 0.8
    growth: float = 0.05
    """Share by which the rate grows in a step."""
    step_s: float = 0.1
    """Time between two changes of the rate; a period of the kernel's CPU quotas."""
    wait_s_min: float = 0.010


class StartRate:
    """How many charges may start a second: a token bucket whose rate follows the lag of the process."""

    def __init__(self, limits: StartRateLimits) -> None:
        self._limits = limits
        self.per_s = limits.per_s_initial
        """The rate as it is now."""
        self._tokens = float(limits.burst)
        self._filled_at_s = -inf
        self._changed_at_s = -inf
        self._lag_s = 0.0

    def take(self, now_s: float) -> bool:
        """Start one, where it may start now."""
        self._fill(now_s)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def next_at_s(self, now_s: float) -> float:
        """Tell when some may start again; never so soon that a timer is not worth it."""
        self._fill(now_s)
        missing = max(0.0, self._limits.burst / 2 - self._tokens)
        return now_s + max(self._limits.wait_s_min, missing / self.per_s)

    def lagged(self, lag_s: float, now_s: float) -> None:
        """Take in how late a timer has fired."""
        self._lag_s = max(self._lag_s, lag_s)
        if now_s - self._changed_at_s < self._limits.step_s:
            return
        worst_s, self._lag_s, self._changed_at_s = self._lag_s, 0.0, now_s
        if worst_s > self._limits.lag_s_max:
            self.per_s = max(self.per_s * self._limits.shrink, self._limits.per_s_min)
        else:
            self.per_s = min(self.per_s * (1 + self._limits.growth), self._limits.per_s_max)

    def _fill(self, now_s: float) -> None:
        if self._filled_at_s > -inf:
            self._tokens = min(self._limits.burst, self._tokens + (now_s - self._filled_at_s) * self.per_s)
        self._filled_at_s = now_s
