"""What one replica tells, every replica hears once; what nobody can read stops nobody."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any
from uuid import UUID

import msgpack
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.adapters.peer_channel import ENTRIES_AT_ONCE, ENTRIES_MAX, TTL_S, RedisPeerChannel
from actors.domain.money import DECIMALS
from actors.domain.payment import Payment
from actors.errors import PeersUnavailableError
from tests.actors.fakes import NOW_MS, payment

GENERATION = 5
KEY = "accepted:5"
ENTRIES_PER_NODE = 100
"""What Redis stores together, and trims together when the length is approximate."""


@pytest.fixture
def channel(redis_url: str) -> Iterator[RedisPeerChannel]:
    with closing(RedisPeerChannel(redis_url, GENERATION)) as channel:
        yield channel


@pytest.fixture
def other(redis_url: str) -> Iterator[RedisPeerChannel]:
    """The channel of another replica."""
    with closing(RedisPeerChannel(redis_url, GENERATION)) as other:
        yield other


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    """Redis as somebody else sees it."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


def some(count: int, first: int = 0) -> list[Payment]:
    return [payment(number) for number in range(first, first + count)]


def hear_all(channel: RedisPeerChannel) -> list[Payment]:
    """Hear until nothing more is told."""
    payments: list[Payment] = []
    while heard := channel.hear():
        payments += heard
    return payments


def test_nothing_told_is_nothing_heard(channel: RedisPeerChannel) -> None:
    assert channel.hear() == []


def test_every_replica_hears_all_once_in_order_its_own_included(
    channel: RedisPeerChannel, other: RedisPeerChannel
) -> None:
    channel.tell(some(2))
    other.tell(some(1, first=2))
    assert (channel.hear(), other.hear()) == (some(3), some(3))
    assert (channel.hear(), other.hear()) == ([], [])
    channel.tell(some(1, first=3))
    assert (channel.hear(), other.hear()) == (some(1, first=3), some(1, first=3))


def test_a_payment_is_heard_as_it_was_told(channel: RedisPeerChannel) -> None:
    told = [Payment(UUID(int=2**128 - 1), 10**14, NOW_MS), Payment(UUID(int=0), 1, 0, "JPY")]
    channel.tell(told)
    assert channel.hear() == told


def test_an_entry_of_a_release_without_currencies_is_heard_in_reais_and_can_read_those_in_reais(
    channel: RedisPeerChannel, client: "redis.Redis"
) -> None:
    entry = {"payments": msgpack.packb([(ID, 1990, NOW_MS)])}
    client.xadd(KEY, entry)  # type: ignore[arg-type]  # redis' types name no such mapping
    assert channel.hear() == [Payment(UUID(bytes=ID), 1990, NOW_MS, "BRL")]
    channel.tell([Payment(UUID(bytes=ID), 1990, NOW_MS, "BRL")])
    entries: Any = client.xrange(KEY)
    assert entries[1][1] == {name.encode(): value for name, value in entry.items()}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.tuples(st.uuids(), st.integers(1, 10**16), st.sampled_from(list(DECIMALS))), min_size=1))
def test_payments_in_any_currency_are_heard_as_they_were_told(
    channel: RedisPeerChannel, fields: list[tuple[UUID, int, str]]
) -> None:
    told = [Payment(correlation_id, minor, NOW_MS, code) for correlation_id, minor, code in fields]
    channel.tell(told)
    assert channel.hear() == told


def test_a_replica_that_starts_later_hears_what_was_told_lately(redis_url: str, channel: RedisPeerChannel) -> None:
    channel.tell(some(3))
    with closing(RedisPeerChannel(redis_url, GENERATION)) as late:
        assert late.hear() == some(3)


def test_what_is_too_much_for_one_call_is_heard_with_the_next(
    channel: RedisPeerChannel, other: RedisPeerChannel
) -> None:
    for number in range(ENTRIES_AT_ONCE + 1):
        channel.tell([payment(number)])
    assert other.hear() == some(ENTRIES_AT_ONCE)
    assert other.hear() == some(1, first=ENTRIES_AT_ONCE)


def test_generations_are_apart(redis_url: str, channel: RedisPeerChannel) -> None:
    channel.tell(some(1))
    with closing(RedisPeerChannel(redis_url, GENERATION + 1)) as later:
        assert later.hear() == []
        later.tell(some(1, first=1))
        assert (channel.hear(), later.hear()) == (some(1), some(1, first=1))


ID = payment(0).correlation_id.bytes


