"""Totals are exact within their bounds, and tell how far they are final."""

import json
from dataclasses import replace

import psycopg
import pytest

from actors.adapters.postgres.queries import QUERIES
from actors.adapters.postgres.summary import INSTANT_MS_MIN
from actors.domain.money import Money
from actors.domain.payment import Settlement
from actors.domain.records import NEVER_MS, NOTHING_MISSING, ProcessorTotal, Watermarks
from actors.domain.spans import EXACT_MS
from tests.actors.adapters.postgres.storage import (
    MANY,
    ReplicaStorage,
    claim,
    expel,
    on_postgres,
    record_of,
    settlement,
)
from tests.actors.fakes import NOW_MS, READING, both, payment


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "numbers"),
    [
        (None, None, {1, 2, 3}),
        (NOW_MS, NOW_MS + 2, {1, 2, 3}),
        (NOW_MS + 1, NOW_MS + 1, {2}),
        (NOW_MS + 1, None, {2, 3}),
        (None, NOW_MS + 1, {1, 2}),
        (NOW_MS + 3, None, set()),
        (None, NOW_MS - 1, set()),
        (NOW_MS + 2, NOW_MS, set()),
    ],
)
def test_both_bounds_are_inclusive_and_optional(
    mine: ReplicaStorage, from_ms: int | None, to_ms: int | None, numbers: set[int]
) -> None:
    cents = {1: 1, 2: 10, 3: 100}
    mine.payments.write([claim(number, amount_minor=cents[number]) for number in cents], [], [])
    mine.payments.write(
        [],
        [],
        [settlement(number, requested_at_ms=NOW_MS + number - 1, amount_minor=cents[number]) for number in cents],
    )
    amount = Money(sum(cents[number] for number in numbers), "BRL")
    expected = (ProcessorTotal("default", len(numbers), amount),) if numbers else ()
    assert mine.payments.summary(from_ms, to_ms).totals == expected


def test_each_processor_is_summed_up_exactly(mine: ReplicaStorage) -> None:
    charged = [
        settlement(number, "even" if number % 2 == 0 else "odd", amount_minor=10**14 - number) for number in range(100)
    ]
    mine.payments.write([], [], charged)
    assert set(mine.payments.summary(None, None).totals) == {
        ProcessorTotal("even", 50, Money(50 * 10**14 - sum(range(0, 100, 2)), "BRL")),
        ProcessorTotal("odd", 50, Money(50 * 10**14 - sum(range(1, 100, 2)), "BRL")),
    }


def test_a_sum_that_no_integer_of_postgres_holds_is_exact(mine: ReplicaStorage) -> None:
    charged = [Settlement(payment(number, 10**16, "CLF"), "default", NOW_MS, 1, NOW_MS) for number in range(1000)]
    mine.payments.write([], [], charged)
    assert mine.payments.summary(None, None).totals == (ProcessorTotal("default", 1000, Money(10**19, "CLF")),)


