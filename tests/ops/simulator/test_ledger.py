from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.simulator.ledger import Ledger, LedgerEntry, Summary, amount_of, fee_of, minor_of

NOON = datetime(2025, 7, 15, 12, tzinfo=UTC)


def at(milliseconds: int, cents: int = 1990) -> LedgerEntry:
    return LedgerEntry(uuid4(), cents, NOON + timedelta(milliseconds=milliseconds))


@pytest.mark.parametrize(
    ("amount", "cents"),
    [
        ("19.90", 1990),
        ("1", 100),
        ("0.005", 0),
        ("0.015", 2),
        ("0.025", 2),
        ("0.0250000000000000000000000000000001", 3),
        ("13.4999999999999999999999999999999999", 1350),
        ("0.13499999999999999999999999999999999", 13),
        ("1e3", 100_000),
        ("1e-999999", 0),
        ("-2.675", -268),
    ],
)
def test_amounts_are_rounded_half_to_even(amount: str, cents: int) -> None:
    assert cents == minor_of(Decimal(amount))


@given(st.decimals(min_value=-(10**12), max_value=10**12, allow_nan=False, allow_infinity=False))
def test_rounding_agrees_with_exact_fractions(amount: Decimal) -> None:
    assert round(Fraction(amount) * 100) == minor_of(amount)


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-Infinity", "1e27", "1e999999"])
def test_what_is_no_number_of_28_digits_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="28 digits"):
        minor_of(Decimal(amount))


@given(st.integers(min_value=-(10**20), max_value=10**20))
def test_cents_survive_being_written_as_an_amount(cents: int) -> None:
    assert cents == minor_of(amount_of(cents))


def test_a_fee_is_rounded_to_the_cent() -> None:
    assert Decimal("0.98") == fee_of(1950, Decimal("0.05"))  # 0.975
    assert Decimal("2.98") == fee_of(1990, Decimal("0.15"))  # 2.985


def test_an_id_is_kept_once_with_what_came_first() -> None:
    ledger = Ledger()
    first = at(0)

    assert ledger.insert(first)
    assert not ledger.insert(LedgerEntry(first.correlation_id, 1, NOON + timedelta(days=1)))

    assert first == ledger.find(first.correlation_id)
    assert [first] == list(ledger)
    assert len(ledger) == 1


def test_an_unknown_id_is_not_found() -> None:
    assert Ledger().find(UUID(int=0)) is None


def test_both_bounds_of_a_window_are_inclusive() -> None:
    ledger = Ledger()
    for milliseconds in (3, 1, 2, 4, 2):
        ledger.insert(at(milliseconds, cents=10**milliseconds))

    assert Summary(3, 1200) == ledger.summaries(NOON + timedelta(milliseconds=2), NOON + timedelta(milliseconds=3))[""]
    assert Summary(2, 200) == ledger.summaries(NOON + timedelta(milliseconds=2), NOON + timedelta(milliseconds=2))[""]
    assert Summary(0, 0) == ledger.summaries(NOON + timedelta(milliseconds=3), NOON + timedelta(milliseconds=2))[""]


def test_a_window_with_one_bound_is_everything() -> None:
    ledger = Ledger()
    ledger.insert(at(0))

    assert Summary(1, 1990) == ledger.summaries(NOON + timedelta(days=1), None)[""]
    assert Summary(1, 1990) == ledger.summaries(None, NOON - timedelta(days=1))[""]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10**6))), st.integers(-1, 21), st.integers(-1, 21))
def test_a_summary_is_the_sum_of_what_lies_in_the_window(
    charges: list[tuple[int, int]], since: int, until: int
) -> None:
    ledger = Ledger()
    for milliseconds, cents in charges:
        ledger.insert(at(milliseconds, cents))

    inside = [cents for milliseconds, cents in charges if since <= milliseconds <= until]
    window = (NOON + timedelta(milliseconds=since), NOON + timedelta(milliseconds=until))

    assert Summary(len(inside), sum(inside)) == ledger.summaries(*window)[""]


def test_currencies_are_summed_up_apart() -> None:
    ledger = Ledger()
    for number, code in enumerate(("", "JPY", "KWD", "JPY")):
        ledger.insert(replace(at(number), currency=code))

    assert ledger.summaries(None, None) == {"": Summary(1, 1990), "JPY": Summary(2, 3980), "KWD": Summary(1, 1990)}
    window = (NOON + timedelta(milliseconds=3), NOON + timedelta(milliseconds=9))
    assert ledger.summaries(*window) == {"": Summary(0, 0), "JPY": Summary(1, 1990)}


@pytest.mark.parametrize(
    ("amount", "currency", "minor", "written"),
    [("1990", "JPY", 1990, "1990"), ("1.234", "KWD", 1234, "1.234"), ("19.9", "USD", 1990, "19.90")],
)
def test_each_currency_has_its_own_decimals(amount: str, currency: str, minor: int, written: str) -> None:
    assert minor == minor_of(Decimal(amount), currency)
    assert written == str(amount_of(minor, currency))


def test_a_purge_forgets_everything() -> None:
    ledger = Ledger()
    ledger.insert(at(0))

    ledger.purge()

    assert len(ledger) == 0
    assert Summary(0, 0) == ledger.summaries(None, None)[""]
