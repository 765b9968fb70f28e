"""A purge: every replica forgets every payment, and none that was accepted after it."""

import logging
from typing import Protocol

import gevent
from gevent.lock import BoundedSemaphore

from actors.domain.lease_watch import LeaseWatch
from actors.errors import GatewayUnavailableError, JournalUnavailableError, LedgerUnavailableError
from actors.ports import LeaseStore, OwnedJournal, PurgeStore, Runtime

logger = logging.getLogger(__name__)

STEP_S = 0.05
"""Time between two checks whether all other replicas have dropped what they hold."""
RETRY_S = 0.2
PURGE_S_MAX = 10.0
"""How long a client waits for the end of a purge."""


class PurgedReplica(Protocol):
    """The replica whose payments are forgotten."""

    @property
    def is_draining(self) -> bool:
        """Whether the replica is about to end."""

    def stop_actors(self) -> OwnedJournal | None:
        """Stop all actors and give their journal; None where that cannot be done now."""

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
        self.generation = 0
        """What the replica holds belongs to this generation."""

    def purge(self) -> None:
        """Begin a purge, and wait until all replicas have followed it.

        Raises:
            LedgerUnavailableError: Postgres does not answer. A purge that has begun ends when it is back.
            GatewayUnavailableError: it takes longer than `PURGE_S_MAX`, or this replica ends meanwhile; it goes on.
        """
        generation = self._purges.begin_purge()
        # In a greenlet of its own, which goes on whatever becomes of the client.
        follower = gevent.spawn(self.follow)
        follower.join(self._purge_s_max)
        if self.generation < generation:
            raise GatewayUnavailableError("the purge is not over yet; it goes on")

    def follow(self) -> None:
        """Come to the generation that Postgres tells, as soon as it can be asked."""
        while not self._replica.is_draining:
            try:
                self._come_to(self._purges.generation())
            except (LedgerUnavailableError, JournalUnavailableError) as error:
                logger.warning("a purge waits: %s", error)
                self._runtime.sleep(RETRY_S)
            else:
                return

    def _come_to(self, generation: int) -> None:
        """Drop all that this replica holds, and take up work once every living replica has done so."""
        with self._lock:
            if generation <= self.generation:
                return
            journal = self._replica.stop_actors()
            if journal is None:
                return
            journal.purge(generation)
            self._purges.acknowledge_purge(generation)
            watch = LeaseWatch()
            while not self._purges.finish_purge(generation):
                self._expel_the_dead(watch, generation)
                self._runtime.sleep(STEP_S)
            self.generation = generation
            logger.info("purged: generation %d", generation)
            self._replica.start_actors()

    def _expel_the_dead(self, watch: LeaseWatch, generation: int) -> None:
        """End the leases of replicas that hold something older and stand still: nobody else does, with all stopped."""
        others = self._leases.others()
        watch.observe((each for each in others if each.generation < generation), self._runtime.now_s())
        if gone := watch.standing_still(self._runtime.now_s()):
            self._leases.expel(gone)
