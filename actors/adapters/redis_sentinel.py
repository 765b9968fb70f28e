"""Connects to whichever Redis the Sentinels name as the master, each time that a connection is made."""

import socket
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from actors.adapters.host_addresses import HostAddresses, HostDirectory
from actors.adapters.redis_connection import TIMEOUT_S, LocatedConnection

SCHEME = "redis+sentinel"
SENTINEL_PORT = 26379
PORT_MAX = 65535
FORM = f"{SCHEME}://[user:password@]host[:port],host[:port],.../service[/database]"


class MasterConnection(LocatedConnection):
    """A connection to the master. It is closed at the first write after its Redis has become a replica."""

    def __init__(self, *, sentinel: Sentinel, service: str, **kwargs: Any) -> None:  # noqa: ANN401  # redis-py's own
        super().__init__(**kwargs)
        self._sentinel = sentinel
        self._service = service

    def _connect(self) -> socket.socket:
        """Ask one Sentinel after another, each for `TIMEOUT_S`, and connect to the master that the first one names."""
        try:
            self.host, self.port = self._sentinel.discover_master(self._service)  # type: ignore[no-untyped-call]
        finally:
            # Sentinels are seldom asked.
            self._sentinel.close()
        # A directory would remember it for good, which is only for hosts of the settings.
        self._addresses = HostAddresses(self.host, self.port)
        return super()._connect()

    def read_response(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # redis-py's own
        """Read an answer; redis-py calls it.

        Raises:
            redis.ConnectionError: the Redis is no master any more; the next connection is made to another.
        """
        try:
            return super().read_response(*args, **kwargs)
        except redis.ReadOnlyError as error:
            self.disconnect()  # type: ignore[no-untyped-call]  # redis-py's own
            raise redis.ConnectionError("the Redis that was the master is a replica now") from error


def connect_by_sentinels(redis_url: str, hosts: HostDirectory) -> redis.Redis:
    """Return a client of the master that the Sentinels of a URL name; it connects when it is first used.

    The user and the password are those of Redis. Sentinels are asked without.

    Raises:
        ValueError: the URL is malformed.
    """
    parts = urlsplit(redis_url)
    account, _, listed = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    service, _, database = parts.path.removeprefix("/").partition("/")
    if not service or not (database or "0").isdecimal() or parts.query or parts.fragment:
        raise ValueError(f"it does not have the form {FORM}")
    limits: dict[str, Any] = {
        "protocol": 2,
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "hosts": hosts,
    }
    sentinel = Sentinel([])  # type: ignore[no-untyped-call]  # redis-py's own
    sentinel.sentinels = [
        redis.Redis(connection_pool=redis.ConnectionPool(LocatedConnection, host=host, port=port, **limits))
        for host, port in map(_host_and_port, listed.split(","))
    ]
    pool = redis.ConnectionPool(
        MasterConnection,
        sentinel=sentinel,
        service=unquote(service),
        db=int(database or 0),
        username=unquote(user) or None,
        password=unquote(password) or None,
        **limits,
    )
    return redis.Redis(connection_pool=pool)


def _host_and_port(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    port = parts.port if parts.port is not None else SENTINEL_PORT
    if not parts.hostname or not 0 < port <= PORT_MAX:
        raise ValueError(f"{text!r} is not a Sentinel: it does not have the form {FORM}")
    return parts.hostname, port
