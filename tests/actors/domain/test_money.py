"""Amounts are whole minor units of a currency: every decimal is either turned into them exactly or refused."""

from decimal import Decimal
from fractions import Fraction

import iso4217
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.money import DECIMALS, PACKED_BITS, Money, currency_code, minor_units
from actors.errors import InvalidAmountError
from ops.simulator import ledger

MAJOR_MAX = 10**12
CENTS_MAX = MAJOR_MAX * 100

currencies = st.sampled_from(list(DECIMALS))


def exact_minor(amount: Decimal, currency: str) -> int | None:
    """The answer by exact fractions; None where the amount is to be refused."""
    minor = Fraction(amount) * 10 ** DECIMALS[currency]
    return int(minor) if minor.denominator == 1 and 1 <= minor <= MAJOR_MAX * 10 ** DECIMALS[currency] else None


def minor_or_none(amount: Decimal, currency: str) -> int | None:
    try:
        return minor_units(amount, currency)
    except InvalidAmountError:
        return None


def decimal_of(negative: bool, digits: int, exponent: int) -> Decimal:  # noqa: FBT001  # the parts of a decimal
    return Decimal((int(negative), tuple(map(int, str(digits))), exponent))


any_decimal = st.builds(decimal_of, st.booleans(), st.integers(0, 10**80), st.integers(-90, 20))


@st.composite
def some_money(draw: st.DrawFn) -> Money:
    currency = draw(currencies)
    return Money(draw(st.integers(1, MAJOR_MAX * 10 ** DECIMALS[currency])), currency)


def test_the_table_is_that_of_iso_4217() -> None:
    known = {each.code: each.exponent for each in iso4217.Currency if each.exponent is not None}
    assert known == DECIMALS


def test_the_simulator_has_the_decimals_of_iso_4217_too() -> None:
    assert {code: ledger.DECIMALS.get(code, 2) for code in DECIMALS} == DECIMALS
    assert ledger.DECIMALS.keys() <= DECIMALS.keys()


@settings(deadline=None)
@given(any_decimal, currencies)
def test_any_decimal_becomes_its_exact_minor_units_or_is_refused(amount: Decimal, currency: str) -> None:
    assert minor_or_none(amount, currency) == exact_minor(amount, currency)


@settings(deadline=None)
@given(some_money(), st.integers(0, 60), st.integers(-60, -5))
def test_the_slightest_fraction_of_a_minor_unit_is_never_lost(money: Money, zeros: int, exponent: int) -> None:
    decimals = DECIMALS[money.currency]
    exact = decimal_of(negative=False, digits=money.minor * 10**zeros, exponent=-decimals - zeros)
    assert minor_units(exact, money.currency) == money.minor
    shifted = money.minor * 10 ** (-decimals - exponent) + 1
    with pytest.raises(InvalidAmountError):
        minor_units(decimal_of(negative=False, digits=shifted, exponent=exponent), money.currency)


@settings(deadline=None)
@given(some_money())
def test_minor_units_survive_the_way_to_a_decimal_and_back(money: Money) -> None:
    assert money.decimal.as_tuple().exponent == -DECIMALS[money.currency]
    assert minor_units(money.decimal, money.currency) == money.minor


@settings(deadline=None)
@given(some_money(), some_money())
def test_money_is_packed_into_so_few_bits_that_differ_as_the_money_does(one: Money, other: Money) -> None:
    assert 0 <= one.packed < 2**PACKED_BITS <= 2**62
    assert Money.unpacked(one.packed) == one
    assert (one.packed == other.packed) == (one == other)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("19.90", "BRL", 1990),
        ("19.9", "BRL", 1990),
        ("0.01", "BRL", 1),
        ("1E+2", "BRL", 10_000),
        ("1e12", "BRL", CENTS_MAX),
        ("1000000000000.00", "BRL", CENTS_MAX),
        ("999999999999.99", "BRL", CENTS_MAX - 1),
        ("0.1000000000000000000000000000000000000000", "BRL", 10),
        ("1990", "JPY", 1990),
        ("1990.00", "JPY", 1990),
        ("1e12", "JPY", MAJOR_MAX),
        ("1.234", "KWD", 1234),
        ("1e12", "KWD", MAJOR_MAX * 1000),
        ("1000000000000.0000", "CLF", MAJOR_MAX * 10_000),
    ],
)
def test_minor_units_are_exact(text: str, currency: str, minor: int) -> None:
    assert minor_units(Decimal(text), currency) == minor


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-0",
        "0.00",
        "0.001",
        "0.009",
        "-0.01",
        "-19.90",
        "19.901",
        "19.9000000000000000000000000000000000001",
        "1000000000000.01",
        "1e13",
        "1e999999",
        "1e-999999",
        "NaN",
        "-NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
    ],
)
def test_what_is_no_positive_number_of_cents_within_the_limits_is_refused(text: str) -> None:
    with pytest.raises(InvalidAmountError):
        minor_units(Decimal(text), "BRL")


@pytest.mark.parametrize(
    ("text", "currency", "message"),
    [
        ("19.90", "JPY", "must have at most 0 decimals in JPY"),
        ("0.5", "JPY", "must be between 1 and 1000000000000"),
        ("1.2345", "KWD", "must have at most 3 decimals in KWD"),
        ("1000000000000.001", "KWD", "must be between 0.001 and 1000000000000.000"),
        ("19.901", "BRL", "must have at most 2 decimals in BRL"),
        ("0.001", "BRL", "must be between 0.01 and 1000000000000.00"),
        ("0", "JPY", "must be greater than zero"),
        ("-0.01", "BRL", "must be greater than zero"),
        ("NaN", "BRL", "must be a finite number"),
        ("-Infinity", "KWD", "must be a finite number"),
    ],
)
def test_each_currency_has_its_own_limits(text: str, currency: str, message: str) -> None:
    with pytest.raises(InvalidAmountError) as refused:
        minor_units(Decimal(text), currency)
    assert message == str(refused.value)


def test_amounts_are_written_with_the_places_of_their_currency() -> None:
    assert [str(Money(minor, "BRL").decimal) for minor in (1, 10, 100, 1990, CENTS_MAX)] == [
        "0.01",
        "0.10",
        "1.00",
        "19.90",
        "1000000000000.00",
    ]
    assert [str(Money(1, code).decimal) for code in ("JPY", "KWD", "CLF")] == ["1", "0.001", "0.0001"]
    assert str(Money(MAJOR_MAX * 10_000, "CLF").decimal) == "1000000000000.0000"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("BRL", "BRL"),
        ("brl", "BRL"),
        ("Kwd", "KWD"),
        ("", None),
        ("BR", None),
        ("BRLL", None),
        (" BRL", None),
        ("986", None),
        ("XXX", None),
        ("XAU", None),
        ("ABC", None),
        ("ßp", None),
        ("ınr", None),  # noqa: RUF001  # a capital of it is an ASCII letter
        ("ＢＲＬ", None),  # noqa: RUF001  # letters of full width
    ],
)
def test_a_code_is_one_of_iso_4217_in_any_case_and_in_ascii(text: str, code: str | None) -> None:
    assert currency_code(text) == code
