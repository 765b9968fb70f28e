"""How Fiel talks to Redis: it gives up at once, since nothing that it asks there is worth waiting for."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_S = 0.1


def connect(redis_url: str) -> redis.Redis:
    """Make a client that connects when it is first used.

    The library's defaults, 5 s and ten retries, would hold a caller for many seconds when Redis is gone.
    """
    return redis.Redis.from_url(
        redis_url,
        protocol=2,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
