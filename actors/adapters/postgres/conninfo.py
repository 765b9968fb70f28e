"""Where Postgres is: what psycopg connects by, with the addresses of its hosts, so that nobody looks them up again."""

import time
from collections.abc import Sequence
from itertools import repeat

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from actors.adapters.host_addresses import HostDirectory

POSTGRES_PORT = "5432"


def locate(database_url: str, hosts: HostDirectory, wait_s_max: float) -> str:
    """Add the addresses of all its hosts to a URL: each of several is an attempt of its own, tried in order.

    Sockets of the file system stay as they are, and so does what names addresses itself. A host without an address is
    left out; only where no host has one yet, a look-up is waited for.

    Raises:
        psycopg.OperationalError: no host has an address after `wait_s_max` seconds.
    """
    given = conninfo_to_dict(database_url)
    if "hostaddr" in given or not given.get("host"):
        return database_url
    names, ports = str(given["host"]).split(","), str(given.get("port") or POSTGRES_PORT).split(",")
    servers = list(zip(names, ports if len(ports) > 1 else repeat(*ports), strict=False))
    now_s = time.monotonic()
    found, _ = _attempts(servers, hosts, now_s)
    if not found:
        found, error = _attempts(servers, hosts, now_s + wait_s_max)
        if not found:
            raise psycopg.OperationalError(f"no address for {given['host']}: {error}") from error
    host, hostaddr, port = (",".join(each) for each in zip(*found, strict=True))
    return make_conninfo(database_url, host=host, hostaddr=hostaddr, port=port)


def _attempts(
    servers: Sequence[tuple[str, str]], hosts: HostDirectory, deadline_s: float
) -> tuple[list[tuple[str, str, str]], OSError | None]:
    """Find host, address and port for every attempt that can be made, and the last error of a look-up."""
    found: list[tuple[str, str, str]] = []
    last_error = None
    for name, port in servers:
        if not name or name.startswith(("/", "@")):
            found.append((name, "", port))
            continue
        try:
            addresses = hosts.of(name, int(port or POSTGRES_PORT)).get(deadline_s)
        except OSError as error:
            last_error = error
        else:
            found += [(name, str(address.socket_address[0]), port) for address in addresses]
    return found, last_error
