"""Pauses after failures double up to a bound, and end in their order."""

from random import Random

from actors.domain.backoff import Backoff
from actors.domain.retries import Pauses, RetryLimits
from tests.actors.domain.dispatching import ids

NOW_S = 1000.0


def pauses(jitter: float = 0.0) -> Pauses:
    return Pauses(RetryLimits(jitter=jitter), Random(1))


def test_they_begin_with_a_tenth_of_a_second_and_double_up_to_five() -> None:
    ends = [pauses().begin(ids(1)[0], failures, NOW_S) - NOW_S for failures in (1, 2, 3, 6, 7, 40)]
    assert [round(pause_s, 6) for pause_s in ends] == [0.1, 0.2, 0.4, 3.2, 5.0, 5.0]
    assert RetryLimits() == RetryLimits(Backoff(0.1, 5.0), jitter=0.25)


def test_a_shorter_bound_may_be_asked_for() -> None:
    waiting = pauses()
    assert waiting.begin(ids(1)[0], 9, NOW_S, 0.5) == NOW_S + 0.5
    assert waiting.begin(ids(2)[0], 1, NOW_S, 0.5) == NOW_S + 0.1


def test_each_is_longer_or_shorter_by_a_random_share_up_to_the_jitter() -> None:
    waiting = pauses(jitter=0.25)
    lengths = [waiting.begin(ids(1)[0], 20, 0.0, 1.0) for _ in range(500)]
    assert 0.75 <= min(lengths) < 0.76
    assert 1.24 < max(lengths) <= 1.25


def test_payments_come_back_once_each_in_the_order_of_their_ends_and_those_of_one_instant_as_they_began() -> None:
    waiting, (late, first, second, last) = pauses(), ids(4, 3, 2, 1)
    assert waiting.next_end_s is None
    waiting.begin(late, 2, NOW_S)
    waiting.begin(first, 1, NOW_S)
    waiting.begin(second, 1, NOW_S)
    waiting.begin(last, 5, NOW_S)
    assert waiting.next_end_s == NOW_S + 0.1
    assert list(waiting.ended(NOW_S + 0.0999)) == []
    assert list(waiting.ended(NOW_S + 0.1)) == [first, second]
    assert list(waiting.ended(NOW_S + 0.3)) == [late]
    assert waiting.next_end_s == NOW_S + 1.6
    assert list(waiting.ended(NOW_S + 9)) == [last]
    assert waiting.next_end_s is None
