"""What the tests of the journal share: payments, and a look at what its files hold."""

import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from uuid import UUID

from actors.adapters.journal.segment import FORMAT, HEADER, RECORD_BYTES, encode_header, encode_record
from actors.adapters.journal.writer import SEGMENT_BYTES_MAX, FileJournal
from actors.domain.payment import Payment
from actors.domain.records import LastPurge
from tests.actors.fakes import NOW_MS, payment

GENERATION = 5
LAST_PURGE = LastPurge(GENERATION, NOW_MS)
RECORDS_PER_SEGMENT = SEGMENT_BYTES_MAX // RECORD_BYTES + 1
"""After an append of that many payments, the next one begins a new segment."""
NEWER_SEGMENT = FORMAT + b"9" + bytes(range(100))
"""How a segment of a later release may look."""


def some(count: int, first: int = 0) -> list[Payment]:
    return [payment(number) for number in range(first, first + count)]


def purge(generation: int, at_ms: int = NOW_MS) -> LastPurge:
    """A purge that forgets, by default, all payments that `some` makes."""
    return LastPurge(generation, at_ms)


def ids(payments: Sequence[Payment]) -> list[UUID]:
    return [each.correlation_id for each in payments]


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.journal"))


def segment(payments: Sequence[Payment]) -> bytes:
    return encode_header(GENERATION) + b"".join(map(encode_record, payments))


def records_in(size_bytes: int) -> int:
    """Count the whole records of a file that was cut to this size."""
    return max(0, (size_bytes - HEADER.size) // RECORD_BYTES)


def after_a_crash(folder: Path, generation: int = GENERATION, at_ms: int = NOW_MS) -> list[Payment]:
    """Read a copy of the files as they are while their owner still lives: what a crash would leave."""
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    try:
        with closing(FileJournal(copy, LastPurge(generation, at_ms), None)) as journal:
            return list(journal.rewind())
    finally:
        shutil.rmtree(copy)


def rewound(folder: Path, data: bytes) -> list[Payment]:
    """Read a folder that holds one segment with these bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "000000000001.journal").write_bytes(data)
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        return list(journal.rewind())
