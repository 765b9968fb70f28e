"""The composition root: builds every part of a replica, and is the only file that knows them all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from gevent.lock import BoundedSemaphore

from actors.actor import Address
from actors.adapters.health_board import RedisHealthBoard
from actors.adapters.health_probe import HttpHealthProbe
from actors.adapters.host_addresses import HostDirectory
from actors.adapters.journal.folder import check_journal_dir
from actors.adapters.journal.instance import own_instance
from actors.adapters.journal.orphans import FileJournalShelf
from actors.adapters.journal.store_memory import FileStoreMemory
from actors.adapters.journal.sync import AdaptiveSync, sync_durations
from actors.adapters.journal.writer import FileJournal
from actors.adapters.own_usage import folder_bytes, memory_bytes, memory_bytes_max
from actors.adapters.peer_channel import RedisPeerChannel
from actors.adapters.postgres.connections import Connections
from actors.adapters.postgres.feed import PostgresFeed
from actors.adapters.postgres.fence import Fence
from actors.adapters.postgres.leases import PostgresLeases
from actors.adapters.postgres.payments import PostgresPayments
from actors.adapters.postgres.purge import PostgresPurge
from actors.adapters.postgres.resolutions import PostgresResolutions
from actors.adapters.processor_client import SPARE_CHARGES, HttpProcessorClient
from actors.adapters.runtime import GeventRuntime
from actors.adapters.status_board import RedisStatusBoard
from actors.domain.batching import BatchLimits
from actors.domain.breaker import Breaker
from actors.domain.breaker_limits import BreakerLimits
from actors.domain.charge_gate import ChargeGate
from actors.domain.concurrency_limit import ConcurrencyLimit, ConcurrencyLimits
from actors.domain.dispatcher import WINDOW_MAX, Dispatcher
from actors.domain.histogram import Histogram
from actors.domain.lease_watch import LEASE_S
from actors.domain.level import Level
from actors.domain.pace import Pace
from actors.domain.patience import Patience
from actors.domain.processor_delay import ProcessorDelay
from actors.domain.processors import Processor
from actors.domain.rate_limiter import RateLimiter, RateLimits
from actors.domain.records import LastPurge
from actors.domain.replica_status import ReplicaUsage
from actors.domain.retries import RetryLimits
from actors.domain.routing import Routes
from actors.domain.routing_policies import POLICIES, CheapestFirst
from actors.errors import SettingsError
from actors.gossip import GossipActor
from actors.health import HealthActor
from actors.intake import IntakeActor
from actors.lease import LeaseActor
from actors.ledger_intake import LedgerIntakeActor
from actors.look_ups import LOOK_UPS_MAX
from actors.persistence import PersistenceActor
from actors.ports import (
    FeedStore,
    HealthBoard,
    HealthProbe,
    Journal,
    JournalShelf,
    LeaseStore,
    OwnedJournal,
    PaymentStore,
    PeerChannel,
    ProcessorClient,
    ResolutionStore,
    Runtime,
    StatusBoard,
)
from actors.processor import ProcessorActor
from actors.purge import PurgeStore
from actors.queries import PaymentQueries
from actors.resolutions import Resolutions
from actors.resolver import Resolver
from actors.router import RouterActor
from actors.settings import Durability, Settings
from actors.store_watch import StoreMemory
from actors.summaries import Turns
from actors.supervisor import Child, RestartLimits
from actors.trace_settings import exports_traces

if TYPE_CHECKING:
    from actors.adapters.tracing import Tracing


class Database(Protocol):
    """The connections that the stores share."""

    def open(self) -> None:
        """Begin to connect; returns at once."""

    def ping(self) -> None:
        """Check that Postgres answers."""

    @property
    def lent(self) -> Level:
        """How many connections answer questions now, of those that may."""

    def close(self) -> None:
        """End all connections."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a replica is built of beside its actors. Tests, simulations and benchmarks put in their own."""

    runtime: Runtime
    database: Database
    payments: PaymentStore
    leases: LeaseStore
    resolutions: ResolutionStore
    ends: FeedStore
    purges: PurgeStore
    board: HealthBoard
    status_board: StatusBoard
    usage: Callable[[], ReplicaUsage]
    """Tells what this process uses of the machine."""
    probe: HealthProbe
    clients: Mapping[str, ProcessorClient]
    """The client of each processor, by its name."""
    make_turns: Callable[[int], Turns]
    """Makes a semaphore that the given number of readers may hold at once."""
    open_journal: Callable[[LastPurge], OwnedJournal]
    """Opens the replica's own journal after a purge."""
    sync_durations: Histogram = field(default_factory=sync_durations)
    """How long the syncs of that journal took."""
    store_memory: StoreMemory
    """Remembers, beside the journal, which Postgres was seen last."""
    open_channel: Callable[[int], PeerChannel]
    """Opens the channel of a generation."""
    open_shelf: Callable[[LastPurge], JournalShelf]
    breaker_limits: BreakerLimits = BreakerLimits()  # noqa: RUF009  # frozen, so one for all is harmless
    concurrency_limits: ConcurrencyLimits
    rate_limits: RateLimits = RateLimits()  # noqa: RUF009  # the same
    batch_limits: BatchLimits = BatchLimits()  # noqa: RUF009  # the same
    restart_limits: RestartLimits = RestartLimits()  # noqa: RUF009  # the same
    make_routes: Callable[[Sequence[Processor], Patience], Routes] = CheapestFirst
    """Makes what chooses the processors; a benchmark compares the product's with others."""
    window_max: int = WINDOW_MAX
    """How many payments that are not pinned may be in memory at once."""
    rng: Random


