"""Connects to Redis with short timeouts and without retries, since nothing in Redis is worth waiting for."""

from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.redis_connection import TIMEOUT_S, LocatedConnection, LocatedTlsConnection
from actors.adapters.redis_sentinel import SCHEME, connect_by_sentinels
from actors.errors import SettingsError

FOREIGN_EVENT = "a key in Redis held what Fiel has not written: it is deleted"

_CONNECTIONS = {"redis": LocatedConnection, "rediss": LocatedTlsConnection}
"""The class of connections by the URL's scheme; a Unix socket has no host."""


def connect(redis_url: str, hosts: HostDirectory) -> redis.Redis:
    """Return a client that connects when it is first used.

    The defaults of redis-py, 5 s and ten retries, would hold a caller for many seconds when Redis is gone.

    Raises:
        SettingsError: the URL is malformed.
    """
    located: dict[str, Any] = {}
    try:
        if redis_url.startswith(f"{SCHEME}:"):
            return connect_by_sentinels(redis_url, hosts)
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
        raise SettingsError(f"REDIS_URL is no Redis address: {error}") from error


def run(pipeline: Pipeline) -> list[Any]:
    """Run the commands of a pipeline and give their answers.

    Raises:
        redis.RedisError: the error of the first command that was refused; it does not repeat the command.
    """
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def is_foreign(error: redis.ResponseError) -> bool:
    """Tell whether a command was refused because its key holds something that Fiel has not written."""
    # A stream may also have been given the greatest id, behind which there is no room.
    return str(error).startswith("WRONGTYPE") or "exhausted the last possible ID" in str(error)
