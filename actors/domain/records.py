"""What storage, processors and the shared health board answer."""

from dataclasses import dataclass, field, replace
from enum import Enum
from uuid import UUID

from actors.domain.money import Money
from actors.domain.payment import Claim, Closing, Payment, Settlement
from actors.domain.quorum import Opinion
from actors.domain.wall_clock import ClockReading


class LookUpResult(Enum):
    """What a processor says about one payment."""

    CHARGED = "charged"
    MISSING = "missing"
    """It was not charged there until it was asked for."""
    MISMATCHED = "mismatched"
    """Its id was charged there with another amount or currency."""
    NO_ANSWER = "no answer"
    """There was no usable answer."""


@dataclass(frozen=True, slots=True)
class LookUpAnswer:
    """The answer of a processor that was asked for one payment."""

    result: LookUpResult
    requested_at_ms: int | None = None
    """The instant of the charge, milliseconds since the epoch; None unless it was charged."""


@dataclass(frozen=True, slots=True)
class KnownPayment:
    """A row that existed before a claim of its payment was written."""

    payment: Payment
    owner: str | None
    """The replica that drives it; None once it is settled or closed."""
    processor: str | None
    """The processor that its claim names; None where it names no processor, or there is no claim any more."""
    moves: int
    """How often its claim has changed; 0 where there is none."""
    attempts: int
    """How many times it was sent to a processor before the one that its claim names; 0 where there is no claim."""
    oldest_stamp_ms: int | None
    """No charge of it that is missing in Postgres bears an older stamp; None where there is no claim."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What one batch changed."""

    claimed: tuple[UUID, ...]
    """Payments that are rows of this replica now, in the order in which they were offered. Rows that an earlier try of
    the same registration has written are among them: nothing was sent since."""
    known: tuple[KnownPayment, ...]
    """Offered payments whose ids had a row already."""
    moved: tuple[UUID, ...]
    """Payments of this replica whose rows name the new processor now."""
    disputed: tuple[UUID, ...] = ()
    """Payments that are settled otherwise already, with another processor, stamp or amount, as was not known before."""


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """Which Postgres answered, how far its history goes, and which acknowledged writes of this replica it has."""

    system_id: str
    """The identifier that its data folder was made with."""
    timeline: int
    """Rises when a standby takes over, and with a restore to an earlier point in time."""
    position: int
    """How many bytes of its log had ever been made durable."""
    noted_position: int
    """The position that this replica had noted in its own row, which no other replica writes."""
    mark: int = 0
    """The mark of the last registration or beat of this replica. Marks rise, and none is ever given twice."""
    has_last_write: bool = True
    """Whether it holds the last write of this process that was acknowledged."""
    is_synchronous: bool = False
    """Whether that registration or beat waited for a standby."""
    is_established: bool = True
    """Whether it is decided already if this history lacks anything."""
    forgot_history: str | None = None
    """The last history of which a replica has found that it lacks something."""
    forgot_at_ms: int | None = None
    """Wall clock at which that was found, milliseconds since the epoch."""

    @property
    def history(self) -> str:
        """The name of its history, as Postgres' function `database_history` gives it."""
        return f"{self.system_id}/{self.timeline:08X}"

    def follows(self, seen: "StoreIdentity") -> bool:
        """Tell whether it is the one that was seen before, with all that this one had acknowledged."""
        same_history = (self.system_id, self.timeline) == (seen.system_id, seen.timeline)
        is_noted = self.noted_position >= seen.noted_position and self.mark >= seen.mark
        return same_history and self.position >= seen.position and is_noted

    def carries_on(self, seen: "StoreIdentity") -> bool:
        """Tell whether it is a standby that has taken over with all that this replica was told of before.

        The log is a sequence, and a standby has all of it up to some position. So if this replica finds there what was
        acknowledged to it last, or what was begun after that, everything that was acknowledged before is there too, to
        whichever replica. If commits did not wait for a standby, something else may be missing: a replica that nobody
        knows of may have joined in the lost part.
        """
        is_later = self.system_id == seen.system_id and self.timeline > seen.timeline
        return is_later and self.mark >= seen.mark > 0 and self.has_last_write and self.is_synchronous

    def noted(self, mark: int = 0) -> "StoreIdentity":
        """Give what there is at least once this replica has noted a position, which it does after it has read it."""
        return replace(self, noted_position=self.position, mark=max(self.mark, mark))

    def __str__(self) -> str:
        """Name it for people."""
        where = f"system {self.system_id}, timeline {self.timeline}, position {self.position}"
        return f"{where} with {self.noted_position} noted"


