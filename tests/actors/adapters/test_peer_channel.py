"""What one replica tells, every replica hears once; what nobody can read stops nobody."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Any
from uuid import UUID

import msgpack
import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.peer_channel import ENTRIES_MAX, HEARD_MAX, TTL_S, RedisPeerChannel
from actors.domain.history_questions import HistoryAnswer, HistoryQuestion, ToldHistory, ToldStep
from actors.domain.money import DECIMALS
from actors.domain.payment import Payment
from actors.domain.peers import PeerAnswer, PeerNews, PeerQuestion
from actors.errors import PeersUnavailableError
from tests.actors.fakes import NOW_MS, payment

GENERATION = 5
KEY = "accepted:5"
ID = payment(0).correlation_id.bytes
ENTRIES_PER_NODE = 100
"""What Redis stores together, and trims together when the length is approximate."""


@pytest.fixture
def channel(redis_url: str) -> Iterator[RedisPeerChannel]:
    with closing(RedisPeerChannel(redis_url, HostDirectory(), GENERATION)) as channel:
        yield channel


@pytest.fixture
def other(redis_url: str) -> Iterator[RedisPeerChannel]:
    """The channel of another replica."""
    with closing(RedisPeerChannel(redis_url, HostDirectory(), GENERATION)) as other:
        yield other


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    """Redis as somebody else sees it."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


def some(count: int, first: int = 0) -> list[Payment]:
    return [payment(number) for number in range(first, first + count)]


def tell(channel: RedisPeerChannel, accepted: Sequence[Payment]) -> None:
    channel.tell(PeerNews("1", tuple(accepted)))


def hear(channel: RedisPeerChannel) -> list[Payment]:
    """Hear once which payments were accepted."""
    return [payment for news in channel.hear() for payment in news.accepted]


def hear_all(channel: RedisPeerChannel) -> list[Payment]:
    """Hear until nothing more is told."""
    payments: list[Payment] = []
    while heard := hear(channel):
        payments += heard
    return payments


def test_nothing_told_is_nothing_heard(channel: RedisPeerChannel) -> None:
    assert hear(channel) == []


def test_every_replica_hears_all_once_in_order_its_own_included(
    channel: RedisPeerChannel, other: RedisPeerChannel
) -> None:
    tell(channel, some(2))
    tell(other, some(1, first=2))
    assert (hear(channel), hear(other)) == (some(3), some(3))
    assert (hear(channel), hear(other)) == ([], [])
    tell(channel, some(1, first=3))
    assert (hear(channel), hear(other)) == (some(1, first=3), some(1, first=3))


def test_a_payment_is_heard_as_it_was_told(channel: RedisPeerChannel) -> None:
    told = [Payment(UUID(int=2**128 - 1), 10**14, NOW_MS), Payment(UUID(int=0), 1, 0, "JPY")]
    tell(channel, told)
    assert hear(channel) == told


def test_an_entry_of_a_release_without_currencies_is_heard_in_reais_and_can_read_those_in_reais(
    channel: RedisPeerChannel, client: "redis.Redis"
) -> None:
    entry = {"payments": msgpack.packb([(ID, 1990, NOW_MS)])}
    client.xadd(KEY, entry)  # type: ignore[arg-type]  # redis' types name no such mapping
    assert hear(channel) == [Payment(UUID(bytes=ID), 1990, NOW_MS, "BRL")]
    tell(channel, [Payment(UUID(bytes=ID), 1990, NOW_MS, "BRL")])
    entries: Any = client.xrange(KEY)
    assert entries[1][1] == {b"replica": b"1", b"payments": entry["payments"]}


class Earlier(msgspec.Struct, array_like=True):
    """A payment as the release before reads it."""

    id_bytes: bytes
    amount_minor: int
    accepted_at_ms: int
    currency: str = "BRL"


def test_what_postgres_decided_is_heard_apart_and_read_as_accepted_by_the_release_before(
    channel: RedisPeerChannel, client: "redis.Redis"
) -> None:
    news = PeerNews("1", (payment(0, 5),), (payment(1, 7), payment(2, 9, "JPY")))
    channel.tell(news)
    assert list(channel.hear()) == [news]
    entries: Any = client.xrange(KEY)
    read = msgspec.convert(msgpack.unpackb(entries[0][1][b"payments"]), list[Earlier])
    assert [(each.amount_minor, each.currency) for each in read] == [(5, "BRL"), (7, "BRL"), (9, "JPY")]


def test_questions_and_answers_are_heard_as_they_were_told_and_without_a_payment_there_is_none_to_read(
    channel: RedisPeerChannel, other: RedisPeerChannel, client: "redis.Redis"
) -> None:
    question = PeerNews("1", question=PeerQuestion("1", NOW_MS, (UUID(int=1), UUID(int=2))))
    answer = PeerNews("two", answers=(PeerAnswer("1", NOW_MS, (UUID(int=1),)), PeerAnswer("3", 7, ())))
    channel.tell(question)
    other.tell(answer)
    assert list(channel.hear()) == [question, answer]
    entries: Any = client.xrange(KEY)
    assert [b"payments" in fields for _, fields in entries] == [False, False]


def test_ways_of_payments_are_asked_for_and_told_as_they_are(channel: RedisPeerChannel) -> None:
    steps = (ToldStep(NOW_MS, "sent", "default"), ToldStep(NOW_MS + 5, "left to another replica", None))
    asked = PeerNews("1", histories_asked=(HistoryQuestion("1", NOW_MS, UUID(int=1)),))
    known, unknown = ToldHistory("2", steps, "a commit"), ToldHistory("2", (), None)
    told = PeerNews("2", histories=(HistoryAnswer("1", NOW_MS, known), HistoryAnswer("1", 7, unknown)))
    channel.tell(asked)
    channel.tell(told)
    assert list(channel.hear()) == [asked, told]


