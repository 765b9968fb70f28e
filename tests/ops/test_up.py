"""`ops/up` says in one line what keeps it from starting, and leaves nothing behind."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from ops import OpsError
from ops.process import ROOT, Process
from ops.settings import Settings, check_ports, check_settings, parse_settings
from ops.stack import Stack
from ops.trial.stage import free_block


class Deaf(Process):
    def ready(self) -> bool:
        return "deaf" in self.output()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # In the midst of free ones that no client is given by the system.
        listening.bind(("127.0.0.1", free_block(6) + 3))
        listening.listen()
        yield listening


@pytest.fixture
def up(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        places = [
            "--state-dir",
            str(tmp_path / "state"),
            "--processor-ports",
            "1081,1082",
            "--admin-ports",
            "1083,1084",
        ]
        return subprocess.run(  # noqa: S603 - ours
            [sys.executable, "-m", "ops.stack", *places, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environment},
        )

    return run


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("ops/up: ")
    for word in words:
        assert word in done.stderr


def test_an_unreachable_database_is_one_line(up: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = up("--port", "1090", environment={"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})
    assert_one_line(done, "cannot reach DATABASE_URL", "start that PostgreSQL, or unset it")


def test_an_unreachable_redis_is_one_line(up: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = up("--port", "1090", environment={"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert_one_line(done, "cannot reach REDIS_URL", "start that Redis, or unset it")


def test_a_taken_port_is_one_line(up: Callable[..., subprocess.CompletedProcess[str]], listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    done = up("--port", str(port), environment={})
    assert_one_line(done, f"port {port} is not free", "choose another with --port")


def test_malformed_processors_are_one_line(up: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = up("--port", "1090", environment={"PROCESSORS": "default=localhost"})
    assert_one_line(done, "PROCESSORS", "default=localhost")


def test_a_second_stack_on_the_same_state_is_refused(tmp_path: Path) -> None:
    settings = Settings(port=1090, state_dir=tmp_path, processors="default=localhost")
    first, second = Stack(settings), Stack(settings)
    with pytest.raises(OpsError, match="PROCESSORS"):
        first.start()
    with pytest.raises(OpsError, match=r"another ops/up runs on .*: stop it"):
        second.start()
    second.stop()
    with pytest.raises(OpsError, match="another ops/up runs"):
        second.start()
    first.stop()
    with pytest.raises(OpsError, match="PROCESSORS"):
        second.start()
    second.stop()


@pytest.mark.parametrize(
    ("given", "option"),
    [
        (lambda port: Settings(port=port - 2), "--port"),
        (lambda port: Settings(port=1090, processor_ports=(1081, port)), "--processor-ports"),
        (lambda port: Settings(port=1090, processor_ports=(1081, 1082), admin_ports=(port, 1084)), "--admin-ports"),
    ],
)
def test_every_port_is_checked_also_one_that_could_be_shared(
    listener: socket.socket, given: Callable[[int], Settings], option: str
) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(OpsError, match=f"port {port} is not free .* choose another with {option}"):
        check_ports(given(port))


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(OpsError, match="port 65536 is not free"):
        check_ports(Settings(port=65535))


def test_asked_twice_the_stack_waits_for_nobody(tmp_path: Path) -> None:
    script = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True)\nwhile True: signal.pause()"
    lines = list[str]()
    stack = Stack(Settings(state_dir=tmp_path), lines.append)
    deaf = Deaf("replica-1", [sys.executable, "-c", script], log=tmp_path / "log")
    stack.replicas = [deaf]  # type: ignore[list-item]
    deaf.start()
    deaf.wait_ready()
    stack.ask_to_stop()
    stack.ask_to_stop()
    stack.stop()
    assert deaf.exit_status == -9
    assert [line.split()[:2] for line in lines] == [["replica-1", "killed"]]


def test_others_processors_need_no_ports_here(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    processors = "default=http://127.0.0.1:8080,0.05 third=http://10.0.0.1,0.1 fallback=http://host:8080,0.15"
    settings = Settings(port=1090, processors=processors, processor_ports=(port, port), admin_ports=(port, port))
    assert [each.name for each in check_settings(settings)] == ["default", "third", "fallback"]


def test_the_command_line_and_the_environment_make_the_settings() -> None:
    variables = {"DATABASE_URL": "postgresql://there/db", "REDIS_URL": "", "DURABILITY": "process"}
    given = ["--port", "7000", "--replicas", "2", "--fresh", "--state-dir", "/there", "--processor-ports", "1,2"]
    settings = parse_settings(given, variables)
    assert settings == Settings(
        port=7000,
        replicas=2,
        fresh=True,
        state_dir=Path("/there"),
        database_url="postgresql://there/db",
        processor_ports=(1, 2),
        environment=variables,
    )
    assert settings.replica_ports == (7001, 7002)


@pytest.mark.parametrize("arguments", [["--replicas", "0"], ["--processor-ports", "8001"], ["--port", "x"]])
def test_senseless_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_settings(arguments, {})
    assert arguments[0] in capsys.readouterr().err
