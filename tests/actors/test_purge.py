import dataclasses
from collections.abc import Iterator

import gevent
import pytest
from gevent.event import Event

from actors.domain.lease_watch import LEASE_S
from actors.domain.records import LastPurge
from actors.errors import GatewayUnavailableError, JournalUnavailableError, LedgerUnavailableError
from actors.ports import OwnedJournal
from actors.purge import PURGE_S_MAX, RETRY_S, STEP_S, Purger
from ops.simulation.purges import MemoryPurge
from ops.simulation.stores import MemoryLeases
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import NOW_MS, READING, VirtualRuntime, both, payment
from tests.actors.fakes_system import MemoryOwnedJournal


class Replica:
    """A replica that notes what is asked of it, among others that have joined."""

    def __init__(self, *others: str) -> None:
        self.runtime = VirtualRuntime()
        self.tables = MemoryTables()
        self.purges = self.join("1")
        self.others = [self.join(name) for name in others]
        self.journal: OwnedJournal | None = MemoryOwnedJournal((payment(1),))
        self.steps: list[str] = []
        self.is_draining = False
        self.started = Event()
        self.purger = self.make_purger(self.purges)

    def make_purger(self, purges: MemoryPurge, purge_s_max: float = PURGE_S_MAX) -> Purger:
        leases = MemoryLeases(self.tables, purges.fence)
        return Purger(purges=purges, leases=leases, runtime=self.runtime, replica=self, purge_s_max=purge_s_max)

    def join(self, name: str) -> MemoryPurge:
        fence = MemoryFence(name)
        MemoryLeases(self.tables, fence).register(0, READING)
        return MemoryPurge(self.tables, fence)

    def begin_drain(self) -> None:
        self.is_draining = True

    def acknowledged(self, name: str = "1") -> int:
        return self.tables.leases[name].generation

    def stop_actors(self) -> OwnedJournal | None:
        self.steps.append("stop")
        return self.journal

    def start_actors(self) -> None:
        if not self.is_draining:
            self.steps.append("start")
            self.started.set()


def test_a_purge_stops_the_actors_empties_the_journal_and_starts_them_again() -> None:
    replica = Replica()
    replica.purger.purge()
    assert replica.steps == ["stop", "start"]
    assert isinstance(replica.journal, MemoryOwnedJournal)
    assert (replica.journal.purges, replica.journal.kept) == ([1], {})
    assert (replica.purger.last_purge.generation, replica.tables.purged_generation) == (1, 1)


def test_each_purge_begins_a_generation() -> None:
    replica = Replica()
    for _ in range(3):
        replica.purger.purge()
    assert replica.purger.last_purge.generation == 3
    assert replica.steps == ["stop", "start"] * 3


def test_a_purge_is_acknowledged_after_the_journal_is_empty() -> None:
    replica = Replica()

    class Journal(MemoryOwnedJournal):
        def purge(self, last_purge: LastPurge) -> None:
            replica.steps.append(f"acknowledged {replica.acknowledged()}")
            super().purge(last_purge)

    replica.journal = Journal()
    replica.purger.purge()
    assert replica.steps == ["stop", "acknowledged 0", "start"]
    assert replica.acknowledged() == 1


def test_the_actors_start_when_all_other_replicas_have_dropped_what_they_hold() -> None:
    replica = Replica("2", "3")
    started_s = replica.runtime.now_s()
    for number, other in enumerate(replica.others, start=1):
        replica.runtime.call_later(number * 10 * STEP_S, other.acknowledge_purge, 1)
    replica.purger.purge()
    assert replica.runtime.now_s() - started_s >= 20 * STEP_S
    assert replica.steps == ["stop", "start"]


def test_a_replica_that_stands_still_loses_its_lease_and_a_living_one_is_waited_for() -> None:
    replica = Replica("2", "3")
    leases = MemoryLeases(replica.tables, MemoryFence("2"))

    def beat() -> None:
        leases.beat(1, both(NOW_MS), READING)
        replica.runtime.call_later(0.25, beat)

    beat()
    replica.runtime.call_later(2 * LEASE_S, replica.others[0].acknowledge_purge, 1)
    started_s = replica.runtime.now_s()
    replica.purger.purge()
    assert replica.runtime.now_s() - started_s >= 2 * LEASE_S
    assert [replica.tables.leases[name].has_left for name in ("2", "3")] == [False, True]
    assert replica.steps == ["stop", "start"]


def test_a_purge_that_another_replica_began_is_followed_once() -> None:
    replica = Replica("2")
    replica.others[0].begin_purge(NOW_MS)
    replica.others[0].acknowledge_purge(1)
    replica.purger.follow()
    replica.purger.follow()
    assert replica.steps == ["stop", "start"]
    assert replica.purger.last_purge.generation == 1


def test_a_generation_that_the_replica_started_with_is_not_followed() -> None:
    replica = Replica()
    replica.purges.begin_purge(NOW_MS)
    replica.purger.last_purge = LastPurge(1, NOW_MS)
    replica.purger.follow()
    assert replica.steps == []


def test_a_purge_that_cannot_begin_is_refused_and_stops_nothing() -> None:
    replica = Replica()
    replica.purges.failures = 1
    with pytest.raises(LedgerUnavailableError):
        replica.purger.purge()
    assert replica.steps == []


