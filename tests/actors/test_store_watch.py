from dataclasses import replace

import pytest

from actors.domain.failover import StoreFinding
from actors.domain.records import FORGOTTEN_S, StoreIdentity
from actors.errors import LedgerUnavailableError
from actors.store_watch import StoreWatch
from ops.simulation.journals import MemoryStoreMemory
from ops.simulation.stores import MemoryLeases
from ops.simulation.tables import Lease
from tests.actors.fakes import VirtualRuntime

SEEN = StoreIdentity("7517", timeline=2, position=1000, noted_position=900)
OTHERS = [
    StoreIdentity("7518", timeline=2, position=1000, noted_position=1000),
    StoreIdentity("7517", timeline=3, position=2000, noted_position=1000),
    StoreIdentity("7517", timeline=1, position=2000, noted_position=1000),
    StoreIdentity("7517", timeline=2, position=999, noted_position=1000),
    StoreIdentity("7517", timeline=2, position=2000, noted_position=899),
]
"""Each of them may lack something that was acknowledged."""


class Watch:
    """A watch over a Postgres that answers as a test says."""

    def __init__(self, memory: MemoryStoreMemory | None = None) -> None:
        self.memory, self.runtime, self.answers = memory or MemoryStoreMemory(), VirtualRuntime(), SEEN
        watch = self

        class Leases(MemoryLeases):
            def identity(self) -> StoreIdentity:
                self._answer()
                return watch.answers

        self.leases = Leases()
        self.watch = StoreWatch(self.leases, self.memory, self.runtime)

    def has_forgotten(self, answers: StoreIdentity = SEEN) -> bool:
        self.answers = answers
        return self.watch.look() is StoreFinding.FORGOTTEN


def test_the_first_postgres_has_forgotten_nothing() -> None:
    assert not Watch().has_forgotten()


def test_one_that_went_on_has_forgotten_nothing() -> None:
    watch = Watch()
    positions = (1000, 1000, 1001, 2**50)
    found = [watch.has_forgotten(replace(SEEN, position=each)) for each in positions]
    assert found == [False] * 4
    assert watch.watch.describe() is None


@pytest.mark.parametrize("other", OTHERS)
def test_another_one_may_have_forgotten_something_which_is_told_once_and_said_for_an_hour(other: StoreIdentity) -> None:
    watch = Watch()
    watch.has_forgotten()
    assert [watch.has_forgotten(other), watch.has_forgotten(other)] == [True, False]
    watch.runtime.advance(60.0)
    described = watch.watch.describe()
    assert (
        described == f"Postgres may have forgotten, 60 s ago, what it had acknowledged: {SEEN} was followed by {other}"
    )
    watch.runtime.advance(FORGOTTEN_S)
    assert watch.watch.describe() is None


@pytest.mark.parametrize("other", OTHERS)
def test_it_is_noticed_also_by_the_next_process(other: StoreIdentity) -> None:
    before = Watch()
    before.has_forgotten()
    before.watch.remember()
    assert Watch(before.memory).has_forgotten(other)


def test_it_is_told_to_each_process_that_begins_within_the_hour() -> None:
    first = Watch()
    first.has_forgotten()
    assert first.has_forgotten(OTHERS[0])
    first.watch.remember()
    for waited_s, is_told in ((60.0, True), (FORGOTTEN_S - 61.0, True), (62.0, False)):
        later = Watch(first.memory)
        later.runtime.advance(first.runtime.now_s() - later.runtime.now_s() + waited_s)
        first = later
        assert [later.has_forgotten(OTHERS[0]), later.has_forgotten(OTHERS[0])] == [is_told, False]
        assert (later.watch.describe() is not None) == is_told
        later.watch.remember()


def test_a_process_that_ended_before_it_was_registered_with_the_other_one_leaves_it_to_the_next() -> None:
    before = Watch()
    before.has_forgotten()
    before.watch.remember()
    assert before.has_forgotten(OTHERS[0])
    assert Watch(before.memory).has_forgotten(OTHERS[0])


def test_a_postgres_that_does_not_answer_changes_nothing() -> None:
    watch = Watch()
    watch.has_forgotten()
    watch.leases.failures = 1
    with pytest.raises(LedgerUnavailableError):
        watch.has_forgotten()
    assert not watch.has_forgotten()
    assert watch.has_forgotten(OTHERS[0])


def test_what_was_noted_after_it_was_read_is_missed_whatever_others_have_written_since() -> None:
    watch = Watch()
    watch.has_forgotten()
    watch.watch.remember()
    assert watch.has_forgotten(replace(SEEN, position=2000, noted_position=999))
    assert not watch.has_forgotten(replace(SEEN, position=2000, noted_position=1000))


# A standby that took over.

NOTED = replace(SEEN, mark=7, is_synchronous=True)
TAKEN_OVER = replace(NOTED, timeline=3, is_established=False)


