"""Histograms of durations, which cost an observation one bisection and two additions."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class HistogramCounts:
    """What a histogram has counted."""

    bounds_s: tuple[float, ...]
    """Upper bounds of the buckets; beyond the last one there is one more."""
    counts: tuple[int, ...]
    """How many durations lie in each bucket."""
    sum_s: float
    """All durations together."""

    def buckets(self) -> Iterator[tuple[float, int]]:
        """Give each upper bound in seconds, the last one infinite, and the number of durations up to it."""
        count = 0
        for bound_s, within in zip((*self.bounds_s, inf), self.counts, strict=True):
            count += within
            yield bound_s, count


class Histogram:
    """Counts durations by the buckets that they lie in."""

    def __init__(self, *bounds_s: float) -> None:
        """Take the upper bounds of the buckets in seconds, the least first."""
        assert list(bounds_s) == sorted(set(bounds_s)), "bounds rise"
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0

    def observe(self, duration_s: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._bounds_s, duration_s)] += 1
        self._sum_s += duration_s

    def counted(self) -> HistogramCounts:
        """Tell what was counted until now."""
        return HistogramCounts(self._bounds_s, tuple(self._counts), self._sum_s)
