"""Real PostgreSQL and Redis servers for the tests: embedded ones, or those at TEST_DATABASE_URL and TEST_REDIS_URL.

TEST_LEDGER_URL is the one database of another server that speaks PostgreSQL's protocol, for the tests of the ledger.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from ops.migrate import migrate
from ops.stack.embedded import PostgresServer, RedisServer
from ops.stack.ports import reserve_ports
from tests.pooler import PgBouncer

FIRST_FILES = (
    "tests/chaos/test_short_runs.py",
    "tests/end_to_end/test_hosts.py",
    "tests/end_to_end/test_gateway.py",
    "tests/end_to_end/test_twins.py",
    "tests/ops/benchmarks/test_runs.py",
    "tests/end_to_end/test_upgrades.py",
    "tests/browser/test_appearance.py",
    "tests/browser/test_page.py",
)
"""The files that take longest. They are run first, so that none is left over for one process alone."""

MEMORY = "/dev/shm"  # noqa: S108 - pytest makes a folder of its own there
MEMORY_BYTES_MIN = 2 << 30
TEMPORARY_ROOT = "PYTEST_DEBUG_TEMPROOT"


def pytest_configure() -> None:
    """Keep temporary files in memory where there is room: databases and journals are many small files."""
    has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN
    if TEMPORARY_ROOT not in os.environ and has_room:
        os.environ[TEMPORARY_ROOT] = MEMORY


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {file: place for place, file in enumerate(FIRST_FILES)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the server's default database, in which no test creates tables."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    folder = tmp_path_factory.mktemp("postgres")
    (port,) = reserve_ports(1)
    server = PostgresServer(folder / "data", log=folder / "log", tcp_port=port)
    try:
        server.start()
        server.wait_ready()
        # No test of this server lets its machine lose power, and many make a database.
        _administer(server.url, "ALTER SYSTEM SET fsync = off")
        _administer(server.url, "ALTER SYSTEM SET full_page_writes = off")
        _administer(server.url, "SELECT pg_reload_conf()")
        yield server.url
    finally:
        server.erase()


@pytest.fixture(scope="session")
def pgbouncer(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PgBouncer]:
    """What pools the connections to that server."""
    bouncer = PgBouncer(tmp_path_factory.mktemp("pgbouncer"), postgres_url)
    try:
        bouncer.start()
        bouncer.wait_ready()
        yield bouncer
    finally:
        bouncer.stop()


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> Iterator[str]:
    """The name of a migrated, empty database that tests copy."""
    name = f"fiel_template_{secrets.token_hex(4)}"
    _administer(postgres_url, f"CREATE DATABASE {name}")
    migrate(_with_database(postgres_url, name))
    yield name
    _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a migrated, empty database for one test: one of its own, or the one at TEST_LEDGER_URL.

    The latter is for servers that have one database alone, and is emptied before each test.
    """
    given = os.environ.get("TEST_LEDGER_URL")
    if given:
        _administer(given, "DROP SCHEMA public CASCADE")
        _administer(given, "CREATE SCHEMA public")
        migrate(given)
        yield given
        return
    postgres_url = request.getfixturevalue("postgres_url")
    name = f"fiel_test_{secrets.token_hex(4)}"
    template = request.getfixturevalue("template_database")
    # Copying files takes a third of the time that copying through the log takes.
    _administer(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield _with_database(postgres_url, name)
    _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """The URL of a database without tables for one test."""
    name = f"fiel_test_{secrets.token_hex(4)}"
    _administer(postgres_url, f"CREATE DATABASE {name}")
    yield _with_database(postgres_url, name)
    _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def redis_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the Redis that all tests share."""
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        yield given
        return
    folder = tmp_path_factory.mktemp("redis")
    server = RedisServer(folder, log=folder / "log")
    try:
        server.start()
        server.wait_ready()
        yield server.url
    finally:
        server.stop()


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """The URL of a Redis that has been emptied for the test."""
    with redis.Redis.from_url(redis_server_url) as client:
        client.flushdb()
    return redis_server_url


def _administer(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
