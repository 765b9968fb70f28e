"""The backlog: payments that are in segments but not in memory, read in order, one chunk at a time."""

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from actors.adapters.journal.disk import Disk
from actors.adapters.journal.segment import HEADER, decode_records, record_bytes
from actors.domain.payment import Payment
from actors.logs import get_logger

logger = get_logger(__name__)

READ_TRIES_MAX = 60
"""How often in a row a segment that cannot be read is tried before those behind it have their turn."""


@dataclass(slots=True, eq=False)
class Segment:
    """How far one file has been written, read and committed."""

    path: Path
    version: int
    size_bytes: int = HEADER.size
    """Where the next record is written; anything behind that is ignored."""
    read_bytes: int = HEADER.size
    """Where the next record is read; every record before it is in memory, or was."""
    unread: int = 0
    """The number of whole records behind `read_bytes`."""
    uncommitted: int = 0
    """Records that were not both taken and committed."""
    is_damaged: bool = False
    """Whether it holds something that cannot be read: it is set aside then rather than deleted."""
    failed_reads: int = 0
    """How often in a row it could not be read."""


class Backlog:
    """The segments that have unread records, in the order in which those were appended."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.records = 0
        """How many records are unread."""
        self._segments: deque[Segment] = deque()

    def add(self, segment: Segment, records: int) -> None:
        """Queue records that stand in the segment behind all others."""
        if not records:
            return
        if not segment.unread:
            self._segments.append(segment)
        segment.unread += records
        self.records += records

    def read(self, records_max: int) -> tuple[Segment, list[Payment]]:
        """Read the next records, of one segment at most; none where they turn out to be damaged or lost.

        Raises:
            OSError: the file cannot be read; the same records are next, as often as `READ_TRIES_MAX`.
        """
        segment = self._segments[0]
        length = record_bytes(segment.version)
        length_bytes = min(records_max * length, segment.size_bytes - segment.read_bytes)
        try:
            data = self._disk.read_part(segment.path, length_bytes, segment.read_bytes)
        except OSError as error:
            if not self._is_given_up(segment, error):
                raise
            data = b""
        else:
            segment.failed_reads = 0
        payments = decode_records(data, segment.version)
        segment.read_bytes += len(data)
        segment.unread -= len(payments)
        self.records -= len(payments)
        if not segment.unread or len(data) < length or segment.size_bytes - segment.read_bytes < length:
            self._finish(segment)
        return segment, payments

    def clear(self) -> None:
        """Forget all segments."""
        self._segments.clear()
        self.records = 0

    @staticmethod
    def _is_given_up(segment: Segment, error: OSError) -> bool:
        if not segment.path.parent.exists():
            return False  # The volume is away, with all segments.
        segment.failed_reads += 1
        return isinstance(error, FileNotFoundError) or segment.failed_reads >= READ_TRIES_MAX

    def _finish(self, segment: Segment) -> None:
        self._segments.popleft()
        if segment.unread:
            logger.error(
                "records that were written cannot be read any more", path=str(segment.path), records=segment.unread
            )
            segment.is_damaged = True
            self.records -= segment.unread
            segment.uncommitted -= segment.unread
        segment.unread = 0
        segment.read_bytes = segment.size_bytes
