"""`ops/load` plays against a whole gateway, and says in one line what keeps it from playing."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ops.environment import ROOT, environment_variables
from ops.loadtest.games import CALM, arrivals
from ops.loadtest.parts import stack_pids
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack

USERS, SECONDS = 12, 4.0


def play(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops.loadtest", *arguments]
    return subprocess.run(  # noqa: S603 - ours
        command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment_variables()
    )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    options = StackOptions.on_reserved_ports(tmp_path_factory.mktemp("stack"), {"ALLOW_PURGE": "1"})
    with Stack(options) as running:
        yield running


def play_against(stack: Stack, game: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    default, fallback = (each.url for each in stack.simulators)
    places = ["--url", stack.url, "--default", default, "--fallback", fallback]
    return play(game, *places, "--users", str(USERS), "--seconds", str(SECONDS), *arguments)


def test_a_calm_game_is_paid_on_default_without_a_difference(stack: Stack, tmp_path: Path) -> None:
    report = tmp_path / "calm.html"
    done = play_against(stack, "calm", "--json", "--report", str(report))
    figures: dict[str, Any] = json.loads(done.stdout)
    payments = len(arrivals(CALM.resized(USERS, SECONDS).spans))
    assert (figures["asked"], figures["failed"], figures["lag"], figures["differences"]) == (payments, 0, 0, 0)
    assert figures["paid"] == {"default": payments, "fallback": 0}
    assert figures["profit"] == pytest.approx(payments * 19.9 * 0.95, abs=0.01)
    assert figures["purged"]
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +\d+ +\d+ +\d+ +0 +\d+  works / works; closed / closed$", done.stderr, re.MULTILINE)
    assert "<svg " in report.read_text()


@pytest.mark.long
def test_a_game_can_be_played_again_and_tells_its_figures_by_the_line(stack: Stack) -> None:
    done = play_against(stack, "preview")
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert {"score", "p99_ms", "lag", "differences", "stages", "player"} <= lines.keys()
    assert lines["purged"] == "True"
    assert re.fullmatch(r"[\d.]+ MB, CPU [\d.]+ s, [\d.]+ ms a payment", lines["player"])
    assert done.stdout.splitlines()[-1].startswith(("Kept: ", "Broken: "))


@pytest.mark.long
def test_the_processes_of_a_stack_are_found_by_its_port_where_it_runs_in_one_of_its_own(tmp_path: Path) -> None:
    options = StackOptions.on_reserved_ports(tmp_path)
    command = [sys.executable, "-m", "ops.stack", "--fresh", "--replicas", "2", "--port", str(options.port)]
    command += ["--state-dir", str(tmp_path), "--fees", "0.07,0.10"]
    for name, ports in (("processor-ports", options.processor_ports), ("admin-ports", options.admin_ports)):
        command += [f"--{name}", ",".join(map(str, ports))]
    with subprocess.Popen(  # noqa: S603 - ours
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment_variables()
    ) as up:
        try:
            assert up.stdout is not None
            assert any("ready http" in line for line in up.stdout)
            assert sorted(stack_pids(options.port)) == [
                "controls",
                "default",
                "fallback",
                "postgres",
                "redis",
                "replica 1",
                "replica 2",
            ]
        finally:
            up.terminate()
            up.communicate()


def test_an_interrupted_game_ends_with_one_line(stack: Stack) -> None:
    default, fallback = (each.url for each in stack.simulators)
    command = [sys.executable, "-m", "ops.loadtest", "calm", "--url", stack.url]
    command += ["--default", default, "--fallback", fallback]
    with subprocess.Popen(  # noqa: S603 - ours
        command,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment_variables(),
        start_new_session=True,
        # A shell lets what it runs in the background ignore this signal, these tests and their children included.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads here
    ) as playing:
        assert playing.stderr is not None
        assert any("works / works" in line for line in playing.stderr)
        os.killpg(playing.pid, signal.SIGINT)
        *progress, last = playing.stderr.read().splitlines()
        assert last == "ops/load: interrupted"
        assert all("works / works" in line for line in progress)
    assert playing.returncode == 128 + signal.SIGINT


def test_a_report_that_cannot_be_written_is_told_before_the_game(stack: Stack, tmp_path: Path) -> None:
    report = tmp_path / "none" / "calm.html"
    done = play_against(stack, "calm", "--report", str(report))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"ops/load: --report {report}: No such file or directory\n"


def test_a_report_that_cannot_be_written_after_the_game_leaves_its_figures(stack: Stack) -> None:
    done = play_against(stack, "calm", "--json", "--report", "/dev/full")
    assert json.loads(done.stdout)["lag"] == 0
    assert done.returncode == 3
    assert done.stderr.endswith("ops/load: --report /dev/full: No space left on device\n")


@pytest.mark.parametrize("arguments", [[], ["none"], ["calm", "--users", "0"], ["calm", "--seconds", "0"]])
def test_nonsense_is_refused(arguments: list[str]) -> None:
    assert play(*arguments).returncode == 2


def test_processors_that_are_away_are_one_line(stack: Stack) -> None:
    done = play("calm", "--url", stack.url, "--default", "http://127.0.0.1:1", "--fallback", "http://127.0.0.1:1")
    told = "ops/load: http://127.0.0.1:1, summary: no answer; --default and --token say whom to ask how\n"
    assert (done.returncode, done.stdout, done.stderr) == (3, "", told)


def test_a_gateway_that_is_away_is_one_line(stack: Stack) -> None:
    done = play_against(stack, "calm", "--url", "http://127.0.0.1:1")
    told = "ops/load: http://127.0.0.1:1: no answer: start the gateway; --url says where it is\n"
    assert (done.returncode, done.stdout, done.stderr) == (3, "", told)


def test_its_help_lists_the_games() -> None:
    shown = play("--help").stdout
    assert all(name in shown for name in ("preview", "final", "calm", "flap", "down", "edge", "spike"))
