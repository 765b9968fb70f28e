"""What all actors of Fiel have in common: a mailbox that clients cannot flood, and an address that outlives them."""

import contextlib
import logging
import queue
from typing import Any, ClassVar

import pykka

from actors.errors import GatewayUnavailableError, MailboxFullError

logger = logging.getLogger(__name__)


class BoundedInbox:
    """A mailbox that refuses some messages when it is full.

    The others always pass: they belong to payments that were accepted, of which there is a bounded number, and one that
    were lost would leave its payment waiting for ever.
    """

    def __init__(self, size_max: int, refused: tuple[type, ...]) -> None:
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
        return self._queue.get()

    def empty(self) -> bool:
        """Tell whether nothing waits."""
        return self._queue.empty()


class Actor(pykka.ThreadingActor):
    """An actor of Fiel. What its mailbox holds is lost with it; Postgres and the journal are the record."""

    use_daemon_thread = True
    INBOX_MAX: ClassVar[int] = 4096
    """Messages that may wait before those in `REFUSED_WHEN_FULL` are refused."""
    REFUSED_WHEN_FULL: ClassVar[tuple[type, ...]] = ()

    @classmethod
    def _create_actor_inbox(cls) -> BoundedInbox:  # a static method in pykka, which knows no bound
        return BoundedInbox(cls.INBOX_MAX, cls.REFUSED_WHEN_FULL)

    def tell_self(self, message: object) -> None:
        """Put a message into the own mailbox, from a timer or a helper that may outlive the actor."""
        with contextlib.suppress(pykka.ActorDeadError):
            self.actor_ref.tell(message)


class Address:
    """A name to send to. The actor behind it may be replaced; what is sent meanwhile is lost, and driven again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ref: pykka.ActorRef[Any] | None = None

    def bind(self, ref: pykka.ActorRef[Any]) -> None:
        """Let the address lead to this actor from now on."""
        self._ref = ref

    @property
    def is_alive(self) -> bool:
        """Whether an actor receives what is sent."""
        return self._ref is not None and self._ref.is_alive()

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
        except (pykka.ActorDeadError, pykka.Timeout) as error:
            raise GatewayUnavailableError(f"{self.name} does not answer") from error

    def stop(self, timeout_s: float) -> bool:
        """End the actor, after what waits in its mailbox; tell whether it has ended."""
        if self._ref is not None:
            with contextlib.suppress(pykka.ActorDeadError, pykka.Timeout):
                self._ref.stop(timeout=timeout_s)
        return not self.is_alive
