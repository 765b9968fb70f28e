"""Business instants: milliseconds since the epoch, and their ISO 8601 form in UTC."""

import re
from datetime import UTC, datetime, timedelta
from enum import Enum

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_BELOW_MICROSECOND = re.compile(r"[.,]\d{6}\d*[1-9]")
"""Digits of a fraction that `datetime` leaves out."""


class Rounding(Enum):
    """What becomes of a fraction finer than a millisecond."""

    DOWN = "down"
    UP = "up"


def iso_from_ms(instant_ms: int) -> str:
    """Write an instant as `2025-07-15T12:34:56.700Z`."""
    return (_EPOCH + instant_ms * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ms_from_iso(text: str, rounding: Rounding = Rounding.DOWN) -> int:
    """Read an ISO 8601 date and time; one without a zone is UTC, as payment processors write it.

    Raises:
        ValueError: the text is no date and time, or no year that has milliseconds since the epoch.
    """
    if "T" not in text.upper():
        raise ValueError("must be an ISO 8601 date and time")
    parsed = datetime.fromisoformat(text.upper())
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    instant_ms, rest = divmod(parsed - _EPOCH, _MILLISECOND)
    finer = bool(rest) or _BELOW_MICROSECOND.search(text) is not None
    return instant_ms + 1 if finer and rounding is Rounding.UP else instant_ms
