"""Batches shrink while commits are slow, and grow again afterwards."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.batching import BatchLimits, BatchSize


def test_a_batch_has_the_limits_of_the_design() -> None:
    assert BatchLimits() == BatchLimits(items_max=100, wait_s_max=0.010)


def test_a_batch_begins_with_all_that_it_may_hold() -> None:
    assert BatchSize(100).items == 100


def test_slow_commits_and_failures_halve_a_batch_down_to_a_minimum() -> None:
    size, seen = BatchSize(100), []
    for _ in range(2):
        size.committed(BatchSize.COMMIT_S_TARGET * 2)
        seen.append(size.items)
        size.failed()
        seen.append(size.items)
    assert seen == [50, 25, 12, 10]


def test_quick_commits_let_it_grow_up_to_its_maximum() -> None:
    size, seen = BatchSize(100), []
    size.failed()
    for _ in range(7):
        size.committed(0.001)
        seen.append(size.items)
    assert seen == [60, 70, 80, 90, 100, 100, 100]


@pytest.mark.parametrize("items_max", [1, 5, 9])
def test_a_maximum_below_the_usual_minimum_holds(items_max: int) -> None:
    size = BatchSize(items_max)
    size.failed()
    assert size.items == items_max
    size.committed(0.001)
    assert size.items == items_max


@settings(deadline=None)
@given(st.integers(1, 1000), st.lists(st.one_of(st.none(), st.floats(0, 10)), max_size=100))
def test_no_order_of_commits_and_failures_leaves_the_limits(items_max: int, commits_s: list[float | None]) -> None:
    size = BatchSize(items_max)
    for commit_s in commits_s:
        if commit_s is None:
            size.failed()
        else:
            size.committed(commit_s)
        assert min(BatchSize.ITEMS_MIN, items_max) <= size.items <= items_max
    for _ in range(items_max):
        size.committed(0.0)
    assert size.items == items_max
