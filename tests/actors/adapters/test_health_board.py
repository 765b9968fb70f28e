"""All replicas together ask a processor once in a period, and each reads what was answered."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict
from threading import Barrier

import msgpack
import pytest
import redis

from actors.adapters.health_board import HEALTH_TTL_S, RedisHealthBoard
from actors.errors import HealthUnavailableError
from actors.ports import ProcessorHealth

HEALTH = ProcessorHealth("default", failing=True, response_time_ms_min=120, asked_at_ms=1_752_582_896_700)
KEY = "processor:default:health"
PERIOD_S = 60.0
DEADLINE_S = 20


@pytest.fixture
def board(redis_url: str) -> Iterator[RedisHealthBoard]:
    with closing(RedisHealthBoard(redis_url, "a")) as board:
        yield board


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    """Redis as somebody else sees it."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


def test_what_one_replica_publishes_another_reads(redis_url: str, board: RedisHealthBoard) -> None:
    board.publish(HEALTH)
    with closing(RedisHealthBoard(redis_url, "b")) as other:
        assert other.read("default") == HEALTH


def test_each_processor_has_its_own_answer_and_the_last_one_counts(board: RedisHealthBoard) -> None:
    other, newer = (
        ProcessorHealth("fallback", failing=False, response_time_ms_min=0, asked_at_ms=1),
        ProcessorHealth("default", failing=False, response_time_ms_min=5, asked_at_ms=2),
    )
    for health in (HEALTH, other, newer):
        board.publish(health)
    assert (board.read("default"), board.read("fallback")) == (newer, other)


def test_nothing_published_is_nothing_read(board: RedisHealthBoard) -> None:
    assert board.read("default") is None


def test_an_answer_is_messagepack_with_a_time_to_live(board: RedisHealthBoard, client: "redis.Redis") -> None:
    board.publish(HEALTH)
    data = client.get(KEY)
    assert isinstance(data, bytes)
    assert msgpack.unpackb(data) == asdict(HEALTH)
    ttl_ms = client.pttl(KEY)
    assert isinstance(ttl_ms, int)
    assert 0 < ttl_ms <= HEALTH_TTL_S * 1000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\xff\xfe\xfd",
        b"not messagepack",
        msgpack.packb(None),
        msgpack.packb(7),
        msgpack.packb([]),
        msgpack.packb({}),
        msgpack.packb({1: 2}),
        msgpack.packb({"processor": "default"}),
        msgpack.packb(asdict(HEALTH))[:-1],
        msgpack.packb(asdict(HEALTH)) + b"\x00",
        msgpack.packb(asdict(HEALTH) | {"failing": "no"}),
        msgpack.packb(asdict(HEALTH) | {"response_time_ms_min": None}),
        msgpack.packb(asdict(HEALTH) | {"asked_at_ms": "now"}),
    ],
    ids=repr,
)
def test_garbage_counts_as_not_there(board: RedisHealthBoard, client: "redis.Redis", data: bytes) -> None:
    client.set(KEY, data)
    assert board.read("default") is None


def test_one_of_many_replicas_may_ask_in_a_period(redis_url: str) -> None:
    barrier = Barrier(8)

    def ask(replica: int) -> dict[str, bool]:
        with closing(RedisHealthBoard(redis_url, str(replica))) as board:
            board.ping()
            barrier.wait(DEADLINE_S)
            return {name: board.may_poll(name, PERIOD_S) for name in ("default", "fallback")}

    with ThreadPoolExecutor(8) as executor:
        answers = list(executor.map(ask, range(8)))
    assert {name: sum(answer[name] for answer in answers) for name in answers[0]} == {"default": 1, "fallback": 1}


def test_who_has_asked_may_not_ask_again_before_the_period_is_over(
    board: RedisHealthBoard, client: "redis.Redis"
) -> None:
    assert [board.may_poll("default", PERIOD_S) for _ in range(2)] == [True, False]
    (key,) = (key for key in client.scan_iter() if b"default" in key)
    ttl_ms = client.pttl(key)
    assert isinstance(ttl_ms, int)
    assert 0 < ttl_ms <= PERIOD_S * 1000 + 1000
    client.delete(key)
    assert board.may_poll("default", PERIOD_S)


def test_every_key_ends_by_itself(board: RedisHealthBoard, client: "redis.Redis") -> None:
    board.may_poll("default", PERIOD_S)
    board.publish(HEALTH)
    assert {client.pttl(key) == -1 for key in client.scan_iter()} == {False}


@pytest.mark.parametrize("listening", [False, True], ids=["refuses connections", "accepts and stays silent"])
def test_a_redis_that_is_gone_is_said_to_be(listening: bool) -> None:  # noqa: FBT001  # a parameter
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listening:
            server.listen()
        with closing(RedisHealthBoard(f"redis://127.0.0.1:{server.getsockname()[1]}", "a")) as board:
            for call in (
                lambda: board.may_poll("default", PERIOD_S),
                lambda: board.publish(HEALTH),
                lambda: board.read("default"),
                board.ping,
            ):
                with pytest.raises(HealthUnavailableError, match="Redis"):
                    call()


def test_a_lost_connection_is_made_anew(board: RedisHealthBoard, client: "redis.Redis") -> None:
    board.publish(HEALTH)
    client.client_kill_filter(_type="normal", skipme=True)
    with suppress(HealthUnavailableError):
        board.read("default")
    assert board.read("default") == HEALTH
