"""What replicas tell each other of accepted payments: a Redis stream of MessagePack arrays."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgpack
import msgspec
import redis

from actors.adapters.redis_client import connect
from actors.domain.payment import Payment
from actors.errors import PeersUnavailableError

ENTRIES_MAX = 1000
"""Entries that the stream keeps, about; each is what one replica accepted within one exchange."""
ENTRIES_AT_ONCE = 200
TTL_S = 3600


class RedisPeerChannel:
    """Fulfils `actors.ports.PeerChannel`."""

    def __init__(self, redis_url: str, generation: int) -> None:
        """Connects when it is first used. Each generation has a stream of its own, so a purge forgets it."""
        self._key = f"accepted:{generation}"
        self._last_id: bytes | str = "0"
        self._redis = connect(redis_url)

    def tell(self, payments: Sequence[Payment]) -> None:
        """Tell them to all replicas; see the protocol."""
        data = msgpack.packb([(one.correlation_id.bytes, one.amount_cents, one.accepted_at_ms) for one in payments])
        try:
            self._redis.xadd(self._key, {"payments": data}, maxlen=ENTRIES_MAX, approximate=True)
            self._redis.expire(self._key, TTL_S)
        except redis.RedisError as error:
            raise PeersUnavailableError(f"Redis: {error}") from error

    def hear(self) -> list[Payment]:
        """Read what was told since the last call; see the protocol."""
        try:
            answer: Any = self._redis.xread({self._key: self._last_id}, count=ENTRIES_AT_ONCE)
        except redis.RedisError as error:
            raise PeersUnavailableError(f"Redis: {error}") from error
        heard = []
        for entry_id, fields in answer[0][1] if answer else ():
            self._last_id = entry_id
            heard += _decode(fields)
        return heard

    def close(self) -> None:
        """End all connections."""
        self._redis.close()


def _decode(fields: dict[bytes, bytes]) -> list[Payment]:
    """Read one entry; what another version has written in another form says nothing."""
    try:
        told = msgspec.convert(msgpack.unpackb(fields[b"payments"]), list[tuple[bytes, int, int]])
        return [Payment(UUID(bytes=id_bytes), cents, accepted_at_ms) for id_bytes, cents, accepted_at_ms in told]
    except (ValueError, TypeError, KeyError, msgpack.UnpackException):
        return []
