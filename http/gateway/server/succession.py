"""Lets a worker that is replaced take new connections until the one in its place listens."""

import mmap
import time

import gevent

_NOT_LISTENING = 1
SUCCESSOR_S_MAX = 2.0
"""How long a worker that ends waits for another one that was forked before to listen."""
_POLL_S = 0.01


class Succession:
    """Whether a worker has been forked that does not listen yet.

    The master makes it before it forks: it and all workers see the same memory.
    """

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    def begin(self) -> None:
        """Note, in the master, that a worker is about to be forked."""
        self._shared[0] = _NOT_LISTENING

    def end(self) -> None:
        """Note, in that worker, that it listens."""
        self._shared[0] = 0

    def wait(self) -> None:
        """Wait, in a worker that ends, until its successor listens, if there is one; `SUCCESSOR_S_MAX` at most."""
        deadline_s = time.monotonic() + SUCCESSOR_S_MAX
        while self._shared[0] == _NOT_LISTENING and time.monotonic() < deadline_s:
            gevent.sleep(_POLL_S)


SUCCESSION = Succession()
"""The state that all workers of this process' master share."""
