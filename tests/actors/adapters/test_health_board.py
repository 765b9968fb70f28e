"""What replicas share of processors' health, in Redis and in memory alike; Redis may forget any of it at any time."""

import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, replace
from random import Random
from threading import Barrier

import msgpack
import msgspec
import pytest
import redis

from actors.adapters.health_board import (
    HEALTH_TTL_S,
    OPINION_TTL_S,
    REPLICAS_KEY,
    REPLICAS_TTL_S,
    SILENCES_MAX,
    RedisHealthBoard,
)
from actors.adapters.host_addresses import HostDirectory
from actors.domain.breaker import BreakerState
from actors.domain.quorum import Opinion, Order
from actors.domain.records import ProcessorHealth, SharedHealth
from actors.errors import HealthUnavailableError
from actors.ports import HealthBoard
from tests.actors.fakes import MemoryBoard

PROCESSORS = ("default", "fallback")
HEALTH = ProcessorHealth("default", failing=True, response_time_ms_min=120, asked_at_ms=1_752_582_896_700)
KEY = "processor:default:health"
PERIOD_S = 60.0
DEADLINE_S = 20
NOTHING = SharedHealth((), (), ())

Boards = Callable[[str], HealthBoard]
"""The board as the replica of this name has it."""


@pytest.fixture
def redis_boards(redis_url: str) -> Iterator[Callable[[str], RedisHealthBoard]]:
    with ExitStack() as stack:
        yield lambda replica: stack.enter_context(
            closing(RedisHealthBoard(redis_url, HostDirectory(), replica, PROCESSORS))
        )


@pytest.fixture(params=["Redis", "memory"])
def boards(request: pytest.FixtureRequest) -> Boards:
    if request.param == "Redis":
        made: Boards = request.getfixturevalue("redis_boards")
        return made
    shared = MemoryBoard(lambda: 1000.0)
    return lambda _: shared


