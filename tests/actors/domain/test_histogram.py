"""Durations are counted in the bucket whose bound they do not exceed."""

from math import inf

import pytest

from actors.domain.histogram import Histogram, HistogramCounts


def test_a_duration_lies_in_the_first_bucket_whose_bound_it_does_not_exceed() -> None:
    histogram = Histogram(0.25, 1.0)
    for duration_s in (0.0, 0.25, 0.5, 1.0, 7.0):
        histogram.observe(duration_s)
    counted = histogram.counted()
    assert counted == HistogramCounts((0.25, 1.0), (2, 2, 1), 8.75)
    assert list(counted.buckets()) == [(0.25, 2), (1.0, 4), (inf, 5)]


def test_what_was_counted_does_not_change_afterwards() -> None:
    histogram = Histogram(0.1)
    before = histogram.counted()
    histogram.observe(3.0)
    assert before == HistogramCounts((0.1,), (0, 0), 0.0)


def test_bounds_rise() -> None:
    with pytest.raises(AssertionError):
        Histogram(1.0, 0.1)
