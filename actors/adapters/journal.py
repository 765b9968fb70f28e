"""The journal: an append-only file of segments, one folder per replica.

A segment begins with `FIELJNL1`, the generation (u64) and the CRC-32 of both (u32). Records of 36 bytes follow: CRC-32
of the rest (u32), the id (16 bytes), the amount in cents (u64), the instant of acceptance in milliseconds (u64), all
little-endian. A tail that was torn while it was written was never confirmed to anybody, and is left out at replay.
"""

import contextlib
import fcntl
import logging
import os
import struct
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import UUID
from zlib import crc32

from actors.domain.payment import Payment
from actors.errors import JournalLockedError, JournalUnavailableError

logger = logging.getLogger(__name__)

MAGIC = b"FIELJNL1"
HEADER = struct.Struct("<8sQI")
RECORD = struct.Struct("<16sQQ")
CHECKSUM = struct.Struct("<I")
RECORD_BYTES = CHECKSUM.size + RECORD.size
SEGMENT_BYTES_MAX = 256 * 1024
ORPHAN_AFTER_S = 5.0
"""How long a journal that nobody holds must have been still before another replica takes it over."""


def encode_header(generation: int) -> bytes:
    """Write what a segment begins with."""
    head = HEADER.pack(MAGIC, generation, 0)[: -CHECKSUM.size]
    return head + CHECKSUM.pack(crc32(head))


def encode_record(payment: Payment) -> bytes:
    """Write one payment as a record."""
    body = RECORD.pack(payment.correlation_id.bytes, payment.amount_cents, payment.accepted_at_ms)
    return CHECKSUM.pack(crc32(body)) + body


@dataclass(frozen=True, slots=True)
class SegmentContent:
    """What was read from one segment."""

    generation: int
    payments: tuple[Payment, ...]
    damaged_bytes: int
    """Bytes that belong to no whole record, such as a torn tail."""


def decode_segment(data: bytes) -> SegmentContent | None:
    """Read a segment, leaving out records that are cut or do not match their checksum; None without a header."""
    if len(data) < HEADER.size:
        return None
    _, generation, _ = HEADER.unpack_from(data)
    if not data.startswith(encode_header(generation)):
        return None
    payments = []
    for offset in range(HEADER.size, len(data) - RECORD_BYTES + 1, RECORD_BYTES):
        (checksum,) = CHECKSUM.unpack_from(data, offset)
        body = data[offset + CHECKSUM.size : offset + RECORD_BYTES]
        if crc32(body) == checksum:
            id_bytes, amount_cents, accepted_at_ms = RECORD.unpack(body)
            payments.append(Payment(UUID(bytes=id_bytes), amount_cents, accepted_at_ms))
    damaged_bytes = len(data) - HEADER.size - RECORD_BYTES * len(payments)
    return SegmentContent(generation, tuple(payments), damaged_bytes)


@dataclass(slots=True)
class _Segment:
    path: Path
    uncommitted: set[UUID] = field(default_factory=set)


