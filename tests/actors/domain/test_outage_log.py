"""An outage is one line when it begins and one when it ends, with at most one a minute between."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from actors.domain.outage_log import QUIET_S, REMIND_S, OutageLog, OutageNews, Turn

Step = tuple[float, bool]
STEPS = st.lists(st.tuples(st.floats(0, 2 * REMIND_S), st.booleans()), max_size=200)
"""How much later something is tried, and whether it fails."""


def play(steps: list[Step]) -> tuple[list[tuple[float, OutageNews]], float]:
    """Give what is told and when, and when the last step was."""
    log, now_s, told = OutageLog(), 0.0, []
    for later_s, fails in steps:
        now_s += later_s
        news = log.failed(now_s) if fails else log.succeeded(now_s)
        if news is not None:
            told.append((now_s, news))
    if (last := log.check(now_s + 2 * QUIET_S)) is not None and last.turn is Turn.ENDED:
        told.append((now_s + 2 * QUIET_S, last))
    return told, now_s


def test_where_nothing_fails_nothing_is_told() -> None:
    assert play([(1.0, False)] * 100) == ([], 100.0)


def test_an_outage_is_told_when_it_begins_and_when_it_is_over_with_how_long_it_was() -> None:
    told, _ = play([(1.0, True)] * 30 + [(1.0, False)] * 20)
    assert told == [(1.0, OutageNews(Turn.BEGAN, 1, 1, 0.0)), (41.0, OutageNews(Turn.ENDED, 30, 29, 30.0))]


def test_an_outage_is_open_until_all_has_been_well_for_a_while() -> None:
    log = OutageLog()
    assert not log.is_open
    log.failed(1.0)
    log.succeeded(2.0)
    assert log.is_open
    log.check(2.0 + QUIET_S)
    assert not log.is_open


def test_an_outage_that_lasts_is_told_once_a_minute() -> None:
    told, _ = play([(1.0, True)] * 150)
    assert [(at_s, news.turn, news.failures) for at_s, news in told] == [
        (1.0, Turn.BEGAN, 1),
        (61.0, Turn.LASTS, 61),
        (121.0, Turn.LASTS, 121),
    ]


def test_what_flaps_is_one_outage() -> None:
    told, _ = play([(0.25, True), (0.25, False)] * 100 + [(QUIET_S, False)])
    assert [news.turn for _, news in told] == [Turn.BEGAN, Turn.ENDED]
    assert told[-1][1].failures == 100


def test_after_a_quiet_time_it_is_another_outage() -> None:
    told, _ = play([(1.0, True), (1.0, False), (QUIET_S, True)])
    assert [news.turn for _, news in told] == [Turn.BEGAN, Turn.BEGAN]


def test_what_is_new_in_an_outage_is_told_at_once() -> None:
    log = OutageLog()
    log.failed(0.0)
    assert log.failed(1.0) is None
    assert log.failed(2.0, 5, is_new=True) == OutageNews(Turn.LASTS, 7, 6, 2.0)


@given(STEPS)
def test_lines_are_few_whatever_happens(steps: list[Step]) -> None:
    told, end_s = play(steps)
    begun = sum(news.turn is Turn.BEGAN for _, news in told)
    reminded = [at_s for at_s, news in told if news.turn is Turn.LASTS]
    # Between the ends of one outage and the beginning of the next all was well for so long.
    assert begun <= 1 + end_s / QUIET_S
    assert all(later_s - at_s >= REMIND_S for at_s, later_s in pairwise(reminded))
    assert sum(news.turn is Turn.ENDED for _, news in told) <= begun


@given(STEPS)
def test_every_failure_is_counted_in_a_line_once_all_has_been_well(steps: list[Step]) -> None:
    told, _ = play([*steps, (0.0, False)])
    assert sum(news.untold for _, news in told) == sum(fails for _, fails in steps)
    assert all(news.failures >= news.untold for _, news in told if news.turn is not Turn.BEGAN)


@given(STEPS)
def test_the_first_failure_is_told_at_once(steps: list[Step]) -> None:
    told, _ = play(steps)
    now_s, failed_at_s = 0.0, []
    for later_s, fails in steps:
        now_s += later_s
        failed_at_s += [now_s] * fails
    assert [at_s for at_s, _ in told[:1]] == failed_at_s[:1]


def test_turns_have_the_names_that_log_lines_show() -> None:
    assert [turn.value for turn in Turn] == ["began", "lasts", "ended"]
