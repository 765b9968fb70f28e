"""What a payment is: an identity, an amount in cents, and when it was accepted."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from actors.errors import InvalidAmountError

AMOUNT_MIN = Decimal("0.01")
AMOUNT_MAX = Decimal(10**12)


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


def amount_cents(amount: Decimal) -> int:
    """Turn a decimal amount into whole cents.

    Raises:
        InvalidAmountError: not finite, not positive, more than two decimals, below 0.01 or above 10¹².
    """
    if not amount.is_finite():
        raise InvalidAmountError("must be a finite number")
    if amount <= 0:
        raise InvalidAmountError("must be greater than zero")
    if not AMOUNT_MIN <= amount <= AMOUNT_MAX:
        raise InvalidAmountError("must be between 0.01 and 1000000000000.00")
    # The remainder is never rounded to zero, while a product would be after 28 digits.
    if amount % AMOUNT_MIN:
        raise InvalidAmountError("must have at most two decimals")
    return int(amount * 100)


def decimal_amount(cents: int) -> Decimal:
    """Turn cents into a decimal with exactly two places."""
    return Decimal(cents).scaleb(-2)
