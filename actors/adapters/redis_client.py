"""Connects to Redis with short timeouts and without retries, since nothing in Redis is worth waiting for."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
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
