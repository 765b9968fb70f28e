"""The messages to the health actor, and its answers."""

from dataclasses import dataclass

from actors.domain.breaker import BreakerState
from actors.messages.trouble import GetTrouble


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """The breaker of a processor has changed here."""

    processor: str
    state: BreakerState
    down: bool
    """Whether it is open or half open because of this replica's own calls."""
    changed_at_s: float | None
    """Monotonic time at which it last closed or opened."""
    turns_away: bool = False
    """Whether the processor has turned away all calls, and the breaker has not closed since."""


@dataclass(frozen=True, slots=True)
class DelaySeen:
    """A processor takes longer for charges of this replica than the operator allows for, or no longer does."""

    processor: str
    delay_s: float
    """The longest charge of the last hour; 0 where none was too long."""


@dataclass(frozen=True, slots=True)
class ProbeWanted:
    """A payment waits to probe this processor. Its actor is told `ProbeAnswered`."""

    processor: str
    replicas: int = 3
    """How many replicas share the budget of probes, this one included."""


@dataclass(frozen=True, slots=True)
class ForceBreaker:
    """An operator wants a breaker held on all replicas. Answers whether there is such a processor."""

    processor: str
    state: BreakerState | None
    """`FORCED_OPEN` or `FORCED_CLOSED`; None lets it decide by itself again."""


@dataclass(frozen=True, slots=True)
class PollEnded:
    """A greenlet of the actor tells it: the call to a processor's health endpoint is over."""

    processor: str


@dataclass(frozen=True, slots=True)
class ExchangeDue:
    """The actor tells itself: the shared view is to be read again."""


@dataclass(frozen=True, slots=True)
class GetOrderReach:
    """A question: which replicas hold the latest order for a processor? Answers an `OrderReach`."""

    processor: str


@dataclass(frozen=True, slots=True)
class OrderReach:
    """How many replicas apply an operator's order."""

    replicas: int
    """Replicas that report it, the one that was given the order included."""
    of: int
    """Replicas that are alive."""


HealthMessage = (
    BreakerChanged | DelaySeen | ProbeWanted | ForceBreaker | PollEnded | ExchangeDue | GetOrderReach | GetTrouble
)
