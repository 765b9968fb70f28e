"""Shared health in Redis: MessagePack under `processor:{name}:health`, with a time to live."""

from dataclasses import asdict

import msgpack
import msgspec
import redis

from actors.adapters.redis_client import connect
from actors.errors import HealthUnavailableError
from actors.ports import ProcessorHealth

HEALTH_TTL_S = 15


class RedisHealthBoard:
    """Fulfils `actors.ports.HealthBoard`. Redis may evict any key at any time: it is only asked again."""

    def __init__(self, redis_url: str, replica: str) -> None:
        """Connects when it is first used."""
        self._replica = replica
        self._redis = connect(redis_url)

    def may_poll(self, processor: str, period_s: float) -> bool:
        """Take this period's call; see the protocol."""
        # A little longer than the period: the processor's own window must have ended.
        lease_ms = int(period_s * 1000) + 50
        try:
            return bool(self._redis.set(f"processor:{processor}:poll", self._replica, nx=True, px=lease_ms))
        except redis.RedisError as error:
            raise HealthUnavailableError(f"Redis: {error}") from error

    def publish(self, health: ProcessorHealth) -> None:
        """Share an answer; see the protocol."""
        try:
            self._redis.set(_key(health.processor), msgpack.packb(asdict(health)), ex=HEALTH_TTL_S)
        except redis.RedisError as error:
            raise HealthUnavailableError(f"Redis: {error}") from error

    def read(self, processor: str) -> ProcessorHealth | None:
        """Read what was shared last; see the protocol. What cannot be read counts as not there."""
        try:
            data = self._redis.get(_key(processor))
        except redis.RedisError as error:
            raise HealthUnavailableError(f"Redis: {error}") from error
        try:
            return msgspec.convert(msgpack.unpackb(data), ProcessorHealth) if isinstance(data, bytes) else None
        except (ValueError, TypeError, msgpack.UnpackException):
            return None

    def ping(self) -> None:
        """Ask for an answer, whatever it is."""
        try:
            self._redis.ping()
        except redis.RedisError as error:
            raise HealthUnavailableError(f"Redis: {error}") from error

    def close(self) -> None:
        """End all connections."""
        self._redis.close()


def _key(processor: str) -> str:
    return f"processor:{processor}:health"
