"""What may happen to a payment that a replica drives: the events of its lifecycle."""

from dataclasses import dataclass
from uuid import UUID

from actors.domain.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Chosen:
    """The dispatcher chose a processor, which has room."""

    processor: str


@dataclass(frozen=True, slots=True)
class LookUpChosen:
    """The dispatcher prefers asking the payment's own processor over charging again."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The payment's row is committed and belongs to this replica."""


@dataclass(frozen=True, slots=True)
class ClaimRejected:
    """Its id has a row already, of another replica or with another amount."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The row names the new processor."""


@dataclass(frozen=True, slots=True)
class MoveRejected:
    """The row belongs to another replica by now."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """This replica drives the payment of a row whose past it does not know."""

    processor: str
    attempts: int
    oldest_stamp_ms: int
    """Every charge of it bears this stamp or a later one."""


@dataclass(frozen=True, slots=True)
class Unconfigured:
    """The processor that the row names is not configured."""


@dataclass(frozen=True, slots=True)
class ChargeEnded:
    """An attempt to charge is over."""

    correlation_id: UUID
    outcome: Outcome
    requested_at_ms: int
    """The instant that was sent, milliseconds since the epoch."""
    answered_at_ms: int = 0
    """Wall clock at which the attempt ended, milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class LookUpEnded:
    """The processor was asked whether it charged the payment."""

    correlation_id: UUID
    answered: bool
    """False where there was no usable answer."""
    requested_at_ms: int | None
    """The instant under which it was charged; None where it was not found, or nothing was answered."""
    asked_at_s: float
    """Monotonic time at which it was asked. The answer says nothing of what came later, until it was handled."""


@dataclass(frozen=True, slots=True)
class PauseEnded:
    """The pause after a failure is over."""

    in_outage: bool
    """Whether the processor has an outage that is waited out: then its failures say nothing about the payment."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The settlement is committed."""


Event = (
    Chosen
    | LookUpChosen
    | Claimed
    | ClaimRejected
    | Moved
    | MoveRejected
    | Adopted
    | Unconfigured
    | ChargeEnded
    | LookUpEnded
    | PauseEnded
    | Settled
)