def watching(told: StoreIdentity = NOTED) -> Watch:
    """Give one that has seen this, and shares its tables with replica 2, which has not told what it finds."""
    watch = Watch()
    watch.leases.tables.timeline = 3
    watch.leases.tables.leases["2"] = Lease(1, 0, 0, 0, is_synchronous=True)
    watch.has_forgotten(told)
    return watch


def find(watch: Watch, answers: StoreIdentity = TAKEN_OVER) -> StoreFinding:
    watch.answers = answers
    return watch.watch.look()


def test_one_that_has_all_is_told_once_every_replica_has_found_what_it_was_told_of() -> None:
    watch = watching()
    assert [find(watch), find(watch)] == [StoreFinding.UNDECIDED] * 2
    watch.leases.tables.leases["2"].confirmed_timeline = 3
    assert find(watch) is StoreFinding.WHOLE
    assert watch.leases.tables.established_timeline == 3
    assert find(watch, replace(TAKEN_OVER, is_established=True)) is StoreFinding.SAME
    assert watch.watch.describe() is None


def test_who_finds_it_decided_does_not_wait_for_others_but_looks_for_its_own() -> None:
    decided = replace(TAKEN_OVER, is_established=True)
    assert find(watching(), decided) is StoreFinding.WHOLE
    assert find(watching(), replace(decided, mark=6)) is StoreFinding.FORGOTTEN


@pytest.mark.parametrize(
    "lacking",
    [
        replace(TAKEN_OVER, mark=6),
        replace(TAKEN_OVER, has_last_write=False),
        replace(TAKEN_OVER, is_synchronous=False),
        replace(TAKEN_OVER, timeline=1),
        replace(TAKEN_OVER, system_id="7518"),
    ],
)
def test_where_something_may_be_missing_all_replicas_are_told(lacking: StoreIdentity) -> None:
    watch = watching()
    watch.leases.tables.timeline = lacking.timeline
    assert find(watch, lacking) is StoreFinding.FORGOTTEN
    assert watch.leases.tables.forgot == (lacking.timeline, watch.runtime.now_ms())


def test_a_release_that_left_no_marks_proves_nothing() -> None:
    assert find(watching(replace(NOTED, mark=0)), TAKEN_OVER) is StoreFinding.FORGOTTEN


def test_what_another_replica_finds_later_is_heard_once() -> None:
    watch = watching()
    decided = replace(TAKEN_OVER, is_established=True)
    assert find(watch, decided) is StoreFinding.WHOLE
    heard = replace(decided, forgot_history=decided.history, forgot_at_ms=watch.runtime.now_ms())
    assert [find(watch, heard), find(watch, heard)] == [StoreFinding.FORGOTTEN, StoreFinding.SAME]
    assert watch.watch.describe() is not None


def test_what_was_found_by_an_earlier_process_and_by_others_is_told_once() -> None:
    watch = watching()
    found = replace(TAKEN_OVER, mark=6)
    assert find(watch, found) is StoreFinding.FORGOTTEN
    watch.watch.remember(8)
    heard = replace(
        found, mark=8, is_established=True, forgot_history=found.history, forgot_at_ms=watch.runtime.now_ms()
    )
    later = Watch(watch.memory)
    later.runtime.advance(watch.runtime.now_s() - later.runtime.now_s())
    assert [find(later, heard), find(later, heard)] == [StoreFinding.FORGOTTEN, StoreFinding.SAME]


def test_a_process_that_remembers_nothing_hears_what_others_have_found_within_the_hour() -> None:
    newcomer = Watch()
    now_ms = newcomer.runtime.now_ms()
    heard = replace(SEEN, forgot_history=SEEN.history, forgot_at_ms=now_ms - 3_000_000)
    assert find(newcomer, heard) is StoreFinding.FORGOTTEN
    assert find(Watch(), replace(heard, forgot_at_ms=now_ms - 3_700_000)) is StoreFinding.SAME


def test_where_a_finding_cannot_be_told_it_is_found_again() -> None:
    watch = watching()
    identity = watch.leases.identity

    def identify_and_fail() -> StoreIdentity:
        found = identity()
        watch.leases.failures = 1
        return found

    watch.leases.identity = identify_and_fail  # type: ignore[method-assign]  # the next call after it fails
    with pytest.raises(LedgerUnavailableError):
        find(watch, replace(TAKEN_OVER, mark=6))
    watch.leases.identity = identity  # type: ignore[method-assign]
    assert find(watch, replace(TAKEN_OVER, mark=6)) is StoreFinding.FORGOTTEN


def test_what_a_mark_shows_is_remembered_with_it() -> None:
    watch = watching()
    watch.watch.remember(9)
    assert find(watch, replace(TAKEN_OVER, mark=8)) is StoreFinding.FORGOTTEN
