"""The messages to a processor's actor, and its answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.domain.breaker import BreakerState, Transition
from actors.domain.breaker_causes import Cause
from actors.domain.histogram import HistogramCounts
from actors.domain.level import Level
from actors.domain.outcome import Outcome
from actors.domain.payment import Payment
from actors.domain.records import LookUpResult
from actors.domain.replica_status import HealthTold


@dataclass(frozen=True, slots=True)
class Charge:
    """Send these payments."""

    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask whether and when these payments were charged."""

    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class EndsDue:
    """A greenlet of the actor tells it: charges or look-ups have ended, and were gathered for a moment."""


@dataclass(frozen=True, slots=True)
class StartDue:
    """The actor tells itself: time alone has changed what may be sent."""


@dataclass(frozen=True, slots=True)
class LeaseRenewed:
    """This replica may send until `until_s`."""

    until_s: float
    """Monotonic time."""
    replicas: int = 1
    """How many replicas may send, this one included."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Send nothing more."""


@dataclass(frozen=True, slots=True)
class HealthReported:
    """The processor's own health endpoint has answered; told once for each answer."""

    failing: bool
    asked_s_ago: float
    response_time_s_min: float
    """How long a charge takes at least, as the processor says."""


@dataclass(frozen=True, slots=True)
class DelayHeard:
    """Other replicas have seen the processor take longer for a charge than the operator allows for."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class QuorumFoundDown:
    """A quorum of replicas has found the processor down."""


@dataclass(frozen=True, slots=True)
class TurnedAwayElsewhere:
    """The processor turns away all calls of another replica, so that its look-ups prove nothing."""


@dataclass(frozen=True, slots=True)
class PeerRecovered:
    """Another replica's breaker has closed since this one's opened."""


@dataclass(frozen=True, slots=True)
class HoldBreaker:
    """An operator wants the breaker in this state."""

    state: BreakerState | None
    """`FORCED_OPEN` or `FORCED_CLOSED`; None lets it decide by itself again."""


@dataclass(frozen=True, slots=True)
class KnockEnded:
    """A greenlet of the actor tells it: the processor was asked for a connection."""

    accepted: bool


@dataclass(frozen=True, slots=True)
class ProbeAnswered:
    """The budget of probes, which all replicas share, has one for this replica, or not."""

    granted: bool


@dataclass(frozen=True, slots=True)
class GetUnreported:
    """A question: how old are the charges whose ends the router was not told yet? Answers `Watermarks`."""


@dataclass(frozen=True, slots=True)
class GetProcessorStatus:
    """A question: how is the processor? Answers a `ProcessorStatus`."""


@dataclass(frozen=True, slots=True)
class DatedTransition:
    """A transition of a breaker with its instant."""

    at_ms: int
    """Wall clock, milliseconds since the epoch."""
    transition: Transition


@dataclass(frozen=True, slots=True)
class ProcessorStatus:
    """What one replica knows of one processor."""

    charges: bool
    """False if it is only asked about payments that it may have charged before."""
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
    failure_rate: float | None = None
    """Share of the calls in the breaker's window that failed, and next of those that were slow; None without any."""
    slow_rate: float | None = None
    health: HealthTold | None = None
    """The last answer of its health endpoint; None where none has come."""
    charges_ended: Mapping[Outcome, HistogramCounts] = field(default_factory=dict)
    """How long charges took that were sent, by their outcome, since the start."""
    looked_up: Mapping[LookUpResult, int] = field(default_factory=dict)
    """How look-ups ended, since the start."""
    look_ups: Level = Level(0, 0)  # noqa: RUF009  # frozen, so one for all is harmless
    """Look-ups under way."""
    unreachable: bool = False
    """Whether its breaker is half open, and it has accepted no connection since."""


ProcessorMessage = (
    Charge
    | LookUp
    | EndsDue
    | StartDue
    | LeaseRenewed
    | Drain
    | HealthReported
    | DelayHeard
    | QuorumFoundDown
    | TurnedAwayElsewhere
    | PeerRecovered
    | HoldBreaker
    | KnockEnded
    | ProbeAnswered
    | GetUnreported
    | GetProcessorStatus
)
