"""The lame duck: a replica that is told to end serves on until load balancers send it no more clients."""

import mmap
import os
import signal
from types import FrameType

from gunicorn.arbiter import Arbiter

_BEGUN = 1


class LameDuck:
    """Puts off the end that SIGTERM asks of gunicorn's master, and lets its workers know.

    The master makes it before it forks: both see the same memory, and a worker that is started later knows at once.
    """

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    @property
    def has_begun(self) -> bool:
        """Whether the process has been told to end, and serves on for a while."""
        return self._shared[0] == _BEGUN

    def put_off_end(self, arbiter: Arbiter, lame_duck_s: float) -> None:
        """Let SIGTERM begin the lame duck; the end begins after `lame_duck_s`, or at once with another SIGTERM.

        With 0 s the end is not put off. SIGINT and SIGQUIT end gunicorn as always.
        """
        master = os.getpid()

        def terminate(number: int, frame: FrameType | None) -> None:
            if os.getpid() != master:
                # A worker that has just been forked, and has no handlers of its own yet: the master waits for its end.
                os._exit(0)
            if lame_duck_s and not self.has_begun:
                self._shared[0] = _BEGUN
                signal.setitimer(signal.ITIMER_REAL, lame_duck_s)
            else:
                signal.setitimer(signal.ITIMER_REAL, 0)
                arbiter.signal(number, frame)

        def end(_number: int, frame: FrameType | None) -> None:
            arbiter.signal(signal.SIGTERM, frame)

        signal.signal(signal.SIGALRM, end)
        signal.signal(signal.SIGTERM, terminate)


LAME_DUCK = LameDuck()
"""The state that this process shares with the master that it was forked from."""
