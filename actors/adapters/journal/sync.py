"""How a file is synced: by the caller while that is quick, and by a thread while the disk is slow."""

import os
from collections.abc import Callable
from time import perf_counter

from gevent.threadpool import ThreadPool

from actors.domain.histogram import Histogram

USUAL_S_MAX = 0.001
"""If a sync usually takes longer than this, the caller hands it to a thread, since it would hold up the event loop."""
WEIGHT = 0.1
"""Weight of the latest sync in the smoothed duration. A busy disk has single slow syncs, which change little."""
THREAD_S_MAX = 0.005
"""A sync in a thread that took longer, its wait for the interpreter included, comes from a disk that is still slow."""
RETRY_S = 0.1
"""Time between two syncs that the caller tries by itself, to see whether the disk is quick again."""
SYNC_BOUNDS_S = (0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5)
"""Bounds of the histogram. A good disk takes a fraction of a millisecond; each payment waits, so that 0.1 s is bad."""


def sync_durations() -> Histogram:
    """Make a histogram of how long syncs take."""
    return Histogram(*SYNC_BOUNDS_S)


class AdaptiveSync:
    """Makes what was written to a file descriptor survive the loss of power.

    A quick sync costs less than handing it to a thread. A slow one in the caller would hold up every other greenlet.
    """

    def __init__(
        self,
        sync: Callable[[int], None] = os.fdatasync,
        now_s: Callable[[], float] = perf_counter,
        run_in_thread: Callable[[Callable[[int], float], tuple[int]], float] | None = None,
        durations: Histogram | None = None,
    ) -> None:
        """Sync with `sync`, timed by `now_s`, and count in `durations` how long each sync took.

        `run_in_thread` calls a function with its arguments and waits for the result; where none is given, a thread that
        serves nothing else does.
        """
        self._sync = sync
        self._now_s = now_s
        self._run_in_thread = run_in_thread
        self._durations = durations or sync_durations()
        self._usual_s = 0.0
        """Smoothed duration of the caller's own syncs."""
        self._retry_at_s = 0.0

    def __call__(self, fd: int) -> None:
        """Sync the file.

        Raises:
            OSError: nobody knows what the file holds.
        """
        if self._usual_s <= USUAL_S_MAX or self._now_s() >= self._retry_at_s:
            took_s = self._timed_sync(fd)
            self._durations.observe(took_s)
            self._usual_s += WEIGHT * (took_s - self._usual_s)
            self._retry_at_s = self._now_s() + RETRY_S
            return
        if self._run_in_thread is None:
            self._run_in_thread = ThreadPool(1).apply
        took_s = self._run_in_thread(self._timed_sync, (fd,))
        self._durations.observe(took_s)
        if took_s > THREAD_S_MAX:
            self._retry_at_s = self._now_s() + RETRY_S

    def _timed_sync(self, fd: int) -> float:
        began_s = self._now_s()
        self._sync(fd)
        return self._now_s() - began_s
