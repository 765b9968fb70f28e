"""What all actors of Fiel have in common: a mailbox that clients cannot flood, and an address that outlives them."""

import abc
import contextlib
import sys
import time
from collections import Counter
from math import inf
from typing import Any, ClassVar

import pykka
from greenlet import GreenletExit
from pykka import messages

from actors.domain.counted import Counted
from actors.domain.level import Level
from actors.errors import GatewayUnavailableError, MailboxFullError
from actors.inbox import BoundedInbox
from actors.logs import get_logger

logger = get_logger(__name__)

EXITS = (KeyboardInterrupt, SystemExit, GreenletExit)
"""Exceptions that end more than the actor that they are raised in."""


class Drained:
    """What an actor is busy with in `Actor.on_drained`."""


DRAINED = Drained()


class Actor(pykka.ThreadingActor):
    """An actor of Fiel. What its mailbox holds is lost with it; Postgres and the journal are the record.

    It handles its messages in slices. A slice ends when the mailbox is empty or after `SLICE_S_MAX`, with one call of
    `on_drained`: the place for what is done once for many messages. Any error in a handler ends the actor, and no other
    actor, since its state may be broken.
    """

    use_daemon_thread = True
    actor_inbox: BoundedInbox
    INBOX_MAX: ClassVar[int] = 4096
    """How many messages may wait before those of the types in `REFUSED_WHEN_FULL` are refused."""
    REFUSED_WHEN_FULL: ClassVar[tuple[type, ...]] = ()
    SLICE_S_MAX: ClassVar[float] = 0.001
    """No further message is handled in a slice that has lasted this long; then other greenlets get their turn."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[Counted] = Counter()
        """What has happened since the start, each kind of it as often as the actor has added to it."""
        self._reply_to: pykka.Future[Any] | None = None
        """Where the answer to the message that is being handled goes; None if nobody waits for one."""
        self._is_drained = True
        """Whether `on_drained` has been called since the last message was handled."""

    @abc.abstractmethod
    def on_receive(self, message: Any) -> object:  # noqa: ANN401  # each actor says which messages it takes
        """Handle one message. What is returned answers an `ask`. An unknown message is an error."""

    def on_drained(self) -> None:
        """Do what has to follow the messages of a slice once for all of them."""

    def handle_waiting(self) -> None:
        """Handle all messages in the mailbox as one slice, if there are any.

        Tests and simulations drive an actor that is not started with it.
        """
        if not self.actor_inbox.empty():
            self._handle_slice(self.actor_inbox.get(), inf)

    def launch(self) -> "pykka.ActorRef[Any]":
        """Start the actor, as pykka's own `start` does with one that it makes itself."""
        pykka.ActorRegistry.register(self.actor_ref)
        self._start_actor_loop()
        return self.actor_ref

    def progressed(self) -> None:
        """Tell the supervisor, from a loop that may take longer than `HANG_S_MAX`, that the actor does not hang."""
        self.actor_inbox.busy_checks = 0

    def let_others_run(self) -> None:
        """Give other greenlets their turn, in a loop that takes long and waits for nothing."""
        self.progressed()
        time.sleep(0)  # gevent's after monkey-patching

    def tell_self(self, message: object) -> None:
        """Put a message into the actor's own mailbox, from a timer or a greenlet that may outlive the actor."""
        with contextlib.suppress(pykka.ActorDeadError):
            self.actor_ref.tell(message)

    @classmethod
    def _create_actor_inbox(cls) -> BoundedInbox:  # a static method in pykka, whose inboxes have no bound
        return BoundedInbox(cls.INBOX_MAX, cls.REFUSED_WHEN_FULL)

    def _actor_loop(self) -> None:
        # pykka's own loop goes on after an error in an `ask`. A `gevent.Timeout` in a handler makes it stop all actors.
        # One in `on_start` or between two messages ends it, but the actor still counts as alive.
        try:
            self.on_start()
            while not self.actor_stopped.is_set():
                self._handle_slice(self.actor_inbox.get(), self.SLICE_S_MAX)
                if not self.actor_inbox.empty():
                    time.sleep(0)  # gevent's after monkey-patching: other greenlets get their turn.
        except EXITS:
            self._stop()
            raise
        except BaseException:  # noqa: BLE001  # it ends the actor, and the supervisor sees that
            self._handle_failure(*sys.exc_info())
            if self._reply_to is not None:
                error = pykka.ActorDeadError(f"{self} failed")
                self._reply_to.set_exception((type(error), error, None))
        finally:
            self._actor_loop_teardown()

    def _handle_slice(self, envelope: Any, slice_s_max: float) -> None:  # noqa: ANN401  # generic in the message
        """Handle this message and those that wait behind it, until none waits or the slice has lasted long enough."""
        inbox, until_s = self.actor_inbox, time.monotonic() + slice_s_max
        self._handle(envelope)
        while not inbox.empty() and not self.actor_stopped.is_set() and time.monotonic() < until_s:
            self._handle(inbox.get())
        self._end_slice()

    def _handle(self, envelope: Any) -> None:  # noqa: ANN401  # generic in the message
        self._reply_to = envelope.reply_to
        answer: object = None
        if isinstance(envelope.message, messages._ActorStop):  # noqa: SLF001  # pykka has no public name for it
            self._end_slice()
            self._stop()
        else:
            self._is_drained = False
            answer = self.on_receive(envelope.message)
        if self._reply_to is not None:
            self._reply_to.set(answer)
            self._reply_to = None

    def _end_slice(self) -> None:
        if not self._is_drained:
            self._is_drained = True
            self.actor_inbox.busy_with, self.actor_inbox.busy_checks = DRAINED, 0
            self.on_drained()


