"""Reads amounts in MessagePack: integers, and floats that are precise enough to tell an amount from its neighbours."""

import struct
from decimal import Decimal

import msgspec

from actors.domain.money import AMOUNT_MAX, DECIMALS, minor_units
from actors.errors import InvalidAmountError

_INTEGER_TYPES = frozenset({*range(0x80), *range(0xCC, 0xD4), *range(0xE0, 0x100)})
"""First bytes of MessagePack integers."""
_FLOAT32, _FLOAT64 = 0xCA, 0xCB
"""First bytes of MessagePack floats."""
_SIGNIFICANT_BITS = {_FLOAT32: 24, _FLOAT64: 53}
_FLOAT32_DIGITS_MAX = 9
"""How many significant digits tell every float32 from all others."""


def distinct_below(significant_bits: int, decimals: int) -> int:
    """Return the power of two below which a float's neighbours are at most one unit of the last decimal apart.

    Below it no two amounts become the same float, and the shortest decimal that means the float is the amount.
    """
    return 1 << max(0, significant_bits - int(10**decimals - 1).bit_length())


_LIMITS = {
    kind: {decimals: distinct_below(bits, decimals) for decimals in set(DECIMALS.values())}
    for kind, bits in _SIGNIFICANT_BITS.items()
}
_AMOUNT_MAX = int(AMOUNT_MAX)


def packed_minor_units(raw: bytes, currency: str) -> int:
    """Convert an amount in MessagePack to whole minor units of its currency.

    Raises:
        InvalidAmountError: it is no number, a float that means several amounts, or no amount of the currency.
    """
    kind = raw[0]
    if kind not in _LIMITS:
        if kind not in _INTEGER_TYPES:
            raise InvalidAmountError("must be a number")
        return minor_units(Decimal(msgspec.msgpack.decode(raw, type=int)), currency)
    number = msgspec.msgpack.decode(raw, type=float)
    decimals = DECIMALS[currency]
    limit = _LIMITS[kind][decimals]
    if limit <= number <= _AMOUNT_MAX:
        raise InvalidAmountError(
            f"may be another amount in {currency}: a float of {32 if kind == _FLOAT32 else 64} bits tells amounts apart"
            f" below {limit:.{decimals}f} alone"
        )
    # The shortest decimal that means the same float is the one that was written.
    is_single = kind == _FLOAT32 and 0 < number < limit
    return minor_units(Decimal(_shortest_float32(number) if is_single else repr(number)), currency)


def _shortest_float32(number: float) -> str:
    wanted = struct.pack(">f", number)
    for digits in range(1, _FLOAT32_DIGITS_MAX):
        text = f"{number:.{digits}g}"
        if struct.pack(">f", float(text)) == wanted:
            return text
    return f"{number:.{_FLOAT32_DIGITS_MAX}g}"
