"""A Postgres that lost what it had acknowledged is told from one that was merely restarted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from actors.adapters.postgres.queries import QUERIES
from actors.domain.records import StoreIdentity
from actors.errors import LedgerUnavailableError
from ops.migrate import migrate
from ops.stack.embedded import PostgresServer
from tests.actors.adapters.postgres.storage import ReplicaStorage, claim, on_postgres, opened, settlement
from tests.actors.fakes import NOW_MS, READING, both
from tests.copied_data import copy_data, put_back_the_copy

Harm = Callable[[PostgresServer], None]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server of its own for a test that puts back its data."""
    server = PostgresServer(tmp_path / "data", log=tmp_path / "log")
    server.start()
    server.wait_ready()
    migrate(server.url)
    yield server
    server.erase()


def take_over_as_a_standby(server: PostgresServer) -> None:
    """Start the copy as a standby does that is promoted, which had not received the rest."""
    put_back_the_copy(server)
    (server.data / "standby.signal").touch()


def identity(server: PostgresServer) -> StoreIdentity:
    """Start the server, promote it if it is a standby, and ask it which it is."""
    server.start()
    server.wait_ready()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote() END")
    with opened(server.url) as storage:
        return storage.leases.identity()


def identity_after_work(server: PostgresServer) -> StoreIdentity:
    with opened(server.url) as storage:
        epoch = storage.leases.register(0, READING).epoch
        for number in range(10):
            storage.payments.write([claim(number)], [], [])
            storage.leases.beat(epoch, both(NOW_MS), READING)
        return storage.leases.identity()


def test_after_restarts_and_crashes_it_is_the_same(server: PostgresServer) -> None:
    before = identity_after_work(server)
    for end in (server.stop, server.kill, server.kill):
        end()
        after = identity(server)
        assert after.follows(before)
        before = after


@pytest.mark.parametrize(("harm", "timelines"), [(put_back_the_copy, 0), (take_over_as_a_standby, 1)])
def test_after_a_restore_or_a_failover_it_is_not(server: PostgresServer, harm: Harm, timelines: int) -> None:
    copy_data(server)
    before = identity_after_work(server)
    harm(server)
    after = identity(server)
    assert not after.follows(before)
    assert (after.system_id, after.timeline) == (before.system_id, before.timeline + timelines)


def test_nothing_is_written_to_a_postgres_that_was_put_back_before_the_replica_has_registered_there(
    server: PostgresServer,
) -> None:
    with opened(server.url) as storage:
        storage.leases.identity()
        epoch = storage.leases.register(0, READING).epoch
        storage.payments.write([claim(1)], [], [])
        copy_data(server)
        storage.payments.write([claim(2)], [], [])
        # The copy lacks its mark. Its log may soon be longer than the lost one, which had little more.
        storage.leases.beat(epoch, both(NOW_MS), READING)
        storage.leases.identity()
        put_back_the_copy(server)
        server.start()
        server.wait_ready()
        for _ in range(3):
            with pytest.raises(LedgerUnavailableError):
                storage.payments.write([claim(3)], [], [settlement(1)])
        assert storage.leases.identity().timeline == 1
        with pytest.raises(LedgerUnavailableError):
            storage.payments.write([claim(3)], [], [])
        storage.leases.register(0, READING)
        assert storage.payments.write([claim(3)], [], []).claimed == (claim(3).payment.correlation_id,)


def test_a_replica_whose_account_may_do_nothing_else_can_ask(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain")
        connection.execute("GRANT SELECT ON replica, gateway TO plain")
        connection.execute("SET ROLE plain")
        try:
            told = connection.execute(QUERIES["identity"], {"replica": "a", "transaction": 0}).fetchone()
        finally:
            connection.execute("RESET ROLE")
            connection.execute("DROP OWNED BY plain")
            connection.execute("DROP ROLE plain")
    assert told is not None
    assert told[1:4] == (1, told[2], 0)


@on_postgres
def test_each_registration_and_each_beat_notes_a_position_that_was_read_before(newcomer: ReplicaStorage) -> None:
    first = newcomer.leases.identity()
    epoch = newcomer.leases.register(0, READING).epoch
    second = newcomer.leases.identity()
    assert second.follows(first.noted())
    newcomer.leases.beat(epoch, both(NOW_MS), READING)
    third = newcomer.leases.identity()
    assert third.follows(second.noted())
    assert third.noted_position > second.noted_position
