"""A purge empties everything once, when no living replica holds anything older than it."""

from dataclasses import replace

import psycopg
import pytest

from actors.adapters.postgres.connections import PURGE_S_MAX
from actors.adapters.postgres.queries import QUERIES, SCHEMA_VERSION
from actors.domain.money import Money
from actors.domain.payment import Claim, Move
from actors.domain.records import Beat, LastPurge, ProcessorTotal
from actors.errors import LedgerUnavailableError
from tests.actors.adapters.postgres.storage import (
    MANY,
    ReplicaStorage,
    charge,
    claim,
    ended,
    expel,
    on_postgres,
    opened,
    record_of,
    register_anew,
    settlement,
    uid,
)
from tests.actors.fakes import NOW_MS, READING, both, payment


def test_a_purge_is_seen_by_everybody_at_once(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    epoch = other.leases.register(0, READING).epoch
    assert mine.purge.last_purge().generation == 0
    assert mine.purge.begin_purge(NOW_MS) == LastPurge(1, NOW_MS)
    assert (mine.purge.last_purge().generation, other.leases.beat(epoch, both(NOW_MS), READING)) == (
        1,
        Beat(renewed=True, generation=1),
    )
    assert mine.leases.register(0, READING).generation == 1


def test_a_purge_waits_until_every_living_replica_holds_nothing_older(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    for replica in (mine, other):
        replica.leases.register(0, READING)
    charge(mine, 1)
    mine.payments.write([claim(2)], [], [])
    mine.payments.report_conflicts([payment(2, 5)])
    purge = mine.purge.begin_purge(NOW_MS)
    assert not mine.purge.finish_purge(purge)
    mine.purge.acknowledge_purge(purge.generation)
    assert not mine.purge.finish_purge(purge)
    assert mine.payments.summary(None, None).totals == (ProcessorTotal("default", 1, Money(1990, "BRL")),)
    other.purge.acknowledge_purge(purge.generation)
    assert mine.purge.finish_purge(purge)
    assert (mine.payments.payment(uid(1)), mine.payments.payment(uid(2)), mine.leases.claims(MANY)) == (None, None, ())
    assert mine.payments.summary(None, None).totals == ()
    register_anew(mine, purge)
    mine.payments.write([claim(2)], [], [])
    assert record_of(mine, 2).conflicting_amounts == ()


def test_a_finished_purge_waits_for_nobody(newcomer: ReplicaStorage, other_newcomer: ReplicaStorage) -> None:
    newcomer.leases.register(0, READING)
    purge = newcomer.purge.begin_purge(NOW_MS)
    newcomer.purge.acknowledge_purge(purge.generation)
    assert newcomer.purge.finish_purge(purge)
    # Another one, which has not heard of it, comes before all have seen that it is finished.
    other_newcomer.leases.register(0, READING)
    assert newcomer.purge.finish_purge(purge)


@on_postgres
def test_a_purge_may_take_long_and_is_the_last_to_be_called_finished(
    mine: ReplicaStorage, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = b"CREATE TABLE told AS SELECT current_setting('statement_timeout') AS limit_;"
    monkeypatch.setitem(QUERIES, "empty_tables", told + QUERIES["empty_tables"])
    purge = mine.purge.begin_purge(NOW_MS)
    assert mine.purge.finished_purge() == LastPurge(0, NOW_MS)
    mine.purge.acknowledge_purge(purge.generation)
    assert mine.purge.finish_purge(purge)
    assert mine.purge.finished_purge() == purge
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT limit_ FROM told").fetchone() == (f"{PURGE_S_MAX / 60:.0f}min",)
        # Only the three connections of every day are left.
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        (count,) = connection.execute(others).fetchone() or ()
        assert count <= 3


def test_a_purge_does_not_wait_for_the_dead(newcomer: ReplicaStorage, other: ReplicaStorage) -> None:
    other.leases.register(0, READING)
    charge(other, 1)
    expel(newcomer, "b")
    assert newcomer.purge.finish_purge(newcomer.purge.begin_purge(NOW_MS))
    assert newcomer.payments.payment(uid(1)) is None


def test_who_slept_through_a_purge_brings_nothing_back(newcomer: ReplicaStorage, other: ReplicaStorage) -> None:
    epoch = other.leases.register(0, READING).epoch
    other.payments.write([claim(1)], [], [])
    expel(newcomer, "b")
    purge = newcomer.purge.begin_purge(NOW_MS)
    assert newcomer.purge.finish_purge(purge)
    assert not other.leases.beat(epoch, both(NOW_MS), READING).renewed
    with pytest.raises(LedgerUnavailableError):
        other.payments.write([claim(1)], [Move(uid(1), "fallback", 1, moves=1)], [settlement(1)])
    for settlements, closings in (([settlement(1)], []), ([], [ended(1)])):
        with pytest.raises(LedgerUnavailableError):
            other.payments.write([], [], settlements, closings)
    assert (newcomer.payments.payment(uid(1)), newcomer.payments.summary(None, None).totals) == (None, ())
    register_anew(other, purge)
    assert other.payments.write([claim(1)], [], []).claimed == (uid(1),)


@pytest.mark.parametrize("is_finished", [False, True])
def test_what_was_sent_before_a_purge_was_acknowledged_takes_no_effect_after_it(
    mine: ReplicaStorage, *, is_finished: bool
) -> None:
    epoch = mine.leases.register(0, READING).epoch
    purge = mine.purge.begin_purge(NOW_MS)
    mine.purge.acknowledge_purge(purge.generation)
    if is_finished:
        assert mine.purge.finish_purge(purge)
    with pytest.raises(LedgerUnavailableError):
        mine.payments.write([claim(1)], [], [])
    with pytest.raises(LedgerUnavailableError):
        mine.payments.write([], [], [settlement(1)])
    with pytest.raises(LedgerUnavailableError):
        mine.payments.write([], [], [], [ended(1)])
    assert not mine.leases.beat(epoch, both(NOW_MS), READING).renewed
    assert mine.payments.summary(None, None).totals == ()


def test_who_acknowledged_a_purge_keeps_its_name(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    mine.leases.register(0, READING)
    purge = mine.purge.begin_purge(NOW_MS)
    for _ in range(2):  # The first answer may have been lost.
        mine.purge.acknowledge_purge(purge.generation)
    assert mine.leases.holder() is None
    assert [each.has_left for each in other.leases.others()] == [False]
    register_anew(mine, purge)
    assert mine.payments.write([claim(1)], [], []).claimed == (uid(1),)


def test_a_purge_waits_for_who_returns_with_something_older(
    newcomer: ReplicaStorage, other_newcomer: ReplicaStorage
) -> None:
    purge = newcomer.purge.begin_purge(NOW_MS)
    other_newcomer.leases.register(0, READING)
    assert not newcomer.purge.finish_purge(purge)
    other_newcomer.leases.register(purge.generation, READING)
    assert newcomer.purge.finish_purge(purge)


def test_a_finished_purge_empties_nothing_again(newcomer: ReplicaStorage, other_newcomer: ReplicaStorage) -> None:
    purge = newcomer.purge.begin_purge(NOW_MS)
    assert newcomer.purge.finish_purge(purge)
    newcomer.leases.register(purge.generation, READING)
    charge(newcomer, 1)
    assert other_newcomer.purge.finish_purge(purge)
    assert newcomer.payments.payment(uid(1)) is not None


def test_an_earlier_purge_is_over_with_a_later_one(newcomer: ReplicaStorage) -> None:
    first, second = newcomer.purge.begin_purge(NOW_MS), newcomer.purge.begin_purge(NOW_MS)
    assert newcomer.purge.finish_purge(second)
    newcomer.leases.register(second.generation, READING)
    charge(newcomer, 1)
    assert newcomer.purge.finish_purge(first)
    assert newcomer.payments.payment(uid(1)) is not None
    assert newcomer.purge.begin_purge(NOW_MS).generation == 3


def test_the_instant_of_a_purge_never_falls(mine: ReplicaStorage) -> None:
    mine.purge.begin_purge(NOW_MS)
    assert mine.purge.begin_purge(NOW_MS - 1000) == LastPurge(2, NOW_MS)


def test_what_was_accepted_after_the_instant_of_a_purge_keeps_its_rows(newcomer: ReplicaStorage) -> None:
    newcomer.leases.register(0, READING)
    for number in (1, 2, 3, 4):
        charge(newcomer, number) if number < 3 else newcomer.payments.write([claim(number)], [], [])
    later = [replace(payment(number), accepted_at_ms=NOW_MS + 1) for number in (5, 6)]
    newcomer.payments.write([Claim(each, "fallback") for each in later], [], [])
    newcomer.payments.write([], [], [replace(settlement(5, "fallback"), payment=later[0])])
    newcomer.payments.report_conflicts([payment(1, 5), payment(6, 7)])
    purge = newcomer.purge.begin_purge(NOW_MS)
    newcomer.purge.acknowledge_purge(purge.generation)
    assert newcomer.purge.finish_purge(purge)
    assert [newcomer.payments.payment(uid(number)) for number in (1, 2, 3, 4)] == [None] * 4
    assert newcomer.payments.summary(None, None).totals == (ProcessorTotal("fallback", 1, Money(1990, "BRL")),)
    assert newcomer.leases.claims(MANY) == (Claim(later[1], "fallback"),)
    assert record_of(newcomer, 5).settlement == replace(settlement(5, "fallback"), payment=later[0])
    assert record_of(newcomer, 6).conflicting_amounts == (Money(7, "BRL"),)
    register_anew(newcomer, purge)
    newcomer.payments.write([claim(1)], [], [])
    assert record_of(newcomer, 1).conflicting_amounts == ()


def test_a_purge_that_postgres_has_forgotten_is_repeated_once(
    newcomer: ReplicaStorage, other_newcomer: ReplicaStorage
) -> None:
    other_newcomer.leases.register(0, READING)
    charge(other_newcomer, 1)
    forgotten = LastPurge(5, NOW_MS)
    for _ in range(2):
        newcomer.purge.repeat_purge(forgotten)
        assert newcomer.purge.last_purge() == forgotten
        assert newcomer.payments.payment(uid(1)) is None
        newcomer.leases.register(5, READING)
        newcomer.payments.write([claim(3)], [], [])
    assert len(newcomer.leases.claims(MANY)) == 1
    assert [each.has_left for each in newcomer.leases.others()] == [True]
    with pytest.raises(LedgerUnavailableError):
        other_newcomer.payments.write([claim(7)], [], [])
    assert newcomer.purge.finish_purge(forgotten)
    assert newcomer.purge.begin_purge(NOW_MS).generation == 6


def test_an_older_schema_is_waited_for(database_url: str) -> None:
    with opened(database_url) as storage, psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM schema_migration WHERE version = %s", [SCHEMA_VERSION])
        with pytest.raises(LedgerUnavailableError, match=f"needs {SCHEMA_VERSION}: run ops.migrate"):
            storage.purge.last_purge()
        # One that a later release has migrated still fits.
        connection.execute("INSERT INTO schema_migration VALUES (%s, 'later', '')", [SCHEMA_VERSION + 1])
        assert storage.purge.last_purge() == LastPurge(0, 0)
