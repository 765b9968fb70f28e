"""A system of actors over parts in memory, whose actors a test plays itself."""

from collections.abc import Callable, Mapping
from random import Random
from threading import Semaphore
from typing import Any

import pykka

from actors.actor import Actor, Address
from actors.domain.concurrency_limit import ConcurrencyLimits
from actors.domain.level import Level
from actors.domain.payment import Payment
from actors.domain.records import LastPurge
from actors.domain.replica_status import ReplicaUsage
from actors.errors import GatewayUnavailableError, JournalUnavailableError, LedgerUnavailableError
from actors.ports import Journal, OwnedJournal
from actors.settings import Settings
from actors.supervisor import Child
from actors.system import Parts, System
from ops.simulation.feed import MemoryFeed
from ops.simulation.journals import MemoryStoreMemory
from ops.simulation.peers import MemoryStatusBoard
from ops.simulation.purges import MemoryPurge
from ops.simulation.resolutions import MemoryResolutions
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import MemoryBoard, MemoryChannel, ScriptedProbe, ScriptedProcessor, VirtualRuntime
from tests.actors.fakes_journal import MemoryJournal, MemoryShelf

SETTINGS = Settings.from_environment({"REPLICA": "1", "DATABASE_URL": "in memory", "REDIS_URL": "in memory"})


class MemoryDatabase:
    """Connections to nowhere."""

    def __init__(self) -> None:
        self.opened = self.closed = self.gone = False

    def open(self) -> None:
        self.opened = True

    def ping(self) -> None:
        if self.gone:
            raise LedgerUnavailableError("planted")

    @property
    def lent(self) -> Level:
        return Level(1, 4)

    def close(self) -> None:
        self.closed = True


class MemoryOwnedJournal(MemoryJournal):
    """A journal of which a test can see when it is purged and closed."""

    def __init__(self, kept: tuple[Payment, ...] = ()) -> None:
        super().__init__(kept)
        self.purges: list[int] = []
        """Generations of its purges."""
        self.closed = False

    def check(self) -> None:
        if self.broken:
            raise JournalUnavailableError("planted")

    def purge(self, last_purge: LastPurge) -> None:
        super().purge(last_purge)
        self.purges.append(last_purge.generation)

    def close(self) -> None:
        self.closed = True


def memory_parts(
    runtime: VirtualRuntime,
    tables: MemoryTables | None = None,
    open_journal: Callable[[LastPurge], OwnedJournal] = lambda _: MemoryOwnedJournal(),
    settings: Settings = SETTINGS,
) -> Parts:
    """Build parts that live in memory and in virtual time."""
    tables, fence = tables or MemoryTables(), MemoryFence(settings.replica)
    return Parts(
        runtime=runtime,
        database=MemoryDatabase(),
        payments=MemoryPayments(tables, fence),
        leases=MemoryLeases(tables, fence),
        resolutions=MemoryResolutions(tables, fence),
        ends=MemoryFeed(tables, fence),
        purges=MemoryPurge(tables, fence),
        board=MemoryBoard(runtime.now_s),
        status_board=MemoryStatusBoard(),
        usage=lambda: ReplicaUsage(0, None, 0),
        probe=ScriptedProbe(),
        clients={processor.name: ScriptedProcessor() for processor in settings.processors},
        make_turns=Semaphore,
        open_journal=open_journal,
        store_memory=MemoryStoreMemory(),
        open_channel=lambda _: MemoryChannel(),
        open_shelf=lambda _: MemoryShelf(),
        concurrency_limits=ConcurrencyLimits(max=settings.in_flight_max),
        rng=Random(1),
    )


class NeverStarted(Actor):
    """An actor that counts as started, and receives nothing."""

    def launch(self) -> "pykka.ActorRef[Any]":
        return self.actor_ref

    def on_receive(self, message: object) -> object:
        raise AssertionError(f"{message} was received")


class ScriptedAddress(Address):
    """An address whose actor is played by a test."""

    def __init__(self, name: str, log: list[tuple[str, object]]) -> None:
        """`log` is shared by all addresses: it gets the name with each message, and with "start" and "stop"."""
        super().__init__(name)
        self.log = log
        self.answers: dict[type, object] = {}
        """Answers, errors to be raised, or functions that give answers, by the type of the message."""
        self.alive = False
        self.hangs = False
        self.on_bind: Callable[[], None] = lambda: None
        """Called at each start of the actor."""

    @property
    def is_alive(self) -> bool:
        return self.alive

    def bind(self, actor: Actor) -> None:
        super().bind(actor)
        self.on_bind()
        self.alive = True
        self.log.append((self.name, "start"))

    def tell(self, message: object) -> None:
        self.log.append((self.name, message))
        self._answer(message)

    def ask(self, message: object, timeout_s: float) -> Any:  # noqa: ANN401, ARG002  # as in the class above
        self.log.append((self.name, message))
        if not self.alive:
            raise GatewayUnavailableError(f"{self.name} does not answer")
        return self._answer(message)

    def stop(self, timeout_s: float) -> bool:  # noqa: ARG002  # as in the class above
        self.log.append((self.name, "stop"))
        self.alive = self.hangs
        return not self.alive

    def _answer(self, message: object) -> object:
        answer = self.answers.get(type(message))
        if isinstance(answer, Exception):
            raise answer
        return answer(message) if callable(answer) else answer


class ScriptedSystem(System):
    """A system that is wired as the real one, with actors that a test plays."""

    def __init__(self, parts: Parts, settings: Settings = SETTINGS) -> None:
        self.log: list[tuple[str, object]] = []
        """What all actors were told and asked, in order."""
        self.generations: list[int] = []
        """Generations for which actors were started."""
        self.purged: Callable[[], None] = lambda: None
        """What the lease calls when it sees a purge."""
        self.addresses: dict[str, ScriptedAddress] = {}
        super().__init__(settings, parts, self._make_address)

    def children(
        self, journal: Journal, last_purge: LastPurge, purged: Callable[[], None], named: Callable[[], None]
    ) -> list[Child]:
        self.generations.append(last_purge.generation)
        self.purged = purged
        self.addresses["lease"].on_bind = named
        return [Child(child.address, NeverStarted) for child in super().children(journal, last_purge, purged, named)]

    def answer(self, name: str, answers: Mapping[type, object]) -> None:
        """Let an actor answer messages of these types from now on."""
        self.addresses[name].answers.update(answers)

    def _make_address(self, name: str) -> ScriptedAddress:
        self.addresses[name] = ScriptedAddress(name, self.log)
        return self.addresses[name]
