"""The journals of replicas in memory."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from uuid import UUID

from actors.domain.payment import Payment
from actors.domain.records import LastPurge, SeenStore
from actors.errors import JournalUnavailableError


class MemoryJournal:
    """Fulfils `actors.ports.OwnedJournal`. It outlives the simulated process that owns it."""

    def __init__(self, kept: Sequence[Payment] = ()) -> None:
        self.appends: list[tuple[Payment, ...]] = []
        self.broken = False
        """Whether nothing can be written."""
        self._unsynced: list[Payment] = []
        """Payments that a loss of power would lose."""
        self.unread_segments = 0
        """How many segments could not be read."""
        self.last_purge = LastPurge(0, 0)
        """The payments that it holds are of this purge's generation."""
        self._waiting = deque(kept)
        self._taken: list[Payment] = []

    @property
    def kept(self) -> dict[UUID, Payment]:
        """Payments that are not committed, in the order of their arrival."""
        return {payment.correlation_id: payment for payment in (*self._taken, *self._waiting)}

    @property
    def taken(self) -> set[UUID]:
        """The ids of payments that were taken and are not committed."""
        return {payment.correlation_id for payment in self._taken}

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def held(self) -> int:
        return len(self._taken) + len(self._waiting)

    def append(self, payments: Sequence[Payment], *, synced: bool = True) -> None:
        self.check()
        self._unsynced = [] if synced else [*self._unsynced, *payments]
        self.appends.append(tuple(payments))
        self._waiting.extend(payments)

    def sync(self) -> None:
        self.check()
        self._unsynced = []

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

    def check(self) -> None:
        if self.broken:
            raise JournalUnavailableError("planted")

    def trouble(self) -> str | None:
        return f"{self.unread_segments} segments cannot be read" if self.unread_segments else None

    def opened(self, last_purge: LastPurge) -> "MemoryJournal":
        """Give this journal to a process that knows of this purge."""
        if last_purge.generation > self.last_purge.generation:
            self.purge(last_purge)
        return self

    def purge(self, last_purge: LastPurge) -> None:
        self.check()
        self.last_purge = last_purge
        self._waiting = deque(each for each in self._waiting if each.accepted_at_ms > last_purge.at_ms)
        self._taken = [each for each in self._taken if each.accepted_at_ms > last_purge.at_ms]

    def lose_power(self) -> None:
        """Drop payments that are not synced."""
        lost = {id(payment) for payment in self._unsynced}
        self._waiting = deque(payment for payment in self._waiting if id(payment) not in lost)
        self._taken = [payment for payment in self._taken if id(payment) not in lost]
        self._unsynced = []

    def clear(self) -> None:
        """Drop everything: another journal has it, or its host is lost."""
        self._waiting.clear()
        self._taken = []

    def close(self) -> None:
        """Do nothing: the simulation knows which processes live."""


class MemoryStoreMemory:
    """Fulfils `actors.store_watch.StoreMemory`. It outlives the simulated process that owns it."""

    def __init__(self) -> None:
        self._seen: SeenStore | None = None

    def seen(self) -> SeenStore | None:
        return self._seen

    def remember(self, seen: SeenStore) -> None:
        self._seen = seen


class OrphanedJournal:
    """Fulfils `actors.ports.Orphan`; `clear` is called when another journal has all that this one holds."""

    def __init__(
        self, journal: MemoryJournal, last_purge: LastPurge, taken: set[UUID], clear: Callable[[], None]
    ) -> None:
        """`taken` are the ids that another journal has, and is changed."""
        self._clear = clear
        self._journal = journal
        self._last_purge = last_purge
        self._taken = taken
        self._given: deque[UUID] = deque()
        self._is_whole = False
        """Whether all was replayed."""

    def replay(self) -> Iterator[Payment]:
        generation = self._journal.last_purge.generation
        for each in list(self._journal.kept.values()):
            if not self._last_purge.forgets(each, generation) and each.correlation_id not in self._taken:
                self._given.append(each.correlation_id)
                yield each
        self._is_whole = True
        self._clear_if_taken()

    def took(self, count: int) -> None:
        self._taken.update(self._given.popleft() for _ in range(count))
        self._clear_if_taken()

    def _clear_if_taken(self) -> None:
        if self._is_whole and not self._given:
            self._clear()

    def close(self) -> None:
        """Do nothing: no lock was taken."""


class SharedShelf:
    """Fulfils `actors.ports.JournalShelf`: the journals of all simulated replicas."""

    def __init__(
        self, journals: Mapping[str, MemoryJournal], own: str, last_purge: LastPurge, is_held: Callable[[str], bool]
    ) -> None:
        """`own` is left out; `is_held` tells whether a process has the journal of this name."""
        self._journals = journals
        self._last_purge = last_purge
        self._own = own
        self._is_held = is_held
        self._read: dict[str, int] = {}
        """How many groups a journal had that was read while a process held it."""
        self._taken: dict[str, set[UUID]] = {}
        """The ids of each journal that stand in the own one."""

    def emptied(self) -> frozenset[str]:
        return frozenset(name for name, journal in self._journals.items() if name != self._own and not journal.held)

    def orphans(self, gone: Collection[str]) -> Iterator[OrphanedJournal]:
        for name, journal in self._journals.items():
            if name == self._own or not journal.held:
                continue
            taken = self._taken.setdefault(name, set())
            if not self._is_held(name):
                yield OrphanedJournal(journal, self._last_purge, taken, partial(self._clear, name))
            elif name in gone and self._read.get(name) != len(journal.appends):
                groups = len(journal.appends)
                yield OrphanedJournal(journal, self._last_purge, taken, partial(self._read.__setitem__, name, groups))

    def _clear(self, name: str) -> None:
        self._journals[name].clear()
        self._taken[name].clear()
