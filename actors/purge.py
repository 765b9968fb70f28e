"""A purge: every replica forgets every payment that was accepted up to its instant, and none that came later."""

from typing import Protocol

import gevent
from gevent.lock import BoundedSemaphore

from actors.domain.lease_watch import LeaseWatch
from actors.domain.records import LastPurge
from actors.errors import GatewayUnavailableError, JournalUnavailableError, LedgerUnavailableError
from actors.logs import get_logger
from actors.outages import TimedOutageReporter
from actors.ports import LeaseStore, OwnedJournal, Runtime

logger = get_logger(__name__)

STEP_S = 0.05
"""Time between two checks whether all other replicas have dropped what they hold."""
RETRY_S = 0.2
PURGE_S_MAX = 10.0
"""How long a client waits for the end of a purge."""


class PurgeStore(Protocol):
    """Purges in Postgres. Every method raises `LedgerUnavailableError` where it does not answer."""

    def last_purge(self) -> LastPurge:
        """Read the last purge."""

    def finished_purge(self) -> LastPurge:
        """Read the last purge that is finished; one that has begun since forgets no less."""

    def begin_purge(self, now_ms: int) -> LastPurge:
        """Open a new generation; replicas see it with their next heartbeat. The purge's instant is `now_ms`."""

    def acknowledge_purge(self, generation: int) -> None:
        """Note that this replica holds nothing older than this generation, and end its epoch.

        So nothing takes effect that it has sent before and that Postgres executes late.
        """

    def repeat_purge(self, purge: LastPurge) -> None:
        """Purge again, at once, a Postgres that has forgotten the purge: no replica holds anything older than that."""

    def finish_purge(self, purge: LastPurge) -> bool:
        """Delete all that was accepted up to the instant, once, when every living replica has acknowledged.

        Returns:
            Whether that is done.
        """


class PurgedReplica(Protocol):
    """The replica whose payments are forgotten."""

    @property
    def is_draining(self) -> bool:
        """Whether the replica is about to end."""

    def stop_actors(self) -> OwnedJournal | None:
        """Let what is under way end, stop all actors and give their journal; None where that cannot be done now."""

    def start_actors(self) -> None:
        """Start all actors, unless the replica is draining."""


class Purger:
    """Follows the generations of the gateway, each of which begins with a purge."""

    def __init__(
        self,
        *,
        purges: PurgeStore,
        leases: LeaseStore,
        runtime: Runtime,
        replica: PurgedReplica,
        purge_s_max: float = PURGE_S_MAX,
    ) -> None:
        self._purges = purges
        self._leases = leases
        self._runtime = runtime
        self._replica = replica
        self._purge_s_max = purge_s_max
        self._lock = BoundedSemaphore()
        self._waits = TimedOutageReporter(logger, "a purge waits", runtime)
        self.last_purge = LastPurge(0, 0)
        """What the replica holds is of this purge's generation."""

    def purge(self) -> None:
        """Begin a purge, and wait until all replicas have followed it.

        Raises:
            LedgerUnavailableError: Postgres does not answer. A purge that has begun ends when it is back.
            GatewayUnavailableError: it takes longer than `PURGE_S_MAX`, or this replica ends meanwhile; it goes on.
        """
        begun = self._purges.begin_purge(self._runtime.now_ms())
        # In a greenlet of its own, which goes on whatever becomes of the client.
        follower = gevent.spawn(self.follow)
        follower.join(self._purge_s_max)
        if self.last_purge.generation < begun.generation:
            raise GatewayUnavailableError("the purge has not ended yet; it goes on")

    def follow(self) -> None:
        """Follow the last purge that Postgres knows of, as soon as Postgres answers."""
        while not self._replica.is_draining:
            try:
                self._carry_out(self._purges.last_purge())
            except (LedgerUnavailableError, JournalUnavailableError) as error:
                self._waits.failed(reason=str(error))
                self._runtime.sleep(RETRY_S)
            else:
                self._waits.succeeded()
                return

    def _carry_out(self, last_purge: LastPurge) -> None:
        """Drop what the purge forgets from this replica, and go on once every living replica has done so."""
        with self._lock:
            if last_purge.generation < self.last_purge.generation:
                self._purges.repeat_purge(self.last_purge)
                logger.error(
                    "Postgres had forgotten a purge: the purge is repeated", generation=self.last_purge.generation
                )
            if last_purge.generation <= self.last_purge.generation:
                return
            journal = self._replica.stop_actors()
            if journal is None:
                return
            journal.purge(last_purge)
            self._purges.acknowledge_purge(last_purge.generation)
            watch = LeaseWatch()
            while not self._purges.finish_purge(last_purge):
                self._expel_the_dead(watch, last_purge.generation)
                self._runtime.sleep(STEP_S)
            self.last_purge = last_purge
            logger.info("purged", generation=last_purge.generation)
            self._replica.start_actors()

    def _expel_the_dead(self, watch: LeaseWatch, generation: int) -> None:
        """End the leases of dead replicas that hold something older; no lease actor runs now that could do so."""
        others = self._leases.others()
        watch.observe((each for each in others if each.generation < generation), self._runtime.now_s())
        if gone := watch.standing_still(self._runtime.now_s()):
            self._leases.expel(gone)
