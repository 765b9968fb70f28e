import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests

from tests.ops.simulator.harness import DEADLINE_S, TOKEN, correlation_id, payment


def start(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "ops.simulator", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own


@contextmanager
def running(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    with start("--port", "0", *arguments) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("ready http://127.0.0.1:")
            yield process, line.removeprefix("ready ").strip()
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_even_while_payments_are_delayed(number: signal.Signals) -> None:
    with running() as (process, url):
        administration = {"X-Rinha-Token": TOKEN}
        requests.put(f"{url}/admin/configurations/delay", json={"delay": 60_000}, headers=administration, timeout=5)
        with pytest.raises(requests.Timeout):
            requests.post(f"{url}/payments", json=payment(), timeout=0.05)

        process.send_signal(number)

        assert process.communicate(timeout=DEADLINE_S) == ("", "")
        assert process.returncode == 0


def test_a_killed_one_finds_its_charges_in_the_ledger(tmp_path: Path) -> None:
    ledger = ("--ledger", str(tmp_path / "ledger"))
    body = payment()
    with running(*ledger) as (process, url):
        assert requests.post(f"{url}/payments", json=body, timeout=DEADLINE_S).status_code == 200
        process.kill()
    with running(*ledger) as (_, url):
        assert requests.get(f"{url}/payments/{correlation_id(body)}", timeout=DEADLINE_S).status_code == 200


def test_fee_and_token_are_what_the_command_says() -> None:
    with running("--fee", "0.15", "--token", "secret") as (_, url):
        asked = requests.get(f"{url}/admin/payments-summary", headers={"X-Rinha-Token": "secret"}, timeout=DEADLINE_S)

        assert asked.json()["feePerTransaction"] == 0.15


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_a_taken_port_is_one_line_and_exit_1(option: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as squatter:
        port = str(squatter.getsockname()[1])
        with start("--name", "fallback", "--port", "0", option, port) as process:
            output, errors = process.communicate(timeout=DEADLINE_S)

    assert (process.returncode, output) == (1, "")
    assert errors.splitlines() == [f"fallback: can't listen on 127.0.0.1:{port}: it is taken"]


def test_a_broken_ledger_is_one_line_and_exit_1(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("rubbish\n")

    with start("--port", "0", "--ledger", str(tmp_path / "ledger")) as process:
        _, errors = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 1
    assert len(errors.splitlines()) == 1
    assert "ledger:1" in errors


@pytest.mark.parametrize("arguments", [("--fee", "2"), ("--fee", "much"), ("--port", "70000"), ("--port", "http")])
def test_arguments_that_make_no_sense_are_refused(arguments: tuple[str, str]) -> None:
    with start(*arguments) as process:
        _, errors = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 2
    assert arguments[0] in errors
