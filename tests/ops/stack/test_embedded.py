"""Embedded servers keep their data, leave no process behind, and start whatever ended an earlier server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from ops import OpsError
from ops.environment import ROOT
from ops.stack.embedded import PostgresServer, RedisServer
from ops.stack.ping import redis_error
from ops.stack.ports import reserve_ports

ABANDON = """
import os, signal, sys
from pathlib import Path
from ops.stack.embedded import PostgresServer
server = PostgresServer(Path(sys.argv[1]), log=Path(sys.argv[2]))
server.start()
server.wait_ready()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path / 'a "quoted" place' / "data", log=tmp_path / "log")
    server.start()
    server.wait_ready()
    yield server
    server.erase()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "with space", log=tmp_path / "log")
    server.start()
    server.wait_ready()
    yield server
    server.stop()


def run(url: str, statement: bytes) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def processes_naming(path: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(path) in command:
            found.append(command)
    return found


def test_servers_can_be_reached_by_the_name_of_the_machine_where_they_have_a_port(tmp_path: Path) -> None:
    postgres_port, redis_port = reserve_ports(2)
    postgres = PostgresServer(tmp_path / "data", log=tmp_path / "log", tcp_port=postgres_port)
    redis_server = RedisServer(tmp_path / "redis", log=tmp_path / "log", tcp_port=redis_port)
    try:
        for server in (postgres, redis_server):
            server.start()
            server.wait_ready()
        account = urlsplit(postgres.url).username
        run(f"postgresql://{account}@localhost:{postgres_port}/postgres", b"CREATE TABLE kept AS SELECT 1 AS one")
        assert run(postgres.url, b"SELECT one FROM kept") == [(1,)]
        assert redis_error(f"redis://localhost:{redis_port}/0") is None
    finally:
        postgres.erase()
        redis_server.stop()


def test_postgres_keeps_its_rows_when_it_is_stopped(postgres: PostgresServer) -> None:
    run(postgres.url, b"CREATE TABLE kept AS SELECT 1 AS one")
    url = postgres.url
    postgres.stop()
    assert processes_naming(postgres.data) == []
    postgres.start()
    postgres.wait_ready()
    assert postgres.url == url
    assert run(url, b"SELECT one FROM kept") == [(1,)]


def test_postgres_keeps_its_rows_when_it_crashes(postgres: PostgresServer) -> None:
    run(postgres.url, b"CREATE TABLE kept AS SELECT 1 AS one")
    with psycopg.connect(postgres.url):
        postgres.kill()
    assert processes_naming(postgres.data) == []
    postgres.start()
    postgres.wait_ready()
    assert run(postgres.url, b"SELECT one FROM kept") == [(1,)]


def test_a_paused_postgres_can_be_stopped(postgres: PostgresServer) -> None:
    postgres.pause()
    postgres.stop()
    assert postgres.exit_status == 0


def test_a_paused_postgres_can_be_killed_with_its_children(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url):
        postgres.pause()
        postgres.kill()
    assert postgres.exit_status == -9


def test_a_kill_leaves_nothing_outside_of_the_data(postgres: PostgresServer) -> None:
    assert run(postgres.url, b"SHOW dynamic_shared_memory_type") == [("mmap",)]
    assert list((postgres.data / "pg_dynshmem").iterdir()) != []


def test_postgres_syncs_its_commits(postgres: PostgresServer) -> None:
    assert run(postgres.url, b"SHOW fsync") == [("on",)]
    assert run(postgres.url, b"SHOW synchronous_commit") == [("on",)]


def test_starting_twice_keeps_the_process(postgres: PostgresServer) -> None:
    pid = postgres.pid
    postgres.start()
    assert postgres.pid == pid


def test_a_second_instance_ends_the_server_of_the_first_and_finds_its_data(postgres: PostgresServer) -> None:
    run(postgres.url, b"CREATE TABLE kept AS SELECT 1 AS one")
    other = PostgresServer(postgres.data, log=postgres.log)
    other.start()
    try:
        other.wait_ready()
        assert postgres.pid is None
        assert run(other.url, b"SELECT one FROM kept") == [(1,)]
    finally:
        other.stop()


def test_postgres_starts_after_the_process_that_started_it_was_killed(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "data", log=tmp_path / "log")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ABANDON, str(server.data), str(server.log)]
    assert subprocess.run(command, check=False, env=environment, cwd=ROOT).returncode == -9  # noqa: S603 - our own script
    server.start()
    try:
        server.wait_ready()
        assert run(server.url, b"SELECT 1") == [(1,)]
    finally:
        server.stop()
    assert processes_naming(server.data) == []


def test_a_stale_pid_file_that_names_another_program_does_not_end_that_program(postgres: PostgresServer) -> None:
    postgres.stop()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:  # noqa: S607 - any program would do
        (postgres.data / "postmaster.pid").write_text(f"{other.pid}\n{postgres.data}\n")
        postgres.start()
        postgres.wait_ready()
        assert other.poll() is None


def test_an_interrupted_initdb_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "data.unfinished").mkdir()
    (tmp_path / "data.unfinished" / "PG_VERSION").write_text("18\n")
    server = PostgresServer(tmp_path / "data", log=tmp_path / "log")
    server.start()
    try:
        server.wait_ready()
    finally:
        server.erase()
    assert not (tmp_path / "data").exists()


def test_data_of_another_account_is_refused(tmp_path: Path) -> None:
    server = PostgresServer(Path("/"), log=tmp_path / "log")
    with pytest.raises(OpsError, match="belongs to account 0"):
        server._initialise()  # noqa: SLF001 - start() would make a lock beside it


def test_sockets_stay_reachable_below_a_long_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    redis_server = RedisServer(deep / "redis", log=tmp_path / "log")
    servers = [PostgresServer(deep / "data", log=tmp_path / "log"), redis_server]
    try:
        for server in servers:
            server.start()
            server.wait_ready()
        folder = Path(redis_server.url.removeprefix("unix://")).parent
        assert folder.stat().st_mode & 0o77 == 0
    finally:
        for server in servers:
            server.stop()
    assert not folder.exists()


def test_redis_keeps_nothing_and_evicts_beyond_its_limit(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        settings = client.config_get("*")
        client.set("key", "value")
    assert settings["save"] == ""
    assert settings["appendonly"] == "no"
    assert settings["maxmemory"] == str(50 * 1024 * 1024)
    assert settings["maxmemory-policy"] == "allkeys-lru"
    redis_server.kill()
    redis_server.start()
    redis_server.wait_ready()
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        assert client.get("key") is None


def test_a_stopped_redis_leaves_no_socket(redis_server: RedisServer) -> None:
    url = redis_server.url
    redis_server.stop()
    assert redis_server.exit_status == 0
    assert redis_error(url) is not None
    assert not Path(url.removeprefix("unix://").replace("%20", " ")).exists()
