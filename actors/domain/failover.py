"""Decides whether a standby of Postgres that took over has all that any replica was told of."""

from collections.abc import Collection
from enum import Enum

from actors.domain.lease_watch import LEASE_S, LeaseWatch
from actors.domain.records import ReplicaState

WAIT_S_MAX = 2 * LEASE_S
"""Longest wait for the other replicas to tell what they find."""


class StoreFinding(Enum):
    """What is known of a Postgres in comparison with the one before."""

    SAME = "same"
    """It went on."""
    WHOLE = "whole"
    """Another one has taken over, with all that was acknowledged."""
    UNDECIDED = "undecided"
    """Other replicas have not told yet what they find, each of what it was told of."""
    FORGOTTEN = "forgotten"
    """It may have forgotten something that was acknowledged."""


class OthersFindings:
    """Gathers what all other replicas find in one history of the database. `now_s` is monotonic time.

    Each lets the others know that it has found what it was told of. One that is seen standing still cannot be asked:
    what it was told of is there if its commits waited for a standby, since then only one that has them takes over.
    """

    def __init__(self, now_s: float) -> None:
        self._watch = LeaseWatch()
        self._since_s = now_s

    def decide(self, others: Collection[ReplicaState], now_s: float) -> StoreFinding:
        """Take in a look at all other replicas."""
        missing = [each for each in others if not each.has_left and not each.has_confirmed]
        self._watch.observe(missing, now_s)
        still = {each.name for each in self._watch.standing_still(now_s)}
        if any(each.name in still and not each.is_synchronous for each in missing):
            return StoreFinding.FORGOTTEN
        if all(each.name in still for each in missing):
            return StoreFinding.WHOLE
        return StoreFinding.FORGOTTEN if now_s - self._since_s >= WAIT_S_MAX else StoreFinding.UNDECIDED
