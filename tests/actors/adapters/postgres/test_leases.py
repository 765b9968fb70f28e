"""A replica writes under its latest registration alone, and keeps its lease whatever readers do."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from actors.adapters.postgres.connections import POOL_SIZE_MAX
from actors.adapters.postgres.payments import INSTANT_MS_MAX
from actors.domain.payment import Move
from actors.domain.records import Beat, Registration, WriteResult
from actors.errors import LedgerUnavailableError
from tests.actors.adapters.postgres.storage import (
    DEADLINE_S,
    LEASE_S,
    MANY,
    OpenStorage,
    ReplicaStorage,
    claim,
    on_postgres,
    opened,
    uid,
    wait_until_blocked,
)
from tests.actors.fakes import NOW_MS


def test_each_registration_under_a_name_is_a_new_epoch(
    newcomer: ReplicaStorage, other_newcomer: ReplicaStorage
) -> None:
    assert [each.leases.register(0, LEASE_S) for each in (newcomer, newcomer, other_newcomer)] == [
        Registration(1, 0, NOW_MS),
        Registration(2, 0, NOW_MS),
        Registration(1, 0, NOW_MS),
    ]


def test_a_new_registration_keeps_the_watermark_that_was_left(mine: ReplicaStorage) -> None:
    epoch = mine.leases.register(0, LEASE_S).epoch
    mine.leases.beat(epoch, LEASE_S, NOW_MS - 250)
    assert mine.leases.register(0, LEASE_S).watermark_ms == NOW_MS - 250


@on_postgres
def test_a_watermark_never_lies_ahead_of_the_clock_of_who_registers(
    database_url: str, newcomer: ReplicaStorage
) -> None:
    newcomer.leases.retire(newcomer.leases.register(0, LEASE_S).epoch, INSTANT_MS_MAX)
    with opened(database_url, now_ms=NOW_MS + 9) as successor:
        assert successor.leases.register(0, LEASE_S) == Registration(2, 0, NOW_MS + 9)


def test_a_beat_of_an_earlier_epoch_renews_and_changes_nothing(mine: ReplicaStorage) -> None:
    first = mine.leases.register(0, LEASE_S).epoch
    assert mine.leases.beat(first, LEASE_S, NOW_MS) == Beat(renewed=True, generation=0)
    mine.leases.register(0, LEASE_S)
    assert not mine.leases.beat(first, LEASE_S, NOW_MS - 1).renewed
    mine.leases.retire(first, NOW_MS - 2)
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS


def test_who_is_not_registered_renews_and_writes_nothing(newcomer: ReplicaStorage) -> None:
    assert not newcomer.leases.beat(1, LEASE_S, NOW_MS).renewed
    with pytest.raises(LedgerUnavailableError):
        newcomer.payments.write([claim(1)], [], [])
    assert newcomer.payments.payment(uid(1)) is None


def test_a_write_of_an_earlier_registration_is_refused(open_storage: OpenStorage, mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    successor = open_storage("a")
    successor.leases.register(0, LEASE_S)
    with pytest.raises(LedgerUnavailableError):
        mine.payments.write([claim(2)], [], [])
    with pytest.raises(LedgerUnavailableError):
        mine.payments.write([], [Move(uid(1), "fallback", 1, moves=1)], [])
    assert (successor.leases.claims(MANY), successor.payments.payment(uid(2))) == ((claim(1),), None)
    assert successor.payments.write([claim(2)], [Move(uid(1), "fallback", 1, moves=1)], []) == WriteResult(
        (uid(2),), (), (uid(1),)
    )


def test_who_forgets_its_registration_writes_nothing_until_it_registers_again(mine: ReplicaStorage) -> None:
    mine.payments.forget_registration()
    with pytest.raises(LedgerUnavailableError):
        mine.payments.write([claim(1)], [], [])
    mine.leases.register(0, LEASE_S)
    assert mine.payments.write([claim(1)], [], []).claimed == (uid(1),)


def test_who_registers_again_writes_again(open_storage: OpenStorage, mine: ReplicaStorage) -> None:
    successor = open_storage("a")
    successor.leases.register(0, LEASE_S)
    mine.leases.register(0, LEASE_S)
    assert mine.payments.write([claim(1)], [], []).claimed == (uid(1),)


@on_postgres
def test_a_write_that_waits_in_postgres_is_refused_when_a_registration_comes_before_it(
    database_url: str, mine: ReplicaStorage
) -> None:
    mine.payments.write([claim(1)], [], [])
    with ThreadPoolExecutor() as executor, psycopg.connect(database_url) as registration:
        # As `register` does, but held before its commit.
        registration.execute("UPDATE replica SET epoch = epoch + 1 WHERE name = 'a'")
        write = executor.submit(mine.payments.write, [claim(2)], [Move(uid(1), "fallback", 1, moves=1)], [])
        wait_until_blocked(database_url, 1)
        registration.commit()
        assert isinstance(write.exception(DEADLINE_S), LedgerUnavailableError)
    assert (mine.leases.claims(MANY), mine.payments.payment(uid(2))) == ((claim(1),), None)


@on_postgres
def test_a_write_that_waits_in_postgres_is_written_when_the_registration_fails(
    database_url: str, mine: ReplicaStorage
) -> None:
    with ThreadPoolExecutor() as executor, psycopg.connect(database_url) as registration:
        registration.execute("UPDATE replica SET epoch = epoch + 1 WHERE name = 'a'")
        write = executor.submit(mine.payments.write, [claim(1)], [], [])
        wait_until_blocked(database_url, 1)
        registration.rollback()
        assert write.result(DEADLINE_S).claimed == (uid(1),)


@on_postgres
def test_a_registration_waits_for_a_write_under_way_and_finds_all_of_it(
    database_url: str, mine: ReplicaStorage
) -> None:
    mine.payments.write([claim(1)], [], [])
    with ThreadPoolExecutor() as executor, psycopg.connect(database_url) as rival, opened(database_url) as successor:
        rival.execute("INSERT INTO payment VALUES (%s, 1990, %s)", (uid(2), NOW_MS))
        write = executor.submit(mine.payments.write, [claim(2)], [Move(uid(1), "fallback", 1, moves=1)], [])
        wait_until_blocked(database_url, 1)
        registration = executor.submit(successor.leases.register, 0, LEASE_S)
        wait_until_blocked(database_url, 2)
        rival.rollback()
        assert write.result(DEADLINE_S) == WriteResult((uid(2),), (), (uid(1),))
        assert registration.result(DEADLINE_S).epoch == 2
        assert set(successor.leases.claims(MANY)) == {claim(1, "fallback", attempts=1, moves=1), claim(2)}


@on_postgres
def test_the_lease_does_not_wait_for_a_crowd_of_readers(database_url: str, mine: ReplicaStorage) -> None:
    epoch = mine.leases.register(0, LEASE_S).epoch
    with ThreadPoolExecutor(POOL_SIZE_MAX) as executor, psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE settlement")
        readers = [executor.submit(mine.payments.summary, None, None) for _ in range(POOL_SIZE_MAX)]
        wait_until_blocked(database_url, POOL_SIZE_MAX)
        assert mine.leases.beat(epoch, LEASE_S, NOW_MS).renewed
        assert mine.leases.adopt(100) is None
        blocker.rollback()
        assert [reader.result(DEADLINE_S).totals for reader in readers] == [()] * POOL_SIZE_MAX
