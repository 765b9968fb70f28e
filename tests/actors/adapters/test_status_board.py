"""How replicas are is read as it was told, for minutes after the end of who told it; nothing foreign stops anybody."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import msgpack
import pytest
import redis

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.status_board import HAPPENINGS_KEY, HAPPENINGS_MAX, REPLICAS_KEY, TTL_S, RedisStatusBoard
from actors.domain.happenings import Happening
from actors.domain.replica_status import HealthTold
from actors.domain.seconds import KEPT_S
from actors.errors import StatusUnavailableError
from tests.actors.watching import CALM, NOW_MS, WORKING, changed, second

START = Happening(NOW_MS, "1", "replica", "good", "replica 1 started")


@pytest.fixture
def board(redis_url: str) -> Iterator[RedisStatusBoard]:
    with closing(RedisStatusBoard(redis_url, HostDirectory(), "1")) as board:
        yield board


@pytest.fixture
def other(redis_url: str) -> Iterator[RedisStatusBoard]:
    with closing(RedisStatusBoard(redis_url, HostDirectory(), "2")) as other:
        yield other


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def test_all_that_one_replica_tells_another_reads(board: RedisStatusBoard, other: RedisStatusBoard) -> None:
    health = HealthTold(failing=False, response_time_s_min=0.1, at_ms=NOW_MS)
    status = changed(processors={"default": replace(WORKING, health=health, latency_s=None)}, memory_bytes_max=1)
    seconds = [second(1, 5, down=("default",), latency_ms={"default": None}), second(2, waiting=None)]
    board.tell(status, seconds, [START])
    other.tell(replace(CALM, replica="2"), [], [])
    shared = other.hear(10)
    assert [each.status for each in shared.heard] == [status, replace(CALM, replica="2")]
    assert all(0 <= each.silent_for_s < 60 for each in shared.heard)
    assert (shared.seconds, shared.happenings) == ({"1": tuple(seconds), "2": ()}, (START,))


def test_no_more_is_kept_than_is_shown_and_no_more_read_than_wanted(
    board: RedisStatusBoard, client: "redis.Redis"
) -> None:
    board.tell(CALM, [second(number) for number in range(KEPT_S + 5)], [START] * (HAPPENINGS_MAX + 5))
    shared = board.hear(KEPT_S + 5)
    assert [each.at_s for each in shared.seconds["1"]] == list(range(5, KEPT_S + 5))
    assert len(shared.happenings) == HAPPENINGS_MAX
    assert [each.at_s for each in board.hear(2).seconds["1"]] == [KEPT_S + 3, KEPT_S + 4]
    assert all(0 < client.ttl(key) <= TTL_S for key in client.keys("status:*"))


def test_what_another_version_or_somebody_else_wrote_counts_as_absent(
    board: RedisStatusBoard, client: "redis.Redis"
) -> None:
    board.tell(CALM, [second(1)], [START])
    client.rpush("status:seconds:1", msgpack.packb([1, 2]), b"\xc1")
    client.rpush(HAPPENINGS_KEY, b"\xc1")
    client.sadd(REPLICAS_KEY, "9")
    client.set("status:of:9", msgpack.packb({"replica": "9"}), ex=5)
    shared = board.hear(10)
    assert [each.status.replica for each in shared.heard] == ["1"]
    assert (shared.seconds, shared.happenings) == ({"1": (second(1),), "9": ()}, (START,))


def test_the_name_of_who_has_told_nothing_for_long_is_forgotten(board: RedisStatusBoard, client: "redis.Redis") -> None:
    board.tell(CALM, [], [])
    client.sadd(REPLICAS_KEY, "gone")
    assert [each.status.replica for each in board.hear(1).heard] == ["1"]
    assert client.smembers(REPLICAS_KEY) == {b"1"}


@pytest.mark.parametrize("key", [REPLICAS_KEY, HAPPENINGS_KEY, "status:seconds:1"])
def test_a_key_of_another_kind_is_replaced(board: RedisStatusBoard, client: "redis.Redis", key: str) -> None:
    client.set(key, "foreign")
    board.tell(CALM, [second(1)], [START])
    assert [each.status for each in board.hear(10).heard] == [CALM]
    client.delete(key)
    client.set(key, "foreign")
    board.hear(10)
    board.tell(CALM, [second(2)], [])
    assert [each.status for each in board.hear(10).heard] == [CALM]


def test_nothing_is_heard_of_who_has_left_but_that_it_has(board: RedisStatusBoard, other: RedisStatusBoard) -> None:
    board.tell(CALM, [], [START])
    ended = Happening(NOW_MS + 1, "1", "replica", "warn", "replica 1 ended")
    board.leave(ended)
    shared = other.hear(1)
    assert (shared.heard, shared.happenings) == ((), (START, ended))


def test_without_redis_it_says_so() -> None:
    with closing(RedisStatusBoard("redis://127.0.0.1:1/0", HostDirectory(), "1")) as board:
        with pytest.raises(StatusUnavailableError, match="Redis"):
            board.tell(CALM, [], [])
        with pytest.raises(StatusUnavailableError, match="Redis"):
            board.hear(1)
