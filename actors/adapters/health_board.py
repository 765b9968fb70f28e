"""Shared health in Redis: MessagePack under `processor:{name}:health…`, each with a time to live."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgpack
import msgspec
import redis

from actors.adapters.redis_client import connect
from actors.domain.fleet import Opinion
from actors.errors import HealthUnavailableError
from actors.ports import ProcessorHealth, SharedHealth

HEALTH_TTL_S = 15
OPINION_TTL_S = 2
"""A replica that has said nothing for so long has no opinion."""
REPLICAS_KEY = "health:replicas"
REPLICAS_TTL_S = 60

Shared = TypeVar("Shared", ProcessorHealth, Opinion)


class RedisHealthBoard:
    """Fulfils `actors.ports.HealthBoard`. Redis may evict any key at any time: it is only asked again."""

    def __init__(self, redis_url: str, replica: str, processors: Sequence[str]) -> None:
        """Connects when it is first used."""
        self._replica = replica
        self._processors = processors
        self._peers: list[str] = []
        """Other replicas, as of the last exchange: a newcomer's opinion is read one exchange later."""
        self._redis = connect(redis_url)

    def may_poll(self, processor: str, period_s: float) -> bool:
        """Take this period's call; see the protocol."""
        # A little longer than the period: the processor's own window must have ended.
        return self._lease(f"{_key(processor)}:poll", period_s + 0.05)

    def may_probe(self, processor: str, period_s: float) -> bool:
        """Take this period's probe; see the protocol."""
        return self._lease(f"{_key(processor)}:probe", period_s)

    def publish(self, health: ProcessorHealth) -> None:
        """Share an answer; see the protocol."""
        with _translated():
            self._redis.set(_key(health.processor), _encode(health), ex=HEALTH_TTL_S)

    def exchange(self, opinions: Sequence[Opinion]) -> SharedHealth:
        """Share and read in one round trip; see the protocol."""
        peers = self._peers
        with _translated():
            pipeline = self._redis.pipeline(transaction=False)
            for opinion in opinions:
                pipeline.set(_opinion_key(opinion.processor, self._replica), _encode(opinion), ex=OPINION_TTL_S)
            pipeline.sadd(REPLICAS_KEY, self._replica)
            pipeline.expire(REPLICAS_KEY, REPLICAS_TTL_S)
            pipeline.smembers(REPLICAS_KEY)
            pipeline.mget([_key(name) for name in self._processors])
            told_by = [(name, peer) for name in self._processors for peer in peers]
            if told_by:
                pipeline.mget([_opinion_key(name, peer) for name, peer in told_by])
            answers: list[Any] = pipeline.execute()[len(opinions) + 2 :]
        self._peers = sorted(member.decode() for member in answers[0] if member.decode() != self._replica)
        opinions_told = answers[2] if told_by else ()
        return SharedHealth(
            tuple(_decode(answers[1], ProcessorHealth)),
            tuple(_decode(opinions_told, Opinion)),
        )

    def ping(self) -> None:
        """Ask for an answer, whatever it is."""
        with _translated():
            self._redis.ping()

    def close(self) -> None:
        """End all connections."""
        self._redis.close()

    def _lease(self, key: str, period_s: float) -> bool:
        with _translated():
            return bool(self._redis.set(key, self._replica, nx=True, px=int(period_s * 1000)))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise HealthUnavailableError(f"Redis: {error}") from error


def _key(processor: str) -> str:
    return f"processor:{processor}:health"


def _opinion_key(processor: str, replica: str) -> str:
    return f"{_key(processor)}:of:{replica}"


def _encode(shared: ProcessorHealth | Opinion) -> bytes:
    data: bytes = msgpack.packb(msgspec.to_builtins(shared))
    return data


def _decode(values: Sequence[bytes | None], shared_type: type[Shared]) -> Iterator[Shared]:
    """Read what is there; what another version has written in another form says nothing."""
    for value in values:
        try:
            if value is not None:
                yield msgspec.convert(msgpack.unpackb(value), shared_type)
        except (ValueError, TypeError, msgpack.UnpackException):
            continue
