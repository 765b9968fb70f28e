"""Watches the other replicas: which of them live, and whether their clocks agree with the own one."""

from collections.abc import Set as AbstractSet
from math import inf

from actors.domain.lease_watch import LEASE_S, LeaseWatch
from actors.domain.records import ReplicaState
from actors.domain.wall_clock import SKEW_MS_MAX
from actors.logs import get_logger
from actors.outages import OutageReporter
from actors.ports import LeaseStore, Runtime

logger = get_logger(__name__)

CLOCKS_S = 1.0
"""How long a replica that joins waits for heartbeats of others, if none of their clocks shows that its own is right."""


class Fleet:
    """Looks at the other replicas on behalf of the lease's actor. Its methods block until Postgres has answered.

    Each raises `LedgerUnavailableError` where Postgres does not answer.
    """

    def __init__(self, leases: LeaseStore, runtime: Runtime) -> None:
        self._leases = leases
        self._runtime = runtime
        self._clocks = OutageReporter(logger, "clocks disagree", runtime.now_s, "error")
        self._watch = LeaseWatch()
        self._others: tuple[ReplicaState, ...] = ()
        """All other replicas, as they were at the last look."""
        self._trouble: str | None = None
        """What was wrong with the clock when it was checked last."""
        self._skewed_at_s = -inf
        """When the clock of another replica that lived differed last."""

    def look(self) -> None:
        """Read the present states of the others."""
        self._others, now_s = self._leases.others(), self._runtime.now_s()
        self._watch.observe(self._others, now_s)
        self._runtime.clock.compare(self._watch.clocks(now_s), now_s)
        if self._runtime.clock.is_skewed:
            self._skewed_at_s = now_s

    def expel(self) -> None:
        """End the leases of replicas whose heartbeats have stopped."""
        if still := self._watch.standing_still(self._runtime.now_s()):
            logger.warning("replicas that stand still lose their leases", replicas=[each.name for each in still])
            self._leases.expel(still)

    @property
    def gone(self) -> AbstractSet[str]:
        """The names of the replicas that have left."""
        return {each.name for each in self._others if each.has_left}

    @property
    def living_count(self) -> int:
        """How many replicas have not left, this one included."""
        return 1 + sum(not each.has_left for each in self._others)

    @property
    def published_ms(self) -> int:
        """The greatest watermark that any of the others ever published."""
        return max((each.published_ms for each in self._others), default=0)

    @property
    def is_clock_right(self) -> bool | None:
        """Whether the own clock agrees with those of all that live; None as long as that cannot be told."""
        clock, now_s = self._runtime.clock, self._runtime.now_s()
        if clock.is_skewed:
            return False
        present = [each for each in self._others if not each.has_left]
        if not present and now_s - self._skewed_at_s < LEASE_S:
            # Postgres may have forgotten who was there: they join again at once, and their clocks may be right.
            return None
        ahead_ms = [each.clock.clock_ms - clock.now_ms(now_s) for each in present if each.clock is not None]
        # An earlier instant may be of a replica that is dead. A later one may be of a replica that lives.
        agrees = bool(ahead_ms) and -SKEW_MS_MAX <= max(ahead_ms) <= SKEW_MS_MAX
        return True if agrees or not present or self._watch.watched_s(now_s) >= CLOCKS_S else None

    def check_clock(self) -> None:
        """Compare the own clock with the system's, and log when it begins or ceases to be wrong."""
        self._runtime.sample_clock()
        before, self._trouble = self._trouble, self._runtime.clock.trouble
        if self._trouble is not None and before is None:
            self._clocks.failed(reason=self._trouble)
        elif self._trouble is None:
            self._clocks.succeeded()
        self._clocks.check()
