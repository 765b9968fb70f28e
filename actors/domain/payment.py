"""What a payment is: an identity, an amount in cents, and when it was accepted."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that a client asked for."""

    correlation_id: UUID
    """Chosen by the client; one payment per id, for ever."""
    amount_cents: int
    accepted_at_ms: int
    """Wall clock of the accepting replica, milliseconds since the epoch."""


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
    """A payment and the only processor that may have been charged, as its row in Postgres says."""

    payment: Payment
    processor: str
    attempts: int = 0
    """How many times it was sent before it came to this processor."""


@dataclass(frozen=True, slots=True)
class Move:
    """The change of a row: this payment, which is certainly not charged, goes to another processor."""

    correlation_id: UUID
    processor: str
    attempts: int
