"""What the adapters tell the actors: rows, answers and what else they have read."""

from dataclasses import dataclass
from uuid import UUID

from actors.domain.payment import Claim, Payment, Settlement
from actors.domain.quorum import Opinion


@dataclass(frozen=True, slots=True)
class LookUpAnswer:
    """What a processor says of a payment."""

    answered: bool
    """False where it gave no usable answer."""
    requested_at_ms: int | None = None
    """The instant of the charge; None where there is none."""


@dataclass(frozen=True, slots=True)
class KnownPayment:
    """A row that was there before it was offered again."""

    payment: Payment
    owner: str | None
    """The replica that drives it; None once it is settled."""
    processor: str | None


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What one transaction did."""

    claimed: tuple[UUID, ...]
    """Offered claims that are rows of this replica now."""
    known: tuple[KnownPayment, ...]
    """Offered claims whose ids had a row already."""
    moved: tuple[UUID, ...]
    """Offered moves whose rows belong to this replica and name the new processor now."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A replica's place in Postgres, taken at its start."""

    epoch: int
    """Rises with every registration under this name."""
    generation: int
    """Of the whole gateway: rises with every purge; what is older is gone."""
    watermark_ms: int
    """As of the last heartbeat under this name: no unsettled charge bears an older stamp."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat learnt."""

    renewed: bool
    """False where another process has taken the name."""
    generation: int


@dataclass(frozen=True, slots=True)
class Adopted:
    """Rows that were taken over from replicas that are gone."""

    claims: tuple[Claim, ...]
    oldest_stamp_ms: int
    """No charge of theirs that is missing in Postgres bears an older stamp."""


@dataclass(frozen=True, slots=True)
class ProcessorTotal:
    """What was charged on one processor within a window."""

    processor: str
    requests: int
    amount_cents: int


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """Totals of a window, and how far they are final."""

    totals: tuple[ProcessorTotal, ...]
    final_before_ms: int
    """Every charge with an older stamp is in the totals."""


@dataclass(frozen=True, slots=True)
class PaymentRecord:
    """What Postgres knows of one payment."""

    payment: Payment
    processor: str
    owner: str | None
    settlement: Settlement | None
    conflicting_amounts_cents: tuple[int, ...]
    """Other amounts that were offered under the same id, none of them charged."""


@dataclass(frozen=True, slots=True)
class ProcessorHealth:
    """The answer of a processor's health endpoint."""

    processor: str
    failing: bool
    response_time_ms_min: int
    asked_at_ms: int


@dataclass(frozen=True, slots=True)
class PollLease:
    """The right to call a processor's health endpoint, as somebody has taken it."""

    processor: str
    token: str
    ends_s_in: float


@dataclass(frozen=True, slots=True)
class SharedHealth:
    """What is shared now."""

    answers: tuple[ProcessorHealth, ...]
    """The latest answer of each processor's health endpoint, where there is one."""
    opinions: tuple[Opinion, ...]
    """Of the other replicas, none older than its time to live; their ages include the time since they were shared."""
    polls: tuple[PollLease, ...]
    """Of each processor, where there is one."""