@pytest.mark.parametrize(
    "fields",
    [
        {"ways_asked": msgpack.packb([(1, ID[:-1])])},
        {"ways": msgpack.packb([("1", 1, [[(NOW_MS, "sent")], None])])},
        {"replica": b"\xff", "question": msgpack.packb((1, [ID[:-1]]))},
        {"question": msgpack.packb((1, 2, 3))},
        {"question": b"\xc1"},
        {"answers": msgpack.packb([("1", 1, [7])])},
        {"answers": msgpack.packb([("1", "1", [])])},
    ],
    ids=lambda fields: repr(fields)[:60],
)
def test_questions_and_answers_in_another_form_are_skipped(
    channel: RedisPeerChannel, client: "redis.Redis", fields: dict[bytes | str, bytes | str]
) -> None:
    client.xadd(KEY, {"payments": msgpack.packb([(ID, 1990, NOW_MS)]), **fields})  # type: ignore[dict-item]  # its key type is invariant
    tell(channel, some(1, first=1))
    assert hear(channel) == [Payment(UUID(bytes=ID), 1990, NOW_MS), *some(1, first=1)]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.tuples(st.uuids(), st.integers(1, 10**16), st.sampled_from(list(DECIMALS))), min_size=1))
def test_payments_in_any_currency_are_heard_as_they_were_told(
    channel: RedisPeerChannel, fields: list[tuple[UUID, int, str]]
) -> None:
    told = [Payment(correlation_id, minor, NOW_MS, code) for correlation_id, minor, code in fields]
    tell(channel, told)
    assert hear(channel) == told


def test_a_replica_that_starts_later_hears_what_was_told_lately(redis_url: str, channel: RedisPeerChannel) -> None:
    tell(channel, some(3))
    with closing(RedisPeerChannel(redis_url, HostDirectory(), GENERATION)) as late:
        assert hear(late) == some(3)


def test_what_is_too_much_for_one_call_is_heard_with_the_next(
    channel: RedisPeerChannel, other: RedisPeerChannel
) -> None:
    for number in range(HEARD_MAX + 1):
        tell(channel, [payment(number)])
    assert hear(other) == some(HEARD_MAX)
    assert hear(other) == some(1, first=HEARD_MAX)


def test_generations_are_apart(redis_url: str, channel: RedisPeerChannel) -> None:
    tell(channel, some(1))
    with closing(RedisPeerChannel(redis_url, HostDirectory(), GENERATION + 1)) as later:
        assert hear(later) == []
        tell(later, some(1, first=1))
        assert (hear(channel), hear(later)) == (some(1), some(1, first=1))


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
        {"payments": msgpack.packb([[ID, 0, NOW_MS]])},
        {"payments": msgpack.packb([[ID, -5, NOW_MS]])},
        {"payments": msgpack.packb([[ID, 2**63, NOW_MS]])},
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
    tell(channel, some(1))
    client.xadd(KEY, dict(fields))  # type: ignore[arg-type]  # its key type is invariant
    tell(channel, some(1, first=1))
    assert hear(channel) == some(2)
    assert hear(channel) == []


def test_a_whole_call_of_garbage_stops_nothing_later(channel: RedisPeerChannel, client: "redis.Redis") -> None:
    for _ in range(HEARD_MAX):
        client.xadd(KEY, {"payments": b"\xc1"})
    tell(channel, some(1))
    assert (hear(channel), hear(channel)) == ([], some(1))


def test_the_stream_ends_by_itself_some_time_after_the_last_was_told(
    channel: RedisPeerChannel, client: "redis.Redis"
) -> None:
    for number in range(2):
        client.persist(KEY)
        tell(channel, [payment(number)])
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
    tell(channel, [payment(told)])
    heard = hear_all(other)
    assert ENTRIES_MAX <= len(heard) <= ENTRIES_MAX + ENTRIES_PER_NODE
    assert heard == some(len(heard), first=told + 1 - len(heard))


@pytest.mark.parametrize("listening", [False, True], ids=["refuses connections", "accepts and stays silent"])
def test_peers_behind_a_redis_that_is_gone_are_unavailable(listening: bool) -> None:  # noqa: FBT001  # a parameter
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listening:
            server.listen()
        with closing(
            RedisPeerChannel(f"redis://127.0.0.1:{server.getsockname()[1]}", HostDirectory(), GENERATION)
        ) as channel:
            for call in (lambda: tell(channel, some(1)), lambda: hear(channel)):
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
    tell(channel, some(1))
    assert (hear(channel), hear(other)) == (some(1), some(1))
    client.delete(KEY)
    put(client)
    if heard_first:
        list(other.hear())
    tell(channel, some(1, first=1))
    assert (hear(channel), hear(other)) == (some(1, first=1), some(1, first=1))


def test_a_redis_that_cannot_be_written_is_said_to_be_without_what_was_to_be_written(
    channel: RedisPeerChannel, client: "redis.Redis"
) -> None:
    client.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(PeersUnavailableError, match=r"^Redis: You can't write against a read only replica"):
            tell(channel, some(1))
    finally:
        client.replicaof("NO", "ONE")


def test_after_a_lost_connection_all_that_was_missed_is_heard_once(
    channel: RedisPeerChannel, other: RedisPeerChannel, client: "redis.Redis"
) -> None:
    tell(channel, some(1))
    assert hear(other) == some(1)
    tell(channel, some(1, first=1))
    client.client_kill_filter(_type="normal", skipme=True)
    heard: list[Payment] = []
    with suppress(PeersUnavailableError):
        heard += hear(other)
    assert heard + hear_all(other) == some(1, first=1)
