"""Decides how many charges may be under way at once on one processor, by the latency that is observed.

There should be enough to use the processor fully, but not so many that they only queue there.
"""

from dataclasses import dataclass
from math import inf
from statistics import median


@dataclass(frozen=True, slots=True)
class ConcurrencyLimits:
    """The bounds of a `ConcurrencyLimit`, and how fast it moves between them. Its tests simulate these values.

    A *round* is the set of charges that one comparison of latencies looks at. A *probe* is a short time with a much
    lower limit, in which the latency without a queue is measured.
    """

    min: int = 4
    initial: int = 32
    max: int = 266
    """The most that one replica has memory for."""
    fleet_max: int = 798
    """The most of all replicas together: the event's processor accepts 800 requests at once."""
    queue_max: float = 3.0
    """Charges that may queue at the processor without counting as congestion."""
    queue_share_max: float = 0.25
    """Like `queue_max`, as a share of the charges under way; the larger applies."""
    round_s_min: float = 0.05
    """Shortest duration of a round."""
    round_calls: int = 20
    """Charges that a round needs at least, or as many as the limit if that is lower."""
    growth: float = 0.02
    """Share (but at least 1) by which the limit grows per round trip after congestion; before any, it doubles."""
    shrink: float = 0.7
    """Factor for the limit when the processor answers that it has too many requests."""
    probe_share: float = 0.125
    """Factor for the limit during a probe. It is low so that one replica's probe has an effect beside two others."""
    probe_calls: int = 8
    """Charges that a probe needs at least, or as many as its limit if that is higher."""
    probe_pause_rounds: int = 30
    """Rounds between two probes, so that probes cost little throughput."""
    probe_pause_rounds_after_jump: int = 5
    """Like `probe_pause_rounds`, when the latency is at least `jump` times its baseline."""
    probe_fall: float = 0.8
    """There was a queue if the latency in the probe is below this share of the latency before it."""
    jump: float = 2.5
    """A latency of this many baselines is a change of the processor: the growing limit alone does not explain it."""
    smoothing: float = 0.1
    """Weight of the newest value in a smoothed one."""


@dataclass(frozen=True, slots=True)
class _Probe:
    limit_before: int
    in_flight_before: float
    latency_before_s: float
    counts_from_s: float


class ConcurrencyLimit:
    """Adapts the number of charges that may be under way on one processor.

    It combines TCP's slow start, the queue estimate of TCP Vegas, and the probes of BBR. A latency above its baseline
    means that charges queue, or that the processor has become slower at any load. A probe finds out which: for a few
    round trips the limit is an eighth. Only a probe raises the baseline. Unless the processor is overloaded, only a
    probe in which the latency fell lowers the limit; if noise in the latency could lower it, it would keep falling.
    """

    def __init__(self, limits: ConcurrencyLimits) -> None:
        self._limits = limits
        self._max = limits.max
        """The most that may be under way: this replica's share, if that is less than the limits allow."""
        self.reset()

    def reset(self) -> None:
        """Forget everything that was measured, as after an outage."""
        self._slow_start_below = inf
        self._set(self._limits.initial)
        self.latency_s: float | None = None
        """Smoothed duration of a charge; None if none has ended yet."""
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
        """Return how many charges per second the processor can take; infinite while no latency is known."""
        if not self.latency_s:
            return inf
        limit = self._probe.limit_before if self._probe is not None else self.limit
        return (self._max if self._slow_start_below >= self._max else min(limit, self._max)) / self.latency_s

    def share(self, replicas: int) -> None:
        """Take an equal share of `fleet_max`, one charge at least, because `replicas` send to the processor.

        Measurements are kept. When other replicas have left, the limit grows as it did before.
        """
        assert replicas >= 1
        self._max = max(1, min(self._limits.max, self._limits.fleet_max // replicas))
        self._set(self._limit)

    def ended(self, *, in_flight: int, latency_s: float, overloaded: bool, now_s: float) -> None:
        """Record a charge that ended. `in_flight` charges, itself included, were under way when it began.

        `overloaded` means that the processor answered that it has too many requests, or did not answer in time.
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
        if in_flight * 2 >= self._limit and not self._queues:  # the test of Linux for whether a limit is used
            slow_start = self._limit < self._slow_start_below
            self._set(self._limit + (1.0 if slow_start else max(1.0 / self._limit, limits.growth)))
        self._calls.append((latency_s, in_flight))
        if len(self._calls) >= min(limits.round_calls, self.limit) and now_s >= self._judge_from_s:
            self._judge(now_s)

    def _judge(self, now_s: float) -> None:
        """Compare the round's latency with the baseline, and begin a probe if charges seem to queue."""
        limits = self._limits
        latency_s, in_flight = self._medians()
        used = 2 * max(in_flight for _, in_flight in self._calls) >= self._limit
        self._begin_round(now_s)
        if latency_s * limits.jump <= self._base_s:
            self._base_s = latency_s
        elif latency_s < self._base_s:
            # In small steps, since the least of many noisy medians would be far too low.
            self._base_s += limits.smoothing * (latency_s - self._base_s)
        queue = in_flight * (1 - self._base_s / latency_s) if latency_s else 0.0
        self._queues = used and queue > max(limits.queue_max, limits.queue_share_max * in_flight)
        jumped = latency_s >= limits.jump * self._base_s
        pause_rounds = limits.probe_pause_rounds_after_jump if jumped else limits.probe_pause_rounds
        if self._queues and now_s >= self._probed_at_s + pause_rounds * max(limits.round_s_min, self._base_s):
            # One round trip drains what the probe does not allow. After nearly one more, not only the fastest count.
            self._probe = _Probe(self.limit, in_flight, latency_s, now_s + 1.8 * latency_s)
            self._set(self._limit * limits.probe_share)

    def _end_probe(self, probe: _Probe, now_s: float) -> None:
        limits = self._limits
        latency_s, _ = self._medians()
        jumped = latency_s >= limits.jump * self._base_s
        self._probe, self._probed_at_s, self._queues, self._base_s = None, now_s, False, latency_s
        self._begin_round(now_s)
        limit = float(probe.limit_before)
        if latency_s < limits.probe_fall * probe.latency_before_s:
            # By Little's law, this many are under way without a queue. A few more keep the processor busy.
            without_queue = probe.in_flight_before * latency_s / probe.latency_before_s
            limit = min(limit, without_queue * (1 + limits.queue_share_max))
        self._set(limit)
        unchanged = limit == probe.limit_before
        self._slow_start_below = inf if jumped and unchanged else min(self._slow_start_below, limit)

    def _shrink(self, now_s: float) -> None:
        """Lower the limit, once per round trip: later refusals in it belong to charges sent under the old limit."""
        if now_s < self._shrink_from_s:
            return
        limit = self._limit if self._probe is None else self._probe.limit_before
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
        self._limit = float(min(max(limit, self._limits.min), self._max))
