"""A process is started, watched, paused, killed and stopped with all its children."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops import OpsError
from ops.stack.process import ManagedProcess, Restarter

OBEYS = "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); print('up', flush=True); signal.pause()"
IGNORES_SIGTERM = (
    "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
)
FAILS = "import sys; print('cannot start'); sys.exit(3)"


class ScriptedProcess(ManagedProcess):
    def ready(self) -> bool:
        return "up\n" in self.output()  # its line may come in two writes


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], ScriptedProcess]]:
    started = []

    def start_script(script: str) -> ScriptedProcess:
        process = ScriptedProcess("service", [sys.executable, "-c", script], log=tmp_path / "service.log")
        started.append(process)
        process.start()
        return process

    yield start_script
    for process in started:
        process.kill()


def test_a_process_that_obeys_is_shut_down_even_while_it_is_paused(start: Callable[[str], ScriptedProcess]) -> None:
    process = start(OBEYS)
    process.wait_ready()
    process.pause()
    process.stop()
    assert process.exit_status == 0


def test_a_process_that_ignores_the_request_is_killed_after_the_timeout(
    start: Callable[[str], ScriptedProcess],
) -> None:
    process = start(IGNORES_SIGTERM)
    process.wait_ready()
    process.stop(timeout_s=0.1)
    assert process.exit_status == -signal.SIGKILL


def test_a_process_that_ends_during_its_start_is_reported_with_the_end_of_its_log(
    start: Callable[[str], ScriptedProcess],
) -> None:
    process = start(FAILS)
    with pytest.raises(
        OpsError, match=r"service ended with exit status 3; the end of .*service.log:\n    cannot start"
    ):
        process.wait_ready()


def test_the_output_of_an_earlier_start_is_left_out(start: Callable[[str], ScriptedProcess]) -> None:
    process = start(OBEYS)
    process.wait_ready()
    process.kill()
    assert process.ready()
    process._spawn()  # noqa: SLF001 - before the new process can have written
    process.pause()
    first = process.output()
    process.resume()
    process.wait_ready()
    assert process.output() == "up\n"
    assert first in ("", "up\n")


def test_a_restarter_waits_longer_after_each_end(start: Callable[[str], ScriptedProcess]) -> None:
    process = start(FAILS)
    restarter, lines, now_s, starts = Restarter(process), list[str](), 0.0, list[float]()
    for _ in range(3):
        process._popen.wait(60)  # type: ignore[union-attr]  # noqa: SLF001 - the death itself is awaited
        restarter.check(now_s, lines.append)
        assert "service ended with exit status 3" in lines[-1]
        assert "cannot start" in lines[-1]
        before = process._popen  # noqa: SLF001 - a new start makes a new one
        while process._popen is before:  # noqa: SLF001 - the same
            now_s += 0.25
            restarter.check(now_s, lines.append)
        starts.append(now_s)
    assert starts == [0.5, 1.5, 3.5]


def test_a_restarter_reports_when_the_process_is_ready_again(start: Callable[[str], ScriptedProcess]) -> None:
    process = start(OBEYS)
    process.wait_ready()
    restarter, lines = Restarter(process), list[str]()
    process.kill()
    restarter.check(100, lines.append)
    restarter.check(200, lines.append)
    process.wait_ready()
    restarter.check(201, lines.append)
    assert [line.split()[1] for line in lines] == ["ended", "ready"]
