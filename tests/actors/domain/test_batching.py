"""Batches shrink while commits are slow and grow again afterwards; they are further apart where that saves commits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.batching import BatchLimits, BatchSize, BatchSpacing


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


LIMITS = BatchLimits(
    items_max=100, spacing_s_min=0.010, spacing_s_max=0.050, items_wanted=20, quiet_per_s=20.0, rate_s=0.5
)


class Stream:
    """Items that come at a steady rate, and the spacing of the batches that they go into."""

    def __init__(self) -> None:
        self.spacing = BatchSpacing(LIMITS)
        self.now_s = 1000.0

    def run(self, per_s: float, seconds: float, *, together: int = 1) -> float:
        """Let items come for a time, `together` at once; return the time between two batches then."""
        for _ in range(round(seconds * per_s / together)):
            self.now_s += together / per_s
            self.spacing.added(together, self.now_s)
        return self.spacing.spacing_s


def test_the_first_item_is_written_at_once_and_the_next_after_the_shortest_time() -> None:
    spacing = BatchSpacing(LIMITS)
    spacing.added(1, 1000.0)
    assert spacing.next_at_s <= 1000.0
    spacing.written(1000.0)
    assert spacing.next_at_s == 1000.0 + LIMITS.spacing_s_min


@pytest.mark.parametrize(
    ("per_s", "spacing_s"),
    [(2, 0.010), (15, 0.010), (30, 0.050), (200, 0.050), (400, 0.050), (800, 0.025), (2000, 0.010), (20_000, 0.010)],
)
@pytest.mark.parametrize("together", [1, 2])
def test_batches_are_further_apart_where_they_fill_slowly(per_s: float, spacing_s: float, together: int) -> None:
    assert Stream().run(per_s, 3.0, together=together) == pytest.approx(spacing_s, rel=0.02)


def test_the_spacing_follows_the_rate_up_and_down() -> None:
    stream = Stream()
    spacings_s = [stream.run(per_s, 2.0) for per_s in (10, 200, 5000, 200, 10)]
    assert spacings_s == pytest.approx([0.010, 0.050, 0.010, 0.050, 0.010], rel=0.02)


def test_the_spacing_counts_from_the_beginning_of_the_last_batch() -> None:
    stream = Stream()
    stream.run(800, 2.0)
    stream.spacing.written(stream.now_s)
    assert stream.spacing.next_at_s == pytest.approx(stream.now_s + 0.025, abs=0.001)


def test_a_new_rate_counts_within_twice_the_time_over_which_it_is_measured() -> None:
    stream = Stream()
    stream.run(10, 5.0)
    assert stream.run(1000, 2 * LIMITS.rate_s) == pytest.approx(0.020, rel=0.02)


def test_the_first_item_after_a_pause_is_written_at_once_and_the_next_after_the_shortest_time() -> None:
    stream = Stream()
    assert stream.run(300, 2.0) == LIMITS.spacing_s_max
    stream.spacing.written(stream.now_s)
    stream.now_s += 60.0
    stream.spacing.added(1, stream.now_s)
    assert stream.spacing.next_at_s <= stream.now_s
    assert stream.spacing.spacing_s == LIMITS.spacing_s_min


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.floats(0.0, 2.0)), max_size=100))
def test_whatever_comes_the_spacing_keeps_its_bounds(arrivals: list[tuple[int, float]]) -> None:
    spacing, now_s = BatchSpacing(LIMITS), 1000.0
    for items, seconds in arrivals:
        now_s += seconds
        spacing.added(items, now_s)
        assert LIMITS.spacing_s_min <= spacing.spacing_s <= LIMITS.spacing_s_max


def test_a_rate_of_just_what_costs_little_is_written_as_it_comes_and_the_next_higher_one_is_not() -> None:
    for items, spacing_s in ((5, LIMITS.spacing_s_min), (6, LIMITS.spacing_s_max)):
        spacing = BatchSpacing(LIMITS)
        spacing.added(5, 1000.0)
        spacing.added(items, 1000.0 + LIMITS.rate_s)
        assert spacing.spacing_s == spacing_s
        spacing.added(items + 5, 1000.0 + 2 * LIMITS.rate_s)
        assert spacing.spacing_s == spacing_s


def test_a_commit_that_takes_just_as_long_as_wanted_is_quick() -> None:
    size = BatchSize(100)
    size.failed()
    size.committed(BatchSize.COMMIT_S_TARGET)
    assert size.items == 60
    size.committed(BatchSize.COMMIT_S_TARGET + 0.001)
    assert size.items == 30
