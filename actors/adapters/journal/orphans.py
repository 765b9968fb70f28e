"""The journals of other replicas on the shared volume whose payments nobody drives."""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from actors.adapters.journal.disk import Disk
from actors.adapters.journal.folder import JournalFolder, translated
from actors.adapters.journal.recovery import peek, scan
from actors.domain.payment import Payment
from actors.domain.records import LastPurge
from actors.errors import JournalLockedError, JournalUnavailableError

ORPHAN_AFTER_S = 5.0
"""How long a journal that nobody holds must have been still before another replica takes it over."""
LOOK_AGAIN_S = 60.0
"""How long a journal that stays unchanged is left alone where something in it could not be read or cleared away."""


class _Taking:
    """Tracks how much of a journal was taken over into another one, across all the times that it is opened."""

    def __init__(self, taken: dict[Path, int]) -> None:
        """`taken` tells how many payments of a segment were taken before, and is changed."""
        self._taken = taken
        self._given: deque[tuple[Path, int]] = deque()
        """The segments that were replayed, each with how many of its payments are not taken."""
        self._is_whole = False
        """Whether all segments were replayed."""

    def replay(self, segments: Iterable[tuple[Path, Sequence[Payment]]]) -> Iterator[Payment]:
        """Give those payments of all segments that were not taken."""
        for path, payments in segments:
            rest = payments[self._taken.get(path, 0) :]
            self._given.append((path, len(rest)))
            yield from rest
        self._is_whole = True

    def took(self, count: int) -> Iterator[Path]:
        """Note that the next `count` payments are taken; give the segments that are taken as a whole now."""
        while self._given and self._given[0][1] <= count:
            path, whole = self._given.popleft()
            self._taken[path] = self._taken.get(path, 0) + whole
            count -= whole
            yield path
        if count:
            path, rest = self._given.popleft()
            self._taken[path] = self._taken.get(path, 0) + count
            self._given.appendleft((path, rest - count))

    def is_done(self) -> bool:
        """Tell whether the whole journal was replayed and taken."""
        return self._is_whole and not self._given


class OrphanJournal:
    """Fulfils `actors.ports.Orphan`: the journal of a process that is gone, locked against its return."""

    def __init__(
        self,
        folder: Path,
        last_purge: LastPurge,
        taken: dict[Path, int] | None = None,
        left: Callable[[], None] = lambda: None,
        disk: Disk | None = None,
    ) -> None:
        """Lock the folder.

        `taken` tells how many payments of each segment were taken before, and is changed. `left` is called when all
        that can be read is taken and some files are still there.

        Raises:
            JournalLockedError: a living process has it.
            JournalUnavailableError: the folder cannot be written.
        """
        self._folder = JournalFolder(folder, None, disk or Disk())
        self._last_purge = last_purge
        self._taken: dict[Path, int] = {} if taken is None else taken
        self._taking = _Taking(self._taken)
        self._left = left
        self._is_damaged: dict[Path, bool] = {}
        """The segments that were replayed and are still there, and whether each of them is damaged."""
        self._lock_fd = self._folder.lock()

    def replay(self) -> Iterator[Payment]:
        """Give every payment that the last purge has left and that was not taken before, oldest first.

        Raises:
            JournalUnavailableError: the folder could not be read.
        """
        with translated(self._folder.path):
            yield from self._taking.replay(self._segments())

    def _segments(self) -> Iterator[tuple[Path, Sequence[Payment]]]:
        # This replica has yet to hear of a later generation, and would take its payments for purged.
        for path, content in scan(self._folder, self._last_purge, own=False):
            self._is_damaged[path] = content.is_damaged
            yield path, content.payments

    def took(self, count: int) -> None:
        """Note that another journal has the next `count` payments; clear away segments that are taken as a whole."""
        for path in self._taking.took(count):
            if self._folder.clear_away(path, is_damaged=self._is_damaged[path]):
                del self._taken[path], self._is_damaged[path]
        if self._taking.is_done() and (self._is_damaged or self._folder.unread):
            self._left()

    def close(self) -> None:
        """Release the lock so that another process can open the folder."""
        os.close(self._lock_fd)


