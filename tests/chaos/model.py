"""Replicas, processors and Postgres in memory and virtual time, for tests that put events into any order.

The actors are the product's own; what they talk to is not. A replica may crash, stand still and go on; a processor may
fail, book without answering, or book late; every message and every call under way is handled when the test says so.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, ClassVar
from uuid import UUID

from pykka._envelope import Envelope

from actors.actor import Actor
from actors.domain.batching import BatchLimits
from actors.domain.breaker import Breaker
from actors.domain.breaker_limits import BreakerLimits
from actors.domain.concurrency_limit import ConcurrencyLimit, ConcurrencyLimits
from actors.domain.messages import Accept, AcceptAnswer
from actors.domain.outcome import Outcome
from actors.domain.payment import Payment
from actors.domain.processors import Processor
from actors.domain.rate_limiter import RateLimiter, RateLimits
from actors.domain.routing import Patience, Routes
from actors.health import HealthActor
from actors.intake import IntakeActor
from actors.persistence import PersistenceActor
from actors.ports import LookUpAnswer, ProcessorClient
from actors.processor import ProcessorActor
from actors.recovery import LEASE_S, RecoveryActor
from actors.router import RetryLimits, RouterActor
from tests.actors.fakes import (
    NOW_MS,
    MemoryBoard,
    MemoryJournal,
    MemoryLedger,
    MemoryShelf,
    MemoryTables,
    Recorder,
    ScriptedProbe,
)

PROCESSORS = (Processor("default", "http://d", Decimal("0.05")), Processor("fallback", "http://f", Decimal("0.15")))
TIMEOUT_S = 1.0
DELAY_S_MAX = 3.0
HORIZON_S = DELAY_S_MAX + TIMEOUT_S + LEASE_S
STEP_S = 0.05
BREAKER = BreakerLimits(calls_min=1)
"""Payments are few here: one failure opens a breaker."""
PATIENCE = Patience(outage_s=0.2, backlog_s=1.0)


class Clock:
    """One time for all."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now_s(self) -> float:
        return self.time_s

    def now_ms(self) -> int:
        return NOW_MS + round(self.time_s * 1000)


class ModelProcessor:
    """A payment processor that behaves as the next draw says."""

    def __init__(self, clock: Clock, draw: Callable[[], str]) -> None:
        self.clock = clock
        self.draw = draw
        self.booked: dict[UUID, tuple[int, int]] = {}
        """Cents and stamp by id."""
        self.late: list[tuple[float, Payment, int]] = []
        """What will be booked, and when at the latest."""

    def charge(self, payment: Payment, requested_at_ms: int) -> Outcome:
        self.book_late()
        match self.draw():
            case "fail":
                return Outcome.FAILED
            case "refuse":
                return Outcome.REFUSED
            case "late":
                self.late.append((self.clock.time_s + DELAY_S_MAX, payment, requested_at_ms))
                return Outcome.UNKNOWN
            case "drop":
                self._book(payment, requested_at_ms)
                return Outcome.UNKNOWN
            case _:
                return self._book(payment, requested_at_ms)

    def look_up(self, payment: Payment) -> LookUpAnswer:
        self.book_late()
        if self.draw() == "refuse":
            return LookUpAnswer(answered=False)
        cents_and_stamp = self.booked.get(payment.correlation_id)
        return LookUpAnswer(answered=True, requested_at_ms=cents_and_stamp[1] if cents_and_stamp else None)

    def book_late(self) -> None:
        """Book what is due."""
        due = [one for one in self.late if one[0] <= self.clock.time_s]
        self.late = [one for one in self.late if one[0] > self.clock.time_s]
        for _, payment, stamp in due:
            self._book(payment, stamp)

    def _book(self, payment: Payment, stamp: int) -> Outcome:
        if payment.correlation_id in self.booked:
            return Outcome.ALREADY_CHARGED
        self.booked[payment.correlation_id] = (payment.amount_cents, stamp)
        return Outcome.SETTLED


class Mailbox:
    """A recipient whose actor handles its messages when the test says so."""

    def __init__(self) -> None:
        self.actor: Actor | None = None

    def tell(self, message: object) -> None:
        assert self.actor is not None
        self.actor.actor_inbox.put(Envelope(message))

    def ask(self, message: object, timeout_s: float) -> Any:  # noqa: ANN401, ARG002  # as in the protocol
        while self.step():
            pass
        assert self.actor is not None
        return self.actor.on_receive(message)

    def step(self) -> bool:
        """Handle one message; tell whether there was one."""
        assert self.actor is not None
        if self.actor.actor_inbox.empty():
            return False
        self.actor.on_receive(self.actor.actor_inbox.get().message)
        return True


@dataclass
class Call:
    """A function that a timer or a helper is to call."""

    due_s: float
    function: Callable[..., object]
    args: tuple[object, ...]


