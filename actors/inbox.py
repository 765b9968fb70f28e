"""The mailbox of an actor, which clients cannot flood."""

import queue
from typing import Any

from actors.domain.level import Level
from actors.errors import MailboxFullError


class Start:
    """What an actor is busy with before it takes its first message."""


class BoundedInbox:
    """A mailbox that refuses some types of messages when it is full, and knows what its actor is busy with.

    Other messages are always accepted. They belong to accepted payments, whose number is bounded, and if one of them
    were lost, its payment would wait for ever.
    """

    def __init__(self, size_max: int, refused: tuple[type, ...]) -> None:
        self.busy_with: object = Start()
        """The message that the actor is handling; None while it waits for the next."""
        self.busy_checks = 0
        """How many times in a row `check_busy` has found the actor busy with `busy_with`."""
        self._size_max = size_max
        self._refused = refused
        # SimpleQueue is gevent's own after monkey-patching, and several times cheaper than Queue.
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def put(self, envelope: Any, /) -> None:  # noqa: ANN401  # pykka's envelope is generic in the message
        """Append an envelope.

        Raises:
            MailboxFullError: the mailbox is full, and the message is of a type that it refuses then.
        """
        if self._refused and isinstance(envelope.message, self._refused) and self._queue.qsize() >= self._size_max:
            raise MailboxFullError
        self._queue.put(envelope)

    def get(self) -> Any:  # noqa: ANN401  # pykka's envelope is generic in the message
        """Wait for the next envelope and return it."""
        self.busy_with, self.busy_checks = None, 0
        envelope = self._queue.get()
        self.busy_with = envelope.message
        return envelope

    def check_busy(self) -> None:
        """Count in `busy_checks` whether the actor is busy."""
        if self.busy_with is not None:
            self.busy_checks += 1

    @property
    def level(self) -> Level:
        """How many messages wait, and from how many on some are refused."""
        return Level(self._queue.qsize(), self._size_max)

    def empty(self) -> bool:
        """Return whether no message waits."""
        return self._queue.empty()
