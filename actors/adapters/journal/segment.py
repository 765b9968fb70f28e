"""The format of a journal segment.

A segment begins with a header of 20 bytes: `FIELJNL` and the digit of the format's version, the generation (u64), and
the CRC-32 of both (u32). Records follow, each of them the CRC-32 of its body (u32) and the body, which is the payment
as `actors.domain.payment.to_journal` encodes it. Numbers are little-endian. The length of a body depends on the
version alone, so that a reader can skip a damaged record, and can read records behind a damaged header.

A loss of power may leave the last group cut, or zeros in its place, because it was not synced. That is a torn tail. Any
other bytes that are no whole record are damage.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

from actors.domain.payment import JOURNAL_BODIES, JOURNAL_VERSION, Payment, from_journal, to_journal
from actors.domain.records import LastPurge

FORMAT = b"FIELJNL"
VERSION = JOURNAL_VERSION
"""The version that is written."""
BODY_BYTES = {version: layout.size for version, layout in JOURNAL_BODIES.items()}
"""Length of a record's body, by each version that can be read."""
HEADER = struct.Struct("<8sQI")
CHECKSUM = struct.Struct("<I")
GENERATION_UNKNOWN = -1
"""Generation of a segment whose header is damaged: lower than all others, so that a purge's instant decides."""


def record_bytes(version: int) -> int:
    """Tell the length of a record with its checksum."""
    return CHECKSUM.size + BODY_BYTES[version]


RECORD_BYTES = record_bytes(VERSION)


@dataclass(frozen=True, slots=True)
class SegmentContent:
    """What was read from one segment."""

    version: int
    generation: int
    payments: tuple[Payment, ...]
    size_bytes: int
    damaged_bytes: int
    """Bytes that belong to no whole record, such as a torn tail."""
    is_damaged: bool
    """Whether more than a torn tail is wrong with it."""

    def left_by(self, last_purge: LastPurge) -> tuple[Payment, ...]:
        """Give the payments that the purge does not forget."""
        return tuple(each for each in self.payments if not last_purge.forgets(each, self.generation))


def encode_header(generation: int, version: int = VERSION) -> bytes:
    """Encode the header of a segment."""
    head = HEADER.pack(FORMAT + b"%d" % version, generation, 0)[: -CHECKSUM.size]
    return head + CHECKSUM.pack(crc32(head))


def encode_record(payment: Payment) -> bytes:
    """Encode one payment as a record of the version that is written."""
    body = to_journal(payment)
    return CHECKSUM.pack(crc32(body)) + body


def decode_records(data: bytes, version: int) -> list[Payment]:
    """Decode records that follow one another, leaving out those that are cut or do not match their checksum."""
    return [payment for _, payment in _whole_records(data, version)]


def decode_segment(data: bytes) -> SegmentContent | None:
    """Decode a whole segment; None where neither its header nor any record can be read.

    Where the header alone is damaged, the version whose records match their checksums is found by trial.
    """
    if len(data) < HEADER.size:
        return None
    _, generation, checksum = HEADER.unpack_from(data)
    if is_newer(data) and crc32(data[: HEADER.size - CHECKSUM.size]) == checksum:
        return None
    for version in BODY_BYTES:
        if data.startswith(encode_header(generation, version)):
            return _decode(data, version, generation)
    contents = (_decode(data, version, GENERATION_UNKNOWN) for version in BODY_BYTES)
    return next((content for content in contents if content.payments), None)


def _decode(data: bytes, version: int, generation: int) -> SegmentContent:
    records = data[HEADER.size :]
    length = record_bytes(version)
    payments, end = [], 0
    for offset, payment in _whole_records(records, version):
        payments.append(payment)
        end = offset + length
    is_torn = len(records[end:].rstrip(b"\0")) < length
    return SegmentContent(
        version,
        generation,
        tuple(payments),
        size_bytes=len(data),
        damaged_bytes=len(records) - length * len(payments),
        is_damaged=generation == GENERATION_UNKNOWN or end != length * len(payments) or not is_torn,
    )


def _whole_records(data: bytes, version: int) -> Iterator[tuple[int, Payment]]:
    """Give the records that match their checksum, and where each of them begins."""
    length = record_bytes(version)
    for offset in range(0, len(data) - length + 1, length):
        (checksum,) = CHECKSUM.unpack_from(data, offset)
        body = data[offset + CHECKSUM.size : offset + length]
        if crc32(body) == checksum:
            yield offset, from_journal(body, version)


def is_newer(data: bytes) -> bool:
    """Tell whether a segment begins like one of a version that only a later release can read."""
    digit = data[len(FORMAT) : len(FORMAT) + 1]
    return data.startswith(FORMAT) and digit.isdigit() and int(digit) > max(BODY_BYTES)


def holds_evidence(data: bytes, content: SegmentContent | None) -> bool:
    """Tell whether a segment, which decodes as `content`, may hold a record that was synced once and cannot be read."""
    return content.is_damaged if content else len(data.rstrip(b"\0")) > HEADER.size
