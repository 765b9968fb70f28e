"""Appends records to the current segment, and begins a new one when that is full or has failed."""

import contextlib
import errno
from collections.abc import Callable
from pathlib import Path

from actors.adapters.journal.folder import JournalFolder
from actors.adapters.journal.reader import Segment
from actors.adapters.journal.segment import VERSION, encode_header


class Appender:
    """Writes groups of records. Each group is durable as a whole, unless an error says that it is not.

    Segments are numbered. An empty file bears the highest number that was given, so that numbers rise even after all
    segments were deleted.
    """

    def __init__(self, folder: JournalFolder, segment_bytes_max: int, closed: Callable[[Segment], None]) -> None:
        """`closed` is called with each segment to which nothing is appended any more.

        Raises:
            OSError: the folder cannot be read.
        """
        self._folder = folder
        self._segment_bytes_max = segment_bytes_max
        self._closed = closed
        self._open: tuple[Segment, int] | None = None
        """The segment that is written, and its file descriptor."""
        self._is_unsynced = False
        """Whether something was written to that segment that is not synced."""
        self._has_lost = False
        """Whether a sync of unsynced records has failed, and no caller was told yet."""
        self._last_number = folder.last_number()
        self._number_file: Path | None = next(reversed(folder.files(".number")), None)

    def is_writing(self, segment: Segment) -> bool:
        """Tell whether more may be appended to the segment."""
        return self._open is not None and self._open[0] is segment

    def append(self, data: bytes, records: int, generation: int, *, synced: bool = True) -> Segment:
        """Write and sync these records, or keep none of them. A new segment is of the generation given.

        Records that are not `synced` become durable by the next `sync`, a later group that is synced, or the end of the
        segment.

        After an error a new segment is begun: nobody knows what a file holds whose sync has failed.

        Raises:
            OSError: the disk failed.
            JournalUnavailableError: too many files could not be deleted.
        """
        try:
            segment, fd = self._writable(generation)
            self._folder.write(fd, data, synced=synced)
            self._is_unsynced = not synced
        except BaseException:
            # The failed sync may have been of earlier records too, and the system tells of a failure only once.
            self._has_lost |= synced and self._is_unsynced
            # A caller that is stopped while it waits for the sync also leaves records that nobody was promised.
            self._abandon()
            raise
        segment.size_bytes += len(data)
        segment.uncommitted += records
        return segment

    def sync(self) -> None:
        """Make durable what was appended and not synced.

        Raises:
            OSError: the disk failed, now or before; what had not been synced may be lost with the power.
        """
        if self._is_unsynced and self._open is not None:
            self._sync_segment(self._open[1])
        if self._has_lost:
            self._has_lost = False
            raise OSError(errno.EIO, "not all that was written could be synced")

    def close(self) -> None:
        """End the segment that is written. Raises nothing."""
        if self._open is None:
            return
        segment, fd = self._open
        if self._is_unsynced:
            self._sync_segment(fd)
        self._open = None
        self._folder.close(fd)
        self._closed(segment)

    def _sync_segment(self, fd: int) -> None:
        self._is_unsynced = False
        try:
            self._folder.sync(fd)
        except OSError:
            self._has_lost = True

    def _writable(self, generation: int) -> tuple[Segment, int]:
        if self._open is not None and self._open[0].size_bytes < self._segment_bytes_max:
            return self._open
        self.close()
        self._folder.assert_writable()
        path = self._next_path()
        fd = self._folder.disk.create(path)
        segment = Segment(path, VERSION, size_bytes=0)
        self._open = segment, fd
        header = encode_header(generation)
        self._folder.write(fd, header)
        segment.size_bytes = len(header)
        self._folder.sync_names()
        return self._open

    def _next_path(self) -> Path:
        # An operator may have put files there meanwhile.
        self._last_number = max(self._last_number, self._folder.last_number()) + 1
        number_file = self._folder.path / f"{self._last_number:012d}.number"
        if self._number_file is not None and self._number_file.exists():
            self._folder.disk.rename(self._number_file, number_file)
        else:
            self._folder.close(self._folder.disk.create(number_file, anew=False))
        self._number_file = number_file
        return number_file.with_suffix(".journal")

    def _abandon(self) -> None:
        if self._open is None:
            return
        segment, fd = self._open
        with contextlib.suppress(OSError):
            self._folder.disk.truncate(fd, segment.size_bytes)
        self.close()
