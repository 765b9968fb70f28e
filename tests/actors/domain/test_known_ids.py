"""The latest ids are known by their values, the oldest forgotten first, in little memory."""

import tracemalloc
from collections import OrderedDict
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.domain import known_ids
from actors.domain.known_ids import FINGERPRINT_MASK, FIRST_CAPACITY, KnownIds

IDS = tuple(UUID(int=number) for number in range(20))
any_value = st.integers(0, 2**64 - 1)


def values(known: KnownIds) -> list[int | None]:
    return [known.get(correlation_id) for correlation_id in IDS]


def test_an_id_is_known_by_the_value_that_it_came_with() -> None:
    known = KnownIds(2)
    known.remember(IDS[0], 1990)
    assert (known.get(IDS[0]), known.get(IDS[1]), len(known)) == (1990, None, 1)


def test_the_oldest_is_forgotten_first_also_when_it_was_asked_for_or_changed() -> None:
    known = KnownIds(2)
    known.remember(IDS[0], 1)
    known.remember(IDS[1], 2)
    known.remember(IDS[0], 4)
    assert known.get(IDS[0]) == 4
    known.remember(IDS[2], 3)
    assert values(known)[:3] == [None, 2, 3]


def test_the_latest_that_was_not_kept_makes_room() -> None:
    known = KnownIds(2)
    known.remember(IDS[0], 1)
    known.remember(IDS[1], 2)
    known.forget(IDS[1])
    known.remember(IDS[2], 3)
    assert values(known)[:3] == [1, None, 3]


def test_a_fingerprint_has_64_bits() -> None:
    assert (FINGERPRINT_MASK.bit_count(), FINGERPRINT_MASK.bit_length()) == (64, 64)


def test_all_ids_survive_that_the_arrays_grow() -> None:
    size_max = FIRST_CAPACITY + 1000
    known = KnownIds(size_max)
    for number in range(size_max + 10):
        known.remember(UUID(int=number), number)
    expected = [None] * 10 + list(range(10, size_max + 10))
    assert [known.get(UUID(int=number)) for number in range(size_max + 10)] == expected


@pytest.mark.parametrize("size_max", [1000, 3000, 4096])
def test_an_id_costs_24_bytes(size_max: int) -> None:
    tracemalloc.start()
    try:
        known = KnownIds(size_max)
        for number in range(size_max):
            known.remember(UUID(int=number), 2**63 + number)
        seen = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    assert len(known) == size_max
    # Other threads of the tests allocate, too.
    own = seen.filter_traces([tracemalloc.Filter(inclusive=True, filename_pattern=known_ids.__file__)])
    bytes_used = sum(trace.size for trace in own.traces)
    assert bytes_used > 16 * size_max
    assert bytes_used <= 24 * size_max + 2000


def test_the_place_of_the_latest_id_is_free_again_once_it_is_forgotten() -> None:
    ids = KnownIds(5)
    first, second, dropped, *later = (UUID(int=number) for number in range(1, 7))
    for each in (first, second, dropped):
        ids.remember(each, 1)
    ids.forget(dropped)
    for each in later:
        ids.remember(each, 1)
    assert [ids.get(each) for each in (first, second, dropped, *later)] == [1, 1, None, 1, 1, 1]


class AnyOrder(RuleBasedStateMachine):
    """Beside it stands an ordered dictionary; a forgotten id keeps its place there until no later one is known."""

    @initialize(size_max=st.integers(1, 12))
    def open(self, size_max: int) -> None:
        self.size_max = size_max
        self.known = KnownIds(size_max)
        self.model: OrderedDict[object, int | None] = OrderedDict()

    @rule(correlation_id=st.sampled_from(IDS), value=any_value)
    def remember(self, correlation_id: UUID, value: int) -> None:
        self.known.remember(correlation_id, value)
        self.model[correlation_id] = value
        if len(self.model) > self.size_max:
            self.model.popitem(last=False)

    @rule(correlation_id=st.sampled_from(IDS))
    def forget(self, correlation_id: UUID) -> None:
        self.known.forget(correlation_id)
        forgotten = object()
        self.model = OrderedDict(
            (forgotten, None) if key == correlation_id else (key, value) for key, value in self.model.items()
        )
        while self.model and next(reversed(self.model.values())) is None:
            self.model.popitem()

    @invariant()
    def it_knows_what_the_dictionary_knows(self) -> None:
        assert values(self.known) == [self.model.get(correlation_id) for correlation_id in IDS]
        assert len(self.known) == sum(value is not None for value in self.model.values())


AnyOrder.TestCase.settings = settings(deadline=None, max_examples=100)
TestAnyOrder = AnyOrder.TestCase