@pytest.fixture
def board(redis_boards: Callable[[str], RedisHealthBoard]) -> RedisHealthBoard:
    return redis_boards("a")


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    """Redis as somebody else sees it."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


def opinion(replica: str, processor: str = "default", changed_s_ago: float | None = 5.0) -> Opinion:
    return Opinion(replica, processor, down=True, closed=False, changed_s_ago=changed_s_ago)


def told_by(board: HealthBoard, replica: str) -> set[str]:
    """Share an opinion and tell whose opinions are read."""
    return {each.replica for each in board.exchange([opinion(replica)]).opinions}


# What any board does.


def test_nothing_shared_is_nothing_read(boards: Boards) -> None:
    assert boards("a").exchange([]) == NOTHING


def test_what_one_replica_publishes_all_read_and_the_last_counts(boards: Boards) -> None:
    one, another = boards("a"), boards("b")
    older = replace(HEALTH, failing=False, asked_at_ms=1)
    other = ProcessorHealth("fallback", failing=False, response_time_ms_min=0, asked_at_ms=1)
    for health in (older, other, HEALTH):
        one.publish(health)
    for board in (one, another):
        assert sorted(board.exchange([]).answers, key=lambda each: each.processor) == [HEALTH, other]


def test_each_replica_reads_the_latest_opinions_of_the_others(boards: Boards) -> None:
    named = {name: boards(name) for name in "abc"}
    for changed_s_ago in (None, 5.0, 7.0):
        for name, board in named.items():
            shared = board.exchange([opinion(name, each, changed_s_ago) for each in PROCESSORS])
    read = {(each.replica, each.processor): each for each in shared.opinions}
    assert set(read) == {(name, each) for name in "ab" for each in PROCESSORS}
    for each in read.values():
        assert each.changed_s_ago == pytest.approx(7.0, abs=OPINION_TTL_S)
        assert replace(each, changed_s_ago=7.0) == opinion(each.replica, each.processor, 7.0)


@pytest.mark.parametrize(
    "order",
    [None, Order(None, 3), Order(BreakerState.FORCED_OPEN, 2**41), Order(BreakerState.FORCED_CLOSED, 0)],
    ids=repr,
)
def test_an_opinion_is_read_as_it_was_told(boards: Boards, order: Order | None) -> None:
    one, another = boards("a"), boards("b")
    told = replace(opinion("b", changed_s_ago=None), down=False, closed=True, order=order, delay_s=12.5)
    for _ in range(2):
        one.exchange([])
        another.exchange([told])
    assert one.exchange([opinion("a")]).opinions == (told,)


def test_a_poll_is_leased_once_and_everybody_sees_by_whom(boards: Boards) -> None:
    one, another = boards("a"), boards("b")
    token = one.may_poll("default", PERIOD_S)
    assert token
    assert another.may_poll("default", PERIOD_S) is None
    assert one.may_poll("default", PERIOD_S) is None
    for board in (one, another):
        (lease,) = board.exchange([]).polls
        assert (lease.processor, lease.token) == ("default", token)
        assert PERIOD_S - DEADLINE_S < lease.ends_s_in <= PERIOD_S
    assert another.may_poll("fallback", PERIOD_S) not in {None, token}


def test_a_probe_is_granted_once(boards: Boards) -> None:
    one, another = boards("a"), boards("b")
    assert [board.may_probe("default", PERIOD_S) for board in (one, another, one)] == [True, False, False]
    assert another.may_probe("fallback", PERIOD_S)
    assert one.exchange([]).polls == ()


# What lies in Redis.


def fill(board: RedisHealthBoard) -> None:
    """Share one of each kind."""
    board.publish(HEALTH)
    board.may_poll("default", PERIOD_S)
    board.may_probe("default", PERIOD_S)
    board.exchange([opinion("a")])


def test_everything_has_its_key_and_ends_by_itself(board: RedisHealthBoard, client: "redis.Redis") -> None:
    fill(board)
    ttls_s_max = {
        KEY: HEALTH_TTL_S,
        f"{KEY}:poll": PERIOD_S,
        f"{KEY}:probe": PERIOD_S,
        f"{KEY}:of:a": OPINION_TTL_S,
        REPLICAS_KEY: REPLICAS_TTL_S,
    }
    assert {key.decode() for key in client.scan_iter()} == set(ttls_s_max)
    for key, ttl_s_max in ttls_s_max.items():
        ttl_ms = client.pttl(key)
        assert isinstance(ttl_ms, int)
        assert 0 < ttl_ms <= ttl_s_max * 1000


def test_answers_and_opinions_are_messagepack(board: RedisHealthBoard, client: "redis.Redis") -> None:
    fill(board)
    board.exchange([replace(opinion("a"), order=Order(BreakerState.FORCED_OPEN, 7))])
    answer, told = client.get(KEY), client.get(f"{KEY}:of:a")
    assert isinstance(answer, bytes)
    assert isinstance(told, bytes)
    assert msgpack.unpackb(answer) == asdict(HEALTH)
    assert msgpack.unpackb(told) == {
        "replica": "a",
        "processor": "default",
        "down": True,
        "closed": False,
        "changed_s_ago": 5.0,
        "order": {"state": "forced-open", "given_at_ms": 7},
        "turns_away": False,
        "delay_s": 0.0,
    }


def test_an_opinion_ages_on_the_board(redis_boards: Callable[[str], RedisHealthBoard], client: "redis.Redis") -> None:
    one, another = redis_boards("a"), redis_boards("b")
    for _ in range(2):
        told_by(another, "b")
        told_by(one, "a")
    client.pexpire(f"{KEY}:of:b", 500)  # As it is after 1.5 s.
    (told,) = one.exchange([opinion("a")]).opinions
    assert told.changed_s_ago is not None
    assert 5.0 + 1.5 <= told.changed_s_ago <= 5.0 + OPINION_TTL_S


@pytest.mark.parametrize("name", ["poll", "probe", "of", "a-b_C9"])
def test_a_replica_may_have_any_name(redis_boards: Callable[[str], RedisHealthBoard], name: str) -> None:
    one, another = redis_boards("a"), redis_boards(name)
    for _ in range(2):
        told_by(one, "a")
        told_by(another, name)
    assert told_by(one, "a") == {name}
    assert another.may_poll("default", PERIOD_S)
    assert another.may_probe("default", PERIOD_S)


GARBAGE = [
    b"",
    b"\xc1",
    b"\xff\xfe\xfd",
    b"not messagepack",
    b"\xd6\xff\x00\x00\x00\x00",
    b"\x91" * 2000,
    msgpack.packb(None),
    msgpack.packb(7),
    msgpack.packb([]),
    msgpack.packb({}),
    msgpack.packb({1: 2}),
    msgpack.packb({"processor": "default"}),
]


@pytest.mark.parametrize(
    "data",
    [
        *GARBAGE,
        msgpack.packb(asdict(HEALTH))[:-1],
        msgpack.packb(asdict(HEALTH)) + b"\x00",
        msgpack.packb(asdict(HEALTH) | {"failing": "no"}),
        msgpack.packb(asdict(HEALTH) | {"response_time_ms_min": None}),
        msgpack.packb(asdict(HEALTH) | {"asked_at_ms": "now"}),
        msgpack.packb(asdict(HEALTH) | {"processor": "fallback"}),
    ],
    ids=lambda data: repr(data[:40]),
)
def test_an_answer_that_is_none_counts_as_not_there(
    board: RedisHealthBoard, client: "redis.Redis", data: bytes
) -> None:
    client.set(KEY, data)
    assert board.exchange([]).answers == ()


TOLD = msgspec.to_builtins(opinion("b"))


@pytest.mark.parametrize(
    "data",
    [
        *GARBAGE,
        msgpack.packb(TOLD | {"down": 1}),
        msgpack.packb(TOLD | {"changed_s_ago": "long"}),
        msgpack.packb(TOLD | {"order": {"state": "ajar", "given_at_ms": 1}}),
        msgpack.packb(TOLD | {"replica": "a"}),
        msgpack.packb(TOLD | {"processor": "fallback"}),
    ],
    ids=lambda data: repr(data[:40]),
)
def test_an_opinion_that_is_none_counts_as_not_there(
    board: RedisHealthBoard, client: "redis.Redis", data: bytes
) -> None:
    for _ in range(2):
        client.sadd(REPLICAS_KEY, "b")
        client.set(f"{KEY}:of:b", data, px=OPINION_TTL_S * 1000)
        shared = board.exchange([])
    assert shared.opinions == ()


def test_values_of_another_kind_do_no_harm(board: RedisHealthBoard, client: "redis.Redis") -> None:
    client.sadd(REPLICAS_KEY, b"\xff", "b")
    for key in (KEY, f"{KEY}:poll", f"{KEY}:of:b"):
        client.sadd(key, "strange")
    for _ in range(3):
        assert board.exchange([opinion("a")]) == NOTHING
    client.delete(f"{KEY}:poll")
    client.set(f"{KEY}:poll", b"\xff", ex=1)
    assert [lease.processor for lease in board.exchange([]).polls] == ["default"]


def test_names_of_replicas_that_are_gone_are_forgotten_and_one_that_is_back_is_heard(
    redis_boards: Callable[[str], RedisHealthBoard], client: "redis.Redis"
) -> None:
    one, another = redis_boards("a"), redis_boards("b")
    for _ in range(2):
        told_by(another, "b")
        told_by(one, "a")
    client.delete(f"{KEY}:of:b")
    for _ in range(SILENCES_MAX + 2):
        told_by(one, "a")
    assert client.smembers(REPLICAS_KEY) == {b"a"}
    told_by(another, "b")
    told_by(one, "a")
    assert told_by(one, "a") == {"b"}


def test_while_replicas_speak_the_list_of_them_may_vanish(
    redis_boards: Callable[[str], RedisHealthBoard], client: "redis.Redis"
) -> None:
    one, another = redis_boards("a"), redis_boards("b")
    for _ in range(2):
        told_by(another, "b")
        told_by(one, "a")
    client.delete(REPLICAS_KEY)
    assert [told_by(one, "a") for _ in range(2)] == [{"b"}, {"b"}]


def test_one_of_many_replicas_may_ask_in_a_period(redis_url: str) -> None:
    barrier = Barrier(8)

    def ask(replica: int) -> dict[str, bool]:
        with closing(RedisHealthBoard(redis_url, HostDirectory(), str(replica), PROCESSORS)) as board:
            board.ping()
            barrier.wait(DEADLINE_S)
            return {name: board.may_poll(name, PERIOD_S) is not None for name in PROCESSORS}

    with ThreadPoolExecutor(8) as executor:
        answers = list(executor.map(ask, range(8)))
    assert {name: sum(answer[name] for answer in answers) for name in PROCESSORS} == {"default": 1, "fallback": 1}


# What Redis may do.


def use(board: RedisHealthBoard, replica: str) -> None:
    board.publish(HEALTH)
    for name in PROCESSORS:
        board.may_poll(name, PERIOD_S)
        board.may_probe(name, PERIOD_S)
    board.exchange([opinion(replica, name) for name in PROCESSORS])


def assert_all_is_well(named: dict[str, RedisHealthBoard]) -> None:
    """After two exchanges everybody reads everything."""
    for _ in range(2):
        for name, board in named.items():
            use(board, name)
    for name, board in named.items():
        shared = board.exchange([opinion(name, each) for each in PROCESSORS])
        assert shared.answers == (HEALTH,)
        assert {each.replica for each in shared.opinions} == set(named) - {name}
        assert len(shared.opinions) == len(PROCESSORS) * (len(named) - 1)
        assert [lease.processor for lease in shared.polls] == list(PROCESSORS)


@pytest.mark.parametrize("seed", range(5))
def test_any_key_may_vanish_at_any_time(
    redis_boards: Callable[[str], RedisHealthBoard], client: "redis.Redis", seed: int
) -> None:
    rng = Random(seed)
    named = {name: redis_boards(name) for name in "abc"}
    for _ in range(60):
        name = rng.choice("abc")
        use(named[name], name)
        for key in sorted(client.scan_iter()):
            if rng.random() < 0.3:
                client.delete(key)
        if rng.random() < 0.1:
            client.flushall()
    assert_all_is_well(named)


def test_a_redis_that_is_full_and_evicts_does_no_harm(
    redis_boards: Callable[[str], RedisHealthBoard], client: "redis.Redis"
) -> None:
    named = {name: redis_boards(name) for name in "abc"}
    assert_all_is_well(named)
    before = client.config_get("maxmemory*")
    evicted = client.info("stats")["evicted_keys"]
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 300_000)
    try:
        for number in range(600):
            client.set(f"filler:{number}", bytes(4096))
            if number % 5 == 0:
                name = "abc"[number % 3]
                use(named[name], name)
        assert client.info("stats")["evicted_keys"] > evicted
    finally:
        client.config_set("maxmemory", str(before["maxmemory"]))
        client.config_set("maxmemory-policy", str(before["maxmemory-policy"]))
    assert_all_is_well(named)


@contextmanager
def full(client: "redis.Redis") -> Iterator[None]:
    before = client.config_get("maxmemory*")
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")
    try:
        yield
    finally:
        client.config_set("maxmemory", str(before["maxmemory"]))
        client.config_set("maxmemory-policy", str(before["maxmemory-policy"]))


@contextmanager
def read_only(client: "redis.Redis") -> Iterator[None]:
    client.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        client.replicaof("NO", "ONE")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (full, "Redis: command not allowed when used memory > 'maxmemory'"),
        (read_only, "Redis: You can't write against a read only replica"),
    ],
)
def test_a_redis_that_cannot_be_written_is_said_to_be_though_it_answers(
    redis_boards: Callable[[str], RedisHealthBoard],
    client: "redis.Redis",
    harm: Callable[["redis.Redis"], AbstractContextManager[None]],
    told: str,
) -> None:
    named = {name: redis_boards(name) for name in "ab"}
    assert_all_is_well(named)
    with harm(client):
        named["a"].ping()
        with pytest.raises(HealthUnavailableError, match=f"^{re.escape(told)}"):
            named["a"].exchange([opinion("a")])
    assert_all_is_well(named)


KEYS = (KEY, f"{KEY}:poll", f"{KEY}:probe", f"{KEY}:of:a", REPLICAS_KEY)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("kind", ["string", "list", "set", "hash"])
def test_what_fiel_has_not_written_is_replaced(
    redis_boards: Callable[[str], RedisHealthBoard], client: "redis.Redis", key: str, kind: str, *, ends: bool
) -> None:
    named = {name: redis_boards(name) for name in "abc"}
    assert_all_is_well(named)
    client.delete(key)
    match kind:
        case "string":
            client.set(key, "strange")
        case "list":
            client.rpush(key, "strange")
        case "set":
            client.sadd(key, "strange")
        case _:
            client.hset(key, "strange", "stranger")
    if ends:
        client.expire(key, 3600)
    assert_all_is_well(named)
    assert not named["a"].may_probe("default", PERIOD_S)


@pytest.mark.parametrize("listening", [False, True], ids=["refuses connections", "accepts and stays silent"])
def test_a_redis_that_is_gone_is_said_to_be(listening: bool) -> None:  # noqa: FBT001  # a parameter
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listening:
            server.listen()
        with closing(
            RedisHealthBoard(f"redis://127.0.0.1:{server.getsockname()[1]}", HostDirectory(), "a", PROCESSORS)
        ) as board:
            for call in (
                lambda: board.may_poll("default", PERIOD_S),
                lambda: board.may_probe("default", PERIOD_S),
                lambda: board.publish(HEALTH),
                lambda: board.exchange([opinion("a")]),
                board.ping,
            ):
                with pytest.raises(HealthUnavailableError, match="Redis"):
                    call()


def test_a_lost_connection_is_made_anew(board: RedisHealthBoard, client: "redis.Redis") -> None:
    board.publish(HEALTH)
    client.client_kill_filter(_type="normal", skipme=True)
    with suppress(HealthUnavailableError):
        board.exchange([])
    assert board.exchange([]).answers == (HEALTH,)