class FrozenJournal:
    """The journal of a process that lives but has lost its lease: it is read, and left as it is."""

    def __init__(self, folder: Path, last_purge: LastPurge, read: Callable[[], None], taken: dict[Path, int]) -> None:
        """`read` is called when another journal has all that it holds; for `taken` see `OrphanJournal`."""
        self._folder = JournalFolder(folder, None, Disk())
        self._last_purge = last_purge
        self._read = read
        self._taking = _Taking(taken)

    def replay(self) -> Iterator[Payment]:
        """Give every payment that the last purge has left and that was not taken before, oldest first.

        Raises:
            JournalUnavailableError: the folder could not be read.
        """
        with translated(self._folder.path):
            yield from self._taking.replay(peek(self._folder, self._last_purge))

    def took(self, count: int) -> None:
        """Note that another journal has the next `count` payments, which are not read again before they change."""
        for _ in self._taking.took(count):
            pass
        if self._taking.is_done():
            self._read()

    def close(self) -> None:
        """Do nothing, as nothing was locked."""


class FileJournalShelf:
    """Fulfils `actors.ports.JournalShelf`: one folder of journals, one of them this replica's own."""

    def __init__(self, folder: Path, own: str, last_purge: LastPurge, now_ms: Callable[[], int]) -> None:
        """`own` is the name of the folder that is left out, `now_ms` the wall clock that files are dated by."""
        self._folder = folder
        self._own = own
        self._last_purge = last_purge
        self._now_ms = now_ms
        self._taken: dict[Path, int] = {}
        """How many payments of each segment were taken over into another journal."""
        self._read: dict[Path, float] = {}
        """Journals of living processes that were taken over, and when they had been written last."""
        self._left: dict[Path, tuple[float, float]] = {}
        """Journals in which something could not be read or cleared away: when they had been written last, and when that
        was found; seconds by the wall clock."""

    def orphans(self, gone: Collection[str]) -> Iterator[OrphanJournal | FrozenJournal]:
        """Open the journals that no process holds, and to be read those of `gone` replicas whose process lives.

        Raises:
            JournalUnavailableError: the folder of all journals could not be read.
        """
        with translated(self._folder):
            folders = sorted(self._folder.iterdir())
        for path in [each for each in self._taken if not each.exists()]:
            del self._taken[path]
        for folder in folders:
            written_s = self._written_s(folder)
            # The owner of a journal that was written just now may be about to come back. A time in the future is of a
            # clock that was set back since.
            if folder.name == self._own or written_s is None:
                continue
            if abs(self._now_s() - written_s) < ORPHAN_AFTER_S or self._is_left(folder, written_s):
                continue
            try:
                yield OrphanJournal(folder, self._last_purge, self._taken, partial(self._leave, folder))
            except JournalLockedError:
                if folder.name in gone and self._read.get(folder) != written_s:
                    read = partial(self._read.__setitem__, folder, written_s)
                    yield FrozenJournal(folder, self._last_purge, read, self._taken)
            except JournalUnavailableError:
                continue

    def emptied(self) -> frozenset[str]:
        """Name the other replicas whose folders can be read and have no segment, nor one that was set aside."""
        try:
            folders = list(self._folder.iterdir())
        except OSError:
            return frozenset()
        return frozenset(folder.name for folder in folders if folder.name != self._own and self._is_empty(folder))

    def _leave(self, folder: Path) -> None:
        """Leave a journal alone for a while."""
        written_s = self._written_s(folder)
        if written_s is not None:
            self._left[folder] = written_s, self._now_s()

    def _is_left(self, folder: Path, written_s: float) -> bool:
        left_written_s, left_at_s = self._left.get(folder, (None, 0.0))
        return left_written_s == written_s and abs(self._now_s() - left_at_s) < LOOK_AGAIN_S

    def _now_s(self) -> float:
        return self._now_ms() / 1000

    @staticmethod
    def _is_empty(folder: Path) -> bool:
        try:
            # `glob` would find nothing in a folder that may not be read.
            return not any(path.suffix in {".journal", ".damaged"} for path in folder.iterdir())
        except OSError:
            return False

    @staticmethod
    def _written_s(folder: Path) -> float | None:
        """Tell when a segment was written last; None where there is none, or its owner is at work on it."""
        try:
            return max((path.stat().st_mtime for path in folder.glob("*.journal")), default=None)
        except OSError:
            return None
