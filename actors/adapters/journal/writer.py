"""The journal of this replica: accepted payments are appended, and taken in the order of their arrival."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

from gevent import sleep

from actors.adapters.journal.appender import Appender
from actors.adapters.journal.disk import Disk
from actors.adapters.journal.folder import JournalFolder, translated
from actors.adapters.journal.reader import Backlog, Segment
from actors.adapters.journal.recovery import purge_segment, scan
from actors.adapters.journal.segment import RECORD_BYTES, encode_record
from actors.domain.payment import Payment
from actors.domain.records import LastPurge
from actors.errors import JournalUnavailableError

SEGMENT_BYTES_MAX = 256 * 1024
MEMORY_MAX = 1000
"""Payments that wait in memory; those behind them are read from the disk when it is their turn."""
READ_AHEAD_MAX = 256
"""Payments that are read from the disk at once where fewer are asked for."""


class FileJournal:
    """Fulfils `actors.ports.Journal` with files in a folder that one process owns at a time.

    Up to `memory_max` payments wait in memory, and all behind them on the disk alone. Beside them only the ids of
    payments that were taken and are not committed are in memory, so that it does not grow with the backlog.
    """

    def __init__(
        self,
        folder: Path,
        last_purge: LastPurge,
        sync: Callable[[int], None] | None,
        *,
        memory_max: int = MEMORY_MAX,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        disk: Disk | None = None,
    ) -> None:
        """Open the journal in `folder`, made where it is missing.

        Args:
            folder: of one replica; it should lie on a volume that outlives the replica.
            last_purge: what it forgets is deleted.
            sync: makes what was written to a file descriptor survive the loss of power; None leaves it to the system.
            memory_max: payments that wait in memory.
            segment_bytes_max: size of a segment after which a new one is begun.
            disk: the system calls; the operating system's own if none are given.

        Raises:
            JournalLockedError: another process has it.
            JournalUnavailableError: the folder cannot be written.
        """
        self._folder = JournalFolder(folder, sync, disk or Disk())
        self._last_purge = last_purge
        self._memory_max = memory_max
        self._window: deque[tuple[Payment, Segment]] = deque()
        """The payments that are taken next."""
        self._backlog = Backlog(self._folder.disk)
        """The payments behind the window."""
        self._taken: dict[UUID, list[Segment]] = {}
        """The segments with the records of each id that was taken and is not committed."""
        self._taken_records = 0
        self._failure: str | None = None
        """Why the last append was refused; None where it was not, or a write has succeeded since."""
        self._is_probing = False
        self._lock_fd = self._folder.lock()
        try:
            with translated(folder):
                self._appender = Appender(self._folder, segment_bytes_max, self._retire)
        except JournalUnavailableError:
            os.close(self._lock_fd)
            raise

    @property
    def waiting(self) -> int:
        """How many payments were appended and not taken."""
        return len(self._window) + self._backlog.records

    @property
    def held(self) -> int:
        """How many payments are not committed: those that wait, and those that were taken."""
        return self.waiting + self._taken_records

    @property
    def unread_segments(self) -> int:
        """How many segments the last rewind left as they are, because they cannot be read now or by this release."""
        return len(self._folder.unread)

    def append(self, payments: Sequence[Payment], *, synced: bool = True) -> None:
        """Write all of them, or keep none; those that are not `synced` may be lost with the power until `sync`.

        Raises:
            JournalUnavailableError: they could not be written.
        """
        data = b"".join(map(encode_record, payments))
        try:
            with translated(self._folder.path):
                generation = self._last_purge.generation
                segment = self._appender.append(data, len(payments), generation, synced=synced)
        except JournalUnavailableError as error:
            self._failure = str(error)
            raise
        self._failure = None
        room = 0 if self._backlog.records else max(0, self._memory_max - len(self._window))
        in_memory = payments[:room]
        self._window.extend((payment, segment) for payment in in_memory)
        segment.read_bytes += RECORD_BYTES * len(in_memory)
        self._backlog.add(segment, len(payments) - len(in_memory))

    def sync(self) -> None:
        """Sync all that was appended.

        Raises:
            JournalUnavailableError: the disk failed.
        """
        with translated(self._folder.path):
            self._appender.sync()

    def take(self, payments_max: int) -> list[Payment]:
        """Give the next payments in the order of their arrival; fewer than asked for only where no more wait.

        Raises:
            JournalUnavailableError: those on the disk could not be read; nothing was taken.
        """
        with translated(self._folder.path):
            while len(self._window) < payments_max and self._backlog.records:
                at_least = min(READ_AHEAD_MAX, self._memory_max)
                segment, payments = self._backlog.read(max(at_least, payments_max - len(self._window)))
                self._window.extend((payment, segment) for payment in payments)
                self._retire(segment)
        taken = [self._window.popleft() for _ in range(min(payments_max, len(self._window)))]
        for payment, segment in taken:
            self._taken.setdefault(payment.correlation_id, []).append(segment)
        self._taken_records += len(taken)
        return [payment for payment, _ in taken]

    def committed(self, correlation_ids: Sequence[UUID]) -> None:
        """Forget those of the taken payments that Postgres has, and delete the segments that hold nothing else.

        Ids that were not taken are ignored. An id that was taken several times is committed each time.
        """
        for correlation_id in correlation_ids:
            for segment in self._taken.pop(correlation_id, ()):
                self._taken_records -= 1
                segment.uncommitted -= 1
                self._retire(segment)

    def rewind(self) -> Iterator[Payment]:
        """Let every payment on the disk wait again from the beginning, and give each of them once, oldest first.

        Committed payments are among them if their segment holds others. Nothing else may be called before the iterator
        has ended; after an error, rewind again.

        Segments that cannot be read, and those of a newer format, are left as they are: see `unread_segments`.

        Raises:
            JournalUnavailableError: the folder could not be read.
        """
        self._appender.close()
        self._forget()
        with translated(self._folder.path):
            for path, content in scan(self._folder, self._last_purge, own=True):
                records = len(content.payments)
                segment = Segment(path, content.version, content.size_bytes, is_damaged=content.is_damaged)
                segment.uncommitted = records
                self._backlog.add(segment, records)
                yield from content.payments

    def check(self) -> None:
        """Tell whether payments can be written; after an append that failed, this is tried out.

        Raises:
            JournalUnavailableError: they cannot.
        """
        path = self._folder.path
        with translated(path):
            if not os.access(path, os.W_OK) or os.statvfs(path).f_bavail == 0:
                raise JournalUnavailableError(f"{path} cannot be written")
            if self._failure is not None and not self._is_probing:
                self._is_probing = True
                try:
                    self._folder.probe()
                    self._failure = None
                finally:
                    self._is_probing = False
        if self._failure is not None:
            raise JournalUnavailableError(self._failure)

    def trouble(self) -> str | None:
        """Tell what an operator should look at although payments are accepted; None where there is nothing.

        Raises:
            JournalUnavailableError: the folder cannot be read.
        """
        with translated(self._folder.path):
            return self._folder.trouble()

    def purge(self, last_purge: LastPurge) -> None:
        """Delete all that was accepted up to the purge's instant and that this release can read.

        What was accepted later is kept, and belongs to the new generation as what comes next does.

        Raises:
            JournalUnavailableError: the disk failed. May be called again.
        """
        self._last_purge = last_purge
        self._appender.close()
        self._forget()
        with translated(self._folder.path):
            for path in self._folder.files(".journal"):
                purge_segment(self._folder, path, last_purge)
                sleep(0)  # Others go on: there may be a million records.

    def close(self) -> None:
        """Release the lock so that another process can open the folder."""
        self._appender.close()
        os.close(self._lock_fd)

    def _forget(self) -> None:
        self._window.clear()
        self._backlog.clear()
        self._taken.clear()
        self._taken_records = 0

    def _retire(self, segment: Segment) -> None:
        """Clear a segment away once nothing in it is needed and nothing is appended to it any more."""
        if not segment.uncommitted and not self._appender.is_writing(segment):
            self._folder.clear_away(segment.path, is_damaged=segment.is_damaged)
