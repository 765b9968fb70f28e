"""An intake that is not started, with what stands around it."""

from typing import Any

from pykka._envelope import Envelope

from actors.domain.batching import BatchLimits
from actors.domain.money import Money
from actors.domain.payment import Payment
from actors.intake import IntakeActor
from actors.messages.intake import (
    Accept,
    AcceptAnswer,
    FindAccepted,
    Found,
    IntakeMessage,
)
from actors.messages.router import Route
from tests.actors.fakes import Recorder, VirtualRuntime, deliver, payment
from tests.actors.fakes_journal import MemoryJournal

LIMITS = BatchLimits()
SPACING_S = LIMITS.spacing_s_min
"""Time between two deliveries where payments are few."""


class CountingIntake(IntakeActor):
    """Counts how often it gives others their turn."""

    turns = 0

    def let_others_run(self) -> None:
        self.turns += 1
        super().let_others_run()


class Intake:
    """An intake that is not started, with what stands around it."""

    def __init__(self, journal: MemoryJournal | None = None, open_max: int = 10_000, recent_max: int = 1000) -> None:
        self.journal = journal or MemoryJournal()
        self.router, self.gossip = Recorder(), Recorder()
        self.runtime = VirtualRuntime()
        self.answers: list[AcceptAnswer] = []
        self.actor = self.make_actor(
            journal=self.journal,
            router=self.router,
            gossip=self.gossip,
            recent_max=recent_max,
            runtime=self.runtime,
            open_max=open_max,
            limits=LIMITS,
        )

    def make_actor(self, **parts: Any) -> IntakeActor:  # noqa: ANN401  # those of `IntakeActor`
        return CountingIntake(**parts)

    def put(self, message: IntakeMessage) -> None:
        """Let a message arrive while the intake is busy."""
        self.actor.actor_inbox.put(Envelope(message))

    def tell(self, message: IntakeMessage) -> None:
        """Let the intake handle a message."""
        self.put(message)
        deliver(self.actor)

    def accept(self, one: Payment) -> Accept:
        return Accept(one, self.answers.append, self.runtime.now_s() + 5)

    def post(self, *payments: Payment) -> list[AcceptAnswer]:
        """Let these payments arrive while the intake is busy, then let it handle them; give the answers."""
        for one in payments:
            self.put(self.accept(one))
        deliver(self.actor)
        answers, self.answers = self.answers, []
        return answers

    def money(self, number: int) -> Money | None:
        """Ask which amount is remembered of the payment with this number."""
        correlation_id = payment(number).correlation_id
        found = self.actor.on_receive(FindAccepted((correlation_id,)))
        assert isinstance(found, Found)
        return found.money.get(correlation_id)

    def advance(self, seconds: float) -> None:
        self.runtime.advance(seconds)
        deliver(self.actor)

    def deliveries(self) -> list[Route]:
        """Let deliveries go on until nothing is due any more; give what the router was told."""
        while self.runtime.timers:
            self.advance(SPACING_S)
        return [message for message in self.router.take() if isinstance(message, Route)]

    def delivered(self) -> list[Payment]:
        return [one for route in self.deliveries() for one in route.payments]


def payments(count: int, first: int = 1) -> list[Payment]:
    return [payment(number) for number in range(first, first + count)]
