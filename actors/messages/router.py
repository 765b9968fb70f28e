"""The messages to the router, and its answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from actors.domain.level import Level
from actors.domain.lifecycle_events import ChargeEnded, LookUpEnded
from actors.domain.payment import Claim, EndState, Payment
from actors.domain.processor_view import Availability
from actors.domain.resolution import Resolution
from actors.domain.routing import Reason


@dataclass(frozen=True, slots=True)
class Route:
    """Take these payments, which are durable, to processors."""

    payments: tuple[Payment, ...]
    behind: int
    """How many more wait in the journal."""
    replayed: frozenset[UUID] = frozenset()
    """Ids of those that come from an earlier run or from another replica's journal: if they have no row, either nothing
    was sent, or Postgres has forgotten them."""
    have_rows: bool = False
    """Whether this run of this replica has written a row for each of them, which names no processor."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """Drive these payments, of which only the rows are known."""

    claims: tuple[Claim, ...]
    oldest_stamp_ms: int
    """Their charges bear this stamp or later ones."""


@dataclass(frozen=True, slots=True)
class StoreChanged:
    """Postgres may have forgotten what it had acknowledged: no row, and no absence of a row, proves anything."""


@dataclass(frozen=True, slots=True)
class Written:
    """A batch is committed."""

    claimed: tuple[UUID, ...]
    """Rows that belong to this replica now."""
    claims_rejected: tuple[Payment, ...]
    """Payments whose ids have rows of other replicas, or with other amounts."""
    moved: tuple[UUID, ...]
    """Rows that name their new processors now."""
    moves_rejected: tuple[UUID, ...]
    """Rows that belong to other replicas by now."""
    settled: tuple[UUID, ...]
    closed: tuple[UUID, ...] = ()
    """Payments whose end without a charge is committed."""


@dataclass(frozen=True, slots=True)
class ChargesEnded:
    """These attempts are over."""

    ends: tuple[ChargeEnded, ...]


@dataclass(frozen=True, slots=True)
class LookUpsEnded:
    """A processor was asked for these payments."""

    ends: tuple[LookUpEnded, ...]


@dataclass(frozen=True, slots=True)
class AvailabilityChanged:
    """A processor takes more or fewer payments from now on."""

    availability: Availability


@dataclass(frozen=True, slots=True)
class DecisionDue:
    """The actor tells itself: a pause has ended, or the time to wait for a processor."""


@dataclass(frozen=True, slots=True)
class GetUncommitted:
    """A question: how old are the charges that are not committed yet? Answers `Watermarks`."""


@dataclass(frozen=True, slots=True)
class GetBeingWritten:
    """A question: how many payments wait for Postgres?"""


@dataclass(frozen=True, slots=True)
class GetDrivenCount:
    """A question: how many payments does this replica drive?"""


@dataclass(frozen=True, slots=True)
class BeginAdoption:
    """Remember from now on which payments end: rows that are read meanwhile may be out of date.

    Answers `AdoptionRoom`.
    """


@dataclass(frozen=True, slots=True)
class EndAdoption:
    """All rows that were read since `BeginAdoption` have been sent: what has ended need not be remembered any more."""


@dataclass(frozen=True, slots=True)
class GetDriven:
    """A question: how far is this payment? Answers a `Driven`, or None where this replica does not drive it."""

    correlation_id: UUID


@dataclass(frozen=True, slots=True)
class GetHistory:
    """A question: what has this replica done with this payment? Answers a `ToldHistory`."""

    correlation_id: UUID


@dataclass(frozen=True, slots=True)
class Resolve:
    """Apply what an operator has found out, unless that is done already.

    Answers a `ResolutionAnswer`, or None where this replica does not drive the payment.
    """

    resolution: Resolution
    reopened: Claim | None = None
    """The payment's row, if it had ended without a charge and was taken up again to be resolved."""
    ended: EndState | None = None
    """How it had ended."""


@dataclass(frozen=True, slots=True)
class GetRouterStats:
    """A question: what is the replica busy with? Answers `RouterStats`."""


@dataclass(frozen=True, slots=True)
class RouterStats:
    """What one replica is busy with."""

    unsettled: Mapping[str, int]
    """Payments by what they wait for."""
    unresolved: int
    """Payments of unknown outcome for over a minute."""
    decisions: Mapping[tuple[str | None, Reason], int]
    """How often a payment was given to a processor, or to none, for each reason."""
    adopted: int = 0
    """Payments that were taken up from rows since the start."""
    waited_for_s: Mapping[str, float] = field(default_factory=dict)
    """How much longer payments wait for a processor that is down rather than go to a dearer one, by its name."""
    in_memory: Level = Level(0, 0)  # noqa: RUF009  # frozen, so one for all is harmless
    """Payments that are in memory."""
    rechecks: Level = Level(0, 0)  # noqa: RUF009  # the same
    """Look-ups of payments that have ended, which are due or under way."""


RouterMessage = (
    Route
    | Adopt
    | StoreChanged
    | Written
    | ChargesEnded
    | LookUpsEnded
    | AvailabilityChanged
    | DecisionDue
    | GetUncommitted
    | GetBeingWritten
    | GetDrivenCount
    | BeginAdoption
    | EndAdoption
    | GetDriven
    | GetHistory
    | Resolve
    | GetRouterStats
)
