"""One replica in virtual time: the product's own system, whose mailboxes the simulation empties."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from actors.actor import Actor, Address
from actors.domain.payment import Payment
from actors.errors import GatewayUnavailableError, LeaseLostError
from actors.messages.intake import Accept, AcceptAnswer
from actors.system import System
from ops.simulation.clock import SimulatedRuntime

if TYPE_CHECKING:
    from ops.simulation.cluster import Cluster

ACCEPT_S_MAX = 5.0
"""How long a client waits for the journal."""


class Mailbox(Address):
    """An address whose actor is not started: it handles what waits for it when the simulation says so."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.actor: Actor | None = None
        self.wake: Callable[[], None] = lambda: None
        """Called after each message."""
        self.is_woken = False
        """Whether the actor is about to handle its messages, or is handling them."""
        self.is_handling = False
        """Whether the actor is handling messages, also while it waits for something within one."""

    def put_in(self, actor: Actor) -> None:
        """Set the actor behind this address."""
        self.actor = actor
        self.bind(actor)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits for the actor."""
        return self.actor is None or self.actor.actor_inbox.empty()

    def handle(self) -> None:
        """Let the actor handle all that waits for it as one slice."""
        if self.actor is not None:
            self.is_handling = True
            try:
                self.actor.handle_waiting()
            finally:
                self.is_handling = False

    def tell(self, message: object) -> None:
        """Send a message without waiting."""
        super().tell(message)
        self.wake()

    def ask(self, message: object, timeout_s: float) -> Any:  # noqa: ANN401, ARG002  # as in the protocol
        """Let the actor answer at once, unless it waits for something while it handles a message."""
        if self.actor is None or self.is_handling:
            raise GatewayUnavailableError(f"{self.name} is not started, or does not answer")
        answer = self.actor.actor_ref.ask(message, block=False)
        self.handle()
        return answer.get(timeout=0)


class SimulatedReplica:
    """One replica of a cluster. It starts from what its earlier life has left in its journal and in the tables."""

    def __init__(self, cluster: "Cluster", name: str) -> None:
        self.name = name
        self.is_running = self.is_paused = False
        self.clock_ahead_ms = 0
        """How far the system's clock of its machine is ahead of the true time."""
        self._cluster = cluster

    def start(self) -> None:
        """Start a process with new actors."""
        self.is_running, self.is_paused = True, False
        self.mailboxes: dict[str, Mailbox] = {}
        by_hand = self._cluster.conditions.by_hand
        self.runtime = SimulatedRuntime(
            self._cluster.clock,
            system_ms=lambda: self._cluster.clock.now_ms() + self.clock_ahead_ms,
            by_hand=by_hand,
            after_step=self._wake_all,
        )
        settings = self._cluster.make_settings(self.name)
        self.parts = self._cluster.make_parts(settings, self.runtime)
        self.system = System(settings, self.parts, self._make_mailbox)
        last_purge = self.parts.purges.last_purge()
        journal = self.parts.open_journal(last_purge)
        children = self.system.children(journal, last_purge, purged=lambda: None, named=lambda: None)
        actors = [child.make() for child in children]
        for child, actor in zip(children, actors, strict=True):
            self.mailboxes[child.address.name].put_in(actor)
        for actor in actors:
            actor.on_start()
        self._wake_all()

    def crash(self) -> None:
        """End the process as `kill -9` does."""
        self.is_running = False
        self.runtime.end()

    def pause(self) -> None:
        """Let the process stand still, as SIGSTOP does."""
        self.is_paused = True
        self.runtime.pause()

    def resume(self) -> None:
        """Let the process go on."""
        self.is_paused = False
        self.runtime.resume()

    def accept(self, payment: Payment, reply: Callable[[AcceptAnswer], None]) -> None:
        """Post a payment."""
        self.system.intake.tell(Accept(payment, reply, self.runtime.now_s() + ACCEPT_S_MAX))

    @property
    def busy(self) -> list[Mailbox]:
        """The mailboxes in which messages wait for an actor that may handle them now."""
        return [each for each in self.mailboxes.values() if not each.is_empty and not each.is_handling]

    def handle(self, mailbox: Mailbox) -> None:
        """Let an actor handle what waits for it; a replica that has lost its lease starts anew."""
        try:
            mailbox.handle()
        except LeaseLostError:
            self.crash()
            self.start()

    def handle_or_wait(self, mailbox: Mailbox) -> None:
        """Let an actor handle what waits for it; if it has to wait for something, it goes on later."""
        self._cluster.clock.start(partial(self.handle, mailbox))

    def _make_mailbox(self, name: str) -> Mailbox:
        mailbox = self._cluster.make_mailbox(self, name)
        if not self._cluster.conditions.by_hand:
            mailbox.wake = lambda: self._wake(mailbox)
        self.mailboxes[name] = mailbox
        return mailbox

    def _wake_all(self) -> None:
        """Wake the actors that have sent messages to themselves."""
        for mailbox in self.busy:
            mailbox.wake()

    def _wake(self, mailbox: Mailbox) -> None:
        if not mailbox.is_woken:
            mailbox.is_woken = True
            self.runtime.spawn(self._handle_woken, mailbox)

    def _handle_woken(self, mailbox: Mailbox) -> None:
        self.handle(mailbox)
        mailbox.is_woken = False
        if not mailbox.is_empty:
            self._wake(mailbox)