class ReplicaRuntime:
    """Timers and calls under way of one replica."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.now_s, self.now_ms = clock.now_s, clock.now_ms
        self.timers: list[Call] = []
        self.under_way: list[Call] = []

    def call_later(self, delay_s: float, function: Callable[..., object], *args: object) -> None:
        self.timers.append(Call(self._clock.time_s + delay_s, function, args))

    def spawn(self, function: Callable[..., object], *args: object) -> None:
        self.under_way.append(Call(self._clock.time_s, function, args))

    def sleep(self, duration_s: float) -> None:
        raise AssertionError(f"no actor sleeps, for {duration_s} s either")

    def fire(self) -> None:
        """Call what is due, in its order."""
        due = sorted((timer for timer in self.timers if timer.due_s <= self._clock.time_s), key=lambda call: call.due_s)
        self.timers = [timer for timer in self.timers if timer.due_s > self._clock.time_s]
        for timer in due:
            timer.function(*timer.args)

    def run(self, index: int) -> None:
        """Let one call under way come to its end."""
        call = self.under_way.pop(index % len(self.under_way))
        call.function(*call.args)


@dataclass
class World:
    """What outlives a replica."""

    clock: Clock
    tables: MemoryTables
    processors: dict[str, ModelProcessor]
    board: MemoryBoard
    journals: dict[str, MemoryJournal] = field(default_factory=dict)


class Replica:
    """The actors of one replica, started from what an earlier life has left in the journal and in Postgres."""

    part_classes: ClassVar[dict[type, type]] = {
        part: part for part in (MemoryLedger, IntakeActor, PersistenceActor, RouterActor, ProcessorActor, RecoveryActor)
    }
    """Which class stands in the place of each; a test that plants a bug puts in another."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.stalled = False
        self.runtime = ReplicaRuntime(world.clock)
        self.ledger = self.part_classes[MemoryLedger](name, world.tables, world.clock.now_s)
        self.journal = world.journals.setdefault(name, MemoryJournal())
        self.shelf = MemoryShelf()
        names = ("persistence", "router", *world.processors, "recovery", "intake", "health")
        self.mailboxes = {name: Mailbox() for name in names}
        for mailbox_name, actor in self._actors().items():
            self.mailboxes[mailbox_name].actor = actor
        self._actor("recovery").on_start()
        self._actor("intake").on_start()
        self._actor("health").on_start()

    def _actor(self, name: str) -> Any:  # noqa: ANN401  # pykka's on_start is untyped
        return self.mailboxes[name].actor

    def _actors(self) -> dict[str, Actor]:
        boxes, runtime = self.mailboxes, self.runtime
        processors = {name: boxes[name] for name in self.world.processors}
        return {
            "persistence": self.part_classes[PersistenceActor](
                ledger=self.ledger,
                intake=boxes["intake"],
                router=boxes["router"],
                runtime=runtime,
                limits=BatchLimits(),
                replica=self.name,
            ),
            "router": self.part_classes[RouterActor](
                routes=Routes(PROCESSORS, PATIENCE),
                addresses=processors,
                persistence=boxes["persistence"],
                runtime=runtime,
                limits=RetryLimits(horizon_s=HORIZON_S),
                chance=Random(1),
            ),
            **{name: self._processor(name) for name in processors},
            "recovery": self.part_classes[RecoveryActor](
                ledger=self.ledger,
                router=boxes["router"],
                processors=tuple(processors.values()),
                intake=boxes["intake"],
                shelf=self.shelf,
                runtime=runtime,
                generation=0,
                purged=lambda: None,
            ),
            "intake": self.part_classes[IntakeActor](
                journal=self.journal,
                router=boxes["router"],
                gossip=Recorder(),
                recent_max=1000,
                runtime=runtime,
                open_max=1000,
            ),
            "health": HealthActor(
                processors=processors,
                board=self.world.board,
                probe=ScriptedProbe(),
                runtime=runtime,
                replica=self.name,
            ),
        }

    def _processor(self, name: str) -> Actor:
        actor: Actor = self.part_classes[ProcessorActor](
            name=name,
            client=self.make_client(name),
            breaker=Breaker(BREAKER, Random(1)),
            concurrency=ConcurrencyLimit(ConcurrencyLimits(min=1, initial=4, max=4)),
            starts=RateLimiter(RateLimits()),
            router=self.mailboxes["router"],
            health=self.mailboxes["health"],
            runtime=self.runtime,
        )
        return actor

    def make_client(self, name: str) -> ProcessorClient:
        """Make the way to one processor."""
        return self.world.processors[name]

    def accept(self, payment: Payment) -> AcceptAnswer:
        """Post a payment and wait for the answer."""
        answers: list[AcceptAnswer] = []
        self.mailboxes["intake"].tell(Accept(payment, answers.append, self.world.clock.time_s))
        while self.mailboxes["intake"].step():
            pass
        return answers[0]

    def step(self, index: int) -> None:
        """Let one actor handle one message."""
        names = [name for name, box in self.mailboxes.items() if box.actor and not box.actor.actor_inbox.empty()]
        if names:
            self.mailboxes[names[index % len(names)]].step()

    @property
    def is_idle(self) -> bool:
        """Whether nothing but timers is left."""
        return not self.runtime.under_way and all(
            box.actor is None or box.actor.actor_inbox.empty() for box in self.mailboxes.values()
        )
