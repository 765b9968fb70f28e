"""Asks a Redis, also one that Sentinels know, whether it answers."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.redis_sentinel import SCHEME, connect_by_sentinels


def redis_error(url: str, timeout_s: float = 2) -> str | None:
    """Send a PING to the Redis at `url`; return what went wrong, or None where it answered."""
    # By default redis-py would try ten times.
    retry = Retry(NoBackoff(), 0)
    try:
        if url.startswith(f"{SCHEME}:"):
            client = connect_by_sentinels(url, HostDirectory())
        else:
            client = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=retry)
        with client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        return str(error)
    return None
