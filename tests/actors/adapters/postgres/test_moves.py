"""A claim names what its moves have come to, forwards alone, whatever is tried again and arrives late."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from actors.adapters.postgres.queries import QUERIES
from actors.domain.payment import Claim, Move
from actors.domain.records import KnownPayment, WriteResult
from tests.actors.adapters.postgres.storage import (
    DEADLINE_S,
    MANY,
    NOTHING,
    OpenStorage,
    ReplicaStorage,
    claim,
    on_postgres,
    record_of,
    uid,
    wait_until_blocked,
)
from tests.actors.fakes import NOW_MS, READING, both, payment


def moved(*numbers: int) -> WriteResult:
    return WriteResult((), (), tuple(uid(number) for number in numbers))


def test_a_row_counts_its_moves(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    for moves, processor in ((1, "fallback"), (2, None), (3, "default")):
        assert mine.payments.write([], [Move(uid(1), processor, moves + 4, moves)], []) == moved(1)
        assert mine.leases.claims(MANY) == (claim(1, processor, attempts=moves + 4, moves=moves),)


def test_a_row_that_names_no_processor_is_known_and_shown_as_such(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    mine.payments.write([], [Move(uid(1), None, 0, moves=1)], [])
    (known,) = other.payments.write([claim(1)], [], []).known
    assert known == KnownPayment(payment(1), "a", None, moves=1, attempts=0, oldest_stamp_ms=NOW_MS)
    assert record_of(mine, 1).processor is None


def test_a_move_that_was_applied_by_a_try_whose_answer_was_lost_has_taken_effect(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    for _ in range(2):
        assert mine.payments.write([], [Move(uid(1), "fallback", 1, moves=1)], []) == moved(1)


@pytest.mark.parametrize("late", [Move(uid(1), "fallback", 1, moves=1), Move(uid(1), "third", 1, moves=2)])
def test_a_move_that_arrives_after_later_ones_applies_no_more(mine: ReplicaStorage, late: Move) -> None:
    mine.payments.write([claim(1)], [], [])
    mine.payments.write([], [Move(uid(1), "fallback", 1, moves=1)], [])
    mine.payments.write([], [Move(uid(1), "default", 2, moves=2)], [])
    assert mine.payments.write([], [late], []) == NOTHING
    assert mine.leases.claims(MANY) == (claim(1, "default", attempts=2, moves=2),)


@on_postgres
def test_a_batch_that_postgres_executes_after_its_retry_and_a_later_one_changes_nothing(
    database_url: str, mine: ReplicaStorage
) -> None:
    mine.payments.write([claim(1)], [], [])
    moves = f'[{{"correlation_id":"{uid(1)}","processor":"fallback","attempts":1,"moves":1}}]'
    first: dict[str, Any] = {"replica": "a", "epoch": 1, "timeline": "", "moves": moves}
    mine.payments.write([], [Move(uid(1), "fallback", 1, moves=1)], [])
    mine.payments.write([], [Move(uid(1), "default", 2, moves=2)], [])
    with psycopg.connect(database_url) as late:
        assert late.execute(QUERIES["fence"], first).fetchone()
        assert late.execute(QUERIES["write_moves"], first).fetchall() == []
    assert mine.leases.claims(MANY) == (claim(1, "default", attempts=2, moves=2),)


@on_postgres
def test_a_row_that_is_taken_over_while_its_move_is_under_way_does_not_move(
    database_url: str, mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    mine.payments.write([claim(1), claim(2)], [], [])
    with ThreadPoolExecutor() as executor, psycopg.connect(database_url) as adopter:
        adopter.execute("UPDATE claim SET owner = 'b' WHERE correlation_id = %s", (uid(1),))
        moves = [Move(uid(number), "fallback", 1, moves=1) for number in (1, 2)]
        write = executor.submit(mine.payments.write, [], moves, [])
        wait_until_blocked(database_url, 1)
        adopter.commit()
        assert write.result(DEADLINE_S) == moved(2)
    assert (mine.leases.claims(MANY), other.leases.claims(MANY)) == (
        (claim(2, "fallback", attempts=1, moves=1),),
        (claim(1),),
    )


def test_a_row_of_an_earlier_try_is_claimed(mine: ReplicaStorage) -> None:
    for _ in range(2):
        assert mine.payments.write([claim(1), claim(2)], [], []) == WriteResult((uid(1), uid(2)), (), ())


@pytest.mark.parametrize(
    "offered",
    [
        claim(1, "fallback"),
        claim(1, amount_minor=5),
        Claim(payment(1, currency="JPY"), "default"),
    ],
)
def test_a_row_that_is_not_as_it_is_offered_was_there_before(mine: ReplicaStorage, offered: Claim) -> None:
    mine.payments.write([claim(1)], [], [])
    result = mine.payments.write([offered], [], [])
    assert result == WriteResult((), (KnownPayment(payment(1), "a", "default", 0, 0, NOW_MS),), ())


def test_a_row_that_has_moved_was_there_before(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    mine.payments.write([], [Move(uid(1), "fallback", 1, moves=1)], [])
    mine.payments.write([], [Move(uid(1), "default", 3, moves=2)], [])
    (known,) = mine.payments.write([claim(1)], [], []).known
    assert known == KnownPayment(payment(1), "a", "default", moves=2, attempts=3, oldest_stamp_ms=NOW_MS)


def test_a_row_of_an_earlier_registration_was_there_before_and_bears_the_watermark(
    open_storage: OpenStorage, mine: ReplicaStorage
) -> None:
    mine.payments.write([claim(1)], [], [])
    successor = open_storage("a")
    epoch = successor.leases.register(0, READING).epoch
    successor.leases.beat(epoch, both(NOW_MS - 3), READING)
    result = successor.payments.write([claim(2), claim(1)], [], [])
    assert result == WriteResult((uid(2),), (KnownPayment(payment(1), "a", "default", 0, 0, NOW_MS - 3),), ())
