"""A processor is slow after a call that took too long, unless a later one did not."""

from hypothesis import given
from hypothesis import strategies as st

from actors.domain.pace import Pace

SLOW_S = 1.5


def test_one_slow_call_makes_it_slow_and_a_later_fast_one_ends_that() -> None:
    pace = Pace(SLOW_S)
    assert not pace.is_slow
    pace.call_ended(10.0, 11.5, charged=True)
    assert pace.is_slow
    pace.call_ended(11.6, 11.7, charged=True)
    assert not pace.is_slow


def test_a_slow_call_among_fast_ones_that_began_later_changes_nothing() -> None:
    pace = Pace(SLOW_S)
    pace.call_ended(10.1, 10.2, charged=True)
    pace.call_ended(10.0, 12.0, charged=True)
    pace.under_way([10.0], 30.0)
    assert not pace.is_slow


def test_a_fast_call_that_began_before_a_slow_one_does_not_make_it_fast() -> None:
    pace = Pace(SLOW_S)
    pace.under_way([9.0, 10.0, 11.0], 11.5)
    pace.call_ended(9.9, 11.3, charged=True)
    assert pace.is_slow


def test_a_fast_failure_does_not_show_that_it_is_fast() -> None:
    pace = Pace(SLOW_S)
    pace.call_ended(10.0, 11.5, charged=False)
    pace.call_ended(11.6, 11.7, charged=False)
    assert pace.is_slow


def test_a_call_under_way_is_slow_as_soon_as_it_takes_that_long() -> None:
    pace = Pace(SLOW_S)
    pace.under_way([10.0], 11.4)
    assert not pace.is_slow
    pace.under_way([10.0], 11.5)
    assert pace.is_slow


def test_its_health_may_say_that_it_is_slow_but_only_a_call_that_it_is_fast() -> None:
    pace = Pace(SLOW_S)
    pace.told(2.0, 10.0)
    assert pace.is_slow
    pace.told(0.1, 15.0)
    assert pace.is_slow
    assert pace.told_fast_s == 15.0
    pace.call_ended(15.1, 15.2, charged=True)
    assert not pace.is_slow


def test_an_older_answer_of_its_health_than_a_fast_call_tells_nothing() -> None:
    pace = Pace(SLOW_S)
    pace.call_ended(10.1, 10.2, charged=True)
    pace.told(2.0, 10.0)
    assert not pace.is_slow


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 3)), min_size=1))
def test_in_whatever_order_calls_end_the_one_that_began_last_decides(calls: list[tuple[float, float]]) -> None:
    pace = Pace(SLOW_S)
    for began_s, duration_s in calls:
        pace.call_ended(began_s, began_s + duration_s, charged=True)
    last_s = max(began_s for began_s, _ in calls)
    last = {began_s + duration_s - began_s >= SLOW_S for began_s, duration_s in calls if began_s == last_s}
    if len(last) == 1:
        assert pace.is_slow is last.pop()
