"""Places in the feed, as clients are given them and give them back."""

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from actors.domain.feed import FeedPlace

FORMAT = 1
_BODY = struct.Struct(">Biq16s")
"""The format, the feed, the number and the id."""
_SUM = struct.Struct(">I")


def write_cursor(feed_id: int, place: FeedPlace) -> str:
    """Write a place of a feed as opaque text of 44 characters."""
    body = _BODY.pack(FORMAT, feed_id, place.number, place.correlation_id.bytes)
    return urlsafe_b64encode(body + _checksum(body)).decode()


def read_cursor(cursor: str) -> tuple[int, FeedPlace]:
    """Read the feed and the place.

    Raises:
        ValueError: no gateway can have written it.
    """
    try:
        data = urlsafe_b64decode(cursor.encode("ascii"))
        _, feed_id, number, key = _BODY.unpack(data[: _BODY.size])
    except (struct.error, UnicodeEncodeError, binascii.Error) as error:
        raise ValueError("no cursor") from error
    place = FeedPlace(number, UUID(bytes=key))
    if write_cursor(feed_id, place) != cursor:
        raise ValueError("no cursor of this format")
    return feed_id, place


def _checksum(body: bytes) -> bytes:
    return _SUM.pack(binascii.crc32(body))
