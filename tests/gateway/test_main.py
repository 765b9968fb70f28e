"""The entry point serves a replica until its end; one whose environment is unusable says in one line what is wrong."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import falcon
import falcon.testing
import pytest
from gunicorn.arbiter import Arbiter

from actors.domain.level import Level
from actors.settings import Settings
from actors.system import Parts
from gateway import main
from gateway.server.admission import ClientLevels
from gateway.traced_app import TracedApp
from ops.simulation.peers import MemoryStatusBoard
from ops.stack.ports import reserve_ports
from tests.actors.fakes import VirtualRuntime
from tests.actors.fakes_system import MemoryDatabase, memory_parts
from tests.gateway.fake_gateway import client_of

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", "gateway.main:application()"]

END_S_MAX = 60.0


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LOG_LEVEL", "VERBOSE"),
        ("LOG_FORMAT", "xml"),
        ("ACCESS_LOG", "yes"),
        ("DATABASE_URL", "postgresql://h:99999/x"),
        ("REDIS_URL", "http://h"),
        ("JOURNAL_DIR", "/dev/null/journal"),
        ("PROCESSORS", "default=h"),
        ("BIND", "127.0.0.1:70000"),
    ],
)
def test_what_is_malformed_is_one_line_that_names_it(variable: str, value: str, tmp_path: Path) -> None:
    environment = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'http'}",
        "DATABASE_URL": "postgresql:///none?host=/nowhere",
        "REDIS_URL": "unix:///nowhere",
        "JOURNAL_DIR": str(tmp_path),
        "BIND": f"127.0.0.1:{reserve_ports(1)[0]}",
    }
    done = subprocess.run(  # noqa: S603  # ours
        COMMAND,
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=END_S_MAX,
        env={**os.environ, **environment, variable: value},
    )
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode != 0
    (reason,) = (line["reason"] for line in told if line["logger"] != "gunicorn.error")
    assert variable in reason


class Process:
    """What the entry point keeps for its process, over parts in memory. No actor of the replica has started yet."""

    def __init__(self) -> None:
        self.database, self.board = MemoryDatabase(), MemoryStatusBoard()
        app = main.application(self._parts)
        assert isinstance(app, falcon.App)
        self.client: falcon.testing.TestClient = client_of(app)

    def _parts(self, settings: Settings) -> Parts:
        parts = memory_parts(VirtualRuntime(), settings=settings)
        return replace(parts, database=self.database, status_board=self.board)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which a replica can start."""
    for name, value in {"REPLICA": "1", "DATABASE_URL": "in memory", "REDIS_URL": "in memory"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def process(environment: pytest.MonkeyPatch) -> Iterator[Process]:
    environment.setenv("ALLOW_PURGE", "1")
    yield Process()
    main.drain()


def test_the_replica_is_unready_from_the_begin_of_its_end_and_leaves_when_it_is_drained(process: Process) -> None:
    assert process.database.opened
    main.begin_drain()
    answer = process.client.simulate_get("/readyz")
    assert (answer.status_code, answer.json["parts"]["gateway"]) == (503, "draining")
    main.drain()
    assert process.database.closed
    assert [each.text for each in process.board.hear(10).happenings] == ["replica 1 ended"]


def test_the_clients_of_a_worker_are_told_once_it_serves_them(process: Process) -> None:
    assert "fiel_connections 3.0" not in process.client.simulate_get("/metrics").text
    main.count_clients(lambda: ClientLevels(Level(3, 100), Level(0, 1000), Level(0, 1000)))
    assert "fiel_connections 3.0" in process.client.simulate_get("/metrics").text


def test_that_anyone_may_purge_is_a_warning_in_the_log(
    caplog: pytest.LogCaptureFixture, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("ALLOW_PURGE", "1")
    Process()
    main.drain()
    assert [each for each in caplog.messages if "ALLOW_PURGE=1" in each]


def test_where_traces_are_exported_requests_are_spans_until_the_exporter_ends_with_the_replica(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{reserve_ports(1)[0]}")
    before = set(threading.enumerate())
    app = main.application(lambda settings: memory_parts(VirtualRuntime(), settings=settings))
    assert isinstance(app, TracedApp)
    exporting = set(threading.enumerate()) - before
    assert len(exporting) == 1
    main.drain()
    assert not any(each.is_alive() for each in exporting)


@pytest.mark.parametrize(("variable", "value"), [("PROCESSORS", "default=h"), ("OTEL_TRACES_EXPORTER", "console")])
def test_a_worker_that_cannot_use_its_settings_ends_with_gunicorns_own_status(
    environment: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    environment.setenv(variable, value)
    with pytest.raises(SystemExit) as end:
        Process()
    assert end.value.code == Arbiter.APP_LOAD_ERROR
