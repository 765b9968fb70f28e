"""A quick sync is done by the caller; while the disk is slow a thread does it, so that others go on."""

import errno
import os
from collections.abc import Callable
from threading import Event

import gevent
import pytest

from actors.adapters.journal.sync import INLINE_S_MAX, RETRY_S, THREAD_S_MAX, AdaptiveSync

FD = 3


class Disk:
    """A disk whose syncs take as long as a test says, and a thread that only counts."""

    def __init__(self) -> None:
        self.time_s = 100.0
        self.sync_s = INLINE_S_MAX / 2
        self.synced: list[str] = []
        self.caller = "inline"
        self.sync = AdaptiveSync(self._sync, lambda: self.time_s, self._run_in_thread)

    def _sync(self, fd: int) -> None:
        assert fd == FD
        self.time_s += self.sync_s
        self.synced.append(self.caller)

    def _run_in_thread(self, function: Callable[[int], float], args: tuple[int]) -> float:
        self.caller = "thread"
        try:
            return function(*args)
        finally:
            self.caller = "inline"

    def sync_times(self, count: int) -> list[str]:
        """Sync repeatedly and tell by whom it was done."""
        self.synced = []
        for _ in range(count):
            self.sync(FD)
        return self.synced


def test_quick_syncs_are_done_by_the_caller() -> None:
    assert Disk().sync_times(3) == ["inline"] * 3


def test_after_a_slow_one_a_thread_does_them_for_a_while() -> None:
    disk = Disk()
    disk.sync_s = 2 * INLINE_S_MAX
    assert disk.sync_times(3) == ["inline", "thread", "thread"]
    disk.sync_s = INLINE_S_MAX / 2
    assert disk.sync_times(1) == ["thread"]
    disk.time_s += RETRY_S
    assert disk.sync_times(2) == ["inline"] * 2


def test_a_disk_that_stays_slow_never_holds_up_the_caller_again() -> None:
    disk = Disk()
    disk.sync_s = 2 * THREAD_S_MAX
    assert disk.sync_times(1) == ["inline"]
    steps = round(3 * RETRY_S / disk.sync_s)
    assert disk.sync_times(steps) == ["thread"] * steps


def test_an_error_reaches_the_caller_from_either() -> None:
    def fail(fd: int) -> None:  # noqa: ARG001  # as os.fdatasync
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    disk = Disk()
    disk.sync = AdaptiveSync(fail, lambda: disk.time_s)
    with pytest.raises(OSError, match="Input/output"):
        disk.sync(FD)


def test_others_go_on_while_a_thread_syncs() -> None:
    others_went_on = Event()
    waited: list[bool] = []

    def sync(fd: int) -> None:
        if fd == FD:
            waited.append(others_went_on.wait(timeout=10))

    first_sync_took_1_s = iter([0.0, 0.0, 0.0, 1.0, 1.0])
    adaptive = AdaptiveSync(sync, lambda: next(first_sync_took_1_s, 1.0))
    adaptive(FD + 1)
    other = gevent.spawn(others_went_on.set)
    adaptive(FD)
    other.join()
    assert waited == [True]