def production_parts(settings: Settings) -> Parts:
    """Build the parts that talk to the real world.

    Raises:
        SettingsError: an address is malformed, or the folder of the journals cannot be written.
    """
    check_journal_dir(settings.journal_dir)
    runtime = GeventRuntime()
    hosts = HostDirectory()
    connections = Connections(settings.database_url, hosts, f"fiel {settings.replica}")
    fence = Fence(settings.replica)
    limit, durations = memory_bytes_max(), sync_durations()
    instance = cache(partial(own_instance, settings.journal_dir / settings.replica))
    charging = tuple(processor for processor in settings.processors if processor.charges)
    return Parts(
        runtime=runtime,
        database=connections,
        payments=PostgresPayments(connections, fence),
        leases=PostgresLeases(connections, fence, instance),
        resolutions=PostgresResolutions(connections, fence),
        ends=PostgresFeed(connections),
        purges=PostgresPurge(connections, fence),
        board=RedisHealthBoard(settings.redis_url, hosts, settings.replica, tuple(each.name for each in charging)),
        status_board=RedisStatusBoard(settings.redis_url, hosts, settings.replica),
        usage=lambda: ReplicaUsage(memory_bytes(), limit, folder_bytes(settings.journal_dir / settings.replica)),
        probe=HttpHealthProbe(charging, runtime.now_ms, hosts),
        clients={
            processor.name: HttpProcessorClient(
                processor.url,
                hosts,
                settings.charge_timeout_s,
                settings.in_flight_max + SPARE_CHARGES,
                LOOK_UPS_MAX,
                settings.currencies.default,
            )
            for processor in settings.processors
        },
        make_turns=BoundedSemaphore,
        open_journal=lambda last_purge: _open_journal(settings, last_purge, instance, durations),
        sync_durations=durations,
        store_memory=FileStoreMemory(settings.journal_dir / settings.replica),
        open_channel=lambda generation: RedisPeerChannel(settings.redis_url, hosts, generation),
        open_shelf=lambda last_purge: FileJournalShelf(
            settings.journal_dir, settings.replica, last_purge, runtime.now_ms
        ),
        concurrency_limits=ConcurrencyLimits(max=settings.in_flight_max, fleet_max=settings.processor_in_flight_max),
        make_routes=POLICIES[settings.routing],
        rng=Random(),  # noqa: S311  # jitter is no secret
    )


def production_tracing(settings: Settings, environment: Mapping[str, str], runtime: Runtime) -> "Tracing | None":
    """Begin to export traces where the environment asks for it; else nothing of it is imported.

    Raises:
        SettingsError: it cannot be done as it is asked for.
    """
    if not exports_traces(environment):
        return None
    try:
        from actors.adapters.tracing import Tracing  # noqa: PLC0415  # it takes megabytes
    except ImportError as error:
        raise SettingsError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER is set, and OpenTelemetry is not there ({error}): "
            "install requirements-otel.txt"
        ) from error
    return Tracing(settings.replica, environment, runtime)


def _open_journal(
    settings: Settings, last_purge: LastPurge, instance: Callable[[], UUID], durations: Histogram
) -> FileJournal:
    folder: Path = settings.journal_dir / settings.replica
    sync = None if settings.durability is Durability.PROCESS else AdaptiveSync(durations=durations)
    journal = FileJournal(folder, last_purge, sync)
    try:
        # The journal's lock is held now: nobody else writes another.
        instance()
    except BaseException:
        journal.close()
        raise
    return journal


