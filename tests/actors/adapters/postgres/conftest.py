"""Replicas a and b over storage that they share, in Postgres and in memory."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from ops.simulation.tables import MemoryTables
from tests.actors.adapters.postgres.storage import ONLY, OpenStorage, ReplicaStorage, in_memory, opened
from tests.actors.fakes import READING
from tests.pooler import needs_pgbouncer

POOLED = {"test_leases", "test_payments", "test_purge", "test_feed", "test_resolutions", "test_moves"}
"""The tests that run through PgBouncer as well: every kind of transaction, each in a database of its own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out those that would tell nothing more."""
    items[:] = [each for each in items if "[pgbouncer" not in each.name or each.path.stem in POOLED]


@pytest.fixture(params=["postgres", "memory", pytest.param("pgbouncer", marks=needs_pgbouncer)])
def backend(request: pytest.FixtureRequest) -> str:
    """Where the storage is, and what is on the way."""
    return str(request.param)


@pytest.fixture
def open_storage(backend: str, request: pytest.FixtureRequest) -> Iterator[OpenStorage]:
    """Makes storage of replicas that share it."""
    if backend == "memory":
        tables = MemoryTables()
        yield partial(in_memory, tables)
        return
    database_url = request.getfixturevalue("database_url")
    if backend == "pgbouncer":
        database_url = request.getfixturevalue("pgbouncer").url_of(database_url)
    with ExitStack() as ends:
        yield lambda replica, instance=ONLY: ends.enter_context(opened(database_url, replica, instance))


@pytest.fixture
def newcomer(open_storage: OpenStorage) -> ReplicaStorage:
    """The storage of replica a before it registers."""
    return open_storage("a")


@pytest.fixture
def other_newcomer(open_storage: OpenStorage) -> ReplicaStorage:
    """The storage of replica b before it registers."""
    return open_storage("b")


@pytest.fixture
def mine(newcomer: ReplicaStorage) -> ReplicaStorage:
    """The storage of replica a."""
    newcomer.leases.register(0, READING)
    return newcomer


@pytest.fixture
def other(other_newcomer: ReplicaStorage) -> ReplicaStorage:
    """The storage of replica b."""
    other_newcomer.leases.register(0, READING)
    return other_newcomer
