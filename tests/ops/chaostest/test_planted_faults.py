"""A chaos run plants wrong clocks, slow names and failing disks in a replica, and in nobody else, while it runs."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ops.chaostest.planted_faults import PlantedFaults, is_name, shift_clock
from ops.environment import ROOT

HOUR_MS = 3_600_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clock" / "replica-1"


def test_a_clock_is_true_until_it_is_set(path: Path) -> None:
    assert PlantedFaults(path).clock_offset_ms == 0


def test_all_who_open_the_file_share_one_clock(path: Path) -> None:
    nemesis, replica = PlantedFaults(path), PlantedFaults(path)
    nemesis.clock_offset_ms = -3000
    assert replica.clock_offset_ms == PlantedFaults(path).clock_offset_ms == -3000


def test_the_wall_clock_follows_the_file_and_monotonic_time_does_not(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000_000)
    clock, monotonic = PlantedFaults(path), time.monotonic
    shift_clock(clock)
    clock.clock_offset_ms = HOUR_MS
    assert (time.time(), time.time_ns()) == (4600.0, 4_600_000_000_000)
    assert time.monotonic is monotonic
    clock.clock_offset_ms = -1
    assert (time.time(), time.time_ns()) == (999.999, 999_999_000_000)


def test_the_clock_of_another_process_is_stepped_while_it_runs(path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from ops.chaostest.planted_faults import *\n"
        "shift_clock(PlantedFaults(Path(sys.argv[1])))\n"
        "for _ in sys.stdin: print(time.time_ns(), flush=True)"
    )
    clock = PlantedFaults(path)
    with subprocess.Popen(  # noqa: S603  # our own script
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as replica:
        assert replica.stdin is not None
        assert replica.stdout is not None
        for offset_ms in (0, HOUR_MS, 0):
            clock.clock_offset_ms = offset_ms
            before_ns = time.time_ns()
            replica.stdin.write("\n")
            replica.stdin.flush()
            told_ns = int(replica.stdout.readline()) - offset_ms * 1_000_000
            assert before_ns <= told_ns <= time.time_ns()
        replica.stdin.close()


def test_names_are_slow_while_the_file_says_so_and_addresses_are_not(path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from gevent import monkey
monkey.patch_all()
slept = []
monkey.saved["time"]["sleep"] = slept.append
import psycopg, socket
from ops.chaostest import planted_faults
from ops.chaostest.planted_faults import PlantedFaults, slow_down_names
faults = PlantedFaults(Path(sys.argv[1]))
slow_down_names(faults)

def fails(ask):
    try:
        ask()
    except (OSError, psycopg.OperationalError) as error:
        return len(slept), type(error).__name__
    return len(slept), None

original = monkey.get_original("socket", "getaddrinfo")
def refused(host): return lambda: psycopg.connect(f"{host} port=1 user=nobody")
print(fails(lambda: socket.getaddrinfo("localhost", 80)), fails(lambda: original("localhost", 80)))
print(fails(refused("host=localhost")))
faults.names_are_slow = 1
print(fails(lambda: socket.getaddrinfo("localhost", 80)), fails(lambda: original("localhost", 80)))
print(fails(lambda: socket.getaddrinfo("127.0.0.1", 80)), fails(lambda: original("::1", 80)))
print(fails(refused("host=localhost")), fails(refused("host=localhost hostaddr=127.0.0.1")))
print(set(slept) == {planted_faults.LOOK_UP_S})
"""
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", script, str(path)], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert done.stdout.splitlines() == [
        "(0, None) (0, None)",
        "(0, 'OperationalError')",
        "(1, 'gaierror') (2, 'gaierror')",
        "(2, None) (2, None)",
        "(3, 'OperationalError') (3, 'OperationalError')",
        "True",
    ]


@pytest.mark.parametrize(("host", "expected"), [("a.b", True), (b"a", True), ("1.2.3.4", False), ("::1", False)])
def test_a_name_is_told_from_an_address(host: object, expected: bool) -> None:  # noqa: FBT001
    assert is_name(host) is expected


@pytest.mark.parametrize("host", ["/var/run", "", None])
def test_what_needs_no_look_up_is_no_name(host: object) -> None:
    assert not is_name(host)


def test_the_disk_of_the_journal_is_full_and_fails_while_the_file_says_so_and_no_other_file_does(path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from ops.chaostest.planted_faults import PlantedFaults, damage_disk
folder = Path(sys.argv[1]).parent
faults = PlantedFaults(Path(sys.argv[1]))
damage_disk(faults)
flags = os.O_CREAT | os.O_RDWR
journal, other = os.open(folder / "1.journal", flags), os.open(folder / "1.txt", flags)

def outcome(call, *arguments):
    try:
        return call(*arguments)
    except OSError as error:
        return error.strerror

def write_all(fd):
    calls = ((os.write, b"a"), (os.writev, [b"a"]), (os.pwrite, b"a", 0), (os.pwritev, [b"a"], 0))
    return {outcome(call, fd, *rest) for call, *rest in calls}

print(write_all(journal), outcome(os.fdatasync, journal))
faults.disk_is_full = 1
print(write_all(journal), write_all(other), outcome(os.fdatasync, journal))
faults.disk_is_full, faults.failing_syncs = 0, 1
print(outcome(os.fdatasync, other), outcome(os.fdatasync, journal), outcome(os.fdatasync, journal), write_all(journal))
"""
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", script, str(path)], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert done.stdout.splitlines() == [
        "{1} None",
        "{'No space left on device'} {1} None",
        "None Input/output error None {1}",
    ]
