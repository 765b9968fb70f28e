"""The journals of other replicas that share the volume, as far as nobody drives what they hold."""

import os
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from actors.adapters.journal.folder import lock, scan, segment_paths, tell_of_newer, translated
from actors.adapters.journal.segment import decode_segment, is_newer
from actors.domain.payment import Payment
from actors.domain.records import LastPurge
from actors.errors import JournalLockedError, JournalUnavailableError

ORPHAN_AFTER_S = 5.0
"""How long a journal that nobody holds must have been still before another replica takes it over."""


class OrphanJournal:
    """Fulfils `actors.ports.Orphan`: the journal of a process that is gone, locked against its return."""

    def __init__(self, folder: Path, last_purge: LastPurge) -> None:
        """Lock the folder.

        Raises:
            JournalLockedError: a living process has it.
            JournalUnavailableError: the folder cannot be written.
        """
        self._folder = folder
        self._last_purge = last_purge
        self._replayed: list[Path] = []
        self._lock_fd = lock(folder)

    def replay(self) -> Iterator[Payment]:
        """Give every payment that the last purge has left, oldest first.

        Raises:
            JournalUnavailableError: a segment could not be read.
        """
        self._replayed.clear()
        with translated(self._folder):
            # This replica has yet to hear of a later generation, and would take its payments for purged.
            for path, content in scan(self._folder, self._last_purge, later=False):
                self._replayed.append(path)
                yield from content.payments

    def clear(self) -> None:
        """Delete the segments that were replayed: another journal has their payments now.

        Raises:
            JournalUnavailableError: a segment could not be deleted.
        """
        with translated(self._folder):
            while self._replayed:
                self._replayed.pop(0).unlink(missing_ok=True)

    def close(self) -> None:
        """Release the lock so that another process can open the folder."""
        os.close(self._lock_fd)


class FrozenJournal:
    """The journal of a process that lives but has lost its lease: it is read, and left as it is."""

    def __init__(self, folder: Path, last_purge: LastPurge, taken: Callable[[], None]) -> None:
        """`taken` is called when what it holds stands in another journal."""
        self._folder = folder
        self._last_purge = last_purge
        self._taken = taken

    def replay(self) -> Iterator[Payment]:
        """Give every payment that the last purge has left, oldest first.

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
                    for payment in content.payments:
                        if not self._last_purge.forgets(payment, content.generation):
                            yield payment

    def clear(self) -> None:
        """Remember that it need not be read again before it changes."""
        self._taken()

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
        self._taken: dict[Path, float] = {}
        """Journals that stand elsewhere too, and when they had been written last."""

    def orphans(self, gone: Collection[str]) -> Iterator[OrphanJournal | FrozenJournal]:
        """Open those that nobody holds and, to be read, those whose replica is `gone` though its process lives.

        Raises:
            JournalUnavailableError: the folder of all journals could not be read.
        """
        with translated(self._folder):
            folders = sorted(self._folder.iterdir())
        for folder in folders:
            written_s = self._written_s(folder)
            # One that was written just now: its owner may be about to come back. One that was written later than now
            # bears the time of a clock that was set back since.
            if folder.name == self._own or written_s is None:
                continue
            if abs(self._now_ms() / 1000 - written_s) < ORPHAN_AFTER_S:
                continue
            try:
                yield OrphanJournal(folder, self._last_purge)
            except JournalLockedError:
                if folder.name in gone and self._taken.get(folder) != written_s:
                    yield FrozenJournal(folder, self._last_purge, partial(self._taken.__setitem__, folder, written_s))
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
