"""A persistence actor that is not started, with what stands around it."""

from uuid import UUID

from pykka._envelope import Envelope

from actors.domain.batching import BatchLimits
from actors.domain.money import Money
from actors.domain.payment import Claim, Closing, EndState, Mark, Move, Settlement
from actors.messages.persistence import GetIncidents, GetUnwritten, PersistenceMessage, Write
from actors.messages.router import Written
from actors.persistence import PersistenceActor
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import NOW_MS, READING, Recorder, VirtualRuntime, deliver, payment

LIMITS = BatchLimits(items_max=100)


def store_of(replica: str, tables: MemoryTables) -> MemoryPayments:
    """Make the store of a replica that has a lease."""
    fence = MemoryFence(replica)
    MemoryLeases(tables, fence).register(0, READING)
    return MemoryPayments(tables, fence)


class Persistence:
    """A persistence actor that is not started, with what stands around it."""

    def __init__(self, tables: MemoryTables | None = None, store: MemoryPayments | None = None) -> None:
        self.store = store or store_of("1", tables or MemoryTables())
        self.intake, self.router, self.runtime = Recorder(), Recorder(), VirtualRuntime()
        self.actor = PersistenceActor(
            payments=self.store,
            intake=self.intake,
            router=self.router,
            runtime=self.runtime,
            limits=LIMITS,
            replica="1",
        )

    @property
    def rows(self) -> dict[UUID, tuple[str, str | None]]:
        """Owner and processor of each unsettled row."""
        return {key: (owned.owner, owned.claim.processor) for key, owned in self.store.tables.claims.items()}

    def refused(self, number: int) -> tuple[Money, ...]:
        """Give the other amounts that were reported under an id."""
        record = self.store.payment(UUID(int=number))
        return record.conflicting_amounts if record else ()

    def tell(self, message: PersistenceMessage) -> None:
        self.actor.actor_inbox.put(Envelope(message))
        deliver(self.actor)

    def write(
        self,
        claims: tuple[Claim, ...] = (),
        moves: tuple[Move, ...] = (),
        settlements: tuple[Settlement, ...] = (),
        closings: tuple[Closing, ...] = (),
        marks: tuple[Mark, ...] = (),
    ) -> None:
        self.tell(Write(claims, moves, settlements, closings, marks))

    def advance(self, seconds: float) -> None:
        self.runtime.advance(seconds)
        deliver(self.actor)

    def busy(self) -> "Persistence":
        """Let a batch be written just now, so that the next one has to wait."""
        self.write(settlements=(settlement(999),))
        self.store.writes.clear()
        self.router.take()
        return self

    def unwritten(self) -> object:
        return self.actor.on_receive(GetUnwritten())

    def incidents(self) -> object:
        return self.actor.on_receive(GetIncidents())

    def marked(self, number: int) -> str | None:
        """Give what readers are told of a payment."""
        record = self.store.payment(UUID(int=number))
        return record.marked if record else None


def claims(*numbers: int, amount_minor: int = 1990) -> tuple[Claim, ...]:
    return tuple(Claim(payment(number, amount_minor), "default") for number in numbers)


def ids(*numbers: int) -> tuple[UUID, ...]:
    return tuple(UUID(int=number) for number in numbers)


def settlement(number: int, processor: str = "default") -> Settlement:
    return Settlement(payment(number), processor, NOW_MS, 1, NOW_MS)


def closing(number: int) -> Closing:
    return Closing(payment(number), EndState.DECLINED, "default", attempts=2, closed_at_ms=NOW_MS)


def written(
    claimed: tuple[UUID, ...] = (),
    moved: tuple[UUID, ...] = (),
    settled: tuple[UUID, ...] = (),
    closed: tuple[UUID, ...] = (),
) -> Written:
    return Written(claimed, claims_rejected=(), moved=moved, moves_rejected=(), settled=settled, closed=closed)
