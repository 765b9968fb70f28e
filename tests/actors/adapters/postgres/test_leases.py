"""A replica writes under its latest registration alone, and keeps its lease whatever readers do."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from actors.adapters.postgres.queries import QUERIES
from actors.domain.payment import Move
from actors.domain.records import NEVER_MS, Beat, Registration, WriteResult
from actors.domain.wall_clock import ClockReading
from actors.errors import FencedError, LedgerUnavailableError
from tests.actors.adapters.postgres.storage import (
    DEADLINE_S,
    MANY,
    OpenStorage,
    ReplicaStorage,
    claim,
    expel,
    on_postgres,
    opened,
    uid,
    wait_until_blocked,
)
from tests.actors.fakes import NOW_MS, READING, both


def test_each_registration_under_a_name_is_a_new_epoch(
    newcomer: ReplicaStorage, other_newcomer: ReplicaStorage
) -> None:
    assert [each.leases.register(0, READING) for each in (newcomer, newcomer, other_newcomer)] == [
        Registration(1, 0, NOW_MS, NOW_MS),
        Registration(2, 0, NOW_MS, NOW_MS),
        Registration(1, 0, NOW_MS, NOW_MS),
    ]


def test_a_new_registration_keeps_the_watermark_that_was_left(mine: ReplicaStorage) -> None:
    epoch = mine.leases.register(0, READING).epoch
    mine.leases.beat(epoch, both(NOW_MS - 250), READING)
    assert mine.leases.register(0, READING).watermark_ms == NOW_MS - 250


def test_a_watermark_never_lies_ahead_of_the_clock_of_who_registers(newcomer: ReplicaStorage) -> None:
    newcomer.leases.retire(newcomer.leases.register(0, READING).epoch, both(NEVER_MS))
    later = ClockReading(NOW_MS + 9, NOW_MS)
    assert newcomer.leases.register(0, later) == Registration(2, 0, NOW_MS + 9, NOW_MS + 9)


def test_the_greatest_watermark_that_was_published_is_kept_whatever_comes_after_it(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    mine.leases.beat(mine.leases.register(0, READING).epoch, both(NOW_MS + 70), READING)
    epoch = mine.leases.register(0, ClockReading(NOW_MS - 3_000, NOW_MS)).epoch
    mine.leases.beat(epoch, both(NOW_MS - 2_000), READING)
    mine.leases.retire(epoch, both(NEVER_MS))
    assert [each.published_ms for each in other.leases.others()] == [NOW_MS + 70]
    assert mine.leases.register(0, READING).published_ms == NOW_MS + 70


def test_others_see_each_beat_and_the_clocks_that_it_publishes(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    epoch = mine.leases.register(0, READING).epoch
    (before,) = other.leases.others()
    clock = ClockReading(NOW_MS + 250, NOW_MS + 3_600_250)
    assert mine.leases.beat(epoch, both(NOW_MS + 200), clock).renewed
    (after,) = other.leases.others()
    assert (before.name, before.epoch, before.has_left, before.clock) == ("a", epoch, False, READING)
    assert after == replace(before, beats=after.beats, published_ms=NOW_MS + 200, clock=clock)
    assert after.beats != before.beats
    assert other.leases.others() == (after,)


def test_who_stood_still_since_it_was_looked_at_has_left(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    epoch = other.leases.register(0, READING).epoch
    expel(mine, "b")
    assert [each.has_left for each in mine.leases.others()] == [True]
    assert not other.leases.beat(epoch, both(NOW_MS), READING).renewed
    with pytest.raises(LedgerUnavailableError):
        other.payments.write([claim(1)], [], [])
    again = other.leases.register(0, READING)
    assert again.epoch == epoch + 2
    assert [each.has_left for each in mine.leases.others()] == [False]
    assert other.leases.beat(again.epoch, both(NOW_MS), READING).renewed


@pytest.mark.parametrize("sign_of_life", ["beats", "registers", "retires and registers"])
def test_who_has_given_a_sign_of_life_since_it_was_looked_at_keeps_its_lease(
    mine: ReplicaStorage, other: ReplicaStorage, sign_of_life: str
) -> None:
    epoch = other.leases.register(0, READING).epoch
    seen = mine.leases.others()
    if sign_of_life != "beats":
        if sign_of_life != "registers":
            other.leases.retire(epoch, both(NOW_MS))
        epoch = other.leases.register(0, READING).epoch
    else:
        assert other.leases.beat(epoch, both(NOW_MS), READING).renewed
    mine.leases.expel(seen)
    assert [each.has_left for each in mine.leases.others()] == [False]
    assert other.leases.beat(epoch, both(NOW_MS), READING).renewed


def test_who_stands_aside_has_left_and_its_earlier_run_too(
    mine: ReplicaStorage, other: ReplicaStorage, newcomer: ReplicaStorage
) -> None:
    epoch = other.leases.register(0, READING).epoch
    other.payments.write([claim(1)], [], [])
    other.leases.stand_aside(0)
    assert [each.has_left for each in mine.leases.others()] == [True]
    assert not other.leases.beat(epoch, both(NOW_MS), READING).renewed
    newcomer.leases.register(0, READING)
    adopted = mine.leases.adopt(100)
    assert adopted is not None
    assert adopted.claims == (claim(1),)


def test_who_never_joined_and_stands_aside_is_known_to_others(
    mine: ReplicaStorage, other_newcomer: ReplicaStorage
) -> None:
    other_newcomer.leases.stand_aside(0)
    assert [(each.name, each.has_left) for each in mine.leases.others()] == [("b", True)]
    assert other_newcomer.leases.register(0, READING) == Registration(2, 0, NOW_MS, NOW_MS)


@on_postgres
def test_no_clock_of_postgres_decides_who_lives(database_url: str, mine: ReplicaStorage, other: ReplicaStorage) -> None:
    """A clock that is set back or ahead can't matter: it tells when a dispute was found, and where numbers begin."""
    clocks = rb"\bnow\(|current_time|localtime|_timestamp\(|timeofday|current_date"
    assert [name for name, statement in QUERIES.items() if re.search(clocks, statement, re.IGNORECASE)] == [
        "compare_settlements",
        "renumber_feed",
    ]
    epoch = other.leases.register(0, READING).epoch
    with psycopg.connect(database_url, autocommit=True) as connection:
        for lease_until in ("-infinity", "1970-01-01", "infinity"):
            connection.execute("UPDATE replica SET lease_until = %s", [lease_until])
            assert [each.has_left for each in mine.leases.others()] == [False]
            assert other.leases.beat(epoch, both(NOW_MS), READING).renewed