class System:
    """The actors of one replica and how they are wired. `actors.replica.Replica` starts and stops them."""

    def __init__(self, settings: Settings, parts: Parts, make_address: Callable[[str], Address] = Address) -> None:
        """`make_address` makes the mailbox of each actor; a simulation puts in one that it empties by itself."""
        self.settings = settings
        self.parts = parts
        self.intake, self.router, self.persistence = (
            make_address(each) for each in ("intake", "router", "persistence")
        )
        self.lease, self.health, self.gossip = (make_address(each) for each in ("lease", "health", "gossip"))
        self.processors = {processor.name: make_address(processor.name) for processor in settings.processors}
        # A processor may bear the name of another actor.
        self.actors = {f"processor_{name}": each for name, each in self.processors.items()}
        """The address of each actor, by the name that metrics give it."""
        for each in (self.intake, self.router, self.persistence, self.lease, self.health, self.gossip):
            self.actors[each.name] = each
        self.queries = PaymentQueries(
            payments=parts.payments,
            ends=parts.ends,
            intake=self.intake,
            router=self.router,
            gossip=self.gossip,
            lease=self.lease,
            replica=settings.replica,
            processors=tuple(self.processors),
            currency=settings.currencies.default,
            runtime=parts.runtime,
            make_turns=parts.make_turns,
        )

        self.resolutions = Resolutions(parts.resolutions, parts.runtime)

    def close(self) -> None:
        """End all connections, after the actors have ended."""
        for client in self.parts.clients.values():
            client.close()
        self.parts.probe.close()
        self.parts.board.close()
        self.parts.status_board.close()
        self.parts.database.close()

    def children(
        self, journal: Journal, last_purge: LastPurge, purged: Callable[[], None], named: Callable[[], None]
    ) -> list[Child]:
        """List the actors in the order of their start: an actor starts before those that tell it something.

        `purged` is called when Postgres shows a later purge than the last one that the replica has followed, `named`
        each time the replica has taken its name, whether it charges or stands aside.
        """
        return [
            self._persistence(),
            self._router(),
            *(self._processor(processor) for processor in self.settings.processors),
            self._intake(journal),
            self._gossip(last_purge),
            self._lease(last_purge, purged, named),
            self._health(),
        ]

    def _persistence(self) -> Child:
        return Child(
            self.persistence,
            lambda: PersistenceActor(
                payments=self.parts.payments,
                intake=self.intake,
                router=self.router,
                runtime=self.parts.runtime,
                limits=self.parts.batch_limits,
                replica=self.settings.replica,
            ),
        )

    def _router(self) -> Child:
        settings = self.settings
        patience = Patience(settings.outage_patience_s, settings.backlog_patience_s, settings.outage_backlog_s)
        return Child(
            self.router,
            lambda: RouterActor(
                dispatcher=Dispatcher(
                    self.parts.make_routes(settings.processors, patience),
                    RetryLimits(),
                    self.parts.rng,
                    self.parts.window_max,
                ),
                processors=self.processors,
                intake=self.intake,
                persistence=self.persistence,
                runtime=self.parts.runtime,
                replica=settings.replica,
            ),
        )

    def _processor(self, processor: Processor) -> Child:
        parts, settings, name = self.parts, self.settings, processor.name
        return Child(
            self.processors[name],
            lambda: ProcessorActor(
                name=name,
                client=parts.clients[name],
                gate=ChargeGate(
                    name,
                    Breaker(parts.breaker_limits, parts.rng),
                    ConcurrencyLimit(parts.concurrency_limits),
                    RateLimiter(parts.rate_limits),
                    Pace(settings.slow_s),
                ),
                delay=ProcessorDelay(settings.processor_delay_max_s, settings.charge_timeout_s, LEASE_S),
                charges=processor.charges,
                router=self.router,
                health=self.health,
                runtime=parts.runtime,
            ),
        )

    def _intake(self, journal: Journal) -> Child:
        durability = self.settings.durability
        make: Callable[..., IntakeActor] = IntakeActor
        if durability.awaits_rows:
            takes_over = durability is Durability.LEDGER_OR_FSYNC
            make = partial(LedgerIntakeActor, persistence=self.persistence, journal_takes_over=takes_over)
        return Child(
            self.intake,
            lambda: make(
                journal=journal,
                router=self.router,
                gossip=self.gossip,
                recent_max=self.settings.recent_max,
                runtime=self.parts.runtime,
                open_max=self.settings.open_max,
                window_max=self.parts.window_max,
                limits=self.parts.batch_limits,
            ),
        )

    def _gossip(self, last_purge: LastPurge) -> Child:
        return Child(
            self.gossip,
            lambda: GossipActor(
                channel=self.parts.open_channel(last_purge.generation),
                intake=self.intake,
                router=self.router,
                shelf=self.parts.open_shelf(last_purge),
                runtime=self.parts.runtime,
                replica=self.settings.replica,
            ),
        )

    def _lease(self, last_purge: LastPurge, purged: Callable[[], None], named: Callable[[], None]) -> Child:
        return Child(
            self.lease,
            lambda: LeaseActor(
                leases=self.parts.leases,
                payments=self.parts.payments,
                router=self.router,
                processors=tuple(self.processors.values()),
                intake=self.intake,
                shelf=self.parts.open_shelf(last_purge),
                memory=self.parts.store_memory,
                resolver=Resolver(
                    resolutions=self.parts.resolutions,
                    payments=self.parts.payments,
                    router=self.router,
                    runtime=self.parts.runtime,
                ),
                runtime=self.parts.runtime,
                generation=last_purge.generation,
                purged=purged,
                named=named,
            ),
        )

    def _health(self) -> Child:
        return Child(
            self.health,
            lambda: HealthActor(
                processors={each.name: self.processors[each.name] for each in self.settings.processors if each.charges},
                board=self.parts.board,
                probe=self.parts.probe,
                runtime=self.parts.runtime,
                replica=self.settings.replica,
            ),
        )
