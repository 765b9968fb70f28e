"""Replicas that have left and hold nothing are not waited for, and are forgotten in the end."""

from collections.abc import Callable
from uuid import UUID

import psycopg

from actors.adapters.postgres.leases import FORGET_AFTER_MS
from actors.domain.records import StoreIdentity
from actors.domain.wall_clock import ClockReading
from tests.actors.adapters.postgres.storage import (
    ONLY,
    OpenStorage,
    ReplicaStorage,
    claim,
    expel,
    on_postgres,
    settlement,
    uid,
)
from tests.actors.fakes import NOW_MS, READING, both

LATER = ClockReading(READING.clock_ms + FORGET_AFTER_MS + 1, READING.system_ms + FORGET_AFTER_MS + 1)
STRANGER = UUID(int=7)


def others(storage: ReplicaStorage) -> set[str]:
    """Name those that may hold a payment which has no row."""
    return set(storage.payments.absence(uid(1)).others)


def test_a_replica_that_left_with_nothing_is_not_waited_for_until_it_registers_again(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    other.leases.note_emptied()
    assert others(mine) == {"b"}, "it has not left"
    other.leases.retire(1, both(NOW_MS))
    assert others(mine) == {"b"}, "its journal may hold something"
    other.leases.note_emptied()
    assert others(mine) == set()
    other.leases.register(0, READING)
    assert others(mine) == {"b"}
    expel(mine, "b")
    assert others(mine) == {"b"}


def test_a_replica_that_stands_aside_may_hold_something(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    other.leases.retire(1, both(NOW_MS))
    other.leases.note_emptied()
    other.leases.stand_aside(0)
    assert others(mine) == {"b"}


def test_a_replica_cannot_say_that_another_instance_with_its_name_holds_nothing(
    mine: ReplicaStorage, open_storage: OpenStorage
) -> None:
    open_storage("b", STRANGER).leases.register(0, READING)
    expel(mine, "b")
    open_storage("b", ONLY).leases.note_emptied()
    assert others(mine) == {"b"}


@on_postgres
def test_a_beat_of_a_release_that_knows_nothing_of_it_counts(
    mine: ReplicaStorage, other: ReplicaStorage, database_url: str
) -> None:
    other.leases.retire(1, both(NOW_MS))
    other.leases.note_emptied()
    with psycopg.connect(database_url, autocommit=True) as before:
        before.execute("UPDATE replica SET epoch = epoch + 1 WHERE name = 'b'")
        before.execute("UPDATE replica SET beats = beats + 1 WHERE name = 'b'")
    expel(mine, "b")
    assert others(mine) == {"b"}


def leave(storage: ReplicaStorage, epochs: int = 1) -> StoreIdentity:
    """Let a replica register so often, beat, and leave with nothing; give what it remembers of Postgres."""
    for _ in range(epochs):
        seen = storage.leases.identity()
        epoch = storage.leases.register(0, READING).epoch
    storage.leases.beat(epoch, both(NOW_MS), READING)
    storage.leases.retire(epoch, both(NOW_MS))
    storage.leases.note_emptied()
    return seen.noted()


def names(database_url: str) -> list[str]:
    with psycopg.connect(database_url) as connection:
        return [row[0] for row in connection.execute("SELECT name FROM replica ORDER BY name")]


def come_later(storage: ReplicaStorage) -> None:
    """Let a replica live that has published later than all others, and register after a while."""
    epoch = storage.leases.register(0, LATER).epoch
    storage.leases.beat(epoch, both(LATER.clock_ms), LATER)
    storage.leases.register(0, LATER)


@on_postgres
def test_a_replica_that_holds_nothing_is_forgotten_a_while_after_it_has_left(
    mine: ReplicaStorage, open_storage: OpenStorage, database_url: str
) -> None:
    leave(open_storage("b"))
    mine.leases.beat(1, both(NOW_MS + 1), READING)
    mine.leases.register(0, READING)
    assert names(database_url) == ["a", "b"], "it may be about to come back"
    come_later(mine)
    assert names(database_url) == ["a"]


@on_postgres
def test_whoever_may_hold_something_or_published_last_is_kept(
    mine: ReplicaStorage, open_storage: OpenStorage, database_url: str
) -> None:
    keep: dict[str, Callable[[], object]] = {}
    for name in ("claims", "journal", "living"):
        storage = open_storage(name)
        epoch = storage.leases.register(0, READING).epoch
        storage.leases.beat(epoch, both(NOW_MS), READING)
        if name == "claims":
            storage.payments.write([claim(1)], [], [])
        if name != "living":
            storage.leases.retire(epoch, both(NOW_MS))
        if name == "claims":
            storage.leases.note_emptied()
        keep[name] = storage.leases.others
    come_later(mine)
    assert names(database_url) == ["a", *keep]
    assert mine.leases.adopt(100) is not None


@on_postgres
def test_what_was_published_last_stays_though_nobody_who_lives_has_passed_it(
    mine: ReplicaStorage, open_storage: OpenStorage, database_url: str
) -> None:
    gone = open_storage("b")
    epoch = gone.leases.register(0, READING).epoch
    gone.leases.beat(epoch, both(LATER.clock_ms + 60_000), READING)
    gone.leases.retire(epoch, both(NOW_MS))
    gone.leases.note_emptied()
    come_later(mine)
    assert names(database_url) == ["a", "b"]


@on_postgres
def test_a_forgotten_name_begins_above_all_that_an_earlier_holder_may_still_send(
    mine: ReplicaStorage, open_storage: OpenStorage
) -> None:
    seen = leave(open_storage("b"), epochs=5)
    come_later(mine)
    again = open_storage("b")
    assert again.leases.identity().follows(seen), "what it had noted is not missed"
    assert again.leases.register(0, LATER).epoch == 6
    written = again.payments.write([claim(1)], [], [])
    assert written.claimed == (uid(1),)
    again.payments.write([], [], [settlement(1)])
