"""What a payment is, and how it is written down: in the journal, in rows, for peers and for processors."""

import struct
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from actors.domain.instant import iso_from_ms
from actors.domain.money import AMOUNT_MINOR_MAX, BRL, DECIMALS, Money

JOURNAL_VERSION = 2
JOURNAL_BODIES = {1: struct.Struct("<16sQQ"), JOURNAL_VERSION: struct.Struct("<16sQQ3s")}
"""Layouts of a payment in the journal, by version: id, amount in minor units, instant of acceptance in milliseconds,
and from version 2 on the code of the currency; little-endian."""


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that a client asked for."""

    correlation_id: UUID
    """Chosen by the client; one payment per id, for ever."""
    amount_minor: int
    """In whole minor units of its currency: cents for most, yen, fils."""
    accepted_at_ms: int
    """Wall clock of the accepting replica, milliseconds since the epoch."""
    currency: str = BRL
    """Alphabetic code of ISO 4217. The default is for payments that were stored before they had a currency."""

    @property
    def money(self) -> Money:
        """Its amount and currency, which all posts of one payment agree in."""
        return Money(self.amount_minor, self.currency)


def to_journal(payment: Payment) -> bytes:
    """Encode a payment as the body of a journal record, in the latest version."""
    return JOURNAL_BODIES[JOURNAL_VERSION].pack(
        payment.correlation_id.bytes, payment.amount_minor, payment.accepted_at_ms, payment.currency.encode()
    )


def from_journal(body: bytes, version: int) -> Payment:
    """Decode the body of a journal record, which must be as long as its version says."""
    id_bytes, amount_minor, accepted_at_ms, *codes = JOURNAL_BODIES[version].unpack(body)
    currency = codes[0].decode() if codes else BRL
    return Payment(UUID(bytes=id_bytes), amount_minor, accepted_at_ms, currency)


def to_peers(payment: Payment, *, is_decided: bool = False) -> tuple[object, ...]:
    """Lay out a payment as other replicas are told of it.

    The currency is left out where replicas of an earlier release take it for granted, so that they can read it. They
    take a payment whose amount Postgres has decided, which has one more field, for an accepted one.
    """
    fields = (payment.correlation_id.bytes, payment.amount_minor, payment.accepted_at_ms)
    if is_decided:
        return (*fields, payment.currency, True)
    return fields if payment.currency == BRL else (*fields, payment.currency)


def from_peers(id_bytes: bytes, amount_minor: int, accepted_at_ms: int, currency: str = BRL) -> Payment:
    """Make the payment of which another replica tells.

    Raises:
        ValueError: the id is no UUID, the amount is none that a payment may have, or the currency is not known.
    """
    if currency not in DECIMALS:
        raise ValueError(f"{currency} is no currency that is known here")
    if not 0 < amount_minor <= AMOUNT_MINOR_MAX:
        raise ValueError(f"{amount_minor} is not the amount of a payment")
    return Payment(UUID(bytes=id_bytes), amount_minor, accepted_at_ms, currency)


def to_processor(payment: Payment, requested_at_ms: int, default_currency: str) -> str:
    """Encode a payment as the JSON body of a charge; its currency is told only if it is not the default one."""
    currency = "" if payment.currency == default_currency else f',"currency":"{payment.currency}"'
    # Nothing in it needs escaping.
    return (
        f'{{"correlationId":"{payment.correlation_id}","amount":{payment.money.decimal}'
        f',"requestedAt":"{iso_from_ms(requested_at_ms)}"{currency}}}'
    )


@dataclass(frozen=True, slots=True)
class Settlement:
    """The proof that one payment was charged once."""

    correlation_id: UUID
    processor: str
    requested_at_ms: int
    """The `requestedAt` under which the processor booked it, milliseconds since the epoch."""
    attempts: int
    """How many times it was sent to a processor until then."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A payment and the only processor that may have been charged for it, as its row in Postgres says."""

    payment: Payment
    processor: str
    attempts: int = 0
    """How many times it was sent to a processor before this one was chosen."""


@dataclass(frozen=True, slots=True)
class Move:
    """The choice of another processor for a payment that was certainly not charged."""

    correlation_id: UUID
    processor: str
    attempts: int
    """How many times it was sent to a processor before this one was chosen."""


def claim_to_row(claim: Claim) -> dict[str, object]:
    """Lay out a new claim and its payment as `write_batch` reads them."""
    return {
        "correlation_id": claim.payment.correlation_id,
        "amount_minor": claim.payment.amount_minor,
        "currency": claim.payment.currency,
        "accepted_at_ms": claim.payment.accepted_at_ms,
        "processor": claim.processor,
    }


def claim_from_row(processor: str, attempts: int, **payment: Any) -> Claim:  # noqa: ANN401  # the payment's columns
    """Make a claim of columns; those that are not its own are the fields of its payment."""
    return Claim(Payment(**payment), processor, attempts)
