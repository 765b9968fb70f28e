"""A commit that no standby has confirmed, where Postgres waits for one, is never taken for durable."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest

from actors.domain.records import WriteResult
from actors.errors import LedgerUnavailableError
from ops.migrate import migrate
from ops.stack.embedded import PostgresServer
from tests.actors.adapters.postgres.standbys import hold_commits, wait_for, waiting_commit
from tests.actors.adapters.postgres.storage import DEADLINE_S, ReplicaStorage, claim, opened, settlement, uid
from tests.actors.fakes import READING


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server of its own: what it waits for holds for all who write."""
    folder = tmp_path_factory.mktemp("postgres")
    server = PostgresServer(folder / "data", log=folder / "log")
    server.start()
    server.wait_ready()
    migrate(server.url)
    yield server
    server.erase()


@pytest.fixture(autouse=True)
def released(server: PostgresServer) -> Iterator[None]:
    """Let no commit wait after a test, however it ended."""
    yield
    with psycopg.connect(server.url, autocommit=True) as observer:
        wait_for(observer, "")


def begin_write(pool: ThreadPoolExecutor, storage: ReplicaStorage, number: int) -> "Future[WriteResult]":
    return pool.submit(storage.payments.write, [claim(number, None)], [], [])


def test_a_commit_whose_wait_is_cancelled_fails_and_when_tried_again_waits_again(server: PostgresServer) -> None:
    with (
        opened(server.url) as storage,
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(server.url, autocommit=True) as observer,
    ):
        storage.leases.register(0, READING)
        hold_commits(server.url)
        for _ in range(2):
            # The second time the rows are there already, by the commit that was made in this server alone.
            written = begin_write(pool, storage, 1)
            pid = waiting_commit(observer)
            assert not written.done()
            observer.execute("SELECT pg_cancel_backend(%s)", [pid])
            with pytest.raises(LedgerUnavailableError, match="no standby"):
                written.result(DEADLINE_S)
            assert storage.payments.absence(uid(1)).recorded
        written = begin_write(pool, storage, 1)
        waiting_commit(observer)
        assert not written.done()
        wait_for(observer, "")
        assert written.result(DEADLINE_S).claimed == (uid(1),)


def test_a_commit_that_nobody_has_confirmed_is_no_evidence_of_what_was_told(server: PostgresServer) -> None:
    with (
        opened(server.url) as storage,
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(server.url, autocommit=True) as observer,
    ):
        storage.leases.register(0, READING)
        storage.payments.write([claim(11)], [], [])
        fence = storage.payments._fence  # type: ignore[union-attr]  # noqa: SLF001  # of a real server
        told = fence.last_write
        hold_commits(server.url)
        written = begin_write(pool, storage, 12)
        observer.execute("SELECT pg_cancel_backend(%s)", [waiting_commit(observer)])
        with pytest.raises(LedgerUnavailableError, match="no standby"):
            written.result(DEADLINE_S)
        wait_for(observer, "")
        assert fence.last_write == told


def test_a_batch_that_finds_its_rows_waits_whatever_it_writes(server: PostgresServer) -> None:
    """The fence alone writes to the log, so that "known" is never told of what may be lost with this server."""
    with (
        opened(server.url) as storage,
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(server.url, autocommit=True) as observer,
    ):
        storage.leases.register(0, READING)
        storage.payments.write([claim(2)], [], [])
        storage.payments.write([], [], [settlement(2)])
        hold_commits(server.url)
        written = begin_write(pool, storage, 2)
        waiting_commit(observer)
        assert not written.done()
        wait_for(observer, "")
        assert [known.owner for known in written.result(DEADLINE_S).known] == [None]
