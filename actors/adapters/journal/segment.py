"""The format of a journal segment.

A segment begins with a header of 20 bytes: `FIELJNL` and the digit of the format's version, the generation (u64), and
the CRC-32 of both (u32). Records follow, each of them the CRC-32 of its body (u32) and the body, which is the payment
as `actors.domain.payment.to_journal` encodes it. Numbers are little-endian. The length of a body depends on the
version alone, so that a reader can skip a damaged record.
"""

import struct
from dataclasses import dataclass
from zlib import crc32

from actors.domain.payment import JOURNAL_BODIES, JOURNAL_VERSION, Payment, from_journal, to_journal

FORMAT = b"FIELJNL"
VERSION = JOURNAL_VERSION
"""The version that is written."""
BODY_BYTES = {version: layout.size for version, layout in JOURNAL_BODIES.items()}
"""Length of a record's body, by each version that can be read."""
HEADER = struct.Struct("<8sQI")
CHECKSUM = struct.Struct("<I")


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
    payments = []
    length = record_bytes(version)
    for offset in range(0, len(data) - length + 1, length):
        (checksum,) = CHECKSUM.unpack_from(data, offset)
        body = data[offset + CHECKSUM.size : offset + length]
        if crc32(body) == checksum:
            payments.append(from_journal(body, version))
    return payments


def decode_segment(data: bytes) -> SegmentContent | None:
    """Decode a whole segment; None where the header is damaged or of a version that cannot be read."""
    if len(data) < HEADER.size:
        return None
    _, generation, _ = HEADER.unpack_from(data)
    version = next((known for known in BODY_BYTES if data.startswith(encode_header(generation, known))), None)
    if version is None:
        return None
    payments = decode_records(data[HEADER.size :], version)
    damaged_bytes = len(data) - HEADER.size - record_bytes(version) * len(payments)
    return SegmentContent(version, generation, tuple(payments), len(data), damaged_bytes)


def is_newer(data: bytes) -> bool:
    """Tell whether a segment begins like one of a version that only a later release can read."""
    digit = data[len(FORMAT) : len(FORMAT) + 1]
    return data.startswith(FORMAT) and digit.isdigit() and int(digit) > max(BODY_BYTES)
