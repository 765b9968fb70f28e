"""What a payment is: an identity, an amount in cents, and when it was accepted."""

import struct
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from actors.errors import InvalidAmountError

AMOUNT_MIN = Decimal("0.01")
AMOUNT_MAX = Decimal(10**12)

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
