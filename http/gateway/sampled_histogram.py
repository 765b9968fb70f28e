"""A histogram of durations that observes every request while few come, and about one in ten under load."""

import random
import time
from bisect import bisect_left
from collections.abc import Callable

from actors.domain.histogram import HistogramCounts

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the buckets; beyond the last one there is one more."""
OBSERVED_PER_S = 20
"""Up to this rate every request is observed; beyond it about this many a second, unless `ONE_OF_MAX` wants more."""
ONE_OF_MAX = 10
"""At least one of this many requests is observed, on average."""
STEP_S = 1.0
"""The least time for which requests are counted before the observed share follows their rate."""

Sample = tuple[float, int]
"""When a request that is observed began, and how many requests it stands for."""


class SampledHistogram:
    """Buckets, count and sum of durations.

    Each observation counts for as many requests as it stands for, which was decided before it began. So all figures are
    right in expectation, whatever the rate does. What has to be exact is counted elsewhere.
    """

    def __init__(
        self,
        one_of_max: int = ONE_OF_MAX,
        now_s: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Take a clock, and a source of random numbers from 0 to less than 1; `one_of_max` 1 observes everything."""
        self.one_of = 1
        """At present, one of this many requests is observed."""
        self.sum_s = 0.0
        """The estimated sum of all durations."""
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._one_of_max = one_of_max
        self._now_s = now_s
        self._chance = chance
        self._step_began_s = now_s()
        self._step_count = 0

    def begin(self) -> Sample | None:
        """Begin a request; None where it is not observed."""
        one_of = self.one_of
        return (self._now_s(), one_of) if self._chance() * one_of < 1 else None

    def end(self, sample: Sample) -> None:
        """End a request that is observed."""
        began_s, one_of = sample
        now_s = self._now_s()
        self._counts[bisect_left(BOUNDS_S, now_s - began_s)] += one_of
        self.sum_s += (now_s - began_s) * one_of
        self._step_count += one_of
        if now_s - self._step_began_s >= STEP_S:
            rate = self._step_count / (now_s - self._step_began_s)
            self.one_of = min(max(1, round(rate / OBSERVED_PER_S)), self._one_of_max)
            self._step_began_s, self._step_count = now_s, 0

    @property
    def counts(self) -> tuple[int, ...]:
        """The estimated number of requests in each bucket, as many as there are bounds and one more."""
        return tuple(self._counts)

    def counted(self) -> HistogramCounts:
        """Tell the estimates at present."""
        return HistogramCounts(BOUNDS_S, self.counts, self.sum_s)
