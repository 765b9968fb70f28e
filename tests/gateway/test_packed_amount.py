import struct
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.money import AMOUNT_MAX, DECIMALS, Money
from actors.errors import InvalidAmountError
from gateway.packed_amount import distinct_below, packed_minor_units

FORMATS = {24: ">Bf", 53: ">Bd"}
TYPES = {24: 0xCA, 53: 0xCB}
LIMITS = [
    (24, "JPY", 2**24),
    (24, "BRL", 2**17),
    (24, "KWD", 2**14),
    (24, "CLF", 2**10),
    (53, "BRL", 2**46),
    (53, "CLF", 2**39),
]


def packed(bits: int, amount: Decimal) -> bytes:
    return struct.pack(FORMATS[bits], TYPES[bits], float(amount))


@pytest.mark.parametrize(("bits", "code", "limit"), LIMITS)
def test_floats_are_as_dense_as_amounts_below_a_power_of_two(bits: int, code: str, limit: int) -> None:
    assert limit == distinct_below(bits, DECIMALS[code])
    unit = unit_of(code)
    # A float in [2ⁿ⁻¹, 2ⁿ) is 2ⁿ⁻ᵇⁱᵗˢ away from the next one.
    exponent = limit.bit_length() - 1
    assert Decimal(2) ** (exponent - bits) <= unit < Decimal(2) ** (exponent + 1 - bits)


def unit_of(code: str) -> Decimal:
    return Decimal(1).scaleb(-DECIMALS[code])


def test_every_cent_below_the_limit_is_read_from_a_float32_as_it_was_written() -> None:
    # One step of 97 cents over all of them, and all of the last thousand reais, where floats are the sparsest.
    limit = 2**17 * 100
    for cents in (*range(1, limit, 97), *range(limit - 100_000, limit)):
        assert cents == packed_minor_units(struct.pack(">Bf", 0xCA, cents / 100), "BRL")


@settings(deadline=None)
@given(st.sampled_from(sorted(DECIMALS)), st.sampled_from(sorted(FORMATS)), st.data())
def test_an_amount_as_a_float_is_read_exactly_or_refused(code: str, bits: int, data: st.DataObject) -> None:
    limit_minor = min(distinct_below(bits, DECIMALS[code]), int(AMOUNT_MAX)) * 10 ** DECIMALS[code]
    near = st.integers(-1000, 1000).map(lambda step: limit_minor + step)
    money = Money(data.draw(st.one_of(st.integers(1, 2 * limit_minor), near)), code)
    raw = packed(bits, money.decimal)
    if money.minor < limit_minor:
        assert money.minor == packed_minor_units(raw, code)
    elif money.decimal != AMOUNT_MAX:
        with pytest.raises(InvalidAmountError):
            packed_minor_units(raw, code)


@given(st.floats(width=32, allow_nan=True), st.sampled_from(sorted(DECIMALS)))
def test_no_other_amount_becomes_the_float32_of_one_that_is_taken(number: float, code: str) -> None:
    raw = struct.pack(">Bf", 0xCA, number)
    try:
        minor = packed_minor_units(raw, code)
    except InvalidAmountError:
        return
    assert raw == packed(24, Money(minor, code).decimal)
    assert raw not in {packed(24, Money(each, code).decimal) for each in (minor - 1, minor + 1)}


@given(st.floats(allow_nan=True), st.sampled_from(sorted(DECIMALS)))
def test_any_double_is_an_amount_or_refused(number: float, code: str) -> None:
    try:
        minor = packed_minor_units(struct.pack(">Bd", 0xCB, number), code)
    except InvalidAmountError:
        return
    assert number == float(Money(minor, code).decimal)


@pytest.mark.parametrize(
    ("number", "kind", "code", "told"),
    [
        (20_000_000.01, ">f", "BRL", "a float of 32 bits tells amounts apart below 131072.00 alone"),
        (131_072.0, ">f", "BRL", "may be another amount in BRL"),
        (16_777_216.0, ">f", "JPY", "below 16777216 alone"),
        (900_000_000_000.0001, ">d", "CLF", "a float of 64 bits tells amounts apart below 549755813888.0000 alone"),
        (19.901, ">f", "BRL", "at most 2 decimals"),
        (3.4028234663852886e38, ">f", "BRL", "must be between"),
        (1e-45, ">f", "BRL", "must be between"),
        (-0.0, ">f", "BRL", "greater than zero"),
        (-19.9, ">f", "BRL", "greater than zero"),
        (float("inf"), ">f", "BRL", "finite"),
        (float("nan"), ">f", "BRL", "finite"),
    ],
)
def test_a_float_that_is_no_single_amount_is_refused_with_the_reason(
    number: float, kind: str, code: str, told: str
) -> None:
    first = b"\xca" if kind == ">f" else b"\xcb"
    with pytest.raises(InvalidAmountError, match=told):
        packed_minor_units(first + struct.pack(kind, number), code)
