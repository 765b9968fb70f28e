"""A process is started, watched, paused, killed and ended with all its children."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops import OpsError
from ops.process import Keeper, Process

OBEDIENT = "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); print('up', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
FAILING = "import sys; print('no luck'); sys.exit(3)"


class Scripted(Process):
    def ready(self) -> bool:
        return "up" in self.output()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Scripted]]:
    started = []

    def start_script(script: str) -> Scripted:
        process = Scripted("part", [sys.executable, "-c", script], log=tmp_path / "part.log")
        started.append(process)
        process.start()
        return process

    yield start_script
    for process in started:
        process.kill()


def test_an_obedient_process_ends_in_good_order_also_while_paused(start: Callable[[str], Scripted]) -> None:
    process = start(OBEDIENT)
    process.wait_ready()
    process.pause()
    process.stop()
    assert process.exit_status == 0


def test_a_stubborn_process_is_killed_after_its_time(start: Callable[[str], Scripted]) -> None:
    process = start(STUBBORN)
    process.wait_ready()
    process.stop(timeout_s=0.1)
    assert process.exit_status == -signal.SIGKILL


def test_what_ends_while_it_should_start_is_named_with_its_last_words(start: Callable[[str], Scripted]) -> None:
    process = start(FAILING)
    with pytest.raises(OpsError, match=r"part ended with exit status 3; the end of .*part.log:\n    no luck"):
        process.wait_ready()


def test_the_output_of_an_earlier_start_does_not_count(start: Callable[[str], Scripted]) -> None:
    process = start(OBEDIENT)
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


def test_a_keeper_waits_longer_after_each_death(start: Callable[[str], Scripted]) -> None:
    process = start(FAILING)
    keeper, lines, now, starts = Keeper(process), list[str](), 0.0, list[float]()
    for _ in range(3):
        process._popen.wait(60)  # type: ignore[union-attr]  # noqa: SLF001 - the death itself is awaited
        keeper.look(now, lines.append)
        assert "part ended with exit status 3" in lines[-1]
        assert "no luck" in lines[-1]
        before = process._popen  # noqa: SLF001 - a new start makes a new one
        while process._popen is before:  # noqa: SLF001 - the same
            now += 0.25
            keeper.look(now, lines.append)
        starts.append(now)
    assert starts == [0.5, 1.5, 3.5]


def test_a_keeper_says_when_the_part_is_ready_again(start: Callable[[str], Scripted]) -> None:
    process = start(OBEDIENT)
    process.wait_ready()
    keeper, lines = Keeper(process), list[str]()
    process.kill()
    keeper.look(100, lines.append)
    keeper.look(200, lines.append)
    process.wait_ready()
    keeper.look(201, lines.append)
    assert [line.split()[1] for line in lines] == ["ended", "ready"]
