"""What storage, processors and the shared health board answer."""

from dataclasses import dataclass
from uuid import UUID

from actors.domain.money import Money
from actors.domain.payment import Claim, Payment, Settlement
from actors.domain.quorum import Opinion


@dataclass(frozen=True, slots=True)
class LookUpAnswer:
    """What a processor says about one payment."""

    answered: bool
    """False if it gave no usable answer."""
    requested_at_ms: int | None = None
    """The instant of the charge, milliseconds since the epoch; None if the payment was not charged there."""


@dataclass(frozen=True, slots=True)
class KnownPayment:
    """A row that existed before a claim of its payment was written."""

    payment: Payment
    owner: str | None
    """The replica that drives it; None once it is settled."""
    processor: str | None
    """The processor that its claim names; None once it is settled."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What one batch changed."""

    claimed: tuple[UUID, ...]
    """Payments that are rows of this replica now, in the order in which they were offered."""
    known: tuple[KnownPayment, ...]
    """Offered payments whose ids had a row already."""
    moved: tuple[UUID, ...]
    """Payments of this replica whose rows name the new processor now."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The place of a replica in Postgres, taken at its start."""

    epoch: int
    """Rises with every registration under this name."""
    generation: int
    """The number of the gateway's last purge; everything older than it is gone."""
    watermark_ms: int
    """The last watermark published under this name: no unsettled charge bears an older stamp."""


@dataclass(frozen=True, slots=True)
class Beat:
    """The answer to a heartbeat."""

    renewed: bool
    """False if another process has taken the name."""
    generation: int
    """The number of the gateway's last purge; 0 if the lease was not renewed."""


@dataclass(frozen=True, slots=True)
class AdoptedClaims:
    """Claims that were taken over from replicas that are gone."""

    claims: tuple[Claim, ...]
    """The oldest first."""
    oldest_stamp_ms: int
    """No charge of theirs that is missing in Postgres bears an older stamp."""


@dataclass(frozen=True, slots=True)
class ProcessorTotal:
    """What was charged on one processor in one currency within a window of time."""

    processor: str
    requests: int
    amount: Money


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """Totals of a window of time, and how far they are final."""

    totals: tuple[ProcessorTotal, ...]
    final_before_ms: int
    """Every charge with an older stamp is in the totals."""


@dataclass(frozen=True, slots=True)
class PaymentRecord:
    """What Postgres knows about one payment."""

    payment: Payment
    processor: str
    owner: str | None
    """The replica that drives it; None once it is settled."""
    settlement: Settlement | None
    conflicting_amounts: tuple[Money, ...]
    """Other amounts that were offered under its id; none of them was charged."""


@dataclass(frozen=True, slots=True)
class Absence:
    """What Postgres knows of a payment that nobody has told of."""

    recorded: bool
    """Whether it has a row all the same."""
    others: frozenset[str]
    """All other replicas that have ever registered: each may have accepted it."""


@dataclass(frozen=True, slots=True)
class ProcessorHealth:
    """The answer of a processor's health endpoint."""

    processor: str
    failing: bool
    response_time_ms_min: int
    asked_at_ms: int


@dataclass(frozen=True, slots=True)
class PollLease:
    """The right to call the health endpoint of a processor, held by one replica."""

    processor: str
    token: str
    ends_s_in: float
    """Seconds until it ends."""


@dataclass(frozen=True, slots=True)
class SharedHealth:
    """What all replicas share about the processors now."""

    answers: tuple[ProcessorHealth, ...]
    """The latest answer of each processor's health endpoint, if there is one."""
    opinions: tuple[Opinion, ...]
    """Opinions of the other replicas within their time to live; ages include the time since they were shared."""
    polls: tuple[PollLease, ...]
    """The lease on each processor's health endpoint, if there is one."""
