"""`ops/up` as people run it: on a terminal it keeps a status line, and Ctrl-C ends all that it has started."""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from ops.benchmarks.usage import environment
from ops.chaostest.client import open_connection
from ops.environment import ROOT, environment_variables
from ops.loadtest.parts import stack_pids
from ops.stack.settings import StackOptions
from tests.waiting import wait_until

COLUMNS = 300
DEADLINE_S = 60.0


def command(options: StackOptions) -> list[str]:
    ports = {"processor-ports": options.processor_ports, "admin-ports": options.admin_ports}
    places = ["--port", str(options.port), "--state-dir", str(options.state_dir), "--replicas", "2"]
    places += [f"--{name}={','.join(map(str, pair))}" for name, pair in ports.items()]
    return [sys.executable, "-m", "ops.stack", *places]


@contextmanager
def up(
    options: StackOptions, output: int, *arguments: str, errors: int = subprocess.STDOUT, **variables: str
) -> Iterator["subprocess.Popen[str]"]:
    """Run `ops/up`, with its errors where its output is unless they go elsewhere, and ask it to stop in the end."""
    settings = {**environment_variables(), "TERM": "xterm", **variables}
    with subprocess.Popen(  # noqa: S603 - ours
        [*command(options), *arguments],
        stdout=output,
        stderr=errors,
        text=True,
        cwd=ROOT,
        env=settings,
        start_new_session=True,
    ) as running:
        try:
            yield running
        finally:
            running.terminate()
            running.wait(DEADLINE_S)


def ask_controls(port: int, method: str, path: str, body: bytes | None = None) -> int:
    with open_connection(f"http://127.0.0.1:{port}") as connection:
        return connection.ask(method, path, body).status


def has_ended(pid: int) -> bool:
    try:
        # One that nobody has waited for yet is a zombie.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_a_stop_signal_ends_everything_also_under_load_and_after_a_kill(tmp_path: Path, number: int) -> None:
    options = StackOptions.on_reserved_ports(tmp_path)
    controls_port = options.replica_ports[-1]
    with up(options, subprocess.PIPE, CONTROLS_PORT=str(controls_port)) as running:
        assert running.stdout is not None
        assert any("ready http" in line for line in running.stdout)
        assert running.stdout.readline().startswith("DATABASE_URL='postgresql://")
        pids = stack_pids(options.port)
        assert {"controls", "replica 1", "replica 2"} <= pids.keys()
        assert ask_controls(controls_port, "PUT", "/load", b'{"rate": 200}') == 200
        assert ask_controls(controls_port, "POST", "/replicas/1/kill") == 200
        running.send_signal(number)
        assert running.wait(DEADLINE_S) == 0
        assert running.stdout.read().splitlines()[-1].startswith("postgres ")
    assert [name for name, pid in pids.items() if not has_ended(pid)] == []
    for port in (options.port, controls_port, *options.replica_ports[:2], *options.processor_ports):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


