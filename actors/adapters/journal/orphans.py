"""The journals of other replicas that share the volume, as far as nobody drives what they hold."""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from actors.adapters.journal.folder import lock, scan, segment_paths, tell_of_newer, translated
from actors.adapters.journal.segment import decode_segment, is_newer
from actors.domain.payment import Payment
from actors.domain.records import LastPurge
from actors.errors import JournalLockedError, JournalUnavailableError

ORPHAN_AFTER_S = 5.0
"""How long a journal that nobody holds must have been still before another replica takes it over."""


class _Taking:
    """Follows how much of a journal stands in another one, over all the times that it is opened."""

    def __init__(self, taken: dict[Path, int]) -> None:
        """`taken` tells how many payments of a segment were taken before, and is changed."""
        self._taken = taken
        self._given: deque[tuple[Path, int]] = deque()
        """The segments that were replayed, each with how many of its payments are not taken."""

    def give(self, path: Path, payments: Sequence[Payment]) -> Iterator[Payment]:
        """Give those payments of a segment that were not taken."""
        rest = payments[self._taken.get(path, 0) :]
        self._given.append((path, len(rest)))
        yield from rest

    def took(self, count: int) -> Iterator[Path]:
        """Note that the next `count` payments are taken; give the segments of which that was the rest."""
        while self._given and self._given[0][1] <= count:
            path, whole = self._given.popleft()
            self._taken[path] = self._taken.get(path, 0) + whole
            count -= whole
            yield path
        if count:
            path, rest = self._given.popleft()
            self._taken[path] = self._taken.get(path, 0) + count
            self._given.appendleft((path, rest - count))


class OrphanJournal:
    """Fulfils `actors.ports.Orphan`: the journal of a process that is gone, locked against its return."""

    def __init__(self, folder: Path, last_purge: LastPurge, taken: dict[Path, int] | None = None) -> None:
        """Lock the folder. `taken` tells how many payments of each segment were taken before, and is changed.

        Raises:
            JournalLockedError: a living process has it.
            JournalUnavailableError: the folder cannot be written.
        """
        self._folder = folder
        self._last_purge = last_purge
        self._segments_taken: dict[Path, int] = {} if taken is None else taken
        self._taking = _Taking(self._segments_taken)
        self._lock_fd = lock(folder)

    def replay(self) -> Iterator[Payment]:
        """Give every payment that the last purge has left and that was not taken before, oldest first.

        Raises:
            JournalUnavailableError: a segment could not be read.
        """
        with translated(self._folder):
            # This replica has yet to hear of a later generation, and would take its payments for purged.
            for path, content in scan(self._folder, self._last_purge, later=False):
                yield from self._taking.give(path, content.payments)

    def took(self, count: int) -> None:
        """Delete the segments of which that was the rest: another journal has their payments now.

        Raises:
            JournalUnavailableError: a segment could not be deleted.
        """
        with translated(self._folder):
            for path in self._taking.took(count):
                path.unlink(missing_ok=True)
                del self._segments_taken[path]

    def close(self) -> None:
        """Release the lock so that another process can open the folder."""
        os.close(self._lock_fd)


class FrozenJournal:
    """The journal of a process that lives but has lost its lease: it is read, and left as it is."""

    def __init__(self, folder: Path, last_purge: LastPurge, read: Callable[[], None], taken: dict[Path, int]) -> None:
        """`read` is called when what it holds stands in another journal; for `taken` see `OrphanJournal`."""
        self._folder = folder
        self._last_purge = last_purge
        self._read = read
        self._taking = _Taking(taken)
        self._untaken = 0
        self._is_whole = False
        """Whether all segments were replayed."""

    def replay(self) -> Iterator[Payment]:
        """Give every payment that the last purge has left and that was not taken before, oldest first.

        Raises:
            JournalUnavailableError: a segment could not be read.
        """
        with translated(self._folder):
            for path in segment_paths(self._folder):
                data = path.read_bytes()
                content = decode_segment(data)
                if content is None and is_newer(data):
                    tell_of_newer(path)
                # Of a later generation this replica has yet to hear.
                if content is not None and content.generation <= self._last_purge.generation:
                    left = [each for each in content.payments if not self._last_purge.forgets(each, content.generation)]
                    for payment in self._taking.give(path, left):
                        self._untaken += 1
                        yield payment
        self._is_whole = True
        self._remember()

    def took(self, count: int) -> None:
        """Remember what need not be read again."""
        for _ in self._taking.took(count):
            pass
        self._untaken -= count
        self._remember()

    def _remember(self) -> None:
        if self._is_whole and not self._untaken:
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
        self._read: dict[Path, float] = {}
        """Journals that stand elsewhere too, and when they had been written last."""
        self._taken: dict[Path, int] = {}
        """Segments that do so in part, or that are not to be deleted, and how many of their payments do."""

    def orphans(self, gone: Collection[str]) -> Iterator[OrphanJournal | FrozenJournal]:
        """Open those that nobody holds and, to be read, those whose replica is `gone` though its process lives.

        Raises:
            JournalUnavailableError: the folder of all journals could not be read.
        """
        with translated(self._folder):
            folders = sorted(self._folder.iterdir())
        for path in [each for each in self._taken if not each.exists()]:
            del self._taken[path]
        for folder in folders:
            written_s = self._written_s(folder)
            # One that was written just now: its owner may be about to come back. One that was written later than now
            # bears the time of a clock that was set back since.
            if folder.name == self._own or written_s is None:
                continue
            if abs(self._now_ms() / 1000 - written_s) < ORPHAN_AFTER_S:
                continue
            try:
                yield OrphanJournal(folder, self._last_purge, self._taken)
            except JournalLockedError:
                if folder.name in gone and self._read.get(folder) != written_s:
                    read = partial(self._read.__setitem__, folder, written_s)
                    yield FrozenJournal(folder, self._last_purge, read, self._taken)
            except JournalUnavailableError:
                continue

    def emptied(self) -> frozenset[str]:
        """Name the other replicas whose folders can be read and have no segment."""
        try:
            folders = list(self._folder.iterdir())
        except OSError:
            return frozenset()
        return frozenset(folder.name for folder in folders if folder.name != self._own and self._is_empty(folder))

    @staticmethod
    def _is_empty(folder: Path) -> bool:
        try:
            # `glob` would find nothing in a folder that may not be read.
            return not any(path.suffix == ".journal" for path in folder.iterdir())
        except OSError:
            return False

    @staticmethod
    def _written_s(folder: Path) -> float | None:
        """Tell when a segment was written last; None where there is none, or its owner is at work on it."""
        try:
            return max((path.stat().st_mtime for path in folder.glob("*.journal")), default=None)
        except OSError:
            return None
