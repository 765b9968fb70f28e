"""Postgres is connected to by addresses that are known already, whatever its URL looks like."""

import socket
from collections.abc import Callable
from contextlib import closing, suppress

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from actors.adapters.host_addresses import HostDirectory, ServerAddress
from actors.adapters.postgres.connections import READ_S_MAX
from actors.adapters.postgres.conninfo import check_database_url, locate, watched
from actors.adapters.postgres.lending import SingleConnection
from actors.errors import LedgerUnavailableError, SettingsError
from tests.actors.adapters.relay import Relay, to_postgres

ADDRESSES = {"one": ("192.0.2.1",), "two": ("192.0.2.2", "2001:db8::2")}


def resolve(host: str, port: int) -> tuple[ServerAddress, ...]:
    if host not in ADDRESSES:
        raise socket.gaierror(socket.EAI_NONAME, "planted")
    families = {True: socket.AF_INET6, False: socket.AF_INET}
    return tuple(ServerAddress(families[":" in each], (each, port)) for each in ADDRESSES[host])


def places(database_url: str) -> list[tuple[str, str, str]]:
    """Host, address and port of every attempt."""
    found = conninfo_to_dict(locate(database_url, HostDirectory(resolve)))
    return list(zip(*(str(found[key]).split(",") for key in ("host", "hostaddr", "port")), strict=True))


@pytest.mark.parametrize(
    ("database_url", "expected"),
    [
        ("postgresql://u:p@one/fiel", [("one", "192.0.2.1", "5432")]),
        ("host=one port=6000 dbname=fiel", [("one", "192.0.2.1", "6000")]),
        ("postgresql://two:6000/fiel", [("two", "192.0.2.2", "6000"), ("two", "2001:db8::2", "6000")]),
        (
            "postgresql://two:6000,one:6001/fiel",
            [("two", "192.0.2.2", "6000"), ("two", "2001:db8::2", "6000"), ("one", "192.0.2.1", "6001")],
        ),
        (
            "host=one,two port=7 dbname=fiel",
            [("one", "192.0.2.1", "7"), ("two", "192.0.2.2", "7"), ("two", "2001:db8::2", "7")],
        ),
        ("postgresql://gone,one/fiel", [("one", "192.0.2.1", "5432")]),
        ("postgresql://127.0.0.1:6000/fiel", [("127.0.0.1", "127.0.0.1", "6000")]),
        ("postgresql://[::1]/fiel", [("::1", "::1", "5432")]),
        ("host=/run/postgres,one dbname=fiel", [("/run/postgres", "", "5432"), ("one", "192.0.2.1", "5432")]),
    ],
)
def test_every_host_is_given_with_its_addresses_in_their_order(
    database_url: str, expected: list[tuple[str, str, str]]
) -> None:
    assert places(database_url) == expected


@pytest.mark.parametrize("database_url", ["postgresql:///fiel", "dbname=fiel", "host=one hostaddr=192.0.2.9"])
def test_what_needs_no_look_up_stays_as_it_is(database_url: str) -> None:
    assert locate(database_url, HostDirectory(resolve)) == database_url


def test_all_else_in_a_url_stays_as_it_is() -> None:
    found = conninfo_to_dict(locate("postgresql://u:p%20w@one/fiel?sslmode=verify-full", HostDirectory(resolve)))
    assert {key: found[key] for key in ("user", "password", "dbname", "sslmode")} == {
        "user": "u",
        "password": "p w",
        "dbname": "fiel",
        "sslmode": "verify-full",
    }


@pytest.mark.parametrize(
    ("database_url", "expected"),
    [
        ("postgresql://one/fiel", None),
        ("postgresql://two/fiel", "read-write"),
        ("postgresql://one,two/fiel", "read-write"),
        ("postgresql://one,two/fiel?target_session_attrs=primary", "primary"),
        ("host=one,two hostaddr=192.0.2.1,192.0.2.2", "read-write"),
    ],
)
def test_of_several_servers_the_one_that_accepts_writes_is_wanted(database_url: str, expected: str | None) -> None:
    assert conninfo_to_dict(locate(database_url, HostDirectory(resolve))).get("target_session_attrs") == expected


