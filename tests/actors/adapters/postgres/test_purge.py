"""A purge empties everything once, when no living replica holds anything older than it."""

import pytest

from actors.domain.money import Money
from actors.domain.payment import Move
from actors.domain.records import Beat, ProcessorTotal
from actors.errors import LedgerUnavailableError
from tests.actors.adapters.postgres.storage import (
    LEASE_S,
    MANY,
    ReplicaStorage,
    charge,
    claim,
    ended,
    record_of,
    settlement,
    uid,
)
from tests.actors.fakes import NOW_MS, payment


def test_a_purge_is_seen_by_everybody_at_once(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    epoch = other.leases.register(0, LEASE_S).epoch
    assert mine.purge.generation() == 0
    assert mine.purge.begin_purge() == 1
    assert (mine.purge.generation(), other.leases.beat(epoch, LEASE_S, NOW_MS)) == (1, Beat(renewed=True, generation=1))
    assert mine.leases.register(0, LEASE_S).generation == 1


def test_a_purge_waits_until_every_living_replica_holds_nothing_older(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    for replica in (mine, other):
        replica.leases.register(0, LEASE_S)
    charge(mine, 1)
    mine.payments.write([claim(2)], [], [])
    mine.payments.report_conflicts([payment(2, 5)])
    generation = mine.purge.begin_purge()
    assert not mine.purge.finish_purge(generation)
    mine.purge.acknowledge_purge(generation)
    assert not mine.purge.finish_purge(generation)
    assert mine.payments.summary(None, None).totals == (ProcessorTotal("default", 1, Money(1990, "BRL")),)
    other.purge.acknowledge_purge(generation)
    assert mine.purge.finish_purge(generation)
    assert (mine.payments.payment(uid(1)), mine.payments.payment(uid(2)), mine.leases.claims(MANY)) == (None, None, ())
    assert mine.payments.summary(None, None).totals == ()
    mine.payments.write([claim(2)], [], [])
    assert record_of(mine, 2).conflicting_amounts == ()


def test_a_purge_does_not_wait_for_the_dead(newcomer: ReplicaStorage, other: ReplicaStorage) -> None:
    other.leases.register(0, 0)
    charge(other, 1)
    assert newcomer.purge.finish_purge(newcomer.purge.begin_purge())
    assert newcomer.payments.payment(uid(1)) is None


def test_who_slept_through_a_purge_brings_nothing_back(newcomer: ReplicaStorage, other: ReplicaStorage) -> None:
    epoch = other.leases.register(0, 0).epoch
    other.payments.write([claim(1)], [], [])
    generation = newcomer.purge.begin_purge()
    assert newcomer.purge.finish_purge(generation)
    assert not other.leases.beat(epoch, LEASE_S, NOW_MS).renewed
    with pytest.raises(LedgerUnavailableError):
        other.payments.write([claim(1)], [Move(uid(1), "fallback", 1, moves=1)], [settlement(1)])
    for settlements, closings in (([settlement(1)], []), ([], [ended(1)])):
        with pytest.raises(LedgerUnavailableError):
            other.payments.write([], [], settlements, closings)
    assert (newcomer.payments.payment(uid(1)), newcomer.payments.summary(None, None).totals) == (None, ())
    other.leases.register(generation, LEASE_S)
    assert other.payments.write([claim(1)], [], []).claimed == (uid(1),)


def test_who_acknowledged_a_purge_goes_on_under_its_registration(mine: ReplicaStorage) -> None:
    epoch = mine.leases.register(0, LEASE_S).epoch
    generation = mine.purge.begin_purge()
    mine.purge.acknowledge_purge(generation)
    assert mine.purge.finish_purge(generation)
    assert mine.payments.write([claim(1)], [], []).claimed == (uid(1),)
    assert mine.leases.beat(epoch, LEASE_S, NOW_MS) == Beat(renewed=True, generation=generation)


def test_a_purge_waits_for_who_returns_with_something_older(
    newcomer: ReplicaStorage, other_newcomer: ReplicaStorage
) -> None:
    generation = newcomer.purge.begin_purge()
    other_newcomer.leases.register(0, LEASE_S)
    assert not newcomer.purge.finish_purge(generation)
    other_newcomer.leases.register(generation, LEASE_S)
    assert newcomer.purge.finish_purge(generation)


def test_a_finished_purge_empties_nothing_again(newcomer: ReplicaStorage, other_newcomer: ReplicaStorage) -> None:
    generation = newcomer.purge.begin_purge()
    assert newcomer.purge.finish_purge(generation)
    newcomer.leases.register(generation, LEASE_S)
    charge(newcomer, 1)
    assert other_newcomer.purge.finish_purge(generation)
    assert newcomer.payments.payment(uid(1)) is not None


def test_an_earlier_purge_is_over_with_a_later_one(newcomer: ReplicaStorage) -> None:
    first, second = newcomer.purge.begin_purge(), newcomer.purge.begin_purge()
    assert newcomer.purge.finish_purge(second)
    newcomer.leases.register(second, LEASE_S)
    charge(newcomer, 1)
    assert newcomer.purge.finish_purge(first)
    assert newcomer.payments.payment(uid(1)) is not None
    assert newcomer.purge.begin_purge() == 3
