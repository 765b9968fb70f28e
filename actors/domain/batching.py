"""How many writes go into one transaction, and how long the first of them waits for more."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is written: at `items_max`, or when its first item has waited for as long as a `CommitWindow` says."""

    items_max: int = 100
    wait_s_min: float = 0.010
    """How long the first item of a batch waits where items are few, or so many that a batch fills soon."""
    wait_s_max: float = 0.050
    items_wanted: int = 20
    """A batch of this size is worth its commit."""
    quiet_per_s: float = 20.0
    """Up to this rate of items a commit for each costs nothing that anybody would miss."""
    rate_s: float = 0.5
    """Over this time the rate is measured."""


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


class CommitWindow:
    """How long the first item of a batch waits for others; follows the rate at which items come.

    Few items are committed soon, since their commits cost nothing that anybody would miss. The more there are, the more
    a commit is shared by waiting longer; and the sooner a batch is worth its commit.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._per_s = 0.0
        self._counted = 0
        self._counted_from_s: float | None = None

    def added(self, items: int, now_s: float) -> None:
        """Count items that came now."""
        if self._counted_from_s is None:
            self._counted_from_s = now_s
        self._counted += items
        elapsed_s = now_s - self._counted_from_s
        if elapsed_s >= self._limits.rate_s:
            self._per_s = self._counted / elapsed_s
            self._counted, self._counted_from_s = 0, now_s

    @property
    def wait_s(self) -> float:
        """How long the first item waits now."""
        limits = self._limits
        if self._per_s <= limits.quiet_per_s:
            return limits.wait_s_min
        return min(max(limits.items_wanted / self._per_s, limits.wait_s_min), limits.wait_s_max)
