"""Pauses double up to a limit."""

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.backoff import Backoff


def test_pauses_double_from_the_first_to_the_longest() -> None:
    backoff = Backoff(first_s=0.5, longest_s=3.0)
    assert [backoff.pause_s(failures) for failures in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@settings(deadline=None)
@given(st.floats(1e-3, 10), st.floats(1, 1000), st.integers(1, 10**6))
def test_a_pause_never_shrinks_nor_exceeds_the_longest(first_s: float, factor: float, failures: int) -> None:
    backoff = Backoff(first_s, first_s * factor)
    assert first_s <= backoff.pause_s(failures) <= backoff.pause_s(failures + 1) <= backoff.longest_s
