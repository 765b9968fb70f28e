from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.simulator.ledger import LedgerEntry, Summary
from ops.simulator.wire import (
    WireError,
    decode_payment,
    decode_window,
    encode_charges,
    encode_payment,
    encode_summaries,
)

ID = "4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3"


def body(amount: str = "19.90", instant: str = "2025-07-15T12:34:56.789Z", correlation_id: str = ID) -> bytes:
    return f'{{"correlationId": "{correlation_id}", "amount": {amount}, "requestedAt": "{instant}"}}'.encode()


def at(*parts: int) -> LedgerEntry:
    return LedgerEntry(UUID(ID), 1990, datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type,misc] # the parts are no tzinfo


def test_a_payment_is_read() -> None:
    assert at(2025, 7, 15, 12, 34, 56, 789_000) == decode_payment(body())


@pytest.mark.parametrize(
    "instant",
    ["2025-07-15T09:34:56-03:00", "2025-07-15T12:34:56", "2025-07-15T12:34:56.000Z", "2025-07-15T14:34:56+02:00"],
)
def test_instants_are_kept_in_utc_and_are_utc_without_a_zone(instant: str) -> None:
    assert at(2025, 7, 15, 12, 34, 56) == decode_payment(body(instant=instant))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        b'{"correlationId": "' + ID.encode() + b'", "amount": 1}',
        body(amount="true"),
        body(amount="null"),
        body(amount='"NaN"'),
        body(amount='"Infinity"'),
        body(amount="1e400"),
        body(amount="1e999999999999999999999"),
        body(correlation_id="1"),
        body(instant="yesterday"),
        body(instant="0001-01-01T00:00:00+01:00"),
    ],
)
def test_what_is_no_payment_is_refused(content: bytes) -> None:
    with pytest.raises(WireError):
        decode_payment(content)


@given(st.binary())
def test_no_bytes_bring_another_error(content: bytes) -> None:
    with pytest.raises(WireError):
        decode_payment(content)


@pytest.mark.parametrize(
    ("payment", "instant"),
    [
        (at(2025, 7, 15, 12, 34, 56, 700_000), "2025-07-15T12:34:56.7"),
        (at(2025, 7, 15, 12, 34, 56, 789_000), "2025-07-15T12:34:56.789"),
        (at(2025, 7, 15, 12, 34, 56, 5), "2025-07-15T12:34:56.000005"),
        (at(2025, 7, 15, 12, 34, 50), "2025-07-15T12:34:50"),
    ],
)
def test_a_payment_is_told_without_zone_and_trailing_zeros(payment: LedgerEntry, instant: str) -> None:
    assert f'{{"correlationId":"{ID}","amount":19.90,"requestedAt":"{instant}"}}'.encode() == encode_payment(payment)


def test_an_audit_line_has_cents_milliseconds_and_a_zone() -> None:
    expected = (
        f'{{"correlationId":"{ID}","amountMinor":1990,"requestedAt":"2025-07-15T12:34:56.700Z"}}\n'
        f'{{"correlationId":"{ID}","amountMinor":1990,"requestedAt":"2025-07-15T12:34:56.700001Z"}}\n'
    )

    lines = encode_charges([at(2025, 7, 15, 12, 34, 56, 700_000), at(2025, 7, 15, 12, 34, 56, 700_001)])

    assert expected.encode() == lines


def test_totals_are_numbers_exact_to_the_cent() -> None:
    expected = (
        b'{"totalRequests":3,"totalAmount":90071992547409.93,"totalFee":4503599627370.50,"feePerTransaction":0.05}'
    )

    assert expected == encode_summaries({"": Summary(3, 9_007_199_254_740_993)}, Decimal("0.05"))


def test_other_currencies_stand_beside_the_totals_of_the_event() -> None:
    expected = (
        b'{"totalRequests":0,"totalAmount":0.00,"totalFee":0.00,"feePerTransaction":0.05,"currencies":{'
        b'"JPY":{"totalRequests":2,"totalAmount":1990,"totalFee":100,"feePerTransaction":0.05}}}'
    )

    assert expected == encode_summaries({"": Summary(0, 0), "JPY": Summary(2, 1990)}, Decimal("0.05"))


def test_a_currency_is_kept_and_told_where_the_request_gave_one() -> None:
    body = f'{{"correlationId":"{ID}","amount":1.234,"requestedAt":"2025-07-15T12:34:56.789Z","currency":"KWD"}}'

    payment = decode_payment(body.encode())

    assert (payment.amount_minor, payment.currency) == (1234, "KWD")
    assert b'"amount":1.234,' in encode_payment(payment)
    assert encode_payment(payment).endswith(b',"currency":"KWD"}')
    assert encode_charges([payment]).endswith(b',"currency":"KWD"}\n')


@pytest.mark.parametrize("currency", ['"kwd"', '"K WD"', '"KWDD"', "1", "null"])
def test_what_is_no_code_of_a_currency_is_refused(currency: str) -> None:
    body = f'{{"correlationId":"{ID}","amount":1,"requestedAt":"2025-07-15T12:34:56.789Z","currency":{currency}}}'
    with pytest.raises(WireError):
        decode_payment(body.encode())


def test_a_window_is_read_out_of_the_query() -> None:
    noon = datetime(2025, 7, 15, 12, tzinfo=UTC)

    assert decode_window("") == (None, None)
    assert (noon, None) == decode_window("from=2025-07-15T12:00:00Z&to=")
    assert (None, noon) == decode_window("to=2025-07-15T12:00:00.000")
    assert (noon, noon) == decode_window("from=2025-07-15T12%3A00%3A00Z&to=2025-07-15T14:00:00%2B02:00")


@pytest.mark.parametrize("query", ["from=yesterday", "to=5", "from=0001-01-01T00:00:00%2B01:00"])
def test_a_window_without_instants_is_refused(query: str) -> None:
    with pytest.raises(WireError, match="instant"):
        decode_window(query)
