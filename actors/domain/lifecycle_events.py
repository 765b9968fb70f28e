"""What may happen to a payment that a replica drives: the events of its lifecycle."""

from dataclasses import dataclass
from uuid import UUID

from actors.domain.outcome import Outcome
from actors.domain.records import LookUpResult


@dataclass(frozen=True, slots=True)
class Chosen:
    """The dispatcher chose a processor, which has room, or found that none takes the payment now."""

    processor: str | None


@dataclass(frozen=True, slots=True)
class LookUpChosen:
    """The dispatcher prefers asking a processor for the payment over charging it."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The payment's row is committed and belongs to this replica."""

    down: frozenset[str] = frozenset()
    """Processors whose breakers are not closed: they are not asked for it, unless all have to answer."""


@dataclass(frozen=True, slots=True)
class ClaimRejected:
    """The payment's id has a row already, of another replica or with another amount."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The row names the new processor."""


@dataclass(frozen=True, slots=True)
class MoveRejected:
    """The row belongs to another replica by now, or Postgres does not have it any more."""

    processors: tuple[str, ...]
    """All configured processors."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """This replica takes up the payment of a row whose past it does not know."""

    processor: str | None
    """The processor that the row names; None where the row proves that the payment was sent to none."""
    attempts: int
    moves: int
    oldest_stamp_ms: int
    """Every charge of it bears this stamp or a later one."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The payment comes from the journal of an earlier run or of another replica, and has no row that is known of."""

    processors: tuple[str, ...]
    """All configured processors: each is asked for it before its first charge."""
    must_answer: bool
    """Whether Postgres may have forgotten its row, so that a processor without an answer may have charged it."""


@dataclass(frozen=True, slots=True)
class PerhapsForgotten:
    """A client has posted the payment, and Postgres may have forgotten that it was charged long ago."""

    processors: tuple[str, ...]
    """Processors that may have charged it: before its first charge each has to say that it does not know it."""
    since_s: float
    """When it was found that Postgres may have forgotten something: nothing that it forgot was sent later."""


@dataclass(frozen=True, slots=True)
class RowDoubted:
    """Postgres may have forgotten the row or what it said last, or that another replica charged the payment."""

    processors: tuple[str, ...]
    """Processors that may have charged it: each has to answer before the next charge."""


@dataclass(frozen=True, slots=True)
class Unconfigured:
    """The processor that the row names is not configured."""


@dataclass(frozen=True, slots=True)
class DeclinedByAll:
    """Every processor that takes its currency has declined it, or is not sent it any more."""


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
    """A processor was asked whether it charged the payment."""

    correlation_id: UUID
    processor: str
    result: LookUpResult
    requested_at_ms: int | None
    """The instant under which it was charged; None unless it was."""
    asked_at_s: float
    """Monotonic time at which it was asked. The answer says nothing about what was booked after that."""
    horizon_s: float
    """How long after an attempt this processor may still book it. Until then, a missing payment proves nothing."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """An operator has found out what became of a payment about which no processor tells."""

    charged_by: str | None
    """The processor that charged it; None where none did."""
    requested_at_ms: int | None
    """The instant under which it was charged; None where it was not."""
    never_by: frozenset[str] = frozenset()
    """Processors that it is not sent to any more."""


@dataclass(frozen=True, slots=True)
class PauseEnded:
    """The pause after a failure is over."""

    in_outage: bool
    """Whether the processor has an outage that is waited out: then its failures say nothing about the payment."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The settlement is committed."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of the payment without a charge is committed."""


Event = (
    Chosen
    | LookUpChosen
    | Claimed
    | ClaimRejected
    | Moved
    | MoveRejected
    | Adopted
    | Replayed
    | PerhapsForgotten
    | RowDoubted
    | Unconfigured
    | DeclinedByAll
    | ChargeEnded
    | LookUpEnded
    | PauseEnded
    | Resolved
    | Settled
    | Closed
)
