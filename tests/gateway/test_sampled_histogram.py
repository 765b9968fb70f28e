"""Count and sum are right in expectation at any share, and the share follows the rate."""

from collections.abc import Iterator
from itertools import repeat
from math import sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sampled_histogram import BOUNDS_S, ONE_OF_MAX, SampledHistogram

SHARES = 2520
"""Divisible by all numbers up to ten."""


class Load:
    """Requests one after the other, on a clock of their own."""

    def __init__(self, random: Random | None = None) -> None:
        self.now_s = 0.0
        self.chances: Iterator[float] = iter(random.random, None) if random else repeat(0.0)
        self.histogram = SampledHistogram(now_s=lambda: self.now_s, chance=lambda: next(self.chances))

    def offer(self, requests: int, period_s: float = 0.0, duration_s: float = 0.0) -> None:
        for _ in range(requests):
            sample = self.histogram.begin()
            self.now_s += duration_s
            if sample:
                self.histogram.end(sample)
            self.now_s += max(0.0, period_s - duration_s)

    @property
    def count(self) -> int:
        return list(self.histogram.counted().buckets())[-1][1]


def at_rate(per_s: int) -> Load:
    load = Load()
    load.offer(2 * per_s, 1 / per_s)
    return load


@pytest.mark.parametrize(
    ("per_s", "one_of"), [(1, 1), (20, 1), (29, 1), (40, 2), (100, 5), (180, 9), (200, 10), (2_000, ONE_OF_MAX)]
)
def test_all_are_observed_where_few_come_and_one_in_ten_where_many_do(per_s: int, one_of: int) -> None:
    assert at_rate(per_s).histogram.one_of == one_of


def test_where_few_come_again_all_are_observed_again() -> None:
    load = at_rate(1_000)
    load.offer(3, period_s=1.0)
    assert load.histogram.one_of == 1


@pytest.mark.parametrize("one_of", range(1, ONE_OF_MAX + 1))
def test_over_all_equally_likely_chances_count_and_sum_are_exact(one_of: int) -> None:
    load = Load()
    load.histogram.one_of = one_of
    load.chances = iter([number / SHARES for number in range(SHARES)])
    load.offer(SHARES, duration_s=1e-5)
    assert load.count == SHARES
    assert load.histogram.sum_s == pytest.approx(SHARES * 1e-5)


@given(
    seed=st.integers(0, 2**32),
    phases=st.lists(
        st.tuples(st.integers(1, 400), st.floats(0.0005, 0.5), st.floats(0, 0.05)), min_size=1, max_size=10
    ),
)
def test_count_and_sum_agree_in_expectation_while_rate_and_durations_change(
    seed: int, phases: list[tuple[int, float, float]]
) -> None:
    load = Load(Random(seed))
    for requests, period_s, duration_s in phases:
        load.offer(requests, period_s, duration_s)
    offered = sum(requests for requests, *_ in phases)
    squares = sum(requests * duration_s**2 for requests, _, duration_s in phases)
    expected_s = sum(requests * duration_s for requests, _, duration_s in phases)
    # One request that stands for so many others has at most their number as variance; seven deviations never happen.
    assert abs(load.count - offered) <= 7 * sqrt(ONE_OF_MAX * offered)
    assert abs(load.histogram.sum_s - expected_s) <= 7 * sqrt(ONE_OF_MAX * squares) + 1e-6


def test_a_duration_counts_in_all_buckets_that_reach_up_to_it() -> None:
    load = Load()
    load.offer(1, duration_s=0.25)
    assert [count for _, count in load.histogram.counted().buckets()] == [
        int(bound_s >= 0.25) for bound_s in (*BOUNDS_S, 9)
    ]


def test_a_histogram_that_samples_nothing_away_observes_all_at_any_rate() -> None:
    load = Load()
    load.histogram = SampledHistogram(1, now_s=lambda: load.now_s, chance=lambda: 0.999)
    load.offer(3_000, period_s=0.001)
    assert load.count == 3_000
