"""How many writes go into one transaction, and how far apart transactions are."""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is written: when it holds `items_max`, or when the time has come that `BatchSpacing` tells."""

    items_max: int = 100
    spacing_s_min: float = 0.010
    """The shortest time between two batches, and the time between them at a rate of up to `quiet_per_s`."""
    spacing_s_max: float = 0.100
    items_wanted: int = 40
    """Batches are spaced to hold about this many items, since the cost of a commit is well shared then."""
    quiet_per_s: float = 20.0
    """Up to this many items per second, a commit for each costs little."""
    rate_s: float = 0.5
    """The rate of items is measured over at least this time."""


class BatchSize:
    """Adapts how many items go into a batch: fewer while commits are slow or fail, more while they are fast."""

    ITEMS_MIN = 10
    COMMIT_S_TARGET = 0.1

    def __init__(self, items_max: int) -> None:
        self._items_max = items_max
        self.items = items_max
        """How many items the next batch may hold."""

    def committed(self, commit_s: float) -> None:
        """Record how long a commit took."""
        if commit_s > self.COMMIT_S_TARGET:
            self._shrink()
        else:
            self.items = min(self.items + self.ITEMS_MIN, self._items_max)

    def failed(self) -> None:
        """Record that a batch could not be committed."""
        self._shrink()

    def _shrink(self) -> None:
        self.items = max(self.items // 2, min(self.ITEMS_MIN, self._items_max))


class BatchSpacing:
    """Adapts the time between two batches to the rate at which items come. The first item after a pause does not wait.

    At a low rate batches are close together, since few commits cost little. At a higher rate they are far enough apart
    to hold `items_wanted`, which takes less time the higher the rate is.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._per_s = 0.0
        self._counted = 0
        self._counted_from_s: float | None = None
        self._written_at_s = -inf

    def added(self, items: int, now_s: float) -> None:
        """Count items that came at `now_s`, which is monotonic time."""
        if self._counted_from_s is None:
            self._counted_from_s = now_s
        self._counted += items
        elapsed_s = now_s - self._counted_from_s
        if elapsed_s >= self._limits.rate_s:
            self._per_s = self._counted / elapsed_s
            self._counted, self._counted_from_s = 0, now_s

    def written(self, now_s: float) -> None:
        """Note that the writing of a batch begins."""
        self._written_at_s = now_s

    @property
    def next_at_s(self) -> float:
        """Monotonic time from which the next batch may be written."""
        return self._written_at_s + self.spacing_s

    @property
    def spacing_s(self) -> float:
        """Time from the beginning of one batch to that of the next, at the current rate."""
        limits = self._limits
        if self._per_s <= limits.quiet_per_s:
            return limits.spacing_s_min
        return min(max(limits.items_wanted / self._per_s, limits.spacing_s_min), limits.spacing_s_max)
