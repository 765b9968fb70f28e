"""What actors say to each other: commands in the imperative, events in the past tense."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from actors.domain.breaker import BreakerState, Cause, Transition
from actors.domain.outcome import Outcome
from actors.domain.payment import Payment, Settlement
from actors.domain.routing import Reason


class AcceptAnswer(Enum):
    """What a client is told of the payment that it posted."""

    ACCEPTED = "accepted"
    """It is durable now."""
    REPEATED = "repeated"
    """It was accepted before, with the same amount."""
    CONFLICT = "conflict"
    """Its id was accepted before with another amount; this one is not kept."""
    OVERLOADED = "overloaded"
    """Too many payments wait for Postgres or a processor; nothing was kept."""
    JOURNAL_UNAVAILABLE = "journal unavailable"
    """It could not be made durable; nothing was kept."""


@dataclass(frozen=True, slots=True)
class Accept:
    """To the intake: make this payment durable, then answer."""

    payment: Payment
    reply: Callable[[AcceptAnswer], None]
    wanted_until_s: float
    """Monotonic time after which nobody waits for the answer: the payment is not kept then."""


@dataclass(frozen=True, slots=True)
class TakeOver:
    """To the intake: make these payments of another replica's journal durable here. Answers whether they are."""

    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """To gossip: these were accepted here."""

    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class Driven:
    """To the intake: this replica drives these now, though they were not accepted by it in this run."""

    correlation_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """To the intake: these were accepted by some replica."""

    payments: tuple[Payment, ...]
    certain: bool
    """Whether Postgres says so: the one that it has came first, whatever was believed before."""


@dataclass(frozen=True, slots=True)
class Route:
    """To the router: these are durable; take them to a processor."""

    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A payment and the processor that its row names."""

    payment: Payment
    processor: str
    attempts: int = 0
    """How many times it was sent before it came to this processor."""


@dataclass(frozen=True, slots=True)
class Assign:
    """To persistence: write these payments, each with the processor that may be charged."""

    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Assigned:
    """To the router: these rows are committed and belong to this replica."""

    correlation_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Disowned:
    """To the router: the rows of these ids are others', or of other amounts; these are not charged by this replica."""

    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class MoveRefused:
    """To the router: the rows of these ids belong to others by now."""

    correlation_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Committed:
    """To the intake: Postgres has these; the journal need not keep them."""

    correlation_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """To persistence: this payment, certainly not charged, goes to another processor."""

    correlation_id: UUID
    processor: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Moved:
    """To the router: these moves are committed."""

    correlation_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Settle:
    """To persistence: this payment was charged."""

    settlement: Settlement


@dataclass(frozen=True, slots=True)
class Settled:
    """To router and intake: these settlements are committed. To the intake also: others drive these."""

    correlation_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Adopt:
    """To the router: drive these payments, of which only the rows are known."""

    claims: tuple[Claim, ...]
    oldest_stamp_ms: int
    """No charge of theirs bears an older stamp."""


@dataclass(frozen=True, slots=True)
class Charge:
    """To a processor's actor: send this payment."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class LookUp:
    """To a processor's actor: ask whether and when this payment was charged there."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class ChargeEnded:
    """To the processor's actor, then to the router: one attempt is over."""

    correlation_id: UUID
    outcome: Outcome
    requested_at_ms: int


@dataclass(frozen=True, slots=True)
class Returned:
    """To the router: these were not sent, since the processor takes none now."""

    processor: str
    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class LookedUp:
    """To the processor's actor, then to the router: what the processor said of this payment."""

    correlation_id: UUID
    requested_at_ms: int | None
    """The instant it was charged under; None where it was not found or nothing was answered."""
    answered: bool


@dataclass(frozen=True, slots=True)
class AvailabilityChanged:
    """To the router: what a processor takes from now on. One that is draining counts as open."""

    processor: str
    state: BreakerState
    limit: int
    """How many charges may be under way at once while it is closed."""
    capacity_per_s: float
    """How many charges a second it can be given at its latency."""
    down_since_s: float | None
    """Monotonic time at which the present outage began; None where there is none."""
    probes: int
    """How many charges it takes as probes now; 0 unless it is half open."""


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """To health: the breaker of a processor has changed here."""

    processor: str
    state: BreakerState
    down: bool
    """Whether it is open or half open by what this replica's own calls met."""
    changed_at_s: float | None
    """Monotonic time at which it last closed or opened."""


