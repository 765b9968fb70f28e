"""A timer of an actor: one message to itself, at the earliest time that was asked for."""

from collections.abc import Callable
from math import inf

from actors.ports import Runtime


class Timer:
    """Tells `message` when it is due. What was ordered for a later time comes all the same, and does no harm."""

    def __init__(self, runtime: Runtime, tell: Callable[[object], None], message: object) -> None:
        self._runtime = runtime
        self._tell = tell
        self._message = message
        self._due_s = inf

    def set(self, due_s: float | None) -> None:
        """Have the message told at this monotonic time, unless it is told before; None asks for nothing."""
        if due_s is not None and due_s < self._due_s:
            self._due_s = due_s
            self._runtime.call_later(max(0.0, due_s - self._runtime.now_s()), self._tell, self._message)

    def fired(self) -> None:
        """Note that the message has come; the time has to be set again."""
        self._due_s = inf
