"""The composition root: builds every part of a replica, and is the only file that knows them all."""

import os
from collections.abc import Callable
from random import Random

import gevent
from gevent.lock import BoundedSemaphore

from actors.actor import Address
from actors.adapters.health_board import RedisHealthBoard
from actors.adapters.health_probe import HttpHealthProbe
from actors.adapters.journal import FileJournal, FileJournalShelf
from actors.adapters.ledger import PostgresLedger
from actors.adapters.peer_channel import RedisPeerChannel
from actors.adapters.processor_client import HttpProcessorClient
from actors.adapters.runtime import GeventRuntime
from actors.books import Books
from actors.domain.batching import BatchLimits
from actors.domain.breaker import Breaker
from actors.domain.breaker_limits import BreakerLimits
from actors.domain.concurrency_limit import ConcurrencyLimit, ConcurrencyLimits
from actors.domain.processors import Processor
from actors.domain.rate_limiter import RateLimiter, RateLimits
from actors.domain.routing import Patience, Routes
from actors.gossip import GossipActor
from actors.health import HealthActor
from actors.intake import IntakeActor
from actors.persistence import PersistenceActor
from actors.processor import LOOK_UPS_MAX, ProcessorActor
from actors.recovery import LEASE_S, RecoveryActor
from actors.router import RetryLimits, RouterActor
from actors.settings import Durability, Settings
from actors.supervisor import Child

SUMMARIES_MAX = 2
"""Summaries that ask Postgres at once; the others wait for their turn."""

OwnedJournal = FileJournal
"""A journal that this process holds until it closes it."""


class System:
    """The parts of one replica. `actors.replica.Replica` starts and stops them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.runtime = GeventRuntime()
        self.ledger = PostgresLedger(settings.database_url, settings.replica, self.runtime.now_ms)
        names = tuple(processor.name for processor in settings.processors)
        self.board = RedisHealthBoard(settings.redis_url, settings.replica, names)
        self.probe = HttpHealthProbe(settings.processors, self.runtime.now_ms)
        self.clients = {
            processor.name: HttpProcessorClient(
                processor.url, settings.charge_timeout_s, settings.in_flight_max, LOOK_UPS_MAX
            )
            for processor in settings.processors
        }
        self.intake, self.router, self.persistence = Address("intake"), Address("router"), Address("persistence")
        self.recovery, self.health, self.gossip = Address("recovery"), Address("health"), Address("gossip")
        self.processors = {processor.name: Address(processor.name) for processor in settings.processors}
        self.books = Books(
            ledger=self.ledger,
            router=self.router,
            replica=settings.replica,
            processors=tuple(self.processors),
            runtime=self.runtime,
            turns=BoundedSemaphore(SUMMARIES_MAX),
        )

    def open_journal(self, generation: int) -> FileJournal:
        """Open this replica's journal; see `FileJournal` for what it raises."""
        sync = _sync_beside_the_loop if self.settings.durability is Durability.FSYNC else None
        return FileJournal(self.settings.journal_dir / self.settings.replica, generation, sync)

    def close(self) -> None:
        """End all connections, after the actors have ended."""
        for client in self.clients.values():
            client.close()
        self.probe.close()
        self.board.close()
        self.ledger.close()

    def children(self, journal: FileJournal, generation: int, purged: Callable[[], None]) -> list[Child]:
        """List the actors in the order of their start: who is told something starts before who tells it.

        `purged` is called when Postgres shows that what belongs to `generation` was purged.
        """
        settings, runtime = self.settings, self.runtime
        return [
            Child(
                self.persistence,
                lambda: PersistenceActor.start(
                    ledger=self.ledger,
                    intake=self.intake,
                    router=self.router,
                    runtime=runtime,
                    limits=BatchLimits(),
                    replica=settings.replica,
                ),
            ),
            Child(
                self.router,
                lambda: RouterActor.start(
                    routes=Routes(
                        settings.processors, Patience(settings.outage_patience_s, settings.backlog_patience_s)
                    ),
                    addresses=self.processors,
                    persistence=self.persistence,
                    runtime=runtime,
                    chance=Random(),  # noqa: S311  # jitter is no secret
                    limits=RetryLimits(horizon_s=settings.processor_delay_max_s + settings.charge_timeout_s + LEASE_S),
                ),
            ),
            *(self._processor_child(processor) for processor in settings.processors),
            Child(
                self.intake,
                lambda: IntakeActor.start(
                    journal=journal,
                    router=self.router,
                    gossip=self.gossip,
                    recent_max=settings.recent_max,
                    runtime=runtime,
                    open_max=settings.open_max,
                ),
            ),
            Child(
                self.gossip,
                lambda: GossipActor.start(
                    channel=RedisPeerChannel(settings.redis_url, generation), intake=self.intake, runtime=runtime
                ),
            ),
            Child(
                self.recovery,
                lambda: RecoveryActor.start(
                    ledger=self.ledger,
                    router=self.router,
                    processors=tuple(self.processors.values()),
                    intake=self.intake,
                    shelf=FileJournalShelf(settings.journal_dir, settings.replica, generation, runtime.now_ms),
                    runtime=runtime,
                    generation=generation,
                    purged=purged,
                ),
            ),
            Child(
                self.health,
                lambda: HealthActor.start(
                    processors=self.processors,
                    board=self.board,
                    probe=self.probe,
                    runtime=runtime,
                    replica=settings.replica,
                ),
            ),
        ]

    def _processor_child(self, processor: Processor) -> Child:
        return Child(
            self.processors[processor.name],
            lambda: ProcessorActor.start(
                name=processor.name,
                client=self.clients[processor.name],
                breaker=Breaker(BreakerLimits(), Random()),  # noqa: S311  # jitter is no secret
                concurrency=ConcurrencyLimit(ConcurrencyLimits(max=self.settings.in_flight_max)),
                starts=RateLimiter(RateLimits()),
                router=self.router,
                health=self.health,
                runtime=self.runtime,
            ),
        )


def _sync_beside_the_loop(fd: int) -> None:
    """Sync a file in gevent's thread pool, so that other requests go on meanwhile."""
    gevent.get_hub().threadpool.apply(os.fdatasync, (fd,))
