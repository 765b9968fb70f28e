from dataclasses import replace

import pytest

from actors.domain.records import FORGOTTEN_S, StoreIdentity
from actors.errors import LedgerUnavailableError
from actors.store_watch import StoreWatch
from ops.simulation.journals import MemoryStoreMemory
from ops.simulation.stores import MemoryLeases
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
        return self.watch.has_forgotten()


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
    assert described == (f"it may have forgotten, 60 s ago, what it had acknowledged: {SEEN} was followed by {other}")
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
