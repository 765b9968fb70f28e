"""The longest delay that is known counts, for an hour at least and not much longer."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.processor_delay import BUCKETS, REPORTED_S_MAX, SEEN_S, ProcessorDelay, SlidingMaximum

Seen = list[tuple[float, float]]


def delay(setting_s: float = 1.0) -> ProcessorDelay:
    return ProcessorDelay(setting_s, timeout_s=max(10.0, setting_s), lease_s=5.0)


@given(st.lists(st.tuples(st.floats(0, 4 * SEEN_S), st.floats(0, 100)), max_size=50), st.floats(0, 8 * SEEN_S))
def test_what_was_seen_counts_for_an_hour_and_is_forgotten_soon_after(seen: Seen, now_s: float) -> None:
    maximum = SlidingMaximum()
    seen = sorted((seen_s, value) for seen_s, value in seen if seen_s <= now_s)
    for seen_s, value in seen:
        maximum.record(value, seen_s)
    fresh = [value for seen_s, value in seen if now_s - seen_s < SEEN_S]
    known = [value for seen_s, value in seen if now_s - seen_s <= SEEN_S * (1 + 1 / BUCKETS)]
    assert max(fresh, default=0.0) <= maximum.at(now_s) <= max(known, default=0.0)


def test_the_setting_counts_while_nothing_longer_is_known() -> None:
    known = delay(setting_s=15.0)
    known.call_ended(2.0, 0.0)
    known.call_ended(15.0, 0.0)
    known.told(3.0, 0.0)
    assert (known.longest_s(0.0), known.horizon_s(0.0), known.excess_s(0.0)) == (15.0, 35.0, 0.0)


def test_a_call_that_took_longer_than_the_setting_is_for_all_replicas_to_know() -> None:
    known = delay()
    known.call_ended(4.0, 0.0)
    assert (known.longest_s(1.0), known.horizon_s(1.0), known.excess_s(1.0)) == (4.0, 19.0, 4.0)
    assert (known.longest_s(2 * SEEN_S), known.excess_s(2 * SEEN_S)) == (1.0, 0.0)


def test_a_process_that_stood_still_during_a_call_tells_nothing_of_the_processor() -> None:
    known = delay()
    known.call_ended(3600.0, 0.0)
    assert known.longest_s(0.0) == 10.0


@pytest.mark.parametrize(("told_s", "believed_s"), [(25.0, 25.0), (1e9, REPORTED_S_MAX)])
def test_what_is_reported_is_believed_within_a_limit_and_is_not_passed_on(told_s: float, believed_s: float) -> None:
    known = delay()
    known.told(told_s, 0.0)
    assert (known.longest_s(0.0), known.excess_s(0.0)) == (believed_s, 0.0)


def test_an_observation_counts_for_an_hour_at_least_and_not_much_longer() -> None:
    for seen_at_s in (0.0, 599.9, 600.0):
        delays = SlidingMaximum()
        delays.record(7.0, seen_at_s)
        assert delays.at(seen_at_s + SEEN_S) == 7.0
        assert delays.at(seen_at_s + SEEN_S * (1 + 1 / BUCKETS)) == 0.0


def test_any_number_of_observations_takes_no_more_memory_than_a_few() -> None:
    delays = SlidingMaximum()
    for number in range(10_000):
        delays.record(number % 7, number)
    assert len(pickle.dumps(delays)) < 1000