class FileJournal:
    """Fulfils `actors.ports.Journal` with files in `folder`. One process owns a folder at a time."""

    def __init__(self, folder: Path, generation: int, sync: Callable[[int], None] | None) -> None:
        """Open the journal in `folder`, made where it is missing.

        Args:
            folder: of one replica; it should lie on a volume that outlives the replica.
            generation: segments of an earlier one were purged, and are deleted.
            sync: makes what was written to a file descriptor survive the loss of power; None leaves it to the system.

        Raises:
            JournalLockedError: another process has it.
            JournalUnavailableError: the folder cannot be written.
        """
        self._folder = folder
        self._generation = generation
        self._sync = sync
        self._segments: deque[_Segment] = deque()
        self._fd: int | None = None
        self._size_bytes = 0
        with _translated(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock_fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock_fd)
            raise JournalLockedError(f"another process has the journal in {folder}") from error

    def replay(self) -> Iterator[Payment]:
        """Give all that its segments hold, oldest first; see the protocol."""
        self._close_segment()
        self._segments.clear()
        with _translated(self._folder):
            yield from self._replay()

    def _replay(self) -> Iterator[Payment]:
        for path in sorted(self._folder.glob("*.journal")):
            data = path.read_bytes()
            content = decode_segment(data)
            if content is not None and content.generation < self._generation:
                path.unlink()
            elif content is not None and not self._is_ours(content.generation):
                continue
            elif content is not None and content.payments:
                if content.damaged_bytes:
                    logger.warning("%s: %d bytes belong to no whole record", path, content.damaged_bytes)
                self._segments.append(_Segment(path, {payment.correlation_id for payment in content.payments}))
                yield from content.payments
            elif len(data) > HEADER.size and (content is None or content.damaged_bytes >= RECORD_BYTES):
                logger.error("%s cannot be read: it is kept as .damaged, and not replayed", path)
                path.rename(path.with_suffix(".damaged"))
            else:
                path.unlink()  # It ended before its first record was whole.

    def _is_ours(self, generation: int) -> bool:
        """Whether payments of a generation that is not older count; one that Postgres does not know was restored."""
        return generation >= self._generation

    def append(self, payments: Sequence[Payment]) -> None:
        """Write and sync all of them; see the protocol."""
        data = b"".join(encode_record(payment) for payment in payments)
        try:
            fd = self._writable()
            self._write(fd, data)
        except OSError as error:
            self._abandon_segment()
            raise JournalUnavailableError(f"{self._folder}: {error.strerror}") from error
        self._size_bytes += len(data)
        self._segments[-1].uncommitted.update(payment.correlation_id for payment in payments)

    def committed(self, correlation_ids: Sequence[UUID]) -> None:
        """Forget them, and delete the segments that hold nothing else; see the protocol."""
        for segment in self._segments:
            segment.uncommitted.difference_update(correlation_ids)
        while self._segments and not self._segments[0].uncommitted:
            if len(self._segments) == 1 and self._fd is not None:
                break
            self._segments.popleft().path.unlink(missing_ok=True)

    def check(self) -> None:
        """Tell whether the folder can be written.

        Raises:
            JournalUnavailableError: it can't.
        """
        if not os.access(self._folder, os.W_OK) or os.statvfs(self._folder).f_bavail == 0:
            raise JournalUnavailableError(f"{self._folder} cannot be written")

    def purge(self, generation: int) -> None:
        """Delete everything; what comes next belongs to `generation`."""
        self._generation = generation
        self._close_segment()
        self._segments.clear()
        with _translated(self._folder):
            for path in self._folder.glob("*.journal"):
                path.unlink()

    def close(self) -> None:
        """Give the folder free for another process. A last segment that holds nothing is deleted."""
        self._close_segment()
        self.committed(())
        os.close(self._lock_fd)

    def _writable(self) -> int:
        if self._fd is not None and self._size_bytes < SEGMENT_BYTES_MAX:
            return self._fd
        self._close_segment()
        self.committed(())
        number = int(self._segments[-1].path.stem) + 1 if self._segments else 1
        path = self._folder / f"{number:012d}.journal"
        self._fd = fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._segments.append(_Segment(path))
        self._size_bytes = 0
        header = encode_header(self._generation)
        self._write(fd, header)
        self._size_bytes = len(header)
        if self._sync:
            self._sync_folder()
        return fd

    def _write(self, fd: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if self._sync:
            self._sync(fd)

    def _sync_folder(self) -> None:
        # A new file survives the loss of power only with the entry that names it.
        folder_fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)

    def _abandon_segment(self) -> None:
        """Cut off what failed and write elsewhere: after a failed sync nobody knows what a file holds."""
        if self._fd is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._size_bytes)
        self._close_segment()

    def _close_segment(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class OrphanJournal(FileJournal):
    """Fulfils `actors.ports.Orphan`: the journal of a process that is gone."""

    def __init__(self, folder: Path, generation: int) -> None:
        super().__init__(folder, generation, sync=None)

    def _is_ours(self, generation: int) -> bool:
        # Of a purge that came before a later one this replica has yet to hear; it would take them for purged.
        return generation == self._generation

    def clear(self) -> None:
        """Delete what was replayed; see the protocol."""
        with _translated(self._folder):
            while self._segments:
                self._segments.popleft().path.unlink(missing_ok=True)


class StandingJournal:
    """The journal of a process that lives but stands still: it is read, and left as it is."""

    def __init__(self, folder: Path, generation: int, taken: Callable[[], None]) -> None:
        """`taken` is called when what it holds stands in another journal."""
        self._folder = folder
        self._generation = generation
        self._taken = taken

    def replay(self) -> Iterator[Payment]:
        """Give every payment that it holds; see the protocol."""
        with _translated(self._folder):
            contents = [decode_segment(path.read_bytes()) for path in sorted(self._folder.glob("*.journal"))]
        for content in contents:
            if content is not None and content.generation == self._generation:
                yield from content.payments

    def clear(self) -> None:
        """Remember that it need not be read again before it changes."""
        self._taken()

    def close(self) -> None:
        """Nothing is held."""


class FileJournalShelf:
    """Fulfils `actors.ports.JournalShelf`: one folder of journals, one of them this replica's own."""

    def __init__(self, folder: Path, own: str, generation: int, now_ms: Callable[[], int]) -> None:
        """`own` is the name of the folder that is left out, `now_ms` the wall clock that files are dated by."""
        self._folder = folder
        self._own = own
        self._generation = generation
        self._now_ms = now_ms
        self._taken: dict[Path, float] = {}
        """Journals that stand elsewhere too, and when they had been written last."""

    def orphans(self, gone: Collection[str]) -> Iterator[OrphanJournal | StandingJournal]:
        """Open those that nobody holds and, to be read, those whose replica is `gone` though its process lives."""
        with _translated(self._folder):
            folders = sorted(self._folder.iterdir())
        for folder in folders:
            written_s = self._written_s(folder)
            # One that was written just now: its owner may be about to come back.
            if folder.name == self._own or written_s is None or self._now_ms() / 1000 - written_s < ORPHAN_AFTER_S:
                continue
            try:
                yield OrphanJournal(folder, self._generation)
            except JournalLockedError:
                if folder.name in gone and self._taken.get(folder) != written_s:
                    yield StandingJournal(folder, self._generation, partial(self._taken.__setitem__, folder, written_s))
            except JournalUnavailableError:
                continue

    @staticmethod
    def _written_s(folder: Path) -> float | None:
        """When anything was written there last; None where nothing stands, or its owner is at work on it."""
        try:
            return max((path.stat().st_mtime for path in folder.glob("*.journal")), default=None)
        except OSError:
            return None


@contextlib.contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JournalUnavailableError(f"{folder}: {error.strerror}") from error
