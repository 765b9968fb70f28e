from uuid import UUID

import pytest

from actors.domain.lease_watch import LEASE_S
from actors.own_name import TELL_S, OwnName
from ops.simulation.stores import MemoryLeases
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import READING, VirtualRuntime, both

LOOK_S = 0.25


class Name:
    """The name of replica 1, for which its process looks."""

    def __init__(self) -> None:
        self.runtime = VirtualRuntime()
        self.tables = MemoryTables()
        self.leases = MemoryLeases(self.tables, MemoryFence("1"))
        self.own = OwnName(self.leases, self.runtime)

    def other(self, instance: int) -> MemoryLeases:
        """Let another process take the name."""
        leases = MemoryLeases(self.tables, MemoryFence("1", instance=UUID(int=instance)))
        leases.register(0, READING)
        return leases

    def look(self, seconds: float, beating: MemoryLeases | None = None) -> bool:
        """Look for some time, and tell whether the name was free at last."""
        is_free = self.own.is_free()
        for _ in range(round(seconds / LOOK_S)):
            self.runtime.advance(LOOK_S)
            if beating is not None:
                beating.beat(beating.fence.epoch, both(0), READING)
            is_free = self.own.is_free()
        return is_free


def test_a_name_that_nobody_has_is_free() -> None:
    name = Name()
    assert name.own.is_free()
    assert name.own.trouble is None


def test_after_a_restart_the_name_is_free_at_once() -> None:
    name = Name()
    name.other(instance=0)
    assert name.own.is_free()


def test_the_own_registration_keeps_nobody_from_its_name() -> None:
    name = Name()
    name.leases.register(0, READING)
    assert name.own.is_free()


def test_what_another_instance_has_is_free_when_it_has_left() -> None:
    name = Name()
    other = name.other(instance=1)
    assert not name.look(10 * LEASE_S, beating=other)
    assert name.own.trouble == "another process has the name '1': each replica needs a REPLICA of its own"
    other.retire(other.fence.epoch, both(0))
    assert name.own.is_free()
    assert name.own.trouble is None


def test_what_another_instance_has_is_free_after_its_lease_and_not_before() -> None:
    name = Name()
    other = name.other(instance=1)
    assert not name.look(1.0, beating=other)
    assert not name.look(LEASE_S - LOOK_S)
    assert name.look(2 * LOOK_S)
    assert not other.beat(other.fence.epoch, both(0), READING).renewed


@pytest.mark.parametrize("instance", [0, 1])
def test_who_was_fenced_waits_for_the_lease_also_of_a_copy_of_itself(instance: int) -> None:
    name = Name()
    name.leases.register(0, READING)
    other = name.other(instance) if instance == 0 else take_after_the_lease(name, instance)
    epoch = name.tables.leases["1"].epoch
    assert not name.look(2 * LEASE_S, beating=other)
    assert name.tables.leases["1"].epoch == epoch
    assert name.look(LEASE_S + LOOK_S)


def take_after_the_lease(name: Name, instance: int) -> MemoryLeases:
    name.tables.leases["1"].end_epoch()
    return name.other(instance)


def test_a_name_that_another_process_has_is_told_of_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    name = Name()
    name.look(2.5 * TELL_S, beating=name.other(instance=1))
    assert len(caplog.records) == 3
    assert "another process has the name '1'" in caplog.records[0].getMessage()
