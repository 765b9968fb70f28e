"""A payment is written down in the same bytes, columns and fields that every release reads."""

from uuid import UUID

import pytest

from actors.domain.money import AMOUNT_MINOR_MAX, Money
from actors.domain.payment import (
    Claim,
    Closing,
    EndState,
    Payment,
    Settlement,
    claim_from_row,
    claim_to_row,
    closing_to_row,
    from_journal,
    from_peers,
    payment_from_row,
    settlement_to_row,
    to_journal,
    to_peers,
    to_processor,
)

ID = UUID("4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3")
ACCEPTED_MS = 1_752_582_896_700
REAIS, DOLLARS = Payment(ID, 1990, ACCEPTED_MS), Payment(ID, 1990, ACCEPTED_MS, "USD")
COLUMNS = {"correlation_id": ID, "amount_minor": 1990, "currency": "USD", "accepted_at_ms": ACCEPTED_MS}
FIRST_VERSION = ID.bytes + (1990).to_bytes(8, "little") + ACCEPTED_MS.to_bytes(8, "little")


def test_a_payment_without_a_currency_is_in_reais() -> None:
    assert REAIS.money == Money(1990, "BRL")
    assert DOLLARS.money == Money(1990, "USD")


def test_the_journal_holds_id_amount_instant_and_currency() -> None:
    assert to_journal(DOLLARS) == FIRST_VERSION + b"USD"
    assert from_journal(FIRST_VERSION + b"USD", 2) == DOLLARS


def test_a_journal_of_the_first_release_is_still_read() -> None:
    assert from_journal(FIRST_VERSION, 1) == REAIS


def test_peers_are_told_a_currency_only_where_an_earlier_release_would_take_it_for_another_one() -> None:
    fields = ID.bytes, 1990, ACCEPTED_MS
    assert to_peers(REAIS) == fields
    assert to_peers(DOLLARS) == (*fields, "USD")
    assert to_peers(REAIS, is_decided=True) == (*fields, "BRL", True)


def test_what_a_peer_tells_is_the_payment_again() -> None:
    assert from_peers(ID.bytes, 1990, ACCEPTED_MS) == REAIS
    assert from_peers(ID.bytes, 1990, ACCEPTED_MS, "USD") == DOLLARS
    for amount_minor in (1, AMOUNT_MINOR_MAX):
        assert from_peers(ID.bytes, amount_minor, ACCEPTED_MS).amount_minor == amount_minor


@pytest.mark.parametrize(
    ("amount_minor", "currency", "said"),
    [
        (0, "BRL", "^0 is not the amount of a payment$"),
        (-1, "BRL", "^-1 is not the amount of a payment$"),
        (AMOUNT_MINOR_MAX + 1, "BRL", "is not the amount of a payment$"),
        (1990, "XXX", "^XXX is no currency that is known here$"),
    ],
)
def test_a_peer_is_not_believed_in_what_no_payment_may_be(amount_minor: int, currency: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_peers(ID.bytes, amount_minor, ACCEPTED_MS, currency)


def test_a_processor_is_told_the_currency_where_it_is_not_its_default() -> None:
    begin = f'{{"correlationId":"{ID}","amount":19.90,"requestedAt":"2025-07-15T12:34:56.700Z"'
    assert to_processor(DOLLARS, ACCEPTED_MS, "USD") == begin + "}"
    assert to_processor(DOLLARS, ACCEPTED_MS, "BRL") == begin + ',"currency":"USD"}'


def test_rows_bear_the_columns_that_the_statements_read() -> None:
    claim = Claim(DOLLARS, "default", attempts=3, moves=2)
    assert claim_to_row(claim) == {**COLUMNS, "processor": "default"}
    settlement = Settlement(DOLLARS, "default", ACCEPTED_MS + 1, 2, ACCEPTED_MS + 3)
    assert settlement_to_row(settlement) == {
        **COLUMNS,
        "processor": "default",
        "requested_at_ms": ACCEPTED_MS + 1,
        "attempts": 2,
        "answered_at_ms": ACCEPTED_MS + 3,
    }
    closing = Closing(DOLLARS, EndState.DECLINED, "default", 4, ACCEPTED_MS + 5)
    assert closing_to_row(closing) == {
        **COLUMNS,
        "state": "declined",
        "processor": "default",
        "attempts": 4,
        "closed_at_ms": ACCEPTED_MS + 5,
    }
    assert (settlement.correlation_id, closing.correlation_id) == (ID, ID)


def test_rows_are_read_by_the_names_of_their_columns() -> None:
    assert payment_from_row({"processor": "default", **COLUMNS}) == DOLLARS
    assert claim_from_row("default", 3, 2, **COLUMNS) == Claim(DOLLARS, "default", attempts=3, moves=2)
    assert claim_from_row(None, 0, 0, **COLUMNS) == Claim(DOLLARS, None)


def test_the_names_of_ends_are_those_of_the_api() -> None:
    assert [state.value for state in EndState] == ["declined", "mismatched"]
