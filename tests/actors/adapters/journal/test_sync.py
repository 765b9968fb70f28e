"""A quick sync is done by the caller; while the disk is slow a thread does it, so that others go on."""

import errno
import os
from collections.abc import Callable
from threading import Event

import gevent
import pytest

from actors.adapters.journal.sync import RETRY_S, THREAD_S_MAX, USUAL_S_MAX, WEIGHT, AdaptiveSync, sync_durations

FD = 3


class Disk:
    """A disk whose syncs take as long as a test says, and a thread that only counts."""

    def __init__(self) -> None:
        self.time_s = 100.0
        self.sync_s = USUAL_S_MAX / 2
        self.synced: list[str] = []
        self.caller = "inline"
        self.durations = sync_durations()
        self.sync = AdaptiveSync(self._sync, lambda: self.time_s, self._run_in_thread, self.durations)

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


def test_a_single_slow_sync_changes_nothing() -> None:
    disk = Disk()
    disk.sync_times(100)
    disk.sync_s = USUAL_S_MAX / 2 / WEIGHT
    disk.sync_times(1)
    disk.sync_s = USUAL_S_MAX / 2
    assert disk.sync_times(3) == ["inline"] * 3


def test_where_slow_syncs_are_usual_a_thread_does_them_and_the_caller_tries_again_now_and_then() -> None:
    disk = Disk()
    disk.sync_s = 2 * USUAL_S_MAX
    disk.sync_times(100)
    assert disk.sync_times(3) == ["thread"] * 3
    disk.time_s += RETRY_S
    assert disk.sync_times(3) == ["inline", "thread", "thread"]


def test_a_disk_that_is_quick_again_is_synced_by_the_caller_again() -> None:
    disk = Disk()
    disk.sync_s = 2 * USUAL_S_MAX
    disk.sync_times(100)
    disk.sync_s = 0.0
    for _ in range(20):
        disk.time_s += RETRY_S
        disk.sync_times(1)
    assert disk.sync_times(3) == ["inline"] * 3


def test_a_disk_that_stays_very_slow_does_not_hold_up_the_caller_again() -> None:
    disk = Disk()
    disk.sync_s = 2 * THREAD_S_MAX
    disk.sync_times(10)
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

    first_sync_took_1_s = iter([0.0])
    adaptive = AdaptiveSync(sync, lambda: next(first_sync_took_1_s, 1.0))
    adaptive(FD + 1)
    other = gevent.spawn(others_went_on.set)
    adaptive(FD)
    other.join()
    assert waited == [True]


def test_every_sync_is_timed_whoever_does_it() -> None:
    disk = Disk()
    disk.sync_times(3)
    disk.sync_s = 2 * USUAL_S_MAX / WEIGHT
    callers = disk.sync_times(4)
    counted = disk.durations.counted()
    assert (set(callers), sum(counted.counts)) == ({"inline", "thread"}, 7)
    assert counted.sum_s == pytest.approx(3 * USUAL_S_MAX / 2 + 4 * disk.sync_s)
