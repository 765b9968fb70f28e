"""A chaos run shifts the wall clock of a replica, and of nobody else, while it runs."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ops.chaostest.shifted_clock import ClockFile, shift_clock

HOUR_MS = 3_600_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clock" / "replica-1"


def test_a_clock_is_true_until_it_is_set(path: Path) -> None:
    assert ClockFile(path).offset_ms == 0


def test_all_who_open_the_file_share_one_clock(path: Path) -> None:
    nemesis, replica = ClockFile(path), ClockFile(path)
    nemesis.offset_ms = -3000
    assert replica.offset_ms == ClockFile(path).offset_ms == -3000


def test_the_wall_clock_follows_the_file_and_monotonic_time_does_not(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000_000)
    clock, monotonic = ClockFile(path), time.monotonic
    shift_clock(clock)
    clock.offset_ms = HOUR_MS
    assert (time.time(), time.time_ns()) == (4600.0, 4_600_000_000_000)
    assert time.monotonic is monotonic
    clock.offset_ms = -1
    assert (time.time(), time.time_ns()) == (999.999, 999_999_000_000)


def test_the_clock_of_another_process_is_stepped_while_it_runs(path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from ops.chaostest.shifted_clock import *\n"
        "shift_clock(ClockFile(Path(sys.argv[1])))\n"
        "for _ in sys.stdin: print(time.time_ns(), flush=True)"
    )
    clock = ClockFile(path)
    with subprocess.Popen(  # noqa: S603  # our own script
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as replica:
        assert replica.stdin is not None
        assert replica.stdout is not None
        for offset_ms in (0, HOUR_MS, 0):
            clock.offset_ms = offset_ms
            before_ns = time.time_ns()
            replica.stdin.write("\n")
            replica.stdin.flush()
            told_ns = int(replica.stdout.readline()) - offset_ms * 1_000_000
            assert before_ns <= told_ns <= time.time_ns()
        replica.stdin.close()
