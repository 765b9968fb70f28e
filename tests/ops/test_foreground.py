"""Commands in the foreground are asked to stop by signals, and survive a reader that goes away."""

import subprocess
import sys

import pytest

from ops.environment import ROOT
from ops.foreground import STOP_SIGNALS

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
        assert process.stderr.read().startswith("it went on")
