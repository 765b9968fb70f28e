"""Converts instants between milliseconds since the epoch and ISO 8601 in UTC."""

import re
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)
_BELOW_MICROSECOND = re.compile(r"[.,]\d{6}\d*[1-9]")
"""Matches a fraction with digits below a microsecond, which `datetime` drops."""


class Rounding(Enum):
    """How an instant between two milliseconds is rounded."""

    DOWN = "down"
    UP = "up"


def iso_from_ms(instant_ms: int) -> str:
    """Return an instant in the form `2025-07-15T12:34:56.700Z`."""
    second, millisecond = divmod(instant_ms, 1000)
    return f"{_iso_second(second)}.{millisecond:03d}Z"


def ms_from_iso(text: str, rounding: Rounding = Rounding.DOWN) -> int:
    """Parse an ISO 8601 date and time. Without a zone it is UTC, as payment processors write it.

    Raises:
        ValueError: the text is not a date and time, or is outside of the years that `datetime` knows.
    """
    if "T" not in text.upper():
        raise ValueError("must be an ISO 8601 date and time")
    parsed = datetime.fromisoformat(text.upper())
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    instant_ms, rest = divmod(parsed - _EPOCH, _MILLISECOND)
    finer = bool(rest) or _BELOW_MICROSECOND.search(text) is not None
    return instant_ms + 1 if finer and rounding is Rounding.UP else instant_ms


@lru_cache(4)  # Instants are mostly written in the second in which they are.
def _iso_second(second: int) -> str:
    return (_EPOCH + second * _SECOND).isoformat().removesuffix("+00:00")
