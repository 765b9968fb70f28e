"""What a running replica logs: one form, no secret, no traceback for what a client does wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ops.stack.ports import reserve_ports
from tests.end_to_end.cluster import get
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", "gateway.main:application()"]
SECRET = "r3c0gnisable"
RUBBISH = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET  HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /payments HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
    b"POST /payments HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{]}",
    b"POST /payments HTTP/1.1\r\nHost: h\r\nContent-Type: application/msgpack\r\nContent-Length: 2\r\n\r\n\xc1\xc1",
    b"GET /payments/none HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /payments-summary?from=%ff%fe HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /\x01\x02 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"BREW /payments HTTP/1.1\r\nHost: h\r\nX-Request-ID: " + b"a" * 200 + b"\r\n\r\n",
]


@contextmanager
def replica(folder: Path, port: int, **environment: str) -> Iterator[Path]:
    """Run a replica that reaches neither PostgreSQL nor Redis; gives the file that it logs to."""
    nobody, *_ = reserve_ports(1)
    log = folder / "log"
    settings = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'http'}",
        "DATABASE_URL": f"postgresql://fiel:{SECRET}-database@127.0.0.1:{nobody}/fiel",
        "REDIS_URL": f"redis://:{SECRET}-redis@127.0.0.1:{nobody}/0",
        "ADMIN_TOKEN": f"{SECRET}-token",
        "JOURNAL_DIR": str(folder),
        "REPLICA": "7",
        "BIND": f"127.0.0.1:{port}",
        **environment,
    }
    variables = {**os.environ, **settings}
    with (
        log.open("wb") as stream,
        subprocess.Popen(  # noqa: S603  # ours
            COMMAND, env=variables, cwd=ROOT, stderr=stream, stdout=stream, start_new_session=True
        ) as process,
    ):
        try:
            yield log
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def read(log: Path) -> list[dict[str, Any]]:
    """Give what is logged; every line has to be JSON, the last one if it is whole."""
    return [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def send(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return client.recv(65536)


def test_a_replica_logs_json_alone_without_secrets_and_without_a_traceback_for_rubbish(tmp_path: Path) -> None:
    (port,) = reserve_ports(1)
    with replica(tmp_path, port, LOG_LEVEL="DEBUG", ACCESS_LOG="1") as log:
        wait_until(lambda: any(each["event"] == "the start waits for Postgres" for each in read(log)))
        answers = [send(port, data) for data in RUBBISH]
        assert [each[9:12] for each in answers if each and each[9:10] not in b"45"] == []
        assert get(f"http://127.0.0.1:{port}/payments-summary?token={SECRET}-query")[0] == 503
        wait_until(lambda: any(each.get("status") == 503 for each in read(log)))
        told = read(log)
    assert SECRET not in log.read_text()
    assert [each for each in told if "exception" in each] == []
    assert {each["replica"] for each in told} == {"7"}
    refused = [each for each in told if each["event"] == "a request is refused that cannot be parsed"]
    assert len(refused) == 1
    access = [each for each in told if each["logger"] == "gateway.access"]
    # What never becomes a request has no answer.
    assert len(access) == sum(map(bool, answers)) + 1
    (asked,) = (each for each in access if each["path"] == "/payments-summary" and each["status"] == 503)
    assert asked.items() >= {"method": "GET", "remote": "127.0.0.1", "level": "info"}.items()
    assert asked["bytes"] > 0
    assert asked["duration_ms"] >= 0


def test_a_postgres_that_is_away_at_the_start_is_one_line(tmp_path: Path) -> None:
    (port,) = reserve_ports(1)
    with replica(tmp_path, port) as log:
        wait_until(lambda: "the start waits for Postgres" in log.read_text())
        assert get(f"http://127.0.0.1:{port}/readyz")[0] == 503
        assert [each["event"] for each in read(log) if each["logger"].startswith("actors.replica")] == [
            "the start waits for Postgres"
        ]


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_setting_that_is_not_usable_is_told_in_the_form_of_the_log(form: str, tmp_path: Path) -> None:
    (port,) = reserve_ports(1)
    with replica(tmp_path, port, LOG_FORMAT=form, PROCESSORS="default=h") as log:
        wait_until(lambda: "PROCESSORS" in log.read_text())
        assert log.read_text().startswith("{") is (form == "json")
