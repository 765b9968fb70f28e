"""How many charges may be under way at once, and how many may start in a second: both adapt to what is observed.

The first is for the processor's sake: enough for its latency, not so many that they only queue there. The second is for
the replica's own: what drains a backlog must leave CPU to new requests.
"""

from dataclasses import dataclass
from math import inf
from statistics import median


@dataclass(frozen=True, slots=True)
class ConcurrencyLimits:
    """The bounds of a `ConcurrencyLimit`, and how it moves between them. Chosen by simulation, see its tests."""

    min: int = 4
    initial: int = 32
    max: int = 266
    """A third of the 800 requests that a processor takes at once: three replicas share it."""
    queue_max: float = 3.0
    """So many may queue at the processor."""
    queue_share_max: float = 0.25
    """The same as a share of the charges under way; the greater of both counts."""
    round_s_min: float = 0.05
    round_calls: int = 20
    """A round is judged by at least so many charges, or as many as the limit."""
    growth: float = 0.02
    """By this share, or by one, the limit grows in a round trip once there was congestion; before, it doubles."""
    shrink: float = 0.7
    """What is left of the limit when the processor says that it has too many."""
    probe_share: float = 0.125
    """What is left of the limit during a probe. As low as this, so that one replica's probe shows among three."""
    probe_calls: int = 8
    """A probe is judged by at least so many charges, or as many as its limit."""
    probe_pause_rounds: int = 30
    """Rounds from one probe to the next, so that probes cost little throughput."""
    probe_pause_rounds_after_jump: int = 5
    """The same where the latency is `jump` times its baseline, which no growth of the limit explains."""
    probe_fall: float = 0.8
    """A queue there was where the latency in the probe is below this share of what it was before."""
    jump: float = 2.5
    smoothing: float = 0.1
    """Weight of the latest value in smoothed ones."""


@dataclass(frozen=True, slots=True)
class _Probe:
    limit: int
    """As it was before; so are the others."""
    in_flight: float
    latency_s: float
    counts_from_s: float


