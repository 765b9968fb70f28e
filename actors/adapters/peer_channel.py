"""Tells accepted payments to the other replicas through a Redis stream of MessagePack arrays."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgpack
import msgspec
import redis

from actors.adapters.redis_client import connect, is_foreign, run
from actors.domain.money import BRL
from actors.domain.payment import Payment, from_peers, to_peers
from actors.errors import PeersUnavailableError

logger = logging.getLogger(__name__)

ENTRIES_MAX = 1000
"""About how many entries the stream keeps. An entry holds what one replica accepted between two exchanges."""
ENTRIES_AT_ONCE = 200
"""How many entries one call of `hear` reads."""
GREATEST_ID = b"%d-%d" % (2**64 - 1, 2**64 - 1)
"""Nothing can follow an entry with this id, which is not of Fiel."""
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

        def add() -> None:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.xadd(self._key, {"payments": data}, maxlen=ENTRIES_MAX, approximate=True)
            pipeline.expire(self._key, TTL_S)
            run(pipeline)

        self._use_stream(add)

    def hear(self) -> list[Payment]:
        answer = self._use_stream(lambda: self._redis.xread({self._key: self._last_id}, count=ENTRIES_AT_ONCE))
        heard = []
        for entry_id, fields in answer[0][1] if answer else ():
            self._last_id = entry_id
            heard += _decode(fields)
        if self._last_id == GREATEST_ID:
            self._use_stream(lambda: self._replace("nothing can follow its last entry"))
        return heard

    def close(self) -> None:
        self._redis.close()

    def _use_stream(self, use: Callable[[], Any]) -> Any:  # noqa: ANN401  # what Redis answers
        """Use the stream; where something else has its key, delete that and use a new stream."""
        try:
            try:
                return use()
            except redis.ResponseError as error:
                if not is_foreign(error):
                    raise
                self._replace(error)
                return use()
        except redis.RedisError as error:
            raise PeersUnavailableError(f"Redis: {error}") from error

    def _replace(self, reason: object) -> None:
        logger.warning("%s held what Fiel has not written (%s): it is deleted", self._key, reason)
        self._last_id = "0"
        self._redis.delete(self._key)


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
