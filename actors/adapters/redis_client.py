"""Connects to Redis with short timeouts and without retries, since nothing in Redis is worth waiting for."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_S = 0.1
"""For connecting, and for each answer."""


def connect(redis_url: str) -> redis.Redis:
    """Return a client that connects when it is first used.

    The defaults of redis-py, 5 s and ten retries, would hold a caller for many seconds when Redis is gone.
    """
    return redis.Redis.from_url(
        redis_url,
        protocol=2,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