BEAT_OF_THE_RELEASE_BEFORE = """
UPDATE replica SET lease_until = clock_timestamp() + interval '5 s', watermark_ms = 7 WHERE name = 'b'
"""
REGISTRATION_OF_THE_RELEASE_BEFORE = """
INSERT INTO replica AS r (name, epoch, generation, lease_until, watermark_ms) VALUES ('b', 1, 0, clock_timestamp(), 7)
ON CONFLICT (name) DO UPDATE SET epoch = r.epoch + 1, lease_until = excluded.lease_until
"""
LIVES_TO_THE_RELEASE_BEFORE = "SELECT lease_until > now() FROM replica WHERE name = 'a'"


@on_postgres
def test_replicas_of_the_release_before_live_beside_this_one(database_url: str, mine: ReplicaStorage) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(REGISTRATION_OF_THE_RELEASE_BEFORE)
        (before,) = mine.leases.others()
        assert (before.has_left, before.clock) == (False, None)
        connection.execute(BEAT_OF_THE_RELEASE_BEFORE)
        (after,) = mine.leases.others()
        assert after.beats != before.beats
        mine.leases.expel([before])
        assert [each.has_left for each in mine.leases.others()] == [False]
        mine.leases.expel([after])
        assert [each.has_left for each in mine.leases.others()] == [True]
        connection.execute(REGISTRATION_OF_THE_RELEASE_BEFORE)
        assert [each.has_left for each in mine.leases.others()] == [False]
        assert connection.execute(LIVES_TO_THE_RELEASE_BEFORE).fetchone() == (True,)
        mine.leases.retire(mine.leases.register(0, READING).epoch, both(NOW_MS))
        assert connection.execute(LIVES_TO_THE_RELEASE_BEFORE).fetchone() == (False,)


def test_a_beat_of_an_earlier_epoch_renews_and_changes_nothing(mine: ReplicaStorage) -> None:
    first = mine.leases.register(0, READING).epoch
    assert mine.leases.beat(first, both(NOW_MS), READING) == Beat(renewed=True, generation=0)
    mine.leases.register(0, READING)
    assert not mine.leases.beat(first, both(NOW_MS - 1), READING).renewed
    mine.leases.retire(first, both(NOW_MS - 2))
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS


def test_who_is_not_registered_renews_and_writes_nothing(newcomer: ReplicaStorage) -> None:
    assert not newcomer.leases.beat(1, both(NOW_MS), READING).renewed
    with pytest.raises(LedgerUnavailableError):
        newcomer.payments.write([claim(1)], [], [])
    assert newcomer.payments.payment(uid(1)) is None


def test_a_write_of_an_earlier_registration_is_refused(open_storage: OpenStorage, mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    successor = open_storage("a")
    successor.leases.register(0, READING)
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
    mine.leases.register(0, READING)
    assert mine.payments.write([claim(1)], [], []).claimed == (uid(1),)


def test_who_registers_again_after_others_have_had_its_name_writes_only_once_its_actors_have_started_anew(
    open_storage: OpenStorage, mine: ReplicaStorage
) -> None:
    successor = open_storage("a")
    successor.leases.register(0, READING)
    mine.leases.register(0, READING)
    with pytest.raises(FencedError):
        mine.payments.write([claim(1)], [], [])
    mine.payments.forget_registration()
    mine.leases.register(0, READING)
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
        registration = executor.submit(successor.leases.register, 0, READING)
        wait_until_blocked(database_url, 2)
        rival.rollback()
        assert write.result(DEADLINE_S) == WriteResult((uid(2),), (), (uid(1),))
        assert registration.result(DEADLINE_S).epoch == 2
        assert set(successor.leases.claims(MANY)) == {claim(1, "fallback", attempts=1, moves=1), claim(2)}


@on_postgres
def test_the_lease_does_not_wait_for_a_reader(database_url: str, mine: ReplicaStorage) -> None:
    epoch = mine.leases.register(0, READING).epoch
    with ThreadPoolExecutor(1) as executor, psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE settlement")
        reader = executor.submit(mine.payments.summary, None, None)
        wait_until_blocked(database_url, 1)
        assert mine.leases.beat(epoch, both(NOW_MS), READING).renewed
        assert mine.leases.adopt(100) is None
        blocker.rollback()
        assert reader.result(DEADLINE_S).totals == ()
