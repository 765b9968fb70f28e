"""A gateway in virtual time: replicas over shared tables, journals, board, peers and processors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from actors.domain.breaker_limits import BreakerLimits
from actors.domain.concurrency_limit import ConcurrencyLimits
from actors.domain.dispatcher import WINDOW_MAX
from actors.domain.level import Level
from actors.domain.patience import Patience
from actors.domain.processors import Processor
from actors.domain.rate_limiter import RateLimits
from actors.domain.replica_status import ReplicaUsage
from actors.domain.routing import Routes
from actors.domain.routing_policies import CheapestFirst
from actors.settings import Durability, Settings
from actors.system import Parts
from ops.simulation.clock import Clock, SimulatedRuntime
from ops.simulation.feed import MemoryFeed
from ops.simulation.journals import MemoryJournal, MemoryStoreMemory, SharedShelf
from ops.simulation.peers import MemoryBoard, MemoryChannel, MemoryStatusBoard
from ops.simulation.processors import SimulatedClient, SimulatedProbe
from ops.simulation.purges import MemoryPurge
from ops.simulation.replica import Mailbox, SimulatedReplica
from ops.simulation.resolutions import MemoryResolutions
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulation.tables import MemoryFence, MemoryTables
from ops.simulator.processor import PaymentProcessor


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The conditions under which replicas run; by default as in production, with everything taking no time."""

    processors: tuple[Processor, ...]
    by_hand: bool = False
    """Whether a test takes each step of an actor and of a call; if not, all happens in the order of time."""
    commit_s: float = 0.0
    """How long a commit takes."""
    network_s: float = 0.0
    """How long the way to a processor and back takes."""
    charge_timeout_s: float = 10.0
    processor_delay_max_s: float = 15.0
    outage_patience_s: float = Patience().outage_s
    backlog_patience_s: float = Patience().backlog_s
    outage_backlog_s: float = Patience().outage_backlog_s
    slow_s: float = 1.5
    breaker_limits: BreakerLimits = BreakerLimits()  # noqa: RUF009  # frozen, so one for all is harmless
    concurrency_limits: ConcurrencyLimits = ConcurrencyLimits()  # noqa: RUF009  # the same
    rate_limits: RateLimits = RateLimits()  # noqa: RUF009  # the same
    make_routes: Callable[[Sequence[Processor], Patience], Routes] = CheapestFirst
    window_max: int = WINDOW_MAX
    durability: Durability = Durability.FSYNC
    separate_journals: bool = False
    """Whether no replica reaches the journal of another, as on hosts of their own."""


class Cluster:
    """The replicas by name, and all that outlives them. A subclass may change their parts and mailboxes."""

    def __init__(self, conditions: Conditions, names: Sequence[str], rng: Random) -> None:
        """Make the replicas, which are not started."""
        self.conditions = conditions
        self.rng = rng
        self.clock = Clock()
        self.tables = MemoryTables()
        self.board = MemoryBoard(self.clock.time)
        self.processors = {
            each.name: PaymentProcessor(each.fee, self.clock, now_ms=self.clock.now_ms)
            for each in conditions.processors
        }
        self.journals = {name: MemoryJournal() for name in names}
        self.store_memories = {name: MemoryStoreMemory() for name in names}
        self._channels: dict[str, MemoryChannel] = {}
        self.row_delays_s = dict.fromkeys(names, 0.0)
        """How long rows that Postgres has read are on their way to the lease's actor of each replica."""
        self.replicas = {name: SimulatedReplica(self, name) for name in names}

    def make_parts(self, settings: Settings, runtime: SimulatedRuntime) -> Parts:
        """Build the parts of a replica besides its actors."""
        conditions, name = self.conditions, settings.replica
        fence = MemoryFence(name)
        return Parts(
            runtime=runtime,
            database=FreeDatabase(),
            payments=MemoryPayments(self.tables, fence, lambda: self._wait(runtime)),
            leases=MemoryLeases(self.tables, fence, lambda: self._wait_for_rows(runtime, name)),
            resolutions=MemoryResolutions(self.tables, fence),
            ends=MemoryFeed(self.tables, fence),
            purges=MemoryPurge(self.tables, fence),
            board=self.board,
            status_board=MemoryStatusBoard(),
            usage=lambda: ReplicaUsage(0, None, 0),
            probe=SimulatedProbe(self.processors, runtime),
            clients={
                each: SimulatedClient(
                    processor, runtime, timeout_s=conditions.charge_timeout_s, network_s=conditions.network_s
                )
                for each, processor in self.processors.items()
            },
            make_turns=lambda _: FreeTurns(),
            store_memory=self.store_memories[name],
            open_journal=self.journals[name].opened,
            open_channel=lambda _: MemoryChannel(self._channels, name),
            open_shelf=lambda last_purge: SharedShelf(
                {} if conditions.separate_journals else self.journals,
                name,
                last_purge,
                lambda other: self.replicas[other].is_running,
            ),
            breaker_limits=conditions.breaker_limits,
            concurrency_limits=conditions.concurrency_limits,
            rate_limits=conditions.rate_limits,
            make_routes=conditions.make_routes,
            window_max=conditions.window_max,
            rng=self.rng,
        )

    def make_mailbox(self, replica: SimulatedReplica, name: str) -> Mailbox:  # noqa: ARG002  # for a subclass
        """Make the mailbox of one actor."""
        return Mailbox(name)

    def make_settings(self, name: str) -> Settings:
        """Make the settings of a replica; the addresses of what stands in memory are empty."""
        conditions = self.conditions
        return Settings(
            replica=name,
            database_url="",
            redis_url="",
            processors=conditions.processors,
            journal_dir=Path(),
            durability=conditions.durability,
            allow_purge=False,
            allow_force=False,
            open_max=1_000_000,
            recent_max=65_536,
            charge_timeout_s=conditions.charge_timeout_s,
            processor_delay_max_s=conditions.processor_delay_max_s,
            in_flight_max=conditions.concurrency_limits.max,
            outage_patience_s=conditions.outage_patience_s,
            backlog_patience_s=conditions.backlog_patience_s,
            outage_backlog_s=conditions.outage_backlog_s,
            slow_s=conditions.slow_s,
        )

    def _wait(self, runtime: SimulatedRuntime) -> None:
        if self.conditions.commit_s:
            runtime.sleep(self.conditions.commit_s)

    def _wait_for_rows(self, runtime: SimulatedRuntime, name: str) -> None:
        if self.row_delays_s[name]:
            runtime.sleep(self.row_delays_s[name])


class FreeDatabase:
    """Fulfils `actors.system.Database` without anything to connect to."""

    def open(self) -> None:
        """Do nothing."""

    def ping(self) -> None:
        """Do nothing."""

    @property
    def lent(self) -> Level:
        """None are lent."""
        return Level(0, 0)

    def close(self) -> None:
        """Do nothing."""


class FreeTurns:
    """Fulfils `actors.summaries.Turns`: every turn comes at once."""

    def acquire(self, *, timeout: float) -> bool:  # noqa: ARG002  # nobody waits
        return True

    def release(self) -> None:
        """Do nothing."""