class Address:
    """A name to send messages to. The actor behind it may be replaced.

    What is sent while there is no actor is lost. The next actor finds its work in the journal and in Postgres.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._ref: pykka.ActorRef[Any] | None = None
        self._inbox: BoundedInbox | None = None
        self._counts: Counter[Counted] = Counter()

    def bind(self, actor: Actor) -> None:
        """Send to this actor from now on."""
        self._ref = actor.actor_ref
        self._inbox = actor.actor_inbox
        self._counts = actor.counts

    @property
    def is_alive(self) -> bool:
        """Whether there is an actor that receives what is sent."""
        return self._ref is not None and self._ref.is_alive()

    @property
    def mailbox(self) -> Level | None:
        """How many messages wait, and from how many on some are refused; None before the first start of an actor."""
        return None if self._inbox is None else self._inbox.level

    @property
    def counts(self) -> Counter[Counted]:
        """What the actor has counted; nothing before the first start of one."""
        return self._counts

    @property
    def busy_with(self) -> object:
        """The message that the actor is handling; None while it waits for the next."""
        return None if self._inbox is None else self._inbox.busy_with

    @property
    def busy_checks(self) -> int:
        """How many times in a row `check_busy` has found the actor busy with the same message."""
        return 0 if self._inbox is None else self._inbox.busy_checks

    def check_busy(self) -> None:
        """Count in `busy_checks` whether the actor is busy. The supervisor calls this at regular intervals."""
        if self._inbox is not None:
            self._inbox.check_busy()

    def tell(self, message: object) -> None:
        """Send a message without waiting, as `actors.ports.Recipient` describes it."""
        try:
            if self._ref is not None:
                self._ref.tell(message)
        except pykka.ActorDeadError:
            logger.debug("an actor has ended, and a message is not delivered", actor=self.name, message=repr(message))

    def ask(self, message: object, timeout_s: float) -> Any:  # noqa: ANN401  # as in the protocol
        """Send a message and wait for the answer, as `actors.ports.Recipient` describes it."""
        if self._ref is None:
            raise GatewayUnavailableError(f"{self.name} is not started")
        try:
            return self._ref.ask(message, timeout=timeout_s)
        except (pykka.ActorDeadError, pykka.Timeout, MailboxFullError) as error:
            raise GatewayUnavailableError(f"{self.name} does not answer") from error

    def stop(self, timeout_s: float) -> bool:
        """End the actor when it has handled what waits in its mailbox; return whether it has ended in time."""
        if self._ref is not None:
            with contextlib.suppress(pykka.ActorDeadError, pykka.Timeout):
                self._ref.stop(timeout=timeout_s)
        return not self.is_alive
