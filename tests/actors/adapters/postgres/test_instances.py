"""The name of a replica is taken by one instance at a time, in Postgres as in memory."""

from uuid import UUID

import psycopg
import pytest

from actors.domain.records import Registration
from actors.domain.wall_clock import ClockReading
from actors.errors import LeaseLostError
from tests.actors.adapters.postgres.storage import OpenStorage, ReplicaStorage, on_postgres
from tests.actors.fakes import NOW_MS, READING, both


@pytest.fixture
def twin(open_storage: OpenStorage) -> ReplicaStorage:
    """The storage of another instance with the name of replica a, before it registers."""
    return open_storage("a", UUID(int=1))


def test_while_an_instance_lives_another_one_takes_its_name_not_nor_its_epoch(
    mine: ReplicaStorage, twin: ReplicaStorage
) -> None:
    for call in (lambda: twin.leases.register(0, READING), lambda: twin.leases.stand_aside(0)):
        with pytest.raises(LeaseLostError):
            call()
    assert mine.leases.beat(1, both(NOW_MS), READING).renewed


def test_the_same_instance_takes_its_name_at_once(mine: ReplicaStorage, open_storage: OpenStorage) -> None:
    restarted = open_storage("a", UUID(int=0))
    assert restarted.leases.holder() is None
    assert restarted.leases.register(0, READING).epoch == 2
    assert not mine.leases.beat(1, both(NOW_MS), READING).renewed


def test_a_name_that_was_left_is_taken_by_whoever_comes_first(mine: ReplicaStorage, twin: ReplicaStorage) -> None:
    mine.leases.retire(1, both(NOW_MS))
    assert twin.leases.holder() is None
    assert twin.leases.register(0, READING) == Registration(2, 0, NOW_MS, NOW_MS)
    with pytest.raises(LeaseLostError):
        mine.leases.register(0, READING)


def test_the_lease_of_who_has_the_name_can_be_ended_unless_it_beats(mine: ReplicaStorage, twin: ReplicaStorage) -> None:
    before = twin.leases.holder()
    assert before is not None
    mine.leases.beat(1, both(NOW_MS), READING)
    twin.leases.expel([before])
    after = twin.leases.holder()
    assert after is not None
    assert ((after.name, after.epoch, after.has_left), after.beats == before.beats) == (("a", 1, False), False)
    twin.leases.expel([after])
    assert twin.leases.holder() is None
    assert twin.leases.register(0, READING).epoch == 3


def test_a_registration_is_not_its_own_rival(mine: ReplicaStorage) -> None:
    assert mine.leases.holder() is None


def test_who_has_registered_finds_also_a_later_registration_of_its_own_instance(
    mine: ReplicaStorage, open_storage: OpenStorage
) -> None:
    open_storage("a", UUID(int=0)).leases.register(0, READING)
    holder = mine.leases.holder()
    assert holder is not None
    assert holder.epoch == 2


def test_a_copy_that_registers_after_a_heartbeat_it_has_not_read_takes_back_nothing_that_was_noted(
    mine: ReplicaStorage, open_storage: OpenStorage
) -> None:
    copy = open_storage("a", UUID(int=0))
    copy.leases.identity()
    before = mine.leases.identity()
    # The clock of the copy is behind.
    beat = mine.leases.beat(1, both(NOW_MS), ClockReading(NOW_MS + 1000, NOW_MS + 1000))
    registration = copy.leases.register(0, READING)
    assert registration.mark > beat.mark
    assert mine.leases.identity().follows(before.noted(beat.mark))
    assert copy.leases.beat(registration.epoch, both(NOW_MS), READING).renewed


def test_who_stands_aside_for_its_clock_leaves_the_name_to_others(mine: ReplicaStorage, twin: ReplicaStorage) -> None:
    mine.leases.stand_aside(0)
    assert twin.leases.register(0, READING).epoch == 3


@on_postgres
def test_a_name_that_the_release_before_has_taken_is_taken_at_once(mine: ReplicaStorage, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE replica SET instance = NULL")
    assert mine.leases.register(0, READING).epoch == 2
