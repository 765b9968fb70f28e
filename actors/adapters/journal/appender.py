"""The segment that is written: records are appended to it, and a new one is begun where it is full or has failed."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from actors.adapters.journal.folder import JournalFolder
from actors.adapters.journal.reader import Segment
from actors.adapters.journal.segment import VERSION, encode_header


class Appender:
    """Writes groups of records, each of which is durable whole or was promised to nobody.

    Segments are numbered. An empty file bears the highest number that was given, so that numbers rise also where all
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
        self._last_number = folder.last_number()
        self._number_file: Path | None = next(reversed(folder.files(".number")), None)

    def is_writing(self, segment: Segment) -> bool:
        """Tell whether more may be appended to the segment."""
        return self._open is not None and self._open[0] is segment

    def append(self, data: bytes, records: int, generation: int) -> Segment:
        """Write and sync these records, or keep none of them. A new segment is of the generation given.

        After an error a new segment is begun: nobody knows what a file holds whose sync has failed.

        Raises:
            OSError: the disk failed.
            JournalUnavailableError: too many files could not be deleted.
        """
        try:
            segment, fd = self._writable(generation)
            self._folder.write(fd, data)
        except BaseException:
            # Whoever is stopped while it waits for the sync leaves records that nobody was promised, too.
            self._abandon()
            raise
        segment.size_bytes += len(data)
        segment.uncommitted += records
        return segment

    def close(self) -> None:
        """End the segment that is written. Raises nothing."""
        if self._open is None:
            return
        segment, fd = self._open
        self._open = None
        self._folder.close(fd)
        self._closed(segment)

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
