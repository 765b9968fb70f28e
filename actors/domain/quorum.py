"""Decides what replicas believe together about a processor: one replica alone may be wrong, a quorum is believed.

Replicas need not agree on the time: they share how long ago something happened, not when. The board adds the time that
an opinion has been on it. It cannot add the time that the opinion took to get there, so an opinion looks a little newer
than it is.
"""

from collections.abc import Collection
from dataclasses import dataclass

from actors.domain.breaker import BreakerState

QUORUM_MIN = 2
"""Fewer replicas than this never decide for others."""
TRANSIT_S_MAX = 0.1
"""By how many seconds an opinion may look newer than it is."""


@dataclass(frozen=True, slots=True)
class Order:
    """An operator's order to force or release a processor's breaker. The latest order applies, on all replicas."""

    state: BreakerState | None
    """`FORCED_OPEN` or `FORCED_CLOSED`; None releases the breaker."""
    given_at_ms: int
    """Wall clock of the replica that received the order, milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one replica knows of one processor."""

    replica: str
    processor: str
    down: bool
    """Whether the replica's breaker is open or half open because of its own calls."""
    closed: bool
    """Whether the replica's breaker lets all calls through."""
    changed_s_ago: float | None
    """How long ago the replica's breaker last closed or opened; None if it never did."""
    order: Order | None = None
    """The latest order that the replica knows."""
    turns_away: bool = False
    """Whether the processor has turned away all calls of the replica, whose breaker has not closed since."""
    delay_s: float = 0.0
    """The longest charge that the replica has seen within an hour; 0 if it is within what the operator allows for."""


def quorum_found_down(own: Opinion, others: Collection[Opinion]) -> bool:
    """Return whether a quorum has found a processor down that this replica still uses.

    A quorum is a majority of the replicas that have an opinion, and at least `QUORUM_MIN`. An opinion from before this
    replica's breaker closed does not count. Otherwise the first replica that recovers would be opened again by those
    that have not noticed the recovery yet.
    """
    down = sum(each.down and _is_newer(each, own, by_s=TRANSIT_S_MAX) for each in others)
    return own.closed and down >= max(QUORUM_MIN, (len(others) + 1) // 2 + 1)


def peer_recovered(own: Opinion, others: Collection[Opinion]) -> bool:
    """Return whether another replica's breaker has closed since this replica's own opened."""
    return not own.closed and any(
        each.closed and each.changed_s_ago is not None and _is_newer(each, own) for each in others
    )


def is_turned_away(own: Opinion, others: Collection[Opinion]) -> bool:
    """Return whether the processor turns away all calls of another replica, later than this one's breaker closed."""
    return any(each.turns_away and (not own.closed or _is_newer(each, own)) for each in others)


def latest_order(opinions: Collection[Opinion]) -> Order | None:
    """Return the order that applies. Every replica finds the same one, even if two were given in one millisecond."""
    orders = [opinion.order for opinion in opinions if opinion.order is not None]
    return max(orders, key=lambda order: (order.given_at_ms, order.state.value if order.state else ""), default=None)


def _is_newer(one: Opinion, other: Opinion, *, by_s: float = 0.0) -> bool:
    """Return whether `one` is more than `by_s` seconds newer than `other`."""
    if other.changed_s_ago is None:
        return True
    return one.changed_s_ago is not None and one.changed_s_ago + by_s < other.changed_s_ago
