"""What ops/bare does on a machine; here a folder with commands of a few lines stands for the container."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ops.baretest.__main__ import judge
from ops.baretest.container import Container
from ops.baretest.trial import MachineReport, pytest_counts, read_ready_pid, try_machine

UP = """#!/bin/sh
[ "$1" = --help ] && { echo "usage: ops/up [-h]"; exit; }
mkdir -p .venv
trap 'exit 0' TERM
echo '{"event": "ready", "pid": '$$'}'
while :; do sleep 0.01; done
"""
TEST = """#!/bin/sh
echo "== 3 passed, 1 skipped in 0.42s =="
"""
PAYMENT = "print(202)\n"


class FolderContainer(Container):
    """Runs the commands of a folder on this machine."""

    def __init__(self, folder: Path, **files: str) -> None:
        """Write the commands."""
        self.folder = folder
        self.is_cut_off = False
        for name, text in {"up": UP, "test": TEST, "payment": PAYMENT, **files}.items():
            path = folder / "ops" / ("baretest/payment.py" if name == "payment" else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    def cut_off(self) -> None:
        self.is_cut_off = True

    def _exec(self, command: Sequence[str]) -> list[str]:
        return ["env", "--chdir", str(self.folder), *command]


def tried(container: Container) -> tuple[MachineReport, list[str]]:
    said: list[str] = []
    return try_machine("3.14", container, ["tests/actors"], said.append), said


def test_a_machine_that_does_all_of_it_is_reported_with_the_time_of_each_step(tmp_path: Path) -> None:
    container = FolderContainer(tmp_path)
    report, said = tried(container)
    assert report.fault is None
    assert report.tests == "3 passed, 1 skipped"
    assert None not in {report.help_s, report.first_start_s, report.tests_s, report.offline_start_s}
    assert report.python == sys.version.partition(" ")[0]
    assert container.is_cut_off
    assert len(said) == 4
    assert judge([report]).kept


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"up": "#!/bin/sh\nmkdir .venv; echo usage: ops/up"}, "ops/up --help has installed something"),
        ({"up": "#!/bin/sh\nexit 3"}, "ops/up --help ended with 3"),
        (
            {"up": UP.replace("mkdir", "echo 'no compiler' >&2; exit 3; mkdir")},
            "ops/up ended with 3 before it was ready",
        ),
        ({"up": UP.replace("exit 0", "exit 1")}, "ops/up ended with 1 when it was asked to stop"),
        ({"payment": "raise SystemExit('it is accepted')"}, "a payment was not settled: it is accepted"),
        ({"test": "#!/bin/sh\necho '== 1 failed, 2 passed in 1.00s =='; exit 1"}, "ended with 1: 1 failed, 2 passed"),
        ({"test": "#!/bin/sh\nexit 0"}, "ops/test ended with 0: None"),
    ],
)
def test_what_does_not_hold_is_found_and_nothing_is_tried_after_it(
    tmp_path: Path, files: dict[str, str], fault: str
) -> None:
    container = FolderContainer(tmp_path, **files)
    report, said = tried(container)
    assert fault in str(report.fault)
    assert f"broken: {report.fault}" in report.words
    assert report.offline_start_s is None
    assert not container.is_cut_off
    assert str(report.fault) in said[-1]
    assert judge([MachineReport("3.11", "3.11.9"), report]).words == "Broken: 1 of 2 machines: 3.14."


def test_the_output_of_a_start_that_failed_is_said(tmp_path: Path) -> None:
    _, said = tried(FolderContainer(tmp_path, up=UP.replace("mkdir", "echo 'no compiler' >&2; exit 3; mkdir")))
    assert said[-1].splitlines()[-1] == "    no compiler"


def test_why_a_test_failed_is_said(tmp_path: Path) -> None:
    why = ["== FAILURES ==", "___ test_one ___", "E   assert 1 == 2"]
    lines = [*why, "== short test summary info ==", "FAILED test_one", "== 1 failed in 1.00s =="]
    _, said = tried(
        FolderContainer(tmp_path, test="#!/bin/sh\n" + "".join(f"echo '{each}'\n" for each in lines) + "exit 1")
    )
    assert said[-1].splitlines()[1:4] == why
    assert said[-1].splitlines()[-1].strip() == lines[-1]


def test_the_counts_are_those_of_the_last_line_of_pytest() -> None:
    assert pytest_counts("=== 12 passed, 3 skipped in 4.20s ===\n") == "12 passed, 3 skipped"
    assert pytest_counts("12 passed, 3 warnings in 75.10s (0:01:15)\n") == "12 passed, 3 warnings"
    assert pytest_counts("no tests ran in 0.01s\n") is None


def test_a_gateway_that_ends_before_it_is_ready_has_no_process() -> None:
    events = ['{"event": "ended", "status": 3, "error": "port 9999 is taken"}']
    assert read_ready_pid(events) is None
    assert read_ready_pid(['{"event": "ready", "pid": 7}', *events]) == 7
