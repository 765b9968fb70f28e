"""Connects to Redis with short timeouts and without retries, since nothing in Redis is worth waiting for."""

import socket
import time
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from actors.adapters.host_addresses import HostDirectory, ServerAddress
from actors.errors import SettingsError

FOREIGN_EVENT = "a key in Redis held what Fiel has not written: it is deleted"
TIMEOUT_S = 0.1
"""For connecting, and for each answer."""


class LocatedConnection(redis.Connection):
    """A connection to an address of its host that is known already: redis-py's own would look the host up each time."""

    def __init__(self, *, hosts: HostDirectory, **kwargs: Any) -> None:  # noqa: ANN401  # redis-py's own
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]  # redis-py's own
        self._addresses = hosts.of(self.host, self.port)

    def _connect(self) -> socket.socket:
        """Open a socket within `TIMEOUT_S`; redis-py translates the errors."""
        deadline_s = time.monotonic() + TIMEOUT_S
        first_error = None
        for address in self._addresses.get(deadline_s):
            try:
                return self._connect_to(address, deadline_s)
            except OSError as error:
                first_error = first_error or error
        raise first_error or OSError("the host has no address")

    def _connect_to(self, address: ServerAddress, deadline_s: float) -> socket.socket:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("not connected in time")
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(left_s)
            sock.connect(address.socket_address)
            sock.settimeout(self.socket_timeout)
        except BaseException:
            sock.close()
            raise
        return sock


class LocatedTlsConnection(redis.SSLConnection, LocatedConnection):
    """The same with TLS: it is the name, not the address, that the certificate has to fit."""


_CONNECTIONS = {"redis": LocatedConnection, "rediss": LocatedTlsConnection}
"""By the URL's scheme; a socket of the file system has no host."""


def connect(redis_url: str, hosts: HostDirectory) -> redis.Redis:
    """Return a client that connects when it is first used.

    The defaults of redis-py, 5 s and ten retries, would hold a caller for many seconds when Redis is gone.

    Raises:
        SettingsError: the URL is malformed.
    """
    located: dict[str, Any] = {}
    try:
        if connection_class := _CONNECTIONS.get(urlsplit(redis_url).scheme):
            located = {"connection_class": connection_class, "hosts": hosts}
        return redis.Redis.from_url(
            redis_url,
            protocol=2,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            **located,
        )
    except ValueError as error:
        raise SettingsError(f"REDIS_URL is no address of a Redis: {error}") from error


def run(pipeline: Pipeline) -> list[Any]:
    """Run the commands of a pipeline and give their answers.

    Raises:
        redis.RedisError: of the first command that was refused, without the command, which may be long.
    """
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def is_foreign(error: redis.ResponseError) -> bool:
    """Tell whether a command was refused for what its key holds, which Fiel has not written."""
    # A stream may also have been given the greatest id, behind which there is no room.
    return str(error).startswith("WRONGTYPE") or "exhausted the last possible ID" in str(error)
