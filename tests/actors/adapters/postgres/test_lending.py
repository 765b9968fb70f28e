"""A connection that is lent is opened when it is needed, and replaced when it is of no use any more."""

import socket
from collections import Counter
from collections.abc import Callable
from contextlib import closing

import gevent
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.connections import READ_S_MAX
from actors.adapters.postgres.lending import SharedConnection, SingleConnection
from actors.errors import LedgerUnavailableError
from tests.actors.adapters.postgres.storage import DEADLINE_S, end_connections, wait_until_blocked
from tests.actors.adapters.relay import Relay, to_postgres

Lender = Callable[[str], SingleConnection | SharedConnection]
LENDERS: dict[str, Lender] = {
    "one caller's": lambda url: SingleConnection(url, HostDirectory(), READ_S_MAX),
    "shared": lambda url: SharedConnection(url, HostDirectory(), READ_S_MAX),
}
lenders = pytest.mark.parametrize("lender", LENDERS.values(), ids=LENDERS)


@lenders
def test_after_a_call_that_was_given_up_the_connection_is_replaced_and_nothing_is_tried_on_it(
    lender: Lender,
    database_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with closing(lender(database_url)) as lent, psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE payment")
        with pytest.raises(gevent.Timeout), lent.use() as connection, gevent.Timeout(0.05):
            connection.execute("SELECT FROM payment")
        with lent.use() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert caplog.records == []


@lenders
def test_a_connection_that_the_server_has_ended_meanwhile_is_replaced_before_its_next_use(
    lender: Lender, database_url: str
) -> None:
    with closing(lender(database_url)) as lent:
        for _ in range(3):
            with lent.use() as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            end_connections(database_url)


@lenders
def test_the_first_use_after_postgres_is_back_works_however_many_have_failed(lender: Lender, database_url: str) -> None:
    with closing(Relay(to_postgres(database_url))) as relay:
        port = relay.port
    url = make_conninfo(database_url, host="127.0.0.1", port=str(port))
    with closing(lender(url)) as lent:
        for _ in range(20):
            with pytest.raises(LedgerUnavailableError, match="refused"), lent.use():
                pass
        with closing(Relay(to_postgres(database_url), port)), lent.use() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@lenders
def test_a_connection_that_falls_silent_while_it_is_opened_keeps_nobody_waiting_for_ever(
    lender: Lender, database_url: str
) -> None:
    with closing(Relay(to_postgres(database_url))) as relay:
        url = make_conninfo(database_url, host="127.0.0.1", port=str(relay.port))
        relay.swallow(b"pg_backend_pid")
        with closing(lender(url)) as lent:
            with pytest.raises(LedgerUnavailableError, match="no answer"), lent.use():
                pass
            with lent.use() as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)


@lenders
def test_after_a_caller_was_killed_the_connection_is_replaced(lender: Lender, database_url: str) -> None:
    def ask(statement: str) -> object:
        with lent.use() as connection:
            return connection.execute(statement).fetchone()

    with closing(lender(database_url)) as lent, psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE payment")
        assert ask("SELECT 1") == (1,)
        caller = gevent.spawn(ask, "SELECT FROM payment")
        gevent.idle()
        wait_until_blocked(database_url, 1)
        caller.kill()
        assert ask("SELECT 1") == (1,)


def test_those_who_wait_for_a_shared_connection_come_before_one_who_uses_it_again_and_again(database_url: str) -> None:
    users: list[str] = []

    def use(name: str, times: int) -> None:
        for _ in range(times):
            with shared.use() as connection:
                users.append(name)
                connection.execute("SELECT 1")

    with closing(SharedConnection(database_url, HostDirectory(), READ_S_MAX)) as shared:
        gevent.joinall([gevent.spawn(use, "busy", 5), gevent.spawn(use, "patient", 1)], raise_error=True)
    assert users == ["busy", "patient", "busy", "busy", "busy", "busy"]


def test_a_shared_connection_goes_on_to_open_when_a_caller_gives_up(database_url: str) -> None:
    connections = Counter[str]()

    def connect() -> socket.socket:
        connections["opened"] += 1
        return to_postgres(database_url)()

    with closing(Relay(connect)) as relay:
        url = make_conninfo(database_url, host="127.0.0.1", port=str(relay.port))
        relay.freeze_at(b"pg_backend_pid")
        with closing(SharedConnection(url, HostDirectory(), DEADLINE_S)) as shared:
            for _ in range(3):
                with pytest.raises(LedgerUnavailableError, match="no answer"), shared.use(0.05):
                    pass
            relay.thaw()
            with shared.use() as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
    assert connections["opened"] == 1


def test_a_caller_does_not_wait_long_for_a_connection_that_is_in_use(database_url: str) -> None:
    with closing(SharedConnection(database_url, HostDirectory(), READ_S_MAX)) as shared:
        with shared.use(), pytest.raises(LedgerUnavailableError, match="no turn"), shared.use(0.05):
            pass
        with shared.use() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