def test_a_purge_that_has_begun_waits_for_postgres() -> None:
    replica = Replica()
    replica.purges.begin_purge(NOW_MS)
    replica.purges.failures = 3
    started_s = replica.runtime.now_s()
    replica.purger.follow()
    assert replica.runtime.now_s() - started_s >= 3 * RETRY_S
    assert replica.steps == ["stop", "start"]


class FailsOnce(MemoryOwnedJournal):
    """A journal that cannot be purged at the first attempt."""

    failed = False

    def purge(self, last_purge: LastPurge) -> None:
        if not self.failed:
            self.failed = True
            raise JournalUnavailableError("planted")
        super().purge(last_purge)


def test_a_journal_that_cannot_be_emptied_is_not_acknowledged_and_tried_again() -> None:
    replica = Replica()
    replica.journal = FailsOnce()
    replica.runtime.call_later(RETRY_S / 2, lambda: replica.steps.append(f"acknowledged {replica.acknowledged()}"))
    replica.purger.purge()
    assert replica.steps == ["stop", "acknowledged 0", "stop", "start"]
    assert replica.acknowledged() == 1


def test_where_an_actor_hangs_nothing_is_purged_beside_it_and_the_client_is_told() -> None:
    replica = Replica()
    replica.journal = None
    with pytest.raises(GatewayUnavailableError):
        replica.purger.purge()
    assert replica.steps == ["stop"]
    assert (replica.acknowledged(), replica.tables.purged_generation) == (0, 0)


def test_a_draining_replica_leaves_the_purge_to_its_next_start_and_tells_the_client() -> None:
    replica = Replica()
    replica.is_draining = True
    with pytest.raises(GatewayUnavailableError):
        replica.purger.purge()
    assert replica.steps == []
    assert replica.tables.generation == 1


def test_a_replica_that_drains_while_it_waits_for_postgres_gives_up_following() -> None:
    replica = Replica()
    replica.purges.begin_purge(NOW_MS)
    replica.purges.failures = 1_000
    replica.runtime.call_later(10 * RETRY_S, replica.begin_drain)
    replica.purger.follow()
    assert replica.steps == []


class BlockedPurge(MemoryPurge):
    """Purges of which nobody hears whether they are over before a test says so."""

    def __init__(self, tables: MemoryTables, fence: MemoryFence) -> None:
        super().__init__(tables, fence)
        self.may_answer = Event()

    def finish_purge(self, purge: LastPurge) -> bool:
        self.may_answer.wait()
        return super().finish_purge(purge)


@pytest.fixture
def blocked() -> Iterator[tuple[Replica, Purger, BlockedPurge]]:
    """A replica whose purge takes longer than its client waits."""
    replica = Replica()
    purges = BlockedPurge(replica.tables, replica.purges.fence)
    yield replica, replica.make_purger(purges, purge_s_max=0.001), purges
    purges.may_answer.set()


def test_a_purge_that_takes_longer_than_its_client_waits_goes_on(
    blocked: tuple[Replica, Purger, BlockedPurge],
) -> None:
    replica, purger, purges = blocked
    with pytest.raises(GatewayUnavailableError):
        purger.purge()
    assert replica.steps == ["stop"]
    purges.may_answer.set()
    assert replica.started.wait(timeout=5)
    assert (replica.steps, purger.last_purge.generation) == (["stop", "start"], 1)


def test_two_purges_at_once_are_followed_one_after_the_other(
    blocked: tuple[Replica, Purger, BlockedPurge],
) -> None:
    replica, purger, purges = blocked
    for _ in range(2):
        with pytest.raises(GatewayUnavailableError):
            purger.purge()
    assert replica.steps == ["stop"]
    purges.may_answer.set()
    gevent.spawn(purger.follow).join(timeout=5)
    assert purger.last_purge.generation == 2
    assert replica.steps == ["stop", "start"] * 2


def test_a_replica_that_was_cut_off_keeps_what_it_accepted_after_a_purge() -> None:
    replica = Replica("2")
    later = dataclasses.replace(payment(2), accepted_at_ms=NOW_MS + 1)
    replica.journal = MemoryOwnedJournal((payment(1), later))
    purge = replica.others[0].begin_purge(NOW_MS)
    replica.others[0].acknowledge_purge(purge.generation)
    leases = MemoryLeases(replica.tables, replica.others[0].fence)
    leases.expel(leases.others())  # So that the purge does not wait for it.
    assert replica.others[0].finish_purge(purge)
    replica.purger.follow()
    assert isinstance(replica.journal, MemoryOwnedJournal)
    assert list(replica.journal.kept.values()) == [later]
    assert replica.steps == ["stop", "start"]


def test_a_purge_that_postgres_has_forgotten_is_repeated_without_stopping_anything() -> None:
    replica = Replica()
    earlier = replica.tables.copy()
    replica.purger.purge()
    replica.steps.clear()
    replica.tables.forget(earlier)
    replica.purger.follow()
    assert replica.purges.last_purge() == replica.purger.last_purge
    assert (replica.tables.purged_generation, replica.steps) == (1, [])
