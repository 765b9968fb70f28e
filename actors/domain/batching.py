"""How many writes go into one transaction, and how long the first of them waits for others."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Past either limit a batch is written."""

    items_max: int = 100
    wait_s_max: float = 0.010


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double from `first_s` to `longest_s`."""

    first_s: float
    longest_s: float

    def pause_s(self, failures: int) -> float:
        """Length of the pause after this many failures in a row, the first being 1."""
        return min(self.first_s * 2.0 ** min(failures - 1, 32), self.longest_s)


class BatchSize:
    """How many items go into a batch: fewer while commits are slow or collide, more again when they are not."""

    ITEMS_MIN = 10
    COMMIT_S_TARGET = 0.1

    def __init__(self, items_max: int) -> None:
        self._items_max = items_max
        self.items = items_max
        """The most that the next batch may hold."""

    def committed(self, commit_s: float) -> None:
        """Note how long a commit took."""
        if commit_s > self.COMMIT_S_TARGET:
            self._shrink()
        else:
            self.items = min(self.items + self.ITEMS_MIN, self._items_max)

    def failed(self) -> None:
        """Note a batch that was not committed."""
        self._shrink()

    def _shrink(self) -> None:
        self.items = max(self.items // 2, min(self.ITEMS_MIN, self._items_max))
