"""A timer of an actor: tells the actor one message when a time has come."""

from collections.abc import Callable

from actors.ports import Runtime


class Timer:
    """Tells a message at the earliest of the times that it was set to.

    A time cannot be taken back: a later one that was set before comes as well, and is not set a second time.
    """

    def __init__(self, runtime: Runtime, tell: Callable[[object], None], message: object) -> None:
        """`tell` is called with `message`."""
        self._runtime = runtime
        self._tell = tell
        self._message = message
        self._due_s: list[float] = []
        """The times that are set, each earlier than the one before it."""

    def set(self, due_s: float | None) -> None:
        """Tell the message at this monotonic time, unless it is told before. None changes nothing."""
        if due_s is not None and (not self._due_s or due_s < self._due_s[-1]):
            self._due_s.append(due_s)
            self._runtime.call_later(max(0.0, due_s - self._runtime.now_s()), self._tell, self._message)

    def fired(self) -> None:
        """Note that the message has come. The next time has to be set again."""
        del self._due_s[-1:]
