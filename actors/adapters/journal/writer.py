"""The journal of this replica: what is accepted is appended, and taken in the order of its arrival."""

import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

from gevent import sleep

from actors.adapters.journal.folder import (
    last_number,
    lock,
    purge_segment,
    rewrite,
    scan,
    segment_paths,
    sync_folder,
    translated,
    write_whole,
)
from actors.adapters.journal.reader import Backlog, Segment
from actors.adapters.journal.segment import (
    RECORD_BYTES,
    VERSION,
    encode_header,
    encode_record,
)
from actors.domain.payment import Payment
from actors.domain.records import LastPurge
from actors.errors import JournalUnavailableError

logger = logging.getLogger(__name__)

SEGMENT_BYTES_MAX = 256 * 1024
MEMORY_MAX = 1000
"""Payments that wait in memory; those behind them are read from the disk when it is their turn."""
READ_AHEAD_MAX = 256
"""Payments that are read from the disk at once where fewer are asked for."""


class FileJournal:
    """Fulfils `actors.ports.Journal` with files in a folder that one process owns at a time.

    Payments wait in memory up to `memory_max`, and behind them on the disk alone. The ids of those that were taken and
    are not committed are the only others in memory, so that it does not grow with what waits.
    """

    def __init__(
        self,
        folder: Path,
        last_purge: LastPurge,
        sync: Callable[[int], None] | None,
        *,
        memory_max: int = MEMORY_MAX,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
    ) -> None:
        """Open the journal in `folder`, made where it is missing.

        Args:
            folder: of one replica; it should lie on a volume that outlives the replica.
            last_purge: what it forgets is deleted.
            sync: makes what was written to a file descriptor survive the loss of power; None leaves it to the system.
            memory_max: payments that wait in memory.
            segment_bytes_max: a segment that is as large is followed by a new one.

        Raises:
            JournalLockedError: another process has it.
            JournalUnavailableError: the folder cannot be written.
        """
        self._folder = folder
        self._last_purge = last_purge
        self._sync = sync
        self._memory_max = memory_max
        self._segment_bytes_max = segment_bytes_max
        self._window: deque[tuple[Payment, Segment]] = deque()
        """The payments that are taken next."""
        self._backlog = Backlog()
        """The payments behind the window."""
        self._taken: dict[UUID, list[Segment]] = {}
        """Where the records of the ids stand that were taken and are not committed."""
        self._taken_records = 0
        self._open: tuple[Segment, int] | None = None
        """The segment that is written, and its file descriptor."""
        self._lock_fd = lock(folder)
        with translated(folder):
            self._last_number = last_number(folder)

    @property
    def waiting(self) -> int:
        """How many payments were appended and not taken."""
        return len(self._window) + self._backlog.records

    @property
    def held(self) -> int:
        """How many payments are not committed: those that wait, and those that were taken."""
        return self.waiting + self._taken_records

    def append(self, payments: Sequence[Payment]) -> None:
        """Write and sync all of them, or keep none.

        Raises:
            JournalUnavailableError: they could not be written.
        """
        data = b"".join(map(encode_record, payments))
        try:
            with translated(self._folder):
                segment, fd = self._writable()
                write_whole(fd, data, self._sync)
        except BaseException:
            # Whoever is stopped while it waits for the sync leaves records that nobody was promised, too.
            self._abandon_segment()
            raise
        segment.size_bytes += len(data)
        segment.uncommitted += len(payments)
        room = 0 if self._backlog.records else max(0, self._memory_max - len(self._window))
        in_memory = payments[:room]
        self._window.extend((payment, segment) for payment in in_memory)
        segment.read_bytes += RECORD_BYTES * len(in_memory)
        self._backlog.add(segment, len(payments) - len(in_memory))

    def take(self, payments_max: int) -> list[Payment]:
        """Give the next payments in the order of their arrival; fewer than asked for only where no more wait.

        Raises:
            JournalUnavailableError: those on the disk could not be read; nothing was taken.
        """
        with translated(self._folder):
            while len(self._window) < payments_max and self._backlog.records:
                at_least = min(READ_AHEAD_MAX, self._memory_max)
                self._window.extend(self._backlog.read(max(at_least, payments_max - len(self._window))))
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
                if not segment.uncommitted and (self._open is None or self._open[0] is not segment):
                    self._delete(segment)

    def rewind(self) -> Iterator[Payment]:
        """Let every payment on the disk wait again from the beginning, and give each of them once, oldest first.

        Committed ones are among them where their segment holds others. Nothing else may be called before the iterator
        has ended; after an error, rewind again.

        Raises:
            JournalUnavailableError: the disk could not be read.
        """
        self._close_segment()
        self._forget()
        with translated(self._folder):
            self._last_number = max(self._last_number, last_number(self._folder))
            for path, found in scan(self._folder, self._last_purge, later=True):
                generation, content = self._last_purge.generation, found
                if found.generation < generation:
                    content = rewrite(path, generation, found.payments, self._sync)
                records = len(content.payments)
                self._backlog.add(Segment(path, content.version, content.size_bytes, uncommitted=records), records)
                yield from content.payments

    def check(self) -> None:
        """Tell whether the folder can be written.

        Raises:
            JournalUnavailableError: it cannot.
        """
        if not os.access(self._folder, os.W_OK) or os.statvfs(self._folder).f_bavail == 0:
            raise JournalUnavailableError(f"{self._folder} cannot be written")

    def purge(self, last_purge: LastPurge) -> None:
        """Delete all that was accepted up to the purge's instant and that this release can read.

        What was accepted later is kept, and belongs to the new generation as what comes next does.

        Raises:
            JournalUnavailableError: the disk failed. May be called again.
        """
        self._last_purge = last_purge
        self._close_segment()
        self._forget()
        with translated(self._folder):
            for path in segment_paths(self._folder):
                purge_segment(path, last_purge, self._sync)
                sleep(0)  # Others go on: there may be a million records.

    def close(self) -> None:
        """Release the lock so that another process can open the folder."""
        self._close_segment()
        os.close(self._lock_fd)

    def _forget(self) -> None:
        self._window.clear()
        self._backlog.clear()
        self._taken.clear()
        self._taken_records = 0

    def _writable(self) -> tuple[Segment, int]:
        if self._open is not None and self._open[0].size_bytes < self._segment_bytes_max:
            return self._open
        self._close_segment()
        self._last_number += 1
        path = self._folder / f"{self._last_number:012d}.journal"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        segment = Segment(path, VERSION, size_bytes=0)
        self._open = segment, fd
        header = encode_header(self._last_purge.generation)
        write_whole(fd, header, self._sync)
        segment.size_bytes = len(header)
        if self._sync:
            sync_folder(self._folder)
        return self._open

    def _abandon_segment(self) -> None:
        """Cut off what failed and write elsewhere: after a failed sync nobody knows what a file holds."""
        if self._open is None:
            return
        segment, fd = self._open
        with contextlib.suppress(OSError):
            os.ftruncate(fd, segment.size_bytes)
        self._close_segment()

    def _close_segment(self) -> None:
        if self._open is None:
            return
        segment, fd = self._open
        self._open = None
        os.close(fd)
        if not segment.uncommitted:
            self._delete(segment)

    def _delete(self, segment: Segment) -> None:
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            # The next rewind gives its payments once more, and Postgres knows them.
            logger.warning("%s holds nothing that is needed, and cannot be deleted: %s", segment.path, error.strerror)
