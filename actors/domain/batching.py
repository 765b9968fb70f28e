"""How many writes go into one transaction, and how long the first of them waits for more."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is committed: at `items_max`, or when its first item has waited for the time of a `CommitWindow`."""

    items_max: int = 100
    wait_s_min: float = 0.010
    """How long the first item of a batch waits at least. It waits no longer at a rate of up to `quiet_per_s`."""
    wait_s_max: float = 0.050
    items_wanted: int = 20
    """The first item waits until about this many items are there, since the cost of a commit is then well shared."""
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


class CommitWindow:
    """Adapts how long the first item of a batch waits for others to the rate at which items come.

    At a low rate items are committed soon, since few commits cost little. At a higher rate the first item waits until
    `items_wanted` are there, which takes less time the higher the rate is.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._per_s = 0.0
        self._counted = 0
        self._counted_from_s: float | None = None

    def added(self, items: int, now_s: float) -> None:
        """Count items that came at `now_s`, which is monotonic time."""
        if self._counted_from_s is None:
            self._counted_from_s = now_s
        self._counted += items
        elapsed_s = now_s - self._counted_from_s
        if elapsed_s >= self._limits.rate_s:
            self._per_s = self._counted / elapsed_s
            self._counted, self._counted_from_s = 0, now_s

    @property
    def wait_s(self) -> float:
        """How long the first item of the next batch waits."""
        limits = self._limits
        if self._per_s <= limits.quiet_per_s:
            return limits.wait_s_min
        return min(max(limits.items_wanted / self._per_s, limits.wait_s_min), limits.wait_s_max)
