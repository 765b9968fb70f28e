"""Amounts are whole cents: every decimal is either turned into them exactly or refused."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.money import amount_minor, decimal_amount
from actors.errors import InvalidAmountError

CENTS_MAX = 10**14
"""10¹² in cents."""


def exact_cents(amount: Decimal) -> int | None:
    """The answer by exact fractions; None where the amount is to be refused."""
    cents = Fraction(amount) * 100
    return int(cents) if cents.denominator == 1 and 1 <= cents <= CENTS_MAX else None


def cents_or_none(amount: Decimal) -> int | None:
    try:
        return amount_minor(amount)
    except InvalidAmountError:
        return None


def decimal_of(negative: bool, digits: int, exponent: int) -> Decimal:  # noqa: FBT001  # the parts of a decimal
    return Decimal((int(negative), tuple(map(int, str(digits))), exponent))


any_decimal = st.builds(decimal_of, st.booleans(), st.integers(0, 10**80), st.integers(-90, 20))


@settings(deadline=None)
@given(any_decimal)
def test_any_decimal_becomes_its_exact_cents_or_is_refused(amount: Decimal) -> None:
    assert cents_or_none(amount) == exact_cents(amount)


@settings(deadline=None)
@given(st.integers(1, CENTS_MAX), st.integers(0, 60), st.integers(-60, -3))
def test_the_slightest_fraction_of_a_cent_is_never_lost(cents: int, zeros: int, exponent: int) -> None:
    exact = decimal_of(negative=False, digits=cents * 10**zeros, exponent=-2 - zeros)
    assert amount_minor(exact) == cents
    shifted = cents * 10 ** (-2 - exponent) + 1
    with pytest.raises(InvalidAmountError):
        amount_minor(decimal_of(negative=False, digits=shifted, exponent=exponent))


@settings(deadline=None)
@given(st.integers(1, CENTS_MAX))
def test_cents_survive_the_way_to_a_decimal_and_back(cents: int) -> None:
    amount = decimal_amount(cents)
    assert amount.as_tuple().exponent == -2
    assert amount_minor(amount) == cents


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("19.90", 1990),
        ("19.9", 1990),
        ("0.01", 1),
        ("1E+2", 10_000),
        ("1e12", CENTS_MAX),
        ("1000000000000.00", CENTS_MAX),
        ("999999999999.99", CENTS_MAX - 1),
        ("0.1000000000000000000000000000000000000000", 10),
    ],
)
def test_cents_are_exact(text: str, cents: int) -> None:
    assert amount_minor(Decimal(text)) == cents


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
        amount_minor(Decimal(text))


def test_cents_are_written_with_two_places() -> None:
    assert [str(decimal_amount(cents)) for cents in (1, 10, 100, 1990, CENTS_MAX)] == [
        "0.01",
        "0.10",
        "1.00",
        "19.90",
        "1000000000000.00",
    ]
