"""What an operator has found out about a payment that does not settle by itself, and what became of that."""

from dataclasses import dataclass
from enum import Enum
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Finding:
    """What an operator has found out about one payment in the processors' own books."""

    correlation_id: UUID
    charged_by: str | None
    """The processor that charged it; None where none did."""
    requested_at_ms: int | None
    """The instant under which it was charged, milliseconds since the epoch; None where it was not charged."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A finding as it is kept."""

    number: int
    """Rises with every finding."""
    finding: Finding


class ResolutionAnswer(Enum):
    """What became of a finding. The values are kept in Postgres."""

    APPLIED = "applied"
    """The charge is being recorded, or the payment is charged anew."""
    MAY_SETTLE = "may settle by itself"
    """The payment's processor may still tell what became of it, and could contradict the finding."""
    SETTLED = "settled"
    """The payment's charge is recorded already."""
    NOT_FOUND = "not found"
    """Postgres has no payment with this id."""
