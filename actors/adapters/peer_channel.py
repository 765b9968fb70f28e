"""Tells accepted payments to the other replicas through a Redis stream of MessagePack arrays."""

from collections.abc import Sequence
from typing import Any

import msgpack
import msgspec
import redis

from actors.adapters.redis_client import connect
from actors.domain.money import BRL
from actors.domain.payment import Payment, from_peers, to_peers
from actors.errors import PeersUnavailableError

ENTRIES_MAX = 1000
"""About how many entries the stream keeps. An entry holds what one replica accepted between two exchanges."""
ENTRIES_AT_ONCE = 200
"""How many entries one call of `hear` reads."""
TTL_S = 3600
"""The stream disappears when nothing has been written to it for this long."""


class RedisPeerChannel:
    """Fulfils `actors.ports.PeerChannel`."""

    def __init__(self, redis_url: str, generation: int) -> None:
        """The connection is made on first use. Each generation has its own stream, so a purge drops the old one."""
        self._key = f"accepted:{generation}"
        self._last_id: bytes | str = "0"
        self._redis = connect(redis_url)

    def tell(self, payments: Sequence[Payment]) -> None:
        data = msgpack.packb([to_peers(payment) for payment in payments])
        try:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.xadd(self._key, {"payments": data}, maxlen=ENTRIES_MAX, approximate=True)
            pipeline.expire(self._key, TTL_S)
            pipeline.execute()
        except redis.RedisError as error:
            raise PeersUnavailableError(f"Redis: {error}") from error

    def hear(self) -> list[Payment]:
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
        self._redis.close()


class _Told(msgspec.Struct, array_like=True):
    """A payment as it stands in an entry."""

    id_bytes: bytes
    amount_minor: int
    accepted_at_ms: int
    currency: str = BRL


def _decode(fields: dict[bytes, bytes]) -> list[Payment]:
    """Decode one entry. One that another version has written in another form counts as empty."""
    try:
        told = msgspec.convert(msgpack.unpackb(fields[b"payments"]), list[_Told])
        return [from_peers(each.id_bytes, each.amount_minor, each.accepted_at_ms, each.currency) for each in told]
    except (ValueError, TypeError, KeyError, msgpack.UnpackException):
        return []
