"""What a payment is: an identity, an amount in cents, and when it was accepted."""

import struct
from dataclasses import dataclass
from typing import Any
from uuid import UUID

JOURNAL_BODY = struct.Struct("<16sQQ")
"""Layout of a payment in the journal: id, amount in cents, instant of acceptance in milliseconds; little-endian."""


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that a client asked for."""

    correlation_id: UUID
    """Chosen by the client; one payment per id, for ever."""
    amount_cents: int
    accepted_at_ms: int
    """Wall clock of the accepting replica, milliseconds since the epoch."""


def to_journal(payment: Payment) -> bytes:
    """Encode a payment as the body of a journal record."""
    return JOURNAL_BODY.pack(payment.correlation_id.bytes, payment.amount_cents, payment.accepted_at_ms)


def from_journal(body: bytes) -> Payment:
    """Decode the body of a journal record, which must be `JOURNAL_BODY.size` bytes long."""
    id_bytes, amount_cents, accepted_at_ms = JOURNAL_BODY.unpack(body)
    return Payment(UUID(bytes=id_bytes), amount_cents, accepted_at_ms)


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
    """Lay out a new claim and its payment as columns of their tables."""
    return {
        "correlation_id": claim.payment.correlation_id,
        "amount_cents": claim.payment.amount_cents,
        "accepted_at_ms": claim.payment.accepted_at_ms,
        "processor": claim.processor,
    }


def claim_from_row(processor: str, attempts: int, **payment: Any) -> Claim:  # noqa: ANN401  # the payment's columns
    """Make a claim of columns; those that are not its own are the fields of its payment."""
    return Claim(Payment(**payment), processor, attempts)
