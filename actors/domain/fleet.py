"""What several replicas together make of a processor: one replica's trouble is its own, a quorum's is the processor's.

Ages instead of instants, so that replicas need not have one clock. Ages go on while an opinion lies on the board; the
moment on the way there makes it look a little younger than it is.
"""

from collections.abc import Collection
from dataclasses import dataclass

from actors.domain.breaker import BreakerState

QUORUM_MIN = 2
"""Fewer than this never decide for others."""
ON_THE_WAY_S = 0.1
"""By this much an opinion may look younger than it is."""


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator wants of a processor's breaker. Of several the latest counts, on all replicas."""

    state: BreakerState | None
    """`FORCED_OPEN` or `FORCED_CLOSED`; None: it decides by itself."""
    given_at_ms: int
    """Wall clock of the replica that took it, milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one replica believes of one processor."""

    replica: str
    processor: str
    down: bool
    """Whether its breaker is open or half open by what its own calls met."""
    closed: bool
    """Whether its breaker lets all calls through."""
    changed_s_ago: float | None
    """How long ago its breaker last closed or opened; None where it never did."""
    order: Order | None = None
    """The latest order that it knows."""


def is_down_for_all(own: Opinion, others: Collection[Opinion]) -> bool:
    """Tell whether a quorum, a majority of the replicas that speak, has found a processor down that this one uses.

    Who found it down before this replica's own breaker closed has older news than this replica: otherwise the first
    that recovers would be opened again by those that have not noticed yet.
    """
    down = sum(each.down and _is_later(each, own, by_s=ON_THE_WAY_S) for each in others)
    return own.closed and down >= max(QUORUM_MIN, (len(others) + 1) // 2 + 1)


def another_got_through(own: Opinion, others: Collection[Opinion]) -> bool:
    """Tell whether a breaker has closed on another replica since this replica's own opened."""
    return not own.closed and any(
        each.closed and each.changed_s_ago is not None and _is_later(each, own) for each in others
    )


def latest_order(opinions: Collection[Opinion]) -> Order | None:
    """Find the order that counts: the same one on every replica, also of two that were given at once."""
    orders = [opinion.order for opinion in opinions if opinion.order is not None]
    return max(orders, key=lambda order: (order.given_at_ms, order.state.value if order.state else ""), default=None)


def _is_later(one: Opinion, than: Opinion, *, by_s: float = 0.0) -> bool:
    """Tell whether what one replica believes is later news, by more than `by_s`, than what the other does."""
    if than.changed_s_ago is None:
        return True
    return one.changed_s_ago is not None and one.changed_s_ago + by_s < than.changed_s_ago
