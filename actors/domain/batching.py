"""How many writes go into one transaction, and how long the first of them waits for more."""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """A batch is written when it reaches `items_max`, or when its time has come; see `BatchSpacing`."""

    items_max: int = 100
    spacing_s_min: float = 0.010
    """Time between two batches where items are few, or so many that a batch fills soon."""
    spacing_s_max: float = 0.050
    items_wanted: int = 20
    """A batch of this size is worth its commit."""
    quiet_per_s: float = 20.0
    """Up to this rate of items a commit for each costs nothing that anybody would miss."""
    rate_s: float = 0.5
    """Time over which the rate is measured."""


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
    """Decides how far apart batches are; the first item after a pause waits for nothing.

    The more items come, the more of them share a commit by waiting longer; when so many come that a batch fills soon,
    they wait shortly again.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._per_s = 0.0
        self._counted = 0
        self._counted_from_s: float | None = None
        self._written_at_s = -inf

    def added(self, items: int, now_s: float) -> None:
        """Count items that came now."""
        if self._counted_from_s is None:
            self._counted_from_s = now_s
        self._counted += items
        elapsed_s = now_s - self._counted_from_s
        if elapsed_s >= self._limits.rate_s:
            self._per_s = self._counted / elapsed_s
            self._counted, self._counted_from_s = 0, now_s

    def written(self, now_s: float) -> None:
        """Note that a batch begins to be written now."""
        self._written_at_s = now_s

    @property
    def next_at_s(self) -> float:
        """Monotonic time from which the next batch may be written."""
        return self._written_at_s + self.spacing_s

    @property
    def spacing_s(self) -> float:
        """Time from the beginning of one batch to that of the next, at the present rate."""
        limits = self._limits
        if self._per_s <= limits.quiet_per_s:
            return limits.spacing_s_min
        return min(max(limits.items_wanted / self._per_s, limits.spacing_s_min), limits.spacing_s_max)
