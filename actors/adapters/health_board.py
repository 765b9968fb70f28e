"""Shared health in Redis: MessagePack under `processor:{name}:health…`, each with a time to live."""

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import msgpack
import msgspec
import redis

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.redis_client import FOREIGN_EVENT, connect, is_foreign, run
from actors.domain.quorum import Opinion
from actors.domain.records import PollLease, ProcessorHealth, SharedHealth
from actors.errors import HealthUnavailableError
from actors.logs import get_logger
from actors.outages import OutageReporter

logger = get_logger(__name__)

HEALTH_TTL_S = 15
OPINION_TTL_S = 2
"""An opinion disappears if its replica does not renew it within this time."""
REPLICAS_KEY = "health:replicas"
REPLICAS_TTL_S = 60
SILENCES_MAX = 20
"""A replica without an opinion in more exchanges than this is removed from the list. If it lives, it returns."""

TAKE_LEASE = """
local left_ms = redis.call('PTTL', KEYS[1])
if left_ms >= 0 and left_ms <= tonumber(ARGV[2]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
"""Takes a lease unless somebody has it. A key that expires never, or later than leases do, is none, and is replaced."""

Shared = TypeVar("Shared", ProcessorHealth, Opinion)


class RedisHealthBoard:
    """Fulfils `actors.ports.HealthBoard`. It tolerates that Redis evicts any key at any time."""

    def __init__(self, redis_url: str, hosts: HostDirectory, replica: str, processors: Sequence[str]) -> None:
        """The connection is made on first use."""
        self._replica = replica
        self._processors = processors
        self._silences: dict[bytes, int] = {}
        """For each other replica, the number of exchanges in a row in which it had no opinion.

        The opinion of a replica that is new here is read in the exchange after the one that finds it.
        """
        self._redis = connect(redis_url, hosts)
        self._foreign = OutageReporter(logger, FOREIGN_EVENT, time.monotonic)
        self._take = self._redis.register_script(TAKE_LEASE)

    def may_poll(self, processor: str, period_s: float) -> str | None:
        token = secrets.token_hex(8)
        return token if self._lease(_poll_key(processor), token, period_s) else None

    def may_probe(self, processor: str, period_s: float) -> bool:
        return self._lease(f"{_key(processor)}:probe", self._replica, period_s)

    def publish(self, health: ProcessorHealth) -> None:
        with _translated():
            self._redis.set(_key(health.processor), _encode(health), ex=HEALTH_TTL_S)

    def exchange(self, opinions: Sequence[Opinion]) -> SharedHealth:
        names, told_by = self._processors, [(name, peer) for name in self._processors for peer in self._silences]
        polls = [_poll_key(name).encode() for name in names]
        told = [_opinion_key(name, peer) for name, peer in told_by]
        with _translated():
            try:
                *before, members, values = self._exchange(opinions, polls, told)
            except redis.ResponseError as error:
                if not is_foreign(error):
                    raise
                # Of all keys here, only this one has to be of a type: SET replaces, and MGET passes over, any other.
                self._foreign.occurred(key=REPLICAS_KEY)
                self._redis.delete(REPLICAS_KEY)
                *before, members, values = self._exchange(opinions, polls, told)
        timed = len(polls) + len(told)
        ttls_ms, answers = before[len(before) - timed :], values[timed:]
        others = tuple(_opinions(told_by, values[len(polls) : timed], ttls_ms[len(polls) :]))
        heard = {other.replica.encode() for other in others}
        self._silences = {
            peer: 0 if peer in heard else self._silences.get(peer, 0) + 1
            for peer in (members | heard) - {self._replica.encode()}
        }
        leases = _leases(names, values[: len(polls)], ttls_ms[: len(polls)])
        return SharedHealth(tuple(_answers(names, answers)), others, tuple(leases))

    def _exchange(self, opinions: Sequence[Opinion], polls: Sequence[bytes], told: Sequence[bytes]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for opinion in opinions:
            key = _opinion_key(opinion.processor, self._replica.encode())
            pipeline.set(key, _encode(opinion), ex=OPINION_TTL_S)
        gone = [peer for peer, silences in self._silences.items() if silences > SILENCES_MAX]
        if gone:
            pipeline.srem(REPLICAS_KEY, *gone)
        pipeline.sadd(REPLICAS_KEY, self._replica)
        pipeline.expire(REPLICAS_KEY, REPLICAS_TTL_S)
        # Read before the values: a value that is replaced in between looks older than it is, never newer.
        for timed_key in (*polls, *told):
            pipeline.pttl(timed_key)
        pipeline.smembers(REPLICAS_KEY)
        pipeline.mget([*polls, *told, *(_key(name).encode() for name in self._processors)])
        return run(pipeline)

    def ping(self) -> None:
        """Check that Redis answers."""
        with _translated():
            self._redis.ping()

    def close(self) -> None:
        self._redis.close()

    def _lease(self, key: str, value: str, period_s: float) -> bool:
        with _translated():
            return bool(self._take(keys=[key], args=[value, int(period_s * 1000)]))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise HealthUnavailableError(f"Redis: {error}") from error


def _key(processor: str) -> str:
    return f"processor:{processor}:health"


def _poll_key(processor: str) -> str:
    return f"{_key(processor)}:poll"


def _opinion_key(processor: str, replica: bytes) -> bytes:
    return f"{_key(processor)}:of:".encode() + replica


def _answers(names: Sequence[str], values: Sequence[bytes | None]) -> Iterator[ProcessorHealth]:
    for name, value in zip(names, values, strict=True):
        answer = _decode(value, ProcessorHealth)
        if answer is not None and answer.processor == name:
            yield answer


def _opinions(
    told_by: Sequence[tuple[str, bytes]], values: Sequence[bytes | None], ttls_ms: Sequence[int]
) -> Iterator[Opinion]:
    for (name, peer), value, ttl_ms in zip(told_by, values, ttls_ms, strict=True):
        opinion = _decode(value, Opinion)
        # A negative time to live: the key was evicted in between, or is not Fiel's. A key with a longer time to live is
        # not Fiel's either.
        is_timed = 0 <= ttl_ms <= OPINION_TTL_S * 1000
        if opinion is not None and (opinion.processor, opinion.replica.encode()) == (name, peer) and is_timed:
            shared_s_ago = max(0.0, OPINION_TTL_S - ttl_ms / 1000)
            changed_s_ago = None if opinion.changed_s_ago is None else opinion.changed_s_ago + shared_s_ago
            yield replace(opinion, changed_s_ago=changed_s_ago)


def _leases(names: Sequence[str], tokens: Sequence[bytes | None], ttls_ms: Sequence[int]) -> Iterator[PollLease]:
    for name, token, ttl_ms in zip(names, tokens, ttls_ms, strict=True):
        if token is not None and ttl_ms >= 0:
            yield PollLease(name, token.decode(errors="replace"), ttl_ms / 1000)


def _encode(shared: ProcessorHealth | Opinion) -> bytes:
    data: bytes = msgpack.packb(msgspec.to_builtins(shared))
    return data


def _decode(value: bytes | None, shared_type: type[Shared]) -> Shared | None:
    """Decode a value. One that another version has written in another form counts as absent."""
    try:
        return None if value is None else msgspec.convert(msgpack.unpackb(value), shared_type)
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