@pytest.mark.long
def test_scripts_are_told_of_what_happens_by_lines_of_json_alone(tmp_path: Path) -> None:
    options = StackOptions.on_reserved_ports(tmp_path)
    with up(options, subprocess.PIPE, "--json", errors=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        ready = json.loads(running.stdout.readline())
        with psycopg.connect(ready["database_url"]) as connection:
            sessions = connection.execute("SELECT application_name FROM pg_stat_activity").fetchall()
        running.terminate()
        assert running.wait(DEADLINE_S) == 0
        others = [json.loads(line) for line in running.stdout]
    assert (ready["event"], ready["pid"], ready["url"]) == ("ready", running.pid, f"http://localhost:{options.port}")
    assert ready["replicas"] == [f"http://127.0.0.1:{port}" for port in options.replica_ports[:2]]
    assert list(ready["processors"]) == ["default", "fallback"]
    assert str(tmp_path) not in ready["database_url"]
    assert {("fiel 1",), ("fiel 2",)} <= set(sessions)
    assert others == [{"event": "stopping"}, {"event": "ended", "status": 0, "error": None}]


@pytest.mark.long
def test_a_stop_before_it_is_ready_is_an_interruption(tmp_path: Path) -> None:
    options = StackOptions.on_reserved_ports(tmp_path)
    with up(options, subprocess.PIPE) as running:
        assert running.stdout is not None
        first = running.stdout.readline()
        running.send_signal(signal.SIGINT)
        lines = [first, *running.stdout]
    # A very busy machine may let it be ready before it is told.
    was_ready = any("ready http" in line for line in lines)
    assert running.returncode == (0 if was_ready else 130)
    assert was_ready or lines[-1] == "ops/up: interrupted\n"


@pytest.mark.long
def test_the_end_of_ops_up_itself_ends_the_controls(tmp_path: Path) -> None:
    options = StackOptions.on_reserved_ports(tmp_path)
    with up(options, subprocess.PIPE) as running:
        assert running.stdout is not None
        assert any("ready http" in line for line in running.stdout)
        controls = stack_pids(options.port)["controls"]
        running.kill()
        wait_until(lambda: has_ended(controls))


@pytest.mark.long
def test_without_controls_there_are_no_controls_and_replicas_are_told_of_none(tmp_path: Path) -> None:
    options = StackOptions.on_reserved_ports(tmp_path)
    with up(options, subprocess.PIPE, CONTROLS="0") as running:
        assert running.stdout is not None
        assert any("ready http" in line for line in running.stdout)
        assert running.stdout.readline().startswith("DATABASE_URL='postgresql://")
        pids = stack_pids(options.port)
        assert "controls" not in pids
        assert not {"CONTROLS_URL", "ALLOW_FORCE"} & environment(pids["replica 1"]).keys()


class Screen:
    """What `ops/up` writes on a terminal."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._readable = select.poll()  # Where a test's process has over a thousand files open, `select` fails.
        self._readable.register(terminal, select.POLLIN)
        self._unread = ""

    def wait_for(self, text: str, meanwhile: Callable[[], object] = lambda: None) -> str:
        """Read up to the next place where a text stands, and call `meanwhile` each time before more is read."""
        deadline_s = time.monotonic() + DEADLINE_S
        while text not in self._unread:
            assert time.monotonic() < deadline_s, self._unread
            meanwhile()
            if self._readable.poll(1000):
                self._unread += os.read(self._terminal, 4096).decode()
        before, _, self._unread = self._unread.partition(text)
        return before


def test_on_a_terminal_the_address_comes_first_and_the_status_line_stays_true(tmp_path: Path) -> None:
    options = StackOptions.on_reserved_ports(tmp_path)
    controls_port = options.replica_ports[-1]
    terminal, inner_end = pty.openpty()
    try:
        termios.tcsetwinsize(inner_end, (24, COLUMNS))
        with up(options, inner_end, CONTROLS_PORT=str(controls_port)):
            screen = Screen(terminal)
            assert screen.wait_for(f"http://localhost:{options.port}/") == "live page   "
            started = screen.wait_for(f"ready http://localhost:{options.port}")
            assert re.search(r"replica-1 +ready", started)
            screen.wait_for("2 of 2 replicas")
            screen.wait_for("1 of 2 replicas", lambda: ask_controls(controls_port, "POST", "/replicas/1/kill"))
            screen.wait_for("2 of 2 replicas")
    finally:
        os.close(inner_end)
        os.close(terminal)


@pytest.mark.long
def test_when_its_terminal_is_closed_everything_ends_in_good_order(tmp_path: Path) -> None:
    options = StackOptions.on_reserved_ports(tmp_path)
    terminal, inner_end = pty.openpty()
    with up(options, inner_end) as running:
        os.close(inner_end)
        Screen(terminal).wait_for("ready http")
        pids = stack_pids(options.port)
        os.close(terminal)
        running.send_signal(signal.SIGHUP)
        assert running.wait(DEADLINE_S) == 0
    assert [name for name, pid in pids.items() if not has_ended(pid)] == []
