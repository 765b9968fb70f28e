"""The journal's ports in memory."""

from collections.abc import Collection, Iterator, Sequence

from actors.domain.payment import Payment
from ops.simulation.journals import MemoryJournal

__all__ = ["MemoryJournal", "MemoryOrphan", "MemoryShelf"]


class MemoryOrphan:
    """The journal of a replica that is gone."""

    def __init__(self, kept: Sequence[Payment]) -> None:
        self.kept = {payment.correlation_id: payment for payment in kept}
        self.closed = False

    def replay(self) -> Iterator[Payment]:
        yield from list(self.kept.values())

    def took(self, count: int) -> None:
        for key in list(self.kept)[:count]:
            del self.kept[key]

    def close(self) -> None:
        self.closed = True


class MemoryShelf:
    """The journals that nobody holds, as a test puts them there."""

    def __init__(self) -> None:
        self.unheld: list[MemoryOrphan] = []
        self.gone: tuple[str, ...] = ()
        self.empty: frozenset[str] = frozenset()
        """Names of the replicas whose journals hold nothing."""

    def emptied(self) -> frozenset[str]:
        return self.empty

    def orphans(self, gone: Collection[str]) -> Iterator[MemoryOrphan]:
        self.gone = tuple(gone)
        yield from [orphan for orphan in self.unheld if orphan.kept]