FORGOTTEN_S = 3600.0
"""For how long replicas take into account that Postgres may have forgotten something: until then, a payment from a
journal, a row or a client may have had a later state, which Postgres has forgotten."""


@dataclass(frozen=True, slots=True)
class SeenStore:
    """What a replica remembers of Postgres over the end of its process."""

    identity: StoreIdentity
    forgot_at_ms: int | None = None
    """Wall clock at which Postgres was last found to have forgotten something, milliseconds since the epoch."""


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
    published_ms: int
    """The greatest watermark that was ever published under this name."""
    mark: int = field(default=0, compare=False)
    """What it is known by in `StoreIdentity`."""


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """What Postgres holds of another replica."""

    name: str
    epoch: int
    beats: str
    """Changes with each of its beats."""
    generation: int
    """What it holds may be this old."""
    has_left: bool
    """Whether its lease has ended: it retired, or another replica ended it."""
    published_ms: int
    """The greatest watermark that was ever published under its name."""
    clock: ClockReading | None
    """What its clocks showed at its last beat; None where it is of a release that does not publish them."""
    has_confirmed: bool = field(default=True, compare=False)
    """Whether it has found, in this history of the database, all that it had been told of."""
    is_synchronous: bool = field(default=False, compare=False)
    """Whether its last registration or beat waited for a standby of Postgres."""


@dataclass(frozen=True, slots=True)
class Beat:
    """The answer to a heartbeat."""

    renewed: bool
    """False if the lease was ended by others, or another process has taken the name."""
    generation: int
    """The number of the gateway's last purge; 0 if the lease was not renewed."""
    mark: int = field(default=0, compare=False)
    """What it is known by in `StoreIdentity`."""


@dataclass(frozen=True, slots=True)
class AdoptedClaims:
    """Claims that were taken over from replicas that are gone."""

    claims: tuple[Claim, ...]
    """The oldest first."""
    oldest_stamp_ms: int
    """No charge of theirs that is missing in Postgres bears an older stamp."""


NEVER_MS = 2**63 - 1
"""The watermark of those who have no charge that is missing in Postgres."""


@dataclass(frozen=True, slots=True)
class Watermarks:
    """How far charges are committed in Postgres: those of all replicas, or those that one actor knows."""

    stamp_ms: int
    """No charge that is missing in Postgres bears an older stamp."""
    answer_ms: int
    """A processor answered none of the charges that are missing in Postgres earlier, by the replicas' clocks."""


NOTHING_MISSING = Watermarks(NEVER_MS, NEVER_MS)


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
    """Every charge with an older stamp is in Postgres."""
    left_out: int = 0
    """How many charges of the window are in Postgres and not in the totals, since they were answered too late."""


class PaymentState(Enum):
    """How far a payment is that has a row, as a list can ask for it. The values are what the API shows."""

    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    """It has been unknown for more than a second whether it was charged."""
    STRANDED = "stranded"
    DECLINED = "declined"
    MISMATCHED = "mismatched"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """The place of a payment in a list, which begins with the oldest."""

    at_ms: int
    """When it was accepted or, if it is settled, the instant of its charge; milliseconds since the epoch."""
    correlation_id: UUID


FIRST = Position(-(2**63), UUID(int=0))
"""The position before all others."""


@dataclass(frozen=True, slots=True)
class PaymentRecord:
    """What Postgres knows about one payment."""

    payment: Payment
    processor: str | None
    """The processor that charged it, whose answer closed it, or that its claim names; None where it names none."""
    owner: str | None
    """The replica that drives it; None once it is settled or closed."""
    settlement: Settlement | None
    conflicting_amounts: tuple[Money, ...]
    """Other amounts that were offered under its id; none of them was charged."""
    closing: Closing | None = None
    """Its end without a charge; None where it is settled or driven."""
    marked: str | None = None
    """What its owner tells readers of it: "unknown", "stranded" or nothing."""
    archived: bool = False
    """Whether it is settled, and its settlement archived: only its charge's own book tells more."""

    @property
    def position(self) -> Position:
        """Its place in the list of all that are in its state."""
        at_ms = self.settlement.requested_at_ms if self.settlement else self.payment.accepted_at_ms
        return Position(at_ms, self.payment.correlation_id)


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
