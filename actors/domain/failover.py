"""Decides whether a standby of Postgres that took over has every commit that any replica was told of."""

from collections.abc import Collection
from enum import Enum

from actors.domain.lease_watch import LEASE_S, LeaseWatch
from actors.domain.records import ReplicaState

WAIT_S_MAX = 2 * LEASE_S
"""The longest wait for the other replicas to tell whether they find their commits."""


class StoreFinding(Enum):
    """How the present Postgres server compares with the one before."""

    SAME = "same"
    """It is the one from before."""
    WHOLE = "whole"
    """Another server has taken over, with all commits that were acknowledged."""
    UNDECIDED = "undecided"
    """Some replicas have not told yet whether they find all commits that were acknowledged to them."""
    FORGOTTEN = "forgotten"
    """The server may have forgotten a commit that was acknowledged."""


class OthersFindings:
    """Gathers what all other replicas find in one history of the database. `now_s` is monotonic time.

    Each replica lets the others know once it has found all commits that it was told of. A replica whose heartbeats have
    stopped cannot be asked: its commits are there if they waited for a standby, as only one that has them takes over.
    """

    def __init__(self, now_s: float) -> None:
        self._watch = LeaseWatch()
        self._since_s = now_s

    def decide(self, others: Collection[ReplicaState], now_s: float) -> StoreFinding:
        """Decide by the present states of all other replicas."""
        missing = [each for each in others if not each.has_left and not each.has_confirmed]
        self._watch.observe(missing, now_s)
        still = {each.name for each in self._watch.standing_still(now_s)}
        if any(each.name in still and not each.is_synchronous for each in missing):
            return StoreFinding.FORGOTTEN
        if all(each.name in still for each in missing):
            return StoreFinding.WHOLE
        return StoreFinding.FORGOTTEN if now_s - self._since_s >= WAIT_S_MAX else StoreFinding.UNDECIDED
