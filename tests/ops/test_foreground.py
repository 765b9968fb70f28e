"""Commands in the foreground are asked to stop by signals, and survive a reader that goes away."""

import subprocess
import sys

import pytest

from ops import OpsError
from ops.environment import ROOT
from ops.foreground import STOP_SIGNALS, run_command

ASKED_TO_STOP = """
import os, sys, threading
from ops.foreground import on_stop_signal
asked = threading.Event()
on_stop_signal(asked.set)
os.kill(os.getpid(), int(sys.argv[1]))
sys.exit(0 if asked.is_set() else 1)
"""

PRINTS_TO_NOBODY = """
import sys
from ops.foreground import print_line
sys.stdin.read()
for _ in range(2):
    print_line("x" * 100_000)
sys.stderr.write("it went on")
"""

IS_INTERRUPTED = """
import os, sys
from ops.foreground import interrupt_on_end_signals, run_command
interrupt_on_end_signals()
sys.exit(run_command("ops/mine", lambda: os.kill(os.getpid(), int(sys.argv[1]))))
"""

PRINTS_ON_A_FULL_DISK = """
import sys
from ops.foreground import print_line, run_command
sys.exit(run_command("ops/mine", lambda: print_line("x")))
"""


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_every_stop_signal_asks_the_command_to_stop(number: int) -> None:
    command = [sys.executable, "-c", ASKED_TO_STOP, str(int(number))]
    assert subprocess.run(command, check=False, cwd=ROOT).returncode == 0  # noqa: S603 - our own script


def test_a_command_goes_on_when_nobody_reads_its_output() -> None:
    command = [sys.executable, "-c", PRINTS_TO_NOBODY]
    with subprocess.Popen(  # noqa: S603 - our own script
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == "it went on"
    assert process.returncode == 0


@pytest.mark.parametrize("number", STOP_SIGNALS[1:])
def test_a_signal_that_ends_a_command_is_one_line_and_a_status(number: int) -> None:
    command = [sys.executable, "-c", IS_INTERRUPTED, str(int(number))]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)  # noqa: S603 - our own script
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "ops/mine: interrupted\n")


def test_a_result_that_cannot_be_written_is_one_line_and_a_status() -> None:
    command = [sys.executable, "-c", PRINTS_ON_A_FULL_DISK]
    with open("/dev/full", "w") as full:  # noqa: PTH123 - it is a device
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603 - our own script
    told = "ops/mine: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (3, told)


def test_a_command_that_cannot_go_on_is_one_line_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise OpsError("port 1 is not free: choose another")

    assert run_command("ops/mine", fail) == 3
    assert run_command("ops/mine", lambda: 1) == 1
    assert capsys.readouterr() == ("", "ops/mine: port 1 is not free: choose another\n")
