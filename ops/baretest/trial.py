"""What a newcomer does on a machine, step by step, and how long each step takes."""

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ops.baretest.container import Container, last_lines

START_S_MAX = 900
"""The first start installs, perhaps over a slow connection to the package index."""
TESTS_S_MAX = 3600
PYTEST_SUMMARY = re.compile(r"^=* ?(\d+ [a-z]+(?:, \d+ [a-z]+)*) in \d", re.MULTILINE)
PYTEST_FAILURES = re.compile(r"^=+ (?:FAILURES|ERRORS) =+\n.*?(?=^=+ [\w ]+ =+$)", re.DOTALL | re.MULTILINE)


class BrokenStepError(Exception):
    """A step did not do what is promised; the message says so in its first line, with the output behind it."""


@dataclass(slots=True)
class MachineReport:
    """What came of one machine; a step that was not reached has taken None."""

    machine: str
    python: str
    """The version of its Python."""
    help_s: float | None = None
    """How long `ops/up --help` took, before anything was installed."""
    first_start_s: float | None = None
    """How long the first `ops/up` took until it was ready; it makes the environment."""
    tests_s: float | None = None
    tests: str | None = None
    """The counts of pytest, as in `1200 passed, 3 skipped`."""
    offline_start_s: float | None = None
    """How long `ops/up` took until it was ready without a network."""
    fault: str | None = None
    """What did not hold; nothing was tried after it."""

    @property
    def words(self) -> str:
        """The report in one line."""
        steps = (
            ("--help", self.help_s),
            ("first start", self.first_start_s),
            (self.tests, self.tests_s),
            ("start without a network", self.offline_start_s),
        )
        told = [f"{name} {seconds:.1f} s" for name, seconds in steps if seconds is not None]
        return "; ".join([f"CPython {self.python}", *told, *([f"broken: {self.fault}"] if self.fault else [])])


def try_machine(name: str, container: Container, tests: Sequence[str], say: Callable[[str], None]) -> MachineReport:
    """Do what a newcomer does until something does not hold, and say each step."""
    python = container.run("python3", "-c", "import platform; print(platform.python_version())").stdout.strip()
    report = MachineReport(name, python)
    try:
        report.help_s = _ask_for_help(container)
        say(f"{name:9} ops/up --help {report.help_s} s")
        report.first_start_s = _start(container)
        say(f"{name:9} first start {report.first_start_s} s")
        report.tests, report.tests_s = _test(container, tests)
        say(f"{name:9} {report.tests} {report.tests_s} s")
        container.cut_off()
        report.offline_start_s = _start(container)
        say(f"{name:9} start without a network {report.offline_start_s} s")
    except BrokenStepError as error:
        report.fault = str(error).partition("\n")[0]
        say(f"{name:9} {error}")
    return report


def pytest_counts(output: str) -> str | None:
    """Read the counts of the last line of pytest; None where it has written none."""
    found = PYTEST_SUMMARY.findall(output)
    return found[-1] if found else None


def read_ready_pid(lines: Iterable[str]) -> int | None:
    """Read the events of `ops/up --json` until it is ready, and return its process id; None where it ends before."""
    for line in lines:
        event = json.loads(line)
        if event["event"] == "ready":
            pid: int = event["pid"]
            return pid
    return None


def _ask_for_help(container: Container) -> float:
    began_s = time.monotonic()
    done = container.run("ops/up", "--help")
    took_s = time.monotonic() - began_s
    if done.returncode != 0 or not done.stdout.startswith("usage: ops/up"):
        raise BrokenStepError(f"ops/up --help ended with {done.returncode}\n{last_lines(done.stdout + done.stderr)}")
    if container.run("test", "-e", ".venv").returncode == 0:
        raise BrokenStepError("ops/up --help has installed something")
    return round(took_s, 2)


def _start(container: Container) -> float:
    """Start the gateway, have it settle a payment, and stop it; return how long it took until it was ready."""
    with tempfile.TemporaryFile() as errors:

        def broken(what: str) -> BrokenStepError:
            errors.seek(0)
            return BrokenStepError(f"{what}\n{last_lines(errors.read().decode())}")

        began_s = time.monotonic()
        with container.start("timeout", str(START_S_MAX), "ops/up", "--json", errors=errors) as up:
            assert up.stdout is not None  # noqa: S101 - it is a pipe
            pid = read_ready_pid(up.stdout)
            took_s = time.monotonic() - began_s
            if pid is None:
                raise broken(f"ops/up ended with {up.wait()} before it was ready")
            paid = container.run("python3", "ops/baretest/payment.py")
            container.run("sh", "-c", f"kill -TERM {pid}")
            status = up.wait()
        if paid.returncode != 0:
            raise broken(f"a payment was not settled: {paid.stderr.strip().splitlines()[-1]}")
        if status != 0:
            raise broken(f"ops/up ended with {status} when it was asked to stop")
    return round(took_s, 1)


def _test(container: Container, arguments: Sequence[str]) -> tuple[str, float]:
    began_s = time.monotonic()
    done = container.run("timeout", str(TESTS_S_MAX), "ops/test", *arguments)
    counts = pytest_counts(done.stdout)
    if done.returncode != 0 or counts is None:
        # The container is gone afterwards: why a test failed has to be said here.
        why = "".join(PYTEST_FAILURES.findall(done.stdout))
        raise BrokenStepError(f"ops/test ended with {done.returncode}: {counts}\n{why}{last_lines(done.stdout)}")
    return counts, round(time.monotonic() - began_s, 1)