class ConcurrencyLimit:
    """How many charges may be under way on one processor: TCP's slow start, Vegas' estimate of the queue, BBR's probes.

    A latency above its baseline is a queue, or the processor has become slower at any load. A probe shows which: for a
    few round trips the limit is an eighth. Only a probe raises the baseline, and without an overload only a probe that
    has lowered the latency lowers the limit: one that followed the latency's noise would fall for ever.
    """

    def __init__(self, limits: ConcurrencyLimits) -> None:
        self._limits = limits
        self.reset()

    def reset(self) -> None:
        """Begin anew, as after an outage."""
        self._limit = float(min(max(self._limits.initial, self._limits.min), self._limits.max))
        self._slow_start_below = float(self._limits.max)
        self.latency_s: float | None = None
        """Smoothed duration of a charge; None where none has ended yet."""
        self._base_s = inf
        self._calls: list[tuple[float, int]] = []
        self._judge_from_s = -inf
        self._shrink_from_s = -inf
        self._probed_at_s = -inf
        self._probe: _Probe | None = None
        self._queues = False

    @property
    def limit(self) -> int:
        """How many charges may be under way at once."""
        return int(self._limit)

    def capacity_per_s(self) -> float:
        """Tell how many charges a second it could be given at its latency; infinite while nothing is known."""
        if not self.latency_s:
            return inf
        limit = self._probe.limit if self._probe is not None else self.limit
        return (self._limits.max if self._slow_start_below >= self._limits.max else limit) / self.latency_s

    def ended(self, *, in_flight: int, latency_s: float, overloaded: bool, now_s: float) -> None:
        """Take in a charge that ended; `in_flight` were under way when it began, itself included.

        `overloaded`: the processor said that it has too many, or let the deadline pass.
        """
        if overloaded:
            self._shrink(now_s)
            return
        limits, probe = self._limits, self._probe
        before_s = latency_s if self.latency_s is None else self.latency_s
        self.latency_s = before_s + limits.smoothing * (latency_s - before_s)
        if probe is not None:
            if in_flight <= self._limit and now_s >= probe.counts_from_s:
                self._calls.append((latency_s, in_flight))
            if len(self._calls) >= max(self.limit, limits.probe_calls):
                self._end_probe(probe, now_s)
            return
        if in_flight * 2 >= self._limit and not self._queues:  # half of it: Linux's test of whether it is used
            slow_start = self._limit < self._slow_start_below
            self._set(self._limit + (1.0 if slow_start else max(1.0 / self._limit, limits.growth)))
        self._calls.append((latency_s, in_flight))
        if len(self._calls) >= min(limits.round_calls, self.limit) and now_s >= self._judge_from_s:
            self._judge(now_s)

    def _judge(self, now_s: float) -> None:
        """Compare a round's latency with the baseline."""
        limits = self._limits
        latency_s, in_flight = self._medians()
        used = 2 * max(in_flight for _, in_flight in self._calls) >= self._limit
        self._begin_round(now_s)
        if latency_s * limits.jump <= self._base_s:
            self._base_s = latency_s
        elif latency_s < self._base_s:
            # Not at once: the least of many noisy medians would be far too low.
            self._base_s += limits.smoothing * (latency_s - self._base_s)
        queue = in_flight * (1 - self._base_s / latency_s) if latency_s else 0.0
        self._queues = used and queue > max(limits.queue_max, limits.queue_share_max * in_flight)
        jumped = latency_s >= limits.jump * self._base_s
        pause_rounds = limits.probe_pause_rounds_after_jump if jumped else limits.probe_pause_rounds
        if self._queues and now_s >= self._probed_at_s + pause_rounds * max(limits.round_s_min, self._base_s):
            # One round trip until only so few are under way, and nearly another until the fastest do not end alone.
            self._probe = _Probe(self.limit, in_flight, latency_s, now_s + 1.8 * latency_s)
            self._set(self._limit * limits.probe_share)

    def _end_probe(self, probe: _Probe, now_s: float) -> None:
        limits = self._limits
        latency_s, _ = self._medians()
        jumped = latency_s >= limits.jump * self._base_s
        self._probe, self._probed_at_s, self._queues, self._base_s = None, now_s, False, latency_s
        self._begin_round(now_s)
        limit = float(probe.limit)
        if latency_s < limits.probe_fall * probe.latency_s:
            # What is under way without a queue, by Little's law, and a little more.
            without_queue = probe.in_flight * latency_s / probe.latency_s
            limit = min(limit, without_queue * (1 + limits.queue_share_max))
        self._set(limit)
        self._slow_start_below = limits.max if jumped and limit == probe.limit else min(self._slow_start_below, limit)

    def _shrink(self, now_s: float) -> None:
        """Leave less, once in a round trip: what follows at once was sent under the same limit."""
        if now_s < self._shrink_from_s:
            return
        limit = self._limit if self._probe is None else self._probe.limit
        self._set(limit * self._limits.shrink)
        self._slow_start_below = min(self._slow_start_below, self._limit)
        self._probe, self._queues = None, False
        self._begin_round(now_s)
        self._shrink_from_s = self._judge_from_s

    def _begin_round(self, now_s: float) -> None:
        self._calls = []
        self._judge_from_s = now_s + max(self._limits.round_s_min, self.latency_s or 0.0)

    def _medians(self) -> tuple[float, float]:
        return median(latency_s for latency_s, _ in self._calls), median(in_flight for _, in_flight in self._calls)

    def _set(self, limit: float) -> None:
        self._limit = min(max(limit, self._limits.min), self._limits.max)


@dataclass(frozen=True, slots=True)
class StartRateLimits:
    """The bounds of a `StartRate`, and how it moves between them."""

    per_s_min: float = 200.0
    """More than a third of the event's new payments, so that these alone are never slowed."""
    per_s_initial: float = 300.0
    per_s_max: float = 1000.0
    burst: int = 8
    """So many may start at one moment."""
    lag_s_max: float = 0.010
    """A timer that fires later says that the process has not the CPU that it wants."""
    step_s: float = 0.1
    """Time between two changes of the rate; a period of the kernel's CPU quotas."""
    growth_per_s: float = 5.0
    """What a step without lag adds to the rate."""
    shrink: float = 0.7
    """What a step with lag leaves of it."""
    wait_s_min: float = 0.010
    """A timer that is due sooner costs more than it is worth."""


class StartRate:
    """How many charges may start in a second: a token bucket whose rate follows the lag of the process.

    It grows by steps and falls by a share (AIMD, as Chiu and Jain describe it). A process that has used up its CPU
    quota stands still until the next period, so that its timers fire late.
    """

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
        """Tell when several may start again, half a burst; never so soon that a timer is not worth it."""
        self._fill(now_s)
        missing = max(1.0, self._limits.burst / 2) - self._tokens
        return now_s + max(self._limits.wait_s_min, missing / self.per_s)

    def lagged(self, lag_s: float, now_s: float) -> None:
        """Take in how late a timer has fired."""
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
