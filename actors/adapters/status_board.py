"""Shares the states of replicas through Redis: MessagePack under `status:…`, each key with a time to live."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgpack
import msgspec
import redis
from redis.client import Pipeline

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.redis_client import connect, is_foreign, run
from actors.domain.happenings import Happening
from actors.domain.replica_status import HeardStatus, ReplicaStatus
from actors.domain.seconds import KEPT_S, Second
from actors.domain.shared_status import SharedStatus
from actors.errors import StatusUnavailableError

TTL_S = 600
"""How long the last state of a replica is shown after it has ended."""
HAPPENINGS_MAX = 50
REPLICAS_KEY, HAPPENINGS_KEY = "status:replicas", "status:happenings"

Told = TypeVar("Told")


class _Second(msgspec.Struct, array_like=True):
    """A second as it stands in Redis, where 300 of each replica are kept."""

    at_s: int
    accepted: int
    waiting: int | None
    settled: dict[str, int]
    latency_ms: dict[str, float | None]
    down: list[str]
    answers: list[int]


class RedisStatusBoard:
    """Fulfils `actors.ports.StatusBoard`. It tolerates that Redis evicts any key at any time."""

    def __init__(self, redis_url: str, hosts: HostDirectory, replica: str) -> None:
        """The connection is made on first use."""
        self._replica = replica
        self._redis = connect(redis_url, hosts)

    def tell(self, status: ReplicaStatus, seconds: Sequence[Second], happenings: Sequence[Happening]) -> None:
        lists: dict[str, tuple[Sequence[Second | Happening], int]] = {
            _seconds_key(self._replica): (seconds, KEPT_S),
            HAPPENINGS_KEY: (happenings, HAPPENINGS_MAX),
        }

        def add() -> None:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.set(_status_key(self._replica), _packed(status), ex=TTL_S)
            pipeline.sadd(REPLICAS_KEY, self._replica)
            pipeline.expire(REPLICAS_KEY, TTL_S)
            for key, (items, most) in lists.items():
                if items:
                    _append(pipeline, key, items, most)
            run(pipeline)

        self._use(add, (REPLICAS_KEY, *lists))

    def leave(self, happening: Happening) -> None:
        def add() -> None:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.delete(_status_key(self._replica))
            _append(pipeline, HAPPENINGS_KEY, [happening], HAPPENINGS_MAX)
            run(pipeline)

        self._use(add, (HAPPENINGS_KEY,))

    def hear(self, seconds_max: int) -> SharedStatus:
        names = sorted(self._use(lambda: self._redis.smembers(REPLICAS_KEY), (REPLICAS_KEY,)))
        replicas = [name.decode(errors="replace") for name in names]

        def read() -> list[Any]:
            pipeline = self._redis.pipeline(transaction=False)
            for replica in replicas:
                # Read before the value: one that is replaced in between looks older than it is, never newer.
                pipeline.pttl(_status_key(replica))
                pipeline.get(_status_key(replica))
                pipeline.lrange(_seconds_key(replica), -seconds_max, -1)
            pipeline.lrange(HAPPENINGS_KEY, 0, -1)
            return run(pipeline)

        keys = (*map(_seconds_key, replicas), *map(_status_key, replicas), HAPPENINGS_KEY)
        *told, happened = self._use(read, keys)
        gone = [name for name, value in zip(names, told[1::3], strict=True) if value is None]
        if gone:
            # A replica that lives is in the set again when it tells its next state.
            self._use(lambda: self._redis.srem(REPLICAS_KEY, *gone), (REPLICAS_KEY,))
        heard = tuple(_heard(replicas, told[::3], told[1::3]))
        seconds = {
            replica: tuple(each for value in values if (each := _read_second(value)) is not None)
            for replica, values in zip(replicas, told[2::3], strict=True)
        }
        happenings = (_read(value, Happening) for value in happened)
        return SharedStatus(heard, seconds, tuple(each for each in happenings if each is not None))

    def close(self) -> None:
        self._redis.close()

    def _use(self, use: Callable[[], Any], keys: Sequence[str]) -> Any:  # noqa: ANN401  # what Redis answers
        """Use Redis; where something else has one of the keys, delete them and use them anew."""
        try:
            try:
                return use()
            except redis.ResponseError as error:
                if not is_foreign(error):
                    raise
                self._redis.delete(*keys)
                return use()
        except redis.RedisError as error:
            raise StatusUnavailableError(f"Redis: {error}") from error


def _append(pipeline: Pipeline, key: str, items: Sequence[Second | Happening], most: int) -> None:
    """Append to a list that keeps no more than its last items."""
    pipeline.rpush(key, *map(_packed, items))
    pipeline.ltrim(key, -most, -1)
    pipeline.expire(key, TTL_S)


def _status_key(replica: str) -> str:
    return f"status:of:{replica}"


def _seconds_key(replica: str) -> str:
    return f"status:seconds:{replica}"


def _heard(replicas: Sequence[str], ttls_ms: Sequence[int], values: Sequence[bytes | None]) -> Iterator[HeardStatus]:
    for replica, ttl_ms, value in zip(replicas, ttls_ms, values, strict=True):
        status = _read(value, ReplicaStatus)
        if status is not None and status.replica == replica and 0 <= ttl_ms <= TTL_S * 1000:
            yield HeardStatus(status, TTL_S - ttl_ms / 1000)


def _packed(told: ReplicaStatus | Second | Happening) -> bytes:
    built = msgspec.to_builtins(told)
    data: bytes = msgpack.packb(tuple(built.values()) if isinstance(told, Second) else built)
    return data


def _read_second(value: bytes) -> Second | None:
    told = _read(value, _Second)
    if told is None:
        return None
    before = told.at_s, told.accepted, told.waiting, told.settled, told.latency_ms
    return Second(*before, tuple(told.down), tuple(told.answers))


def _read(value: bytes | None, kind: type[Told]) -> Told | None:
    """Decode a value. One that another version has written in another form counts as absent."""
    try:
        return None if value is None else msgspec.convert(msgpack.unpackb(value), kind)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
