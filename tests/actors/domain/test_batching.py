"""Batches shrink while commits are slow and grow again afterwards; items wait for others where that saves commits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.batching import BatchLimits, BatchSize, CommitWindow


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


LIMITS = BatchLimits(items_max=100, wait_s_min=0.010, wait_s_max=0.050, items_wanted=20, quiet_per_s=20.0, rate_s=0.5)


class Stream:
    """Items that come at a steady rate, and the window in which they wait for others."""

    def __init__(self) -> None:
        self.window = CommitWindow(LIMITS)
        self.now_s = 1000.0

    def run(self, per_s: float, seconds: float, *, together: int = 1) -> float:
        """Let items come for a time, `together` at once; return how long the first of a batch waits then."""
        for _ in range(round(seconds * per_s / together)):
            self.now_s += together / per_s
            self.window.added(together, self.now_s)
        return self.window.wait_s


def test_before_any_rate_is_known_the_first_item_waits_as_short_as_may_be() -> None:
    assert Stream().window.wait_s == LIMITS.wait_s_min


@pytest.mark.parametrize(
    ("per_s", "wait_s"),
    [(2, 0.010), (15, 0.010), (30, 0.050), (200, 0.050), (400, 0.050), (800, 0.025), (2000, 0.010), (20_000, 0.010)],
)
@pytest.mark.parametrize("together", [1, 2])
def test_the_first_item_waits_longer_where_a_batch_fills_slowly(per_s: float, wait_s: float, together: int) -> None:
    assert Stream().run(per_s, 3.0, together=together) == pytest.approx(wait_s, rel=0.02)


def test_the_wait_follows_the_rate_up_and_down() -> None:
    stream = Stream()
    waits_s = [stream.run(per_s, 2.0) for per_s in (10, 200, 5000, 200, 10)]
    assert waits_s == pytest.approx([0.010, 0.050, 0.010, 0.050, 0.010], rel=0.02)


def test_a_new_rate_counts_within_twice_the_time_over_which_it_is_measured() -> None:
    stream = Stream()
    stream.run(10, 5.0)
    assert stream.run(1000, 2 * LIMITS.rate_s) == pytest.approx(0.020, rel=0.02)


def test_after_a_silence_the_first_item_waits_as_short_as_may_be() -> None:
    stream = Stream()
    assert stream.run(300, 2.0) == LIMITS.wait_s_max
    stream.now_s += 60.0
    stream.window.added(1, stream.now_s)
    assert stream.window.wait_s == LIMITS.wait_s_min


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.floats(0.0, 2.0)), max_size=100))
def test_whatever_comes_the_wait_keeps_its_bounds(arrivals: list[tuple[int, float]]) -> None:
    window, now_s = CommitWindow(LIMITS), 1000.0
    for items, seconds in arrivals:
        now_s += seconds
        window.added(items, now_s)
        assert LIMITS.wait_s_min <= window.wait_s <= LIMITS.wait_s_max
