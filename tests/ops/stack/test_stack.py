"""`ops/up` says in one line what keeps it from starting, and leaves nothing behind."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from ops import OpsError
from ops.environment import ROOT
from ops.stack.checks import check_ports, check_stack_options
from ops.stack.controls import ControlsProcess
from ops.stack.ports import reserve_ports
from ops.stack.process import ManagedProcess
from ops.stack.settings import StackOptions, parse_stack_options
from ops.stack.stack import Stack


class StubbornProcess(ManagedProcess):
    def ready(self) -> bool:
        return "up" in self.output()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("127.0.0.1", reserve_ports(6)[3]))
        listening.listen()
        yield listening


@pytest.fixture
def up(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        port, *others = reserve_ports(8)
        places = ["--state-dir", str(tmp_path / "state"), "--port", str(port)]
        places += ["--processor-ports", f"{others[3]},{others[4]}", "--admin-ports", f"{others[5]},{others[6]}"]
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
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("ops/up: ")
    for word in words:
        assert word in done.stderr


def test_an_unreachable_database_is_one_line(up: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = up(environment={"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})
    assert_one_line(done, "cannot reach DATABASE_URL", "start that PostgreSQL, or unset it")


def test_an_unreachable_redis_is_one_line(up: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = up(environment={"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert_one_line(done, "cannot reach REDIS_URL", "start that Redis, or unset it")


def test_a_taken_port_is_one_line(up: Callable[..., subprocess.CompletedProcess[str]], listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    done = up("--port", str(port), environment={})
    assert_one_line(done, f"port {port} is not free", "choose another with --port")


def test_the_fees_of_simulated_processors_can_be_chosen(tmp_path: Path) -> None:
    given = parse_stack_options(["--fees", "0.07,0.10"], {})
    processors = check_stack_options(replace(StackOptions.on_reserved_ports(tmp_path), fees=given.fees))
    assert [processor.fee for processor in processors] == [Decimal("0.07"), Decimal("0.1")]


@pytest.mark.parametrize("fees", ["0.07", "0.07,x", "0.1,0.2,0.3"])
def test_fees_that_are_not_two_shares_are_refused(fees: str) -> None:
    with pytest.raises(SystemExit):
        parse_stack_options(["--fees", fees], {})


def test_malformed_processors_are_one_line(up: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = up(environment={"PROCESSORS": "default=localhost"})
    assert_one_line(done, "PROCESSORS", "default=localhost")


def test_a_second_stack_on_the_same_state_is_refused(tmp_path: Path) -> None:
    options = replace(StackOptions.on_reserved_ports(tmp_path), processors="default=localhost")
    first, second = Stack(options), Stack(options)
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
    ("change", "option"),
    [
        (lambda options, port: replace(options, port=port), "--port"),
        (lambda options, port: replace(options, port=port - 2), "--port"),
        (
            lambda options, port: replace(options, processor_ports=(options.processor_ports[0], port)),
            "--processor-ports",
        ),
        (lambda options, port: replace(options, admin_ports=(port, options.admin_ports[1])), "--admin-ports"),
        (lambda options, port: replace(options, controls=True, controls_port=port), "CONTROLS_PORT"),
    ],
)
def test_every_port_is_checked_also_one_that_could_be_shared(
    listener: socket.socket, tmp_path: Path, change: Callable[[StackOptions, int], StackOptions], option: str
) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(OpsError, match=f"port {port} is not free .* choose another with {option}"):
        check_ports(change(StackOptions.on_reserved_ports(tmp_path), port))


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(OpsError, match="port 65536 is not free"):
        check_ports(StackOptions(port=65535))


def test_a_stack_that_is_asked_to_stop_twice_kills_what_does_not_end(tmp_path: Path) -> None:
    script = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
    lines = list[str]()
    stack = Stack(StackOptions(state_dir=tmp_path), lines.append)
    stubborn = StubbornProcess("replica-1", [sys.executable, "-c", script], log=tmp_path / "log")
    stack.replicas = [stubborn]  # type: ignore[list-item]
    stubborn.start()
    stubborn.wait_ready()
    stack.ask_to_stop()
    stack.ask_to_stop()
    stack.stop()
    assert stubborn.exit_status == -9
    assert [line.split()[:2] for line in lines] == [["replica-1", "killed"]]


def test_processors_of_others_need_no_ports_here(listener: socket.socket, tmp_path: Path) -> None:
    port = listener.getsockname()[1]
    processors = "default=http://127.0.0.1:8080,0.05 third=http://10.0.0.1,0.1 fallback=http://host:8080,0.15"
    options = replace(
        StackOptions.on_reserved_ports(tmp_path),
        processors=processors,
        processor_ports=(port, port),
        admin_ports=(port, port),
    )
    assert [each.name for each in check_stack_options(options)] == ["default", "third", "fallback"]


def test_the_command_line_and_the_environment_make_the_options() -> None:
    variables = {"DATABASE_URL": "postgresql://there/db", "REDIS_URL": "", "DURABILITY": "process", "CONTROLS": ""}
    given = ["--port", "7000", "--replicas", "2", "--fresh", "--state-dir", "/there", "--processor-ports", "1,2"]
    options = parse_stack_options(given, variables)
    assert options == StackOptions(
        port=7000,
        replicas=2,
        fresh=True,
        state_dir=Path("/there"),
        database_url="postgresql://there/db",
        processor_ports=(1, 2),
        controls=True,
        environment=variables,
    )
    assert options.replica_ports == (7001, 7002)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--replicas", "0"], "1 to 64"),
        (["--port", "x"], "no port from 1 to 65535"),
        (["--port", "0"], "no port from 1 to 65535"),
        (["--port", "70000"], "no port from 1 to 65535"),
        (["--port", "65533"], "at most 65532"),
        (["--processor-ports", "13081"], "two are needed"),
        (["--processor-ports", "13081,"], "no port from 1 to 65535"),
        (["--processor-ports", "1,2,3"], "no port from 1 to 65535"),
        (["--admin-ports", "9001,70000"], "no port from 1 to 65535"),
        (["--processor-ports", "13081,13081"], "port 13081 is given twice"),
        (["--processor-ports", "13081,9001"], "port 9001 is given twice"),
        (["--port", "8000"], "port 8001 is given twice"),
    ],
)
def test_senseless_arguments_are_a_usage_error(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_stack_options(arguments, {})
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.startswith("usage: ops/up ")
    assert arguments[0] in said
    assert told in said


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"CONTROLS": "yes"}, "CONTROLS='yes' is neither 0 nor 1"),
        ({"CONTROLS_PORT": "70000"}, "no port up to 65535"),
        ({"CONTROLS_PORT": "-1"}, "no port up to 65535"),
        ({"CONTROLS_PORT": "8001"}, "port 8001 is given twice"),
    ],
)
def test_senseless_variables_of_the_controls_are_a_usage_error(
    variables: Mapping[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_stack_options([], variables)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(("given", "replicas"), [({}, "1"), ({"ALLOW_FORCE": ""}, "1"), ({"ALLOW_FORCE": "0"}, "0")])
def test_controls_allow_breakers_to_be_forced_unless_that_is_forbidden(
    tmp_path: Path, given: Mapping[str, str], replicas: str
) -> None:
    options = replace(StackOptions.on_reserved_ports(tmp_path), controls=True, environment=given)
    controls = ControlsProcess(options, check_stack_options(options))
    assert controls.replica_environment == {"CONTROLS_URL": controls.url, "ALLOW_FORCE": replicas}
    controls.stop()


def test_ports_of_processors_that_are_not_simulated_may_be_given_twice() -> None:
    variables = {"PROCESSORS": "default=http://there:1,0.05"}
    assert parse_stack_options(["--port", "8000"], variables).port == 8000
