"""What all actors of Fiel have in common: a mailbox that clients cannot flood, and an address that outlives them."""

import contextlib
import logging
import queue
import sys
from typing import Any, ClassVar, cast

import pykka
from greenlet import GreenletExit

from actors.errors import GatewayUnavailableError, MailboxFullError

logger = logging.getLogger(__name__)

EXITS = (KeyboardInterrupt, SystemExit, GreenletExit)
"""Raised to end more than the actor that they happen to meet."""


class Start:
    """What an actor is busy with before it takes its first message."""


class BoundedInbox:
    """A mailbox that refuses some messages when it is full, and knows what its actor is busy with.

    The others always pass: they belong to payments that were accepted, of which there is a bounded number, and one that
    were lost would leave its payment waiting for ever.
    """

    def __init__(self, size_max: int, refused: tuple[type, ...]) -> None:
        self.busy_with: object = Start()
        """The message that the actor took out last; None while it waits for the next."""
        self.looks = 0
        """How many times in a row `look` found it busy with that."""
        self._size_max = size_max
        self._refused = refused
        # SimpleQueue is gevent's own after monkey-patching, and several times cheaper than Queue.
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def put(self, envelope: Any, /) -> None:  # noqa: ANN401  # pykka's envelope is generic in the message
        """Append an envelope, or raise MailboxFullError."""
        if isinstance(envelope.message, self._refused) and self._queue.qsize() >= self._size_max:
            raise MailboxFullError
        self._queue.put(envelope)

    def get(self) -> Any:  # noqa: ANN401  # the same
        """Wait for the next envelope."""
        self.busy_with, self.looks = None, 0
        envelope = self._queue.get()
        self.busy_with = envelope.message
        return envelope

    def look(self) -> None:
        """Count in `looks` whether the actor is busy."""
        if self.busy_with is not None:
            self.looks += 1

    def empty(self) -> bool:
        """Tell whether nothing waits."""
        return self._queue.empty()


class Actor(pykka.ThreadingActor):
    """An actor of Fiel. What its mailbox holds is lost with it; Postgres and the journal are the record.

    Whatever it raises ends it, and it alone: nobody knows what state it has left.
    """

    use_daemon_thread = True
    actor_inbox: BoundedInbox
    INBOX_MAX: ClassVar[int] = 4096
    """Messages that may wait before those in `REFUSED_WHEN_FULL` are refused."""
    REFUSED_WHEN_FULL: ClassVar[tuple[type, ...]] = ()

    @classmethod
    def _create_actor_inbox(cls) -> BoundedInbox:  # a static method in pykka, which knows no bound
        return BoundedInbox(cls.INBOX_MAX, cls.REFUSED_WHEN_FULL)

    def _actor_loop(self) -> None:
        # pykka's own goes on after an error in an `ask`, stops all actors after a `gevent.Timeout` in a handler, and
        # takes for alive what such a timeout has ended in `on_start` or, leaked, between two messages.
        reply_to: pykka.Future[Any] | None = None
        try:
            self.on_start()
            while not self.actor_stopped.is_set():
                reply_to = None
                envelope = self.actor_inbox.get()
                reply_to = envelope.reply_to
                answer = self._handle_receive(envelope.message)
                if reply_to is not None:
                    reply_to.set(answer)
        except EXITS:
            self._stop()
            raise
        except BaseException:  # noqa: BLE001  # it ends here, and the supervisor sees that
            self._handle_failure(*sys.exc_info())
            if reply_to is not None:
                error = pykka.ActorDeadError(f"{self} failed")
                reply_to.set_exception((type(error), error, None))
        finally:
            self._actor_loop_teardown()

    def progressed(self) -> None:
        """Tell the supervisor, in a loop that may take longer than `HANG_S_MAX`, that the actor does not hang."""
        self.actor_inbox.looks = 0

    def tell_self(self, message: object) -> None:
        """Put a message into the own mailbox, from a timer or a helper that may outlive the actor."""
        with contextlib.suppress(pykka.ActorDeadError):
            self.actor_ref.tell(message)


class Address:
    """A name to send to. The actor behind it may be replaced; what is sent meanwhile is lost, and driven again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ref: pykka.ActorRef[Any] | None = None
        self._inbox: BoundedInbox | None = None

    def bind(self, ref: pykka.ActorRef[Any]) -> None:
        """Let the address lead to this actor from now on."""
        self._ref = ref
        self._inbox = cast("BoundedInbox", ref.actor_inbox)

    @property
    def is_alive(self) -> bool:
        """Whether an actor receives what is sent."""
        return self._ref is not None and self._ref.is_alive()

    @property
    def busy_with(self) -> object:
        """What the actor is busy with; None while it waits for the next message."""
        return None if self._inbox is None else self._inbox.busy_with

    @property
    def looks(self) -> int:
        """How many times in a row `look` found the actor busy with one and the same message."""
        return 0 if self._inbox is None else self._inbox.looks

    def look(self) -> None:
        """Count in `looks` whether the actor is busy; for one caller, at regular intervals."""
        if self._inbox is not None:
            self._inbox.look()

    def tell(self, message: object) -> None:
        """Send and go on; see `actors.ports.Recipient`."""
        try:
            if self._ref is not None:
                self._ref.tell(message)
        except pykka.ActorDeadError:
            logger.debug("%s is gone: %r is not delivered", self.name, message)

    def ask(self, message: object, timeout_s: float) -> Any:  # noqa: ANN401  # as in the protocol
        """Send and wait for the answer; see `actors.ports.Recipient`."""
        if self._ref is None:
            raise GatewayUnavailableError(f"{self.name} is not started")
        try:
            return self._ref.ask(message, timeout=timeout_s)
        except (pykka.ActorDeadError, pykka.Timeout, MailboxFullError) as error:
            raise GatewayUnavailableError(f"{self.name} does not answer") from error

    def stop(self, timeout_s: float) -> bool:
        """End the actor, after what waits in its mailbox; tell whether it has ended."""
        if self._ref is not None:
            with contextlib.suppress(pykka.ActorDeadError, pykka.Timeout):
                self._ref.stop(timeout=timeout_s)
        return not self.is_alive