@pytest.mark.parametrize(
    "fields",
    [
        {"something": "else"},
        {"payments": b""},
        {"payments": b"\xc1"},
        {"payments": b"not messagepack"},
        {"payments": msgpack.packb(None)},
        {"payments": msgpack.packb(7)},
        {"payments": msgpack.packb([(ID, 1990, NOW_MS, "ABC")])},
        {"payments": msgpack.packb([(ID, 1990, NOW_MS, None)])},
        {"payments": msgpack.packb({"payments": []})},
        {"payments": msgpack.packb([7])},
        {"payments": msgpack.packb([[]])},
        {"payments": msgpack.packb([[ID, 1990]])},
        {"payments": msgpack.packb([[ID, 1990, NOW_MS, "more"]])},
        {"payments": msgpack.packb([[ID[:-1], 1990, NOW_MS]])},
        {"payments": msgpack.packb([["an id in text", 1990, NOW_MS]])},
        {"payments": msgpack.packb([[ID, "19.90", NOW_MS]])},
        {"payments": msgpack.packb([[ID, 19.9, NOW_MS]])},
        {"payments": msgpack.packb([[ID, 1990, None]])},
        {"payments": msgpack.packb([[ID, 1990, NOW_MS]])[:-1]},
        {"payments": msgpack.packb([[ID, 1990, NOW_MS]]) + b"\x00"},
        {"payments": msgpack.packb({(1, 2): 3})},
        {"payments": msgpack.packb("a")[:1] + b"\xff"},
        {"payments": b"\x91" * 5000},
    ],
    ids=lambda fields: repr(fields)[:60],
)
def test_garbage_is_skipped_and_stops_nothing_later(
    channel: RedisPeerChannel, client: "redis.Redis", fields: dict[bytes | str, bytes | str]
) -> None:
    channel.tell(some(1))
    client.xadd(KEY, dict(fields))  # type: ignore[arg-type]  # its key type is invariant
    channel.tell(some(1, first=1))
    assert channel.hear() == some(2)
    assert channel.hear() == []


def test_a_whole_call_of_garbage_stops_nothing_later(channel: RedisPeerChannel, client: "redis.Redis") -> None:
    for _ in range(ENTRIES_AT_ONCE):
        client.xadd(KEY, {"payments": b"\xc1"})
    channel.tell(some(1))
    assert (channel.hear(), channel.hear()) == ([], some(1))


def test_the_stream_ends_by_itself_some_time_after_the_last_was_told(
    channel: RedisPeerChannel, client: "redis.Redis"
) -> None:
    for number in range(2):
        client.persist(KEY)
        channel.tell([payment(number)])
        ttl_ms = client.pttl(KEY)
        assert isinstance(ttl_ms, int)
        assert 0 < ttl_ms <= TTL_S * 1000
    assert list(client.scan_iter()) == [KEY.encode()]


def test_the_stream_keeps_the_latest_and_no_more(
    channel: RedisPeerChannel, other: RedisPeerChannel, client: "redis.Redis"
) -> None:
    told = ENTRIES_MAX + 3 * ENTRIES_PER_NODE
    with client.pipeline() as pipeline:
        for number in range(told):
            one = payment(number)
            entry = msgpack.packb([(one.correlation_id.bytes, one.amount_minor, one.accepted_at_ms)])
            pipeline.xadd(KEY, {"payments": entry})
        pipeline.execute()
    channel.tell([payment(told)])
    heard = hear_all(other)
    assert ENTRIES_MAX <= len(heard) <= ENTRIES_MAX + ENTRIES_PER_NODE
    assert heard == some(len(heard), first=told + 1 - len(heard))


@pytest.mark.parametrize("listening", [False, True], ids=["refuses connections", "accepts and stays silent"])
def test_peers_behind_a_redis_that_is_gone_are_unavailable(listening: bool) -> None:  # noqa: FBT001  # a parameter
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listening:
            server.listen()
        with closing(RedisPeerChannel(f"redis://127.0.0.1:{server.getsockname()[1]}", GENERATION)) as channel:
            for call in (lambda: channel.tell(some(1)), channel.hear):
                with pytest.raises(PeersUnavailableError, match="Redis"):
                    call()


def put_a_string(client: "redis.Redis") -> None:
    client.set(KEY, "no stream")


def put_a_list(client: "redis.Redis") -> None:
    client.rpush(KEY, "no stream")


def put_the_greatest_id(client: "redis.Redis") -> None:
    client.xadd(KEY, {"no": "payments"}, id=f"{2**64 - 1}-{2**64 - 1}")


@pytest.mark.parametrize("put", [put_a_string, put_a_list, put_the_greatest_id])
@pytest.mark.parametrize("heard_first", [False, True])
def test_what_fiel_has_not_written_is_replaced(
    channel: RedisPeerChannel,
    other: RedisPeerChannel,
    client: "redis.Redis",
    put: Callable[["redis.Redis"], None],
    *,
    heard_first: bool,
) -> None:
    channel.tell(some(1))
    assert (channel.hear(), other.hear()) == (some(1), some(1))
    client.delete(KEY)
    put(client)
    if heard_first:
        other.hear()
    channel.tell(some(1, first=1))
    assert (channel.hear(), other.hear()) == (some(1, first=1), some(1, first=1))


def test_a_redis_that_cannot_be_written_is_said_to_be_without_what_was_to_be_written(
    channel: RedisPeerChannel, client: "redis.Redis"
) -> None:
    client.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(PeersUnavailableError, match=r"^Redis: You can't write against a read only replica"):
            channel.tell(some(1))
    finally:
        client.replicaof("NO", "ONE")


def test_after_a_lost_connection_all_that_was_missed_is_heard_once(
    channel: RedisPeerChannel, other: RedisPeerChannel, client: "redis.Redis"
) -> None:
    channel.tell(some(1))
    assert other.hear() == some(1)
    channel.tell(some(1, first=1))
    client.client_kill_filter(_type="normal", skipme=True)
    heard: list[Payment] = []
    with suppress(PeersUnavailableError):
        heard += other.hear()
    assert heard + hear_all(other) == some(1, first=1)
