"""Tells which replicas live by watching the counters of their heartbeats, with no clock but the observer's own."""

from collections.abc import Iterable
from dataclasses import dataclass

from actors.domain.records import ReplicaState
from actors.domain.wall_clock import PeerClock

LEASE_S = 5.0
"""How long a lease lasts after each beat, on the monotonic clock of the replica that holds it."""
UNSEEN_S_MAX = LEASE_S / 2
"""The longest pause between two observations. After a longer one the observer begins anew: it may have stood still
itself, or Postgres was away, and the others need time to renew their leases."""
FRESH_S = 1.0
"""How long a replica counts as living after it was seen to beat; four times the time between two beats."""


@dataclass(slots=True)
class _Sighting:
    """A replica as it was when it was last seen to change."""

    state: ReplicaState
    since_s: float
    """When this beat was seen first."""
    before_s: float | None
    """The last observation before this beat; None if there was none, or if the beat brought no new clocks."""


class LeaseWatch:
    """What one observer has seen of other replicas. `now_s` is its own monotonic time, read after each observation."""

    def __init__(self) -> None:
        self._seen: dict[str, _Sighting] = {}
        self._looked_at_s: float | None = None
        self._since_s: float | None = None

    def observe(self, replicas: Iterable[ReplicaState], now_s: float) -> None:
        """Record the present states of all other replicas; those that have left are not watched."""
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
                # An earlier release publishes no clocks, and leaves those that a later one had published before it.
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
        """Give the clocks of the replicas that were seen to beat within `FRESH_S`."""
        return tuple(
            PeerClock(each.state.name, each.state.clock, (now_s - each.since_s) * 1000, (now_s - each.before_s) * 1000)
            for each in self._seen.values()
            if each.before_s is not None and each.state.clock is not None and now_s - each.since_s <= FRESH_S
        )
