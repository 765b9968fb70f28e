"""What processes used is read of the whole tree, and nothing of a child that ended is forgotten."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.benchmarks.usage import (
    Usage,
    children,
    command_line,
    environment,
    executable,
    peak_pss_bytes,
    private_bytes,
    process_tree,
    pss_bytes,
    read_usage,
)

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
child.communicate(b"end")
"""
SPEND = "import time\nwhile time.process_time() < 0.3: pass"


class Parent:
    """A process with one child, which executes a line of Python at a time."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-c", PARENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PLANTED": "a=b"},
        )
        self.pid = self._popen.pid
        self.child = int(self._answer())

    def execute(self, line: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{line}\n")
        self._popen.stdin.flush()
        assert self._answer() == "done"

    def end(self) -> None:
        self._popen.communicate(timeout=30)

    def _answer(self) -> str:
        assert self._popen.stdout is not None
        return self._popen.stdout.readline().strip()


@pytest.fixture
def parent() -> Iterator[Parent]:
    started = Parent()
    yield started
    started.end()


def test_a_tree_is_the_process_and_its_descendants(parent: Parent) -> None:
    assert children(parent.pid) == [parent.child]
    assert process_tree(parent.pid) == [parent.pid, parent.child]


def test_a_process_tells_its_command_and_its_variables(parent: Parent) -> None:
    assert command_line(parent.pid)[:2] == [sys.executable, "-c"]
    assert executable(parent.pid) == Path(sys.executable).resolve().name
    assert environment(parent.pid)["PLANTED"] == "a=b"


def test_the_cpu_time_of_a_child_that_ended_is_counted(parent: Parent) -> None:
    before = read_usage([parent.pid])
    parent.execute(f"subprocess.run([sys.executable, '-c', {SPEND!r}])")
    assert read_usage([parent.pid]).cpu_s_since(before) >= 0.25


def test_switches_are_counted_by_thread(parent: Parent) -> None:
    before = read_usage([parent.pid])
    for _ in range(10):
        parent.execute("pass")
    # It waits for each line.
    assert read_usage([parent.pid]).switches_since(before) >= 10


def test_switches_of_threads_that_began_or_ended_meanwhile_do_not_disturb_the_others() -> None:
    before, after = Usage(1.0, {1: 10, 2: 500}), Usage(1.5, {1: 14, 3: 2})
    assert after.switches_since(before) == 6
    assert after.cpu_s_since(before) == 0.5


def test_a_peak_stays_when_the_memory_is_given_back(parent: Parent) -> None:
    before = peak_pss_bytes(parent.pid)
    parent.execute("large = bytearray(50_000_000); del large")
    assert peak_pss_bytes(parent.pid) - before == pytest.approx(50_000_000, rel=0.2)


def test_what_a_process_needs_now_falls_when_the_memory_is_given_back(parent: Parent) -> None:
    before = (pss_bytes(parent.pid), private_bytes(parent.pid))
    parent.execute("large = bytearray(50_000_000)")
    during = (pss_bytes(parent.pid), private_bytes(parent.pid))
    parent.execute("del large")
    after = (pss_bytes(parent.pid), private_bytes(parent.pid))
    for least, most, given_back in zip(before, during, after, strict=True):
        assert most - least == pytest.approx(50_000_000, rel=0.2)
        assert given_back - least < 10_000_000


def test_of_a_process_that_has_ended_nothing_is_read() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert (children(ended.pid), environment(ended.pid), read_usage([ended.pid])) == ([], {}, Usage(0.0, {}))
    assert (peak_pss_bytes(ended.pid), pss_bytes(ended.pid), private_bytes(ended.pid)) == (0, 0, 0)