@dataclass(frozen=True, slots=True)
class ProbeWanted:
    """To health: a payment waits to probe this processor. Answered by `ProbeAnswered`."""

    processor: str


@dataclass(frozen=True, slots=True)
class ProbeAnswered:
    """To a processor's actor: whether one probe may be sent now, as far as the whole fleet's budget goes."""

    granted: bool


@dataclass(frozen=True, slots=True)
class ProbeDue:
    """To a processor's actor, from itself: it may ask for a probe again."""


@dataclass(frozen=True, slots=True)
class HealthReported:
    """To a processor's actor: what its own health endpoint said, once for each answer."""

    processor: str
    failing: bool
    response_time_ms_min: int
    asked_s_ago: float


@dataclass(frozen=True, slots=True)
class FoundDown:
    """To a processor's actor: a quorum of replicas has found it down."""


@dataclass(frozen=True, slots=True)
class GotThrough:
    """To a processor's actor: another replica's breaker has closed since this one's opened."""


@dataclass(frozen=True, slots=True)
class ForceBreaker:
    """To health, from an operator, and then to the processor's actor on every replica: hold its breaker."""

    processor: str
    state: BreakerState | None
    """`FORCED_OPEN` or `FORCED_CLOSED`; None lets it decide by itself again."""


@dataclass(frozen=True, slots=True)
class Polled:
    """To health, from its helper: the call to a processor's health endpoint is over."""

    processor: str


@dataclass(frozen=True, slots=True)
class LeaseRenewed:
    """To the processors' actors: this replica may send until then."""

    until_s: float
    """On the monotonic clock."""


@dataclass(frozen=True, slots=True)
class RetryDue:
    """To the router, from itself: the pause of this payment is over."""

    correlation_id: UUID


@dataclass(frozen=True, slots=True)
class Tick:
    """From an actor to itself: a period is over."""


@dataclass(frozen=True, slots=True)
class StartDue:
    """To a processor's actor, from itself: the next charge may start."""

    due_s: float
    """Monotonic time for which it was ordered; how late it comes is the lag of the process."""


@dataclass(frozen=True, slots=True)
class StallDue:
    """To a processor's actor, from itself: see whether charges still end."""


@dataclass(frozen=True, slots=True)
class OldestStamp:
    """A question to processors' actors, then the router: the oldest stamp of a charge that is not committed yet."""


@dataclass(frozen=True, slots=True)
class Describe:
    """A question to the router: how far is this payment? Answers a `PaymentProgress` or None."""

    correlation_id: UUID


@dataclass(frozen=True, slots=True)
class PaymentProgress:
    """What the router knows of an unsettled payment."""

    processor: str
    attempts: int
    pinned: bool


@dataclass(frozen=True, slots=True)
class Backlog:
    """A question to router, persistence and intake: how many of theirs wait for Postgres?"""


@dataclass(frozen=True, slots=True)
class Drain:
    """To the processors' actors: send nothing more. To recovery: end the lease."""


@dataclass(frozen=True, slots=True)
class Count:
    """A question to the router: what is unsettled, and how are the processors? Answers a `Census`."""


@dataclass(frozen=True, slots=True)
class Census:
    """What one replica is busy with."""

    unsettled: Mapping[str, int]
    """Payments by what they wait for."""
    unresolved: int
    """Payments of which it has been unknown for long whether they were charged."""
    decisions: Mapping[tuple[str | None, Reason], int]
    """How often a payment was given to a processor, or to none, for each reason."""


@dataclass(frozen=True, slots=True)
class DescribeProcessor:
    """A question to a processor's actor: how is it? Answers a `ProcessorStatus`."""


@dataclass(frozen=True, slots=True)
class DatedTransition:
    """A transition of a breaker with its instant."""

    at_ms: int
    """Wall clock, milliseconds since the epoch."""
    transition: Transition


@dataclass(frozen=True, slots=True)
class ProcessorStatus:
    """What one replica knows of one processor."""

    state: BreakerState
    under_way: int
    """Charges that were sent and have not ended."""
    limit: int
    """How many may be under way at once."""
    latency_s: float | None
    """Smoothed duration of a charge; None where none has ended yet."""
    starts_per_s_max: float
    """How many charges a second may start, for the sake of new requests' CPU."""
    transitions: tuple[DatedTransition, ...]
    """The latest changes of its breaker's state, oldest first."""
    transitions_by_cause: Mapping[tuple[BreakerState, Cause], int]
    """How often the breaker changed to a state for a cause, since the start."""
