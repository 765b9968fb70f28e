"""Tells which replicas live, by watching the counters of their beats: no clock but the observer's own is needed."""

from collections.abc import Iterable
from dataclasses import dataclass

from actors.domain.records import ReplicaState
from actors.domain.wall_clock import PeerClock

LEASE_S = 5.0
"""How long a lease lasts after each beat, on the monotonic clock of the replica that holds it."""
UNSEEN_S_MAX = LEASE_S / 2
"""After a longer pause between two looks the observer knows nothing any more: it may have stood still itself, or
Postgres was away, and the others need the time to renew their leases."""
FRESH_S = 1.0
"""How long a replica counts as living after it was seen to beat; four times the time between two beats."""


@dataclass(slots=True)
class _Sighting:
    """A replica as it was when it was last seen to change."""

    state: ReplicaState
    since_s: float
    """When this beat was seen first."""
    before_s: float | None
    """When it had not come yet; None where it was there at the first look, or has not brought clocks of its own."""


class LeaseWatch:
    """What one observer has seen of other replicas. `now_s` is its own monotonic time, after each look."""

    def __init__(self) -> None:
        self._seen: dict[str, _Sighting] = {}
        self._looked_at_s: float | None = None
        self._since_s: float | None = None

    def observe(self, replicas: Iterable[ReplicaState], now_s: float) -> None:
        """Take in a look at all other replicas; those that have left need not be watched."""
        before_s = self._looked_at_s
        if before_s is None or now_s - before_s > UNSEEN_S_MAX:
            self._seen.clear()
            self._since_s, before_s = now_s, None
        self._looked_at_s = now_s
        seen = {}
        for state in replicas:
            if not state.has_left:
                last = self._seen.get(state.name)
                is_still = last is not None and (last.state.epoch, last.state.beats) == (state.epoch, state.beats)
                # A release that publishes no clocks leaves those of a later one that it has followed.
                is_stale = last is not None and last.state.clock == state.clock
                sighting = _Sighting(state, now_s, None if is_stale else before_s)
                seen[state.name] = last if last and is_still else sighting
        self._seen = seen

    def watched_s(self, now_s: float) -> float:
        """Tell for how long the others were watched without a break."""
        return 0.0 if self._since_s is None else now_s - self._since_s

    def standing_still(self, now_s: float) -> tuple[ReplicaState, ...]:
        """Give the replicas whose leases have ended: no beat was seen for `LEASE_S`."""
        return tuple(each.state for each in self._seen.values() if now_s - each.since_s >= LEASE_S)

    def clocks(self, now_s: float) -> tuple[PeerClock, ...]:
        """Give the clocks of the replicas that were seen to beat just now."""
        return tuple(
            PeerClock(each.state.name, each.state.clock, (now_s - each.since_s) * 1000, (now_s - each.before_s) * 1000)
            for each in self._seen.values()
            if each.before_s is not None and each.state.clock is not None and now_s - each.since_s <= FRESH_S
        )
