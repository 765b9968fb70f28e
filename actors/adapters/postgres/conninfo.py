"""Connection strings for psycopg with the addresses of Postgres's hosts, so that libpq need not look them up."""

import time
from itertools import repeat

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from actors.adapters.host_addresses import HostDirectory
from actors.errors import SettingsError

POSTGRES_PORT = "5432"
PORT_MAX = 65535
WRITABLE = "read-write"
"""What `target_session_attrs` says of a server that accepts writes; libpq's own default is any server."""
NAME_BYTES_MAX = 63
"""Longest name of a session that the server keeps."""
SILENT_LINK = {"keepalives_idle": 2, "keepalives_interval": 1, "keepalives_count": 3, "tcp_user_timeout": 5000}
"""libpq's parameters by which a link counts as broken after five seconds without an answer of the other host."""
LOOK_UP_S_MAX = 1.0
"""Longest wait for the first look-up of hosts that have no address yet."""


def check_database_url(database_url: str) -> None:
    """Check what `DATABASE_URL` says, without connecting.

    Where it names several hosts, only the one that accepts writes is of use.

    Raises:
        SettingsError: psycopg cannot connect by it.
    """
    try:
        given = conninfo_to_dict(database_url)
        hosts, ports = (str(given.get(key) or "").split(",") for key in ("host", "port"))
        if len(ports) not in {1, len(hosts)} or not all(_is_port(port or POSTGRES_PORT) for port in ports):
            raise SettingsError(f"DATABASE_URL: port {','.join(ports)!r} is not a number from 1 to 65535 for each host")
        wanted = given.get("target_session_attrs", WRITABLE)
        if len(hosts) > 1 and wanted not in {WRITABLE, "primary"}:
            raise SettingsError(
                f"DATABASE_URL: target_session_attrs={wanted} may lead to a standby: with several hosts it is "
                f"{WRITABLE}, or left out"
            )
    except psycopg.Error as error:
        raise SettingsError(f"DATABASE_URL is no PostgreSQL address: {' '.join(str(error).split())}") from error


def _is_port(text: str) -> bool:
    return text.isdecimal() and 0 < int(text) <= PORT_MAX


def for_writing(database_url: str) -> str:
    """Let a URL with several hosts lead to the one that accepts writes, where it does not say so itself."""
    given = conninfo_to_dict(database_url)
    is_one = not any("," in str(given.get(key) or "") for key in ("host", "hostaddr"))
    if is_one or "target_session_attrs" in given:
        return database_url
    return make_conninfo(database_url, target_session_attrs=WRITABLE)


def named(database_url: str, name: str) -> str:
    """Let the server know its sessions by a name, which `pg_stat_activity` shows as `application_name`.

    A name in the URL, or in `PGAPPNAME`, takes precedence.
    """
    short = name.encode()[:NAME_BYTES_MAX].decode(errors="ignore")
    return make_conninfo(database_url, fallback_application_name=short)


def watched(database_url: str) -> str:
    """Let a connection break soon after its server's host has gone silent, however long a statement may take.

    What the URL says of this takes precedence.
    """
    return make_conninfo("", **{**SILENT_LINK, **conninfo_to_dict(database_url)})


def locate(database_url: str, hosts: HostDirectory, first: int = 0) -> str:
    """Add the addresses of all its hosts to a URL. Each address is one attempt to connect, in this order.

    The URL leads to a server that accepts writes. `first` is the place in that order where the attempts begin: after a
    failure the caller begins with the next address, since one that does not answer may take all the time that there is.

    Unix sockets stay as they are, and so does a URL that gives addresses itself. A host without an address is left out
    where another one has some.

    Raises:
        psycopg.OperationalError: no host has an address after `LOOK_UP_S_MAX`.
    """
    given = conninfo_to_dict(database_url)
    if "hostaddr" in given or not given.get("host"):
        return for_writing(database_url)
    names, ports = str(given["host"]).split(","), str(given.get("port", "")).split(",")
    deadline_s = time.monotonic() + LOOK_UP_S_MAX
    places: list[tuple[str, str, str]] = []
    last_error = None
    for name, given_port in zip(names, ports if len(ports) > 1 else repeat(*ports), strict=False):
        port = given_port or POSTGRES_PORT
        if not name or name.startswith(("/", "@")):
            places.append((name, "", port))
            continue
        try:
            addresses = hosts.of(name, int(port)).get(deadline_s)
        except OSError as error:
            last_error = error
        else:
            places += [(name, str(address.socket_address[0]), port) for address in addresses]
    if not places:
        raise psycopg.OperationalError(f"no address for {given['host']}: {last_error}") from last_error
    first %= len(places)
    host, hostaddr, port = (",".join(each) for each in zip(*places[first:], *places[:first], strict=True))
    return for_writing(make_conninfo(database_url, host=host, hostaddr=hostaddr, port=port))
