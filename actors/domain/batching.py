"""How many writes go into one transaction, and how long the first of them waits for more."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """A batch is written when it reaches either limit."""

    items_max: int = 100
    wait_s_max: float = 0.010


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