def test_the_link_of_a_purge_is_watched_unless_the_url_says_otherwise() -> None:
    found = conninfo_to_dict(watched("postgresql://u:p@one/fiel?keepalives_idle=60"))
    assert found == {
        "host": "one",
        "user": "u",
        "password": "p",
        "dbname": "fiel",
        "keepalives_idle": "60",
        "keepalives_interval": "1",
        "keepalives_count": "3",
        "tcp_user_timeout": "5000",
    }


def test_attempts_begin_where_they_are_told_to() -> None:
    found = [
        conninfo_to_dict(locate("postgresql://one,two/fiel", HostDirectory(resolve), first))["hostaddr"]
        for first in range(4)
    ]
    assert found == [
        "192.0.2.1,192.0.2.2,2001:db8::2",
        "192.0.2.2,2001:db8::2,192.0.2.1",
        "2001:db8::2,192.0.2.1,192.0.2.2",
        "192.0.2.1,192.0.2.2,2001:db8::2",
    ]


def test_without_any_address_postgres_is_unavailable() -> None:
    with pytest.raises(psycopg.OperationalError, match="no address for gone,lost"):
        locate("postgresql://gone,lost/fiel", HostDirectory(resolve))


@pytest.mark.parametrize(
    "database_url",
    [
        "postgresql:///fiel",
        "postgresql://u:p@a:1,b:65535/fiel",
        "postgresql://a,b:6000/fiel",
        "host=a,b port=7 dbname=fiel",
        "postgresql://a,b/fiel?target_session_attrs=read-write",
        "postgresql://a,b/fiel?target_session_attrs=primary",
        "postgresql://a/fiel?target_session_attrs=any",
    ],
)
def test_addresses_that_psycopg_can_connect_by_are_taken(database_url: str) -> None:
    check_database_url(database_url)


@pytest.mark.parametrize(
    "database_url",
    [
        "nonsense",
        "postgres:/h/fiel",
        "postgresql://h:99999/fiel",
        "postgresql://h:x/fiel",
        "host=a,b,c port=1,2",
        "postgresql://a,b/fiel?target_session_attrs=any",
        "postgresql://a,b/fiel?target_session_attrs=standby",
    ],
)
def test_an_address_that_is_malformed_is_refused_by_the_name_of_its_setting(database_url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        check_database_url(database_url)


def failing_after(
    address: tuple[ServerAddress, ...], look_ups: list[str]
) -> Callable[[str, int], tuple[ServerAddress, ...]]:
    def resolve_once(host: str, _port: int) -> tuple[ServerAddress, ...]:
        look_ups.append(host)
        if len(look_ups) > 1:
            raise socket.gaierror(socket.EAI_AGAIN, "planted")
        return address

    return resolve_once


def test_a_lost_connection_is_made_again_while_its_name_is_gone(database_url: str) -> None:
    look_ups: list[str] = []
    with closing(Relay(to_postgres(database_url))) as relay, socket.socket() as unheard:
        unheard.bind(("127.0.0.2", relay.port))
        found = tuple(ServerAddress(socket.AF_INET, (each, relay.port)) for each in ("127.0.0.2", "127.0.0.1"))
        hosts = HostDirectory(failing_after(found, look_ups), fresh_s=0.0)
        url = make_conninfo(database_url, host="postgres.invalid", port=str(relay.port))
        with closing(SingleConnection(url, hosts, READ_S_MAX)) as single:
            for _ in range(3):
                with single.use() as connection:
                    assert connection.execute("SELECT 1").fetchone() == (1,)
                single.close()
    assert set(look_ups) == {"postgres.invalid"}


def test_hosts_that_do_not_answer_keep_nobody_from_the_one_that_does(database_url: str) -> None:
    with (
        closing(Relay(to_postgres(database_url))) as relay,
        socket.create_server(("127.0.0.2", 0)) as silent,
        socket.create_server(("127.0.0.3", 0)) as silent_too,
    ):
        ports = [*(str(each.getsockname()[1]) for each in (silent, silent_too)), str(relay.port)]
        url = make_conninfo(database_url, host="127.0.0.2,127.0.0.3,127.0.0.1", port=",".join(ports))
        with closing(SingleConnection(url, HostDirectory(), READ_S_MAX)) as single:
            # Both take longer together than one use may. The third try begins with the host that answers.
            for _ in range(2):
                with suppress(LedgerUnavailableError), single.use() as connection:
                    break
            with single.use() as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
