"""The journal's ports in memory."""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from uuid import UUID

from actors.domain.payment import Payment
from actors.errors import JournalUnavailableError


class MemoryJournal:
    """A journal that forgets with the test."""

    def __init__(self, kept: Sequence[Payment] = ()) -> None:
        self.appends: list[tuple[Payment, ...]] = []
        self.broken = False
        self._waiting = deque(kept)
        self._taken: list[Payment] = []

    @property
    def kept(self) -> dict[UUID, Payment]:
        """What is not committed, in the order of its arrival."""
        return {payment.correlation_id: payment for payment in (*self._taken, *self._waiting)}

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def held(self) -> int:
        return len(self._taken) + len(self._waiting)

    def append(self, payments: Sequence[Payment]) -> None:
        if self.broken:
            raise JournalUnavailableError("planted")
        self.appends.append(tuple(payments))
        self._waiting.extend(payments)

    def take(self, payments_max: int) -> list[Payment]:
        taken = [self._waiting.popleft() for _ in range(min(payments_max, len(self._waiting)))]
        self._taken.extend(taken)
        return taken

    def committed(self, correlation_ids: Sequence[UUID]) -> None:
        gone = set(correlation_ids)
        self._taken = [payment for payment in self._taken if payment.correlation_id not in gone]

    def rewind(self) -> Iterator[Payment]:
        self._waiting = deque([*self._taken, *self._waiting])
        self._taken = []
        yield from list(self._waiting)


class MemoryOrphan:
    """The journal of a replica that is gone."""

    def __init__(self, kept: Sequence[Payment]) -> None:
        self.kept = {payment.correlation_id: payment for payment in kept}
        self.closed = False

    def replay(self) -> Iterator[Payment]:
        yield from list(self.kept.values())

    def clear(self) -> None:
        self.kept.clear()

    def close(self) -> None:
        self.closed = True


class MemoryShelf:
    """The journals that nobody holds, as a test puts them there."""

    def __init__(self) -> None:
        self.unheld: list[MemoryOrphan] = []
        self.gone: tuple[str, ...] = ()

    def orphans(self, gone: Collection[str]) -> Iterator[MemoryOrphan]:
        self.gone = tuple(gone)
        yield from [orphan for orphan in self.unheld if orphan.kept]