def test_what_is_not_settled_is_not_summed_up(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    assert mine.payments.summary(None, None).totals == ()


def test_before_the_first_replica_has_joined_nothing_is_final(newcomer: ReplicaStorage) -> None:
    assert newcomer.payments.summary(None, None).final_before_ms <= INSTANT_MS_MIN + 1


def test_without_replicas_nothing_is_missing(newcomer: ReplicaStorage) -> None:
    assert newcomer.payments.watermarks() == NOTHING_MISSING


def test_totals_are_final_up_to_the_lowest_watermark_of_those_that_live(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    epoch, other_epoch = mine.leases.register(0, READING).epoch, other.leases.register(0, READING).epoch
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS
    mine.leases.beat(epoch, both(NOW_MS + 500), READING)
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS
    other.leases.beat(other_epoch, both(NOW_MS + 300), READING)
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS + 300


def test_a_dead_replica_holds_totals_open_while_it_leaves_claims(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    other.leases.beat(other.leases.register(0, READING).epoch, both(NOW_MS - 500), READING)
    other.payments.write([claim(1)], [], [])
    expel(mine, "b")
    mine.leases.register(0, READING)
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS - 500
    mine.payments.write([], [], [settlement(1)])
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS


def test_a_retired_replica_holds_nothing_open_but_its_claims(mine: ReplicaStorage) -> None:
    epoch = mine.leases.register(0, READING).epoch
    mine.leases.beat(epoch, both(NOW_MS + 900), READING)
    mine.payments.write([claim(1)], [], [])
    mine.leases.retire(epoch, both(NOW_MS + 800))
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS + 800
    mine.payments.write([], [], [settlement(1)])
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS + 900


def test_what_nobody_has_published_is_not_final_although_all_have_retired(mine: ReplicaStorage) -> None:
    epoch = mine.leases.register(0, READING).epoch
    mine.leases.beat(epoch, both(NOW_MS + 900), READING)
    mine.leases.retire(epoch, both(NEVER_MS))
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS + 900


def test_what_was_answered_later_is_counted_apart(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(number) for number in (1, 2, 3)], [], [])
    settled = [replace(settlement(number), answered_at_ms=NOW_MS + number) for number in (1, 2, 3)]
    mine.payments.write([], [], settled)
    found = mine.payments.summary(None, None, NOW_MS + 2)
    assert (found.totals, found.left_out) == ((ProcessorTotal("default", 2, Money(2 * 1990, "BRL")),), 1)
    assert mine.payments.summary(None, NOW_MS - 1, NOW_MS).left_out == 0
    nothing = mine.payments.summary(None, None, NOW_MS)
    assert (nothing.totals, nothing.left_out) == ((), 3)
    everything = mine.payments.summary(None, None)
    assert (everything.totals[0].requests, everything.left_out) == (3, 0)
    assert mine.payments.payment(settled[0].correlation_id) == record_of(mine, 1)
    assert record_of(mine, 1).settlement == settled[0]


def test_answers_are_complete_up_to_the_lowest_watermark_of_those_that_have_claims(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    epoch, other_epoch = mine.leases.register(0, READING).epoch, other.leases.register(0, READING).epoch
    assert mine.payments.watermarks() == Watermarks(NOW_MS, NEVER_MS)
    mine.leases.beat(epoch, Watermarks(NOW_MS + 10, NOW_MS + 30), READING)
    other.leases.beat(other_epoch, Watermarks(NOW_MS + 11, NOW_MS + 20), READING)
    mine.payments.write([claim(1)], [], [])
    assert mine.payments.watermarks() == Watermarks(NOW_MS + 10, NOW_MS + 30)
    other.payments.write([claim(2)], [], [])
    assert mine.payments.watermarks() == Watermarks(NOW_MS + 10, NOW_MS + 20)
    mine.payments.write([], [], [settlement(1), settlement(2)])
    assert mine.payments.watermarks() == Watermarks(NOW_MS + 10, NEVER_MS)


def test_a_replica_that_starts_again_has_no_answer_complete_beyond_its_last_stamps(newcomer: ReplicaStorage) -> None:
    mine = newcomer
    mine.leases.beat(mine.leases.register(0, READING).epoch, Watermarks(NOW_MS - 500, NOW_MS + 300), READING)
    mine.payments.write([claim(1)], [], [])
    mine.leases.register(0, READING)
    assert mine.payments.watermarks() == both(NOW_MS - 500)


def test_answers_of_adopted_payments_are_complete_up_to_the_watermark_of_those_that_are_gone(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    other_epoch = other.leases.register(0, READING).epoch
    other.payments.write([claim(1)], [], [])
    other.leases.beat(other_epoch, Watermarks(NOW_MS - 500, NOW_MS + 300), READING)
    expel(mine, "b")
    mine.leases.beat(mine.leases.register(0, READING).epoch, both(NOW_MS + 400), READING)
    assert mine.leases.adopt(MANY) is not None
    assert mine.payments.watermarks() == both(NOW_MS - 500)


@on_postgres
def test_the_edges_of_a_summary_are_read_from_their_index_alone(mine: ReplicaStorage, database_url: str) -> None:
    mine.payments.write([claim(number) for number in range(1000)], [], [])
    mine.payments.write([], [], [settlement(number, requested_at_ms=NOW_MS + number) for number in range(1000)])
    edge = [{"width_ms": EXACT_MS, "from_ms": NOW_MS, "to_ms": NOW_MS + 10}]
    bounds = {"spans": json.dumps(edge), "answered_by_ms": NOW_MS}
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE settlement")
        plan = "\n".join(row[0] for row in connection.execute(b"EXPLAIN " + QUERIES["summary"], bounds))
    assert "Index Only Scan using settlement_1_requested_at" in plan


def test_an_answer_may_be_lost_with_the_registration_that_wrote_the_claim(mine: ReplicaStorage) -> None:
    epoch = mine.leases.register(0, READING).epoch
    mine.payments.write([claim(1)], [], [])
    mine.leases.beat(epoch, both(NOW_MS), READING)
    assert not mine.payments.may_lack_answers(NOW_MS)
    mine.leases.register(0, READING)
    assert [mine.payments.may_lack_answers(NOW_MS + each) for each in (-1, 0)] == [False, True]
    mine.payments.write([], [], [settlement(1)])
    assert not mine.payments.may_lack_answers(NOW_MS)
