"""What a payment is, and how it is written down: in the journal, in rows, for peers and for processors."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter
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

    payment: Payment
    """It is written too where Postgres does not have it any more."""
    processor: str
    requested_at_ms: int
    """The `requestedAt` under which the processor booked it, milliseconds since the epoch."""
    attempts: int
    """How many times it was sent to a processor until then."""
    answered_at_ms: int
    """Wall clock at which the processor answered that it had booked it, milliseconds since the epoch.

    Where it was found by a look-up, it is the `requestedAt`: it was booked some time since then.
    """

    @property
    def correlation_id(self) -> UUID:
        """The id of its payment."""
        return self.payment.correlation_id


@dataclass(frozen=True, slots=True)
class Claim:
    """A payment and the only processor that may have charged it, as its row in Postgres says."""

    payment: Payment
    processor: str | None
    """None where certainly no processor has charged it: it is free to go to any."""
    attempts: int = 0
    """How many times it was sent to a processor before this one was chosen."""
    moves: int = 0
    """How often the processor that its row names has changed."""


@dataclass(frozen=True, slots=True)
class Move:
    """The choice of another processor, or of none, for a payment that was certainly not charged."""

    correlation_id: UUID
    processor: str | None
    """None where no processor takes it now, so that whoever adopts its row is free to choose."""
    attempts: int
    """How many times it was sent to a processor before this one was chosen."""
    moves: int
    """How often the row has changed with this move: it applies only to a row that has changed less often."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What the row of a payment that does not settle by itself tells readers; a move or a settlement clears it."""

    correlation_id: UUID
    state: str | None
    """`unknown`, `stranded`, or None where it is neither any more."""
    since_ms: int
    """Wall clock, milliseconds since the epoch."""


class EndState(Enum):
    """How a payment ends that is not charged; an operator may resolve it. The values are what the API shows."""

    DECLINED = "declined"
    """Every processor that takes its currency has declined it."""
    MISMATCHED = "mismatched"
    """A processor holds its id with another amount, or says that it was charged and does not know it."""


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of a payment that no processor charges."""

    payment: Payment
    state: EndState
    processor: str
    """The processor whose answer decided it."""
    attempts: int
    closed_at_ms: int
    """Wall clock, milliseconds since the epoch."""

    @property
    def correlation_id(self) -> UUID:
        """The id of its payment."""
        return self.payment.correlation_id


def claim_to_row(claim: Claim) -> dict[str, object]:
    """Lay out a new claim and its payment as `write_claims` reads them."""
    return {**_payment_to_row(claim.payment), "processor": claim.processor}


def settlement_to_row(settlement: Settlement) -> dict[str, object]:
    """Lay out a settlement and its payment as the statements that settle and compare read them."""
    return {
        **_payment_to_row(settlement.payment),
        "processor": settlement.processor,
        "requested_at_ms": settlement.requested_at_ms,
        "attempts": settlement.attempts,
        "answered_at_ms": settlement.answered_at_ms,
    }


def closing_to_row(closing: Closing) -> dict[str, object]:
    """Lay out the end of a payment and the payment as `write_closings` reads them."""
    return {
        **_payment_to_row(closing.payment),
        "state": closing.state.value,
        "processor": closing.processor,
        "attempts": closing.attempts,
        "closed_at_ms": closing.closed_at_ms,
    }


def _payment_to_row(payment: Payment) -> dict[str, object]:
    return {
        "correlation_id": payment.correlation_id,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "accepted_at_ms": payment.accepted_at_ms,
    }


_payment_columns = itemgetter("correlation_id", "amount_minor", "accepted_at_ms", "currency")


def payment_from_row(row: Mapping[str, Any]) -> Payment:
    """Make the payment of a row that has more columns than its own."""
    return Payment(*_payment_columns(row))


def claim_from_row(processor: str | None, attempts: int, moves: int, **payment: Any) -> Claim:  # noqa: ANN401  # the payment's columns
    """Make a claim of columns; those that are not its own are the fields of its payment."""
    return Claim(Payment(**payment), processor, attempts, moves)
