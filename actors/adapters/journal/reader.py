"""The backlog: what stands in segments and not in memory, read forward a chunk at a time."""

import logging
import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from actors.adapters.journal.segment import HEADER, decode_records, record_bytes
from actors.domain.payment import Payment

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Segment:
    """How far one file has been written, read and committed."""

    path: Path
    version: int
    size_bytes: int = HEADER.size
    """Where the next record is written; what may stand behind it does not count."""
    read_bytes: int = HEADER.size
    """Where the next record is read; every record before it is in memory, or was."""
    unread: int = 0
    """Whole records behind `read_bytes`."""
    uncommitted: int = 0
    """Records that were not both taken and committed."""


class Backlog:
    """The segments that have unread records, in the order in which those were appended."""

    def __init__(self) -> None:
        self.records = 0
        """How many records are unread."""
        self._segments: deque[Segment] = deque()

    def add(self, segment: Segment, records: int) -> None:
        """Queue records that stand in the segment behind all others."""
        if not records:
            return
        if not self._segments or self._segments[-1] is not segment:
            self._segments.append(segment)
        segment.unread += records
        self.records += records

    def read(self, records_max: int) -> list[tuple[Payment, Segment]]:
        """Read the next records, of one segment at most; none where they turn out to be damaged.

        Raises:
            OSError: the file cannot be read; the same records are next.
        """
        segment = self._segments[0]
        length = record_bytes(segment.version)
        data = self._read_file(segment, min(records_max * length, segment.size_bytes - segment.read_bytes))
        payments = decode_records(data, segment.version)
        segment.read_bytes += len(data)
        segment.unread -= len(payments)
        self.records -= len(payments)
        if not segment.unread or len(data) < length or segment.size_bytes - segment.read_bytes < length:
            self._finish(segment)
        return [(payment, segment) for payment in payments]

    def clear(self) -> None:
        """Forget all segments."""
        self._segments.clear()
        self.records = 0

    @staticmethod
    def _read_file(segment: Segment, length_bytes: int) -> bytes:
        fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(fd, length_bytes, segment.read_bytes)
        finally:
            os.close(fd)

    def _finish(self, segment: Segment) -> None:
        self._segments.popleft()
        if segment.unread:
            logger.error("%s: %d records were damaged after they were written", segment.path, segment.unread)
            self.records -= segment.unread
            segment.uncommitted -= segment.unread
        segment.unread = 0
        segment.read_bytes = segment.size_bytes
