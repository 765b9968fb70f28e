"""Which payments of a journal were not accepted by this run."""

from hypothesis import given
from hypothesis import strategies as st

from actors.domain.replayed_runs import ReplayedRuns


def test_a_run_ends_where_the_others_begin() -> None:
    runs = ReplayedRuns()
    runs.appended(3, replayed=True)
    runs.appended(2, replayed=False)
    assert [runs.next_run(waiting) for waiting in range(5, -1, -1)] == [
        (True, 3),
        (True, 2),
        (True, 1),
        (False, 2),
        (False, 1),
        (False, 0),
    ]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=10))
def test_each_payment_is_told_as_it_was_appended(appended: list[tuple[int, bool]]) -> None:
    runs, expected = ReplayedRuns(), []
    for count, replayed in appended:
        runs.appended(count, replayed=replayed)
        expected += [replayed] * count
    told: list[bool] = []
    while len(told) < len(expected):
        replayed, alike = runs.next_run(len(expected) - len(told))
        told += [replayed] * alike
    assert told == expected
