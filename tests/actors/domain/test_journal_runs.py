"""Which payments of a journal have something in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.journal_runs import JournalRuns


def test_a_run_ends_where_the_others_begin() -> None:
    runs = JournalRuns()
    runs.mark(0, 3)
    assert [runs.next_run(place, 5 - place) for place in range(6)] == [
        (True, 3),
        (True, 2),
        (True, 1),
        (False, 2),
        (False, 1),
        (False, 0),
    ]


def test_runs_that_follow_each_other_are_one() -> None:
    runs = JournalRuns()
    runs.mark(2, 3)
    runs.mark(3, 5)
    assert [runs.next_run(place, 9 - place) for place in (0, 2)] == [(False, 2), (True, 3)]


def test_runs_are_marked_in_the_order_of_arrival() -> None:
    runs = JournalRuns()
    runs.mark(2, 4)
    with pytest.raises(AssertionError, match="order of arrival"):
        runs.mark(1, 2)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=10))
def test_each_payment_is_told_as_it_was_marked(appended: list[tuple[int, bool]]) -> None:
    runs, expected = JournalRuns(), list[bool]()
    for count, is_marked in appended:
        if is_marked:
            runs.mark(len(expected), len(expected) + count)
        expected += [is_marked] * count
    told: list[bool] = []
    while len(told) < len(expected):
        is_marked, alike = runs.next_run(len(told), len(expected) - len(told))
        told += [is_marked] * alike
    assert told == expected


def test_an_empty_run_is_none_and_does_not_lengthen_the_one_before() -> None:
    runs = JournalRuns()
    runs.mark(2, 2)
    assert runs.next_run(0, 9) == (False, 9)
    runs.mark(3, 5)
    runs.mark(5, 5)
    assert runs.next_run(0, 9) == (False, 3)
    assert runs.next_run(3, 9) == (True, 2)
    assert runs.next_run(5, 9) == (False, 9)
