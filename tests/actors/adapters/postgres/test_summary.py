"""Totals are exact within their bounds, and tell how far they are final."""

import pytest

from actors.adapters.postgres.payments import INSTANT_MS_MAX
from actors.domain.money import Money
from actors.domain.payment import Settlement
from actors.domain.records import ProcessorTotal
from tests.actors.adapters.postgres.storage import (
    LEASE_S,
    ReplicaStorage,
    claim,
    settlement,
)
from tests.actors.fakes import NOW_MS, payment


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
    charged = [Settlement(payment(number, 10**16, "CLF"), "default", NOW_MS, 1) for number in range(1000)]
    mine.payments.write([], [], charged)
    assert mine.payments.summary(None, None).totals == (ProcessorTotal("default", 1000, Money(10**19, "CLF")),)


def test_what_is_not_settled_is_not_summed_up(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    assert mine.payments.summary(None, None).totals == ()


def test_without_replicas_everything_is_final(newcomer: ReplicaStorage) -> None:
    assert newcomer.payments.summary(None, None).final_before_ms == INSTANT_MS_MAX


def test_totals_are_final_up_to_the_lowest_watermark_of_those_that_live(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    epoch, other_epoch = mine.leases.register(0, LEASE_S).epoch, other.leases.register(0, LEASE_S).epoch
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS
    mine.leases.beat(epoch, LEASE_S, NOW_MS + 500)
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS
    other.leases.beat(other_epoch, LEASE_S, NOW_MS + 300)
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS + 300


def test_a_dead_replica_holds_totals_open_while_it_leaves_claims(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    other.leases.beat(other.leases.register(0, LEASE_S).epoch, 0, NOW_MS - 500)
    mine.leases.register(0, LEASE_S)
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS
    other.payments.write([claim(1)], [], [])
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS - 500
    mine.payments.write([], [], [settlement(1)])
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS


def test_a_retired_replica_holds_nothing_open_but_its_claims(mine: ReplicaStorage) -> None:
    epoch = mine.leases.register(0, LEASE_S).epoch
    mine.leases.retire(epoch, NOW_MS + 800)
    assert mine.payments.summary(None, None).final_before_ms == INSTANT_MS_MAX
    mine.payments.write([claim(1)], [], [])
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS + 800
