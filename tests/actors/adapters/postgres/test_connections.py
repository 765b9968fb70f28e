"""Whatever becomes of a connection or of Postgres, a call ends within its limit, and says so."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import UUID

import gevent
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.connections import (
    READ_S_MAX,
    WRITE_S_MAX,
    Connections,
)
from actors.adapters.postgres.fence import Fence
from actors.adapters.postgres.leases import PostgresLeases
from actors.adapters.postgres.lending import CLIENT_CHECK_MS, LOCK_MS_MAX
from actors.adapters.postgres.payments import PostgresPayments
from actors.domain.payment import Move
from actors.errors import LedgerUnavailableError
from tests.actors.adapters.postgres.storage import (
    CALLS,
    DEADLINE_S,
    ReplicaStorage,
    claim,
    end_connections,
    on_postgres,
    opened,
    settlement,
    uid,
    wait_until_blocked,
)
from tests.actors.fakes import READING
from tests.pooler import needs_pgbouncer


@pytest.mark.parametrize("way", ["direct", pytest.param("pooled", marks=needs_pgbouncer)])
def test_each_statement_sees_what_is_committed_whatever_the_database_has_for_a_default(
    database_url: str, way: str, request: pytest.FixtureRequest
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = psycopg.sql.Identifier(connection.info.dbname)
        order = psycopg.sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'")
        connection.execute(order.format(name))
    url = request.getfixturevalue("pgbouncer").url_of(database_url) if way == "pooled" else database_url
    with closing(Connections(url, HostDirectory())) as connections, connections.writer.use() as writer:
        writer.execute("BEGIN")
        assert writer.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
        writer.execute("COMMIT")


@pytest.mark.parametrize("way", ["direct", pytest.param("pooled", marks=needs_pgbouncer)])
@pytest.mark.parametrize(
    ("own", "name", "shown"),
    [
        (None, "fiel a", "fiel a"),
        (None, "fiel " + 64 * "a", "fiel " + 58 * "a"),
        ("theirs", "fiel a", "theirs"),
    ],
)
def test_the_server_knows_each_connection_by_the_name_of_its_replica(  # two are of the machine
    database_url: str, way: str, own: str | None, name: str, shown: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("pgbouncer").url_of(database_url) if way == "pooled" else database_url
    url = make_conninfo(url, **({} if own is None else {"application_name": own}))
    with closing(Connections(url, HostDirectory(), name)) as connections:
        connections.open()
        for each in (connections.writer, connections.leaser, connections.reader):
            with each.use() as connection:
                told = connection.execute("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()")
                assert told.fetchone() == (shown,)


@on_postgres
@pytest.mark.parametrize("name", ["write", "register", "summary"])
def test_nobody_is_told_of_a_connection_that_was_lost_between_two_calls(
    database_url: str, mine: ReplicaStorage, name: str
) -> None:
    CALLS[name](mine)
    end_connections(database_url)
    CALLS[name](mine)


@on_postgres
def test_a_write_that_was_cut_can_be_written_again(database_url: str, mine: ReplicaStorage) -> None:
    with ThreadPoolExecutor() as executor, psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE payment")
        write = executor.submit(mine.payments.write, [claim(1)], [], [])
        with psycopg.connect(database_url, autocommit=True) as killer:
            while not write.done():
                killer.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND NOT pid = ANY (%s)",
                    ([killer.info.backend_pid, blocker.info.backend_pid],),
                )
        assert isinstance(write.exception(), LedgerUnavailableError)
    assert mine.payments.write([claim(1)], [], []).claimed == (uid(1),)


def outcomes_of_all_calls(database_url: str) -> dict[str, type[BaseException] | None]:
    """Make every call at the same time, each on storage of its own, and tell the type of the error that it raised."""

    def call(name: str) -> None:
        with opened(database_url) as storage:
            CALLS[name](storage)

    with ThreadPoolExecutor(len(CALLS)) as executor:
        futures = {name: executor.submit(call, name) for name in CALLS}
        errors = {name: future.exception(DEADLINE_S) for name, future in futures.items()}
    return {name: type(error) if error else None for name, error in errors.items()}


def test_without_migrations_every_method_but_a_ping_says_that_it_is_unavailable(empty_database_url: str) -> None:
    assert outcomes_of_all_calls(empty_database_url) == dict.fromkeys(CALLS, LedgerUnavailableError) | {"ping": None}


@pytest.mark.parametrize("listening", [False, True], ids=["refuses connections", "accepts and stays silent"])
def test_without_a_server_every_method_says_so_in_the_end(listening: bool) -> None:  # noqa: FBT001  # a parameter
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listening:
            server.listen()
        url = f"postgresql://nobody@127.0.0.1:{server.getsockname()[1]}/none"
        assert outcomes_of_all_calls(url) == dict.fromkeys(CALLS, LedgerUnavailableError)


# What connections are like


@pytest.fixture
def connections(database_url: str) -> Iterator[Connections]:
    with closing(Connections(database_url, HostDirectory())) as connections:
        connections.open()
        yield connections


def test_the_server_bounds_every_statement_as_well(connections: Connections) -> None:
    bounds = ("statement_timeout", "lock_timeout", "client_connection_check_interval")
    for limit_s, lender in (
        (WRITE_S_MAX, connections.writer),
        (READ_S_MAX, connections.leaser),
        (READ_S_MAX, connections.reader),
    ):
        with lender.use() as connection:
            query = "SELECT setting::integer FROM pg_settings WHERE name = ANY (%s) ORDER BY array_position(%s, name)"
            rows = connection.execute(query, (list(bounds), list(bounds))).fetchall()
        assert [row[0] for row in rows] == [limit_s * 1000, LOCK_MS_MAX, CLIENT_CHECK_MS]


def test_other_greenlets_run_while_one_waits_for_postgres(database_url: str, connections: Connections) -> None:
    def lock() -> None:
        with connections.writer.use() as connection:
            connection.execute("SELECT FROM payment")

    with connections.writer.use():
        pass  # It connects.
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE payment")
        waiting = gevent.spawn(lock)
        gevent.idle()
        wait_until_blocked(database_url, 1)
        blocker.rollback()
        waiting.get(timeout=DEADLINE_S)


def test_a_batch_finds_its_rows_by_key_though_its_plan_was_made_for_empty_tables(
    database_url: str, connections: Connections
) -> None:
    fence = Fence("a")
    payments = PostgresPayments(connections, fence)
    PostgresLeases(connections, fence, lambda: UUID(int=0)).register(0, READING)
    with psycopg.connect(database_url, autocommit=True) as autovacuum:
        autovacuum.execute("VACUUM ANALYZE")
    payments.write([], [], [])
    payments.write([claim(number) for number in range(100, 300)], [], [])
    for number in range(2, 20):
        payments.write([claim(number)], [Move(uid(number - 1), "fallback", 1, moves=1)], [settlement(number - 2)])
    with connections.writer.use() as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        scans = connection.execute("SELECT relname, seq_scan FROM pg_stat_user_tables WHERE n_tup_ins > 0").fetchall()
        read = connection.execute(
            "SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes WHERE relname = 'claim'"
        ).fetchall()
    assert dict(scans).items() >= {"payment": 0, "claim": 0, "settlement_1": 0}.items()
    assert sum(dict(read).values()) < 200
