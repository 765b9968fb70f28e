"""What storage, processors and the shared health board answer."""

from dataclasses import dataclass, replace
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
class StoreIdentity:
    """Which Postgres answered, and how far its history was."""

    system_id: str
    """The identifier that its data folder was made with."""
    timeline: int
    """Rises when a standby takes over, and with a restore to an earlier point in time."""
    position: int
    """How many bytes of its log had ever been made durable."""
    noted_position: int
    """The position that this replica had noted in its own row, which no other replica's writes can make up for."""

    def follows(self, seen: "StoreIdentity") -> bool:
        """Tell whether it is the one that was seen before, with all that this one had acknowledged."""
        same_history = (self.system_id, self.timeline) == (seen.system_id, seen.timeline)
        return same_history and self.position >= seen.position and self.noted_position >= seen.noted_position

    def noted(self) -> "StoreIdentity":
        """Give what there is at least once this replica has noted a position, which it does after it has read it."""
        return replace(self, noted_position=self.position)

    def __str__(self) -> str:
        """Name it for people."""
        where = f"system {self.system_id}, timeline {self.timeline}, position {self.position}"
        return f"{where} with {self.noted_position} noted"


@dataclass(frozen=True, slots=True)
class LastPurge:
    """The gateway's last purge. It opened a generation, and forgets what was accepted up to its instant."""

    generation: int
    """How many purges there were."""
    at_ms: int
    """Wall clock of the replica that began it, milliseconds since the epoch; never falls from purge to purge."""

    def forgets(self, payment: Payment, generation: int) -> bool:
        """Tell whether it forgets a payment that a journal holds under this generation.

        What stands under an earlier generation is kept where it was accepted later: by a replica that had not heard of
        the purge yet.
        """
        return generation < self.generation and payment.accepted_at_ms <= self.at_ms


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
