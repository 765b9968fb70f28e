"""The seconds of all replicas are added up, each once, and five minutes of them are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.seconds import KEPT_S, Seconds, quantile_ms
from tests.actors.watching import second

NOW_S = 1_750_000_000
BOUNDS_S = (0.001, 0.01)


def test_the_same_second_of_two_replicas_is_one() -> None:
    seconds = Seconds(BOUNDS_S)
    seconds.add("1", [second(NOW_S - 2, 5), second(NOW_S - 1, 7, down=("default",))], NOW_S)
    seconds.add("2", [second(NOW_S - 2, 1, latency_ms={"default": 20.0}, waiting=3)], NOW_S)
    seconds.add("2", [second(NOW_S - 2, 1, latency_ms={"default": 20.0}, waiting=3)], NOW_S)
    series = seconds.series(["default"], None, NOW_S)
    assert (series.from_s, series.accepted, series.waiting) == (NOW_S - 2, [6, 7], [3, 0])
    assert (series.settled, series.latency_ms, series.down) == (
        {"default": [6, 7]},
        {"default": [15.0, 10.0]},
        {"default": [0, 1]},
    )


def test_a_second_of_which_nobody_tells_is_a_gap() -> None:
    seconds = Seconds(BOUNDS_S)
    seconds.add("1", [second(NOW_S - 3, 5), second(NOW_S - 1, 7)], NOW_S)
    series = seconds.series(["default"], None, NOW_S)
    assert (series.accepted, series.settled["default"]) == ([5, None, 7], [5, None, 7])
    assert series.quantiles_ms[0.5] == [None, None, None]


def test_what_no_replica_knows_of_a_second_is_none_and_who_charges_nothing_has_charged_none() -> None:
    seconds = Seconds(BOUNDS_S)
    seconds.add("1", [second(NOW_S - 1, 5, waiting=None)], NOW_S)
    series = seconds.series(["default", "other"], None, NOW_S)
    assert (series.waiting, series.settled["other"], series.latency_ms["other"]) == ([None], [0], [None])


def test_latencies_are_told_to_the_tenth_of_a_millisecond() -> None:
    seconds = Seconds(BOUNDS_S)
    seconds.add("1", [second(NOW_S - 1, latency_ms={"default": 10.0})], NOW_S)
    seconds.add("2", [second(NOW_S - 1, latency_ms={"default": 10.5})], NOW_S)
    assert seconds.series(["default"], None, NOW_S).latency_ms["default"] == [10.2]


def test_the_quantiles_are_those_of_the_answers_of_all_replicas_also_where_one_has_fewer_bounds() -> None:
    seconds = Seconds(BOUNDS_S)
    seconds.add("1", [second(NOW_S - 1, answers=(10, 0, 0))], NOW_S)
    seconds.add("2", [second(NOW_S - 1, answers=(88, 2))], NOW_S)
    assert seconds.series([], None, NOW_S).quantiles_ms == {0.5: [0.51], 0.99: [5.5]}


def test_seconds_that_are_missing_at_the_beginning_are_a_gap_for_who_has_the_earlier_ones() -> None:
    seconds = Seconds(BOUNDS_S)
    seconds.add("1", [second(NOW_S - 1, 7)], NOW_S)
    series = seconds.series([], NOW_S - 3, NOW_S)
    assert (series.from_s, series.accepted) == (NOW_S - 2, [None, 7])


def test_only_later_seconds_are_given_to_who_has_the_others() -> None:
    seconds = Seconds(BOUNDS_S)
    seconds.add("1", [second(NOW_S - 3, 5), second(NOW_S - 2, 6), second(NOW_S - 1, 7)], NOW_S)
    later = seconds.series([], NOW_S - 2, NOW_S)
    assert (later.from_s, later.accepted) == (NOW_S - 1, [7])
    assert seconds.series([], NOW_S - 1, NOW_S).accepted == []


def test_old_seconds_and_those_of_a_clock_that_is_ahead_are_forgotten() -> None:
    seconds = Seconds(BOUNDS_S)
    seconds.add("1", [second(NOW_S - KEPT_S, 1), second(NOW_S - KEPT_S + 1, 2), second(NOW_S + 2, 3)], NOW_S)
    assert seconds.series([], None, NOW_S).accepted == [2]
    seconds.add("1", [second(NOW_S, 4)], NOW_S + 1)
    assert seconds.series([], None, NOW_S + 1).accepted == [4]
    seconds.add("1", [second(NOW_S + 2, 5)], NOW_S + 1)
    assert seconds.series([], None, NOW_S + 1).accepted == [4, None, 5]
    # Nobody has told anything since.
    assert seconds.series([], None, NOW_S + KEPT_S).accepted == [5]


@pytest.mark.parametrize(
    ("counts", "share", "ms"),
    [
        ((0, 0, 0), 0.5, None),
        ((10, 0, 0), 0.5, 0.5),
        ((0, 10, 0), 0.5, 5.5),
        ((99, 1, 0), 0.99, 1.0),
        ((0, 0, 3), 0.5, 10.0),
    ],
)
def test_a_quantile_lies_within_its_bucket(counts: tuple[int, ...], share: float, ms: float | None) -> None:
    assert quantile_ms(BOUNDS_S, counts, share) == ms


@pytest.mark.parametrize(
    ("counts", "share", "ms"),
    [
        ((2, 2, 6, 0), 0.5, 25.0),
        ((5, 0, 5, 0), 0.5, 1.0),
        ((7, 0, 0, 0), 1 / 3, 0.33),
        ((0, 0, 0, 1), 0.5, 123.46),
    ],
)
def test_a_quantile_is_told_to_the_hundredth_of_a_millisecond(counts: tuple[int, ...], share: float, ms: float) -> None:
    bounds_s = (0.001, 0.01, 0.1 if counts[2] else 0.123456)
    assert quantile_ms(bounds_s, counts, share) == ms


@given(st.lists(st.integers(0, 1000), min_size=3, max_size=3), st.floats(0.01, 1))
def test_a_quantile_never_leaves_the_bounds(counts: list[int], share: float) -> None:
    ms = quantile_ms(BOUNDS_S, counts, share)
    assert ms is None or 0 <= ms <= BOUNDS_S[-1] * 1000
    assert (ms is None) == (sum(counts) == 0)


@pytest.mark.parametrize(("down", "is_down"), [((True,), 1), ((True, False), 0), ((True, True, False), 1)])
def test_a_processor_counts_as_down_where_more_than_half_of_the_replicas_find_it_so(
    down: tuple[bool, ...], is_down: int
) -> None:
    seconds = Seconds(BOUNDS_S)
    for replica, finds_it_down in enumerate(down):
        seconds.add(str(replica), [second(NOW_S - 1, 1, down=("default",) if finds_it_down else ())], NOW_S)
    assert seconds.series(["default"], None, NOW_S).down == {"default": [is_down]}
