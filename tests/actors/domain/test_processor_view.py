"""A silent processor is rarely probed, a slow one tried after growing pauses, and nobody waits twice for a probe."""

from math import inf

from actors.domain.breaker import BreakerState
from actors.domain.processor_view import (
    SILENT_PROBE_S,
    SILENT_PROBE_S_MAX,
    TRIAL_S,
    TRIAL_S_MAX,
    Availability,
    ProcessorView,
)

NOW_S = 1000.0


def availability(state: BreakerState = BreakerState.CLOSED, down_since_s: float | None = None) -> Availability:
    return Availability("default", state, 8, 100.0, down_since_s)


def silent(now_s: float = NOW_S) -> ProcessorView:
    """A half-open processor with a pinned payment that has not answered the look-up asked at `now_s`."""
    view = ProcessorView(BreakerState.HALF_OPEN, takes=8, pinned=1)
    view.looked_up(now_s, answered=False)
    return view


def test_it_has_room_for_as_many_as_it_takes() -> None:
    view = ProcessorView(takes=2, given=1)
    assert view.has_room
    view.given = 2
    assert (view.has_room, view.takes_pinned) == (False, False)


def test_only_one_with_pinned_payments_and_an_unanswered_look_up_is_silent() -> None:
    view = silent()
    assert view.is_silent
    view.count_pinned(-1)
    assert (view.pinned, view.is_silent) == (0, False)
    view.count_pinned(1)
    assert (view.pinned, view.is_silent) == (1, True)
    view.looked_up(NOW_S + 1, answered=True)
    assert not view.is_silent


def test_a_silent_one_takes_no_probe_while_it_is_half_open_but_takes_payments_again_once_it_is_closed() -> None:
    view = silent()
    assert not view.has_room
    assert view.takes_pinned
    view.state = BreakerState.CLOSED
    assert view.has_room


def test_a_long_silence_allows_one_probe_after_growing_pauses() -> None:
    view = silent()
    allowed_at_s = []
    for tenth in range(20000):
        now_s = NOW_S + tenth / 10
        view.looked_up(now_s, answered=False)
        if view.may_probe:
            assert view.has_room
            allowed_at_s.append(now_s - NOW_S)
            view.count_pinned(1)
            assert not view.has_room
            view.count_pinned(-1)
            assert not view.may_probe
    assert allowed_at_s[:7] == [5, 15, 35, 75, 155, 315, 615]
    assert allowed_at_s[7] - allowed_at_s[6] == SILENT_PROBE_S_MAX
    assert allowed_at_s[0] == SILENT_PROBE_S


def test_an_answer_ends_the_silence_and_the_next_one_begins_anew() -> None:
    view = silent()
    view.looked_up(NOW_S + SILENT_PROBE_S, answered=False)
    assert view.may_probe
    view.looked_up(NOW_S + 6, answered=True)
    assert not view.may_probe
    view.looked_up(NOW_S + 7, answered=False)
    assert view.is_silent
    view.looked_up(NOW_S + 7 + SILENT_PROBE_S - 0.1, answered=False)
    assert not view.may_probe
    view.looked_up(NOW_S + 7 + SILENT_PROBE_S, answered=False)
    assert view.may_probe
    view.looked_up(NOW_S + 7 + 3 * SILENT_PROBE_S, answered=False)
    assert view.probe_pause_s == 8 * SILENT_PROBE_S


def test_silence_to_a_question_that_is_no_later_than_the_latest_answered_one_is_ignored() -> None:
    view = ProcessorView(BreakerState.HALF_OPEN, takes=8, pinned=1)
    view.looked_up(NOW_S, answered=True)
    view.looked_up(NOW_S - 1, answered=True)
    for asked_at_s in (NOW_S - 0.5, NOW_S):
        view.looked_up(asked_at_s, answered=False)
        assert (view.is_silent, view.found_down_s) == (False, -inf)
    view.looked_up(NOW_S + 0.1, answered=False)
    assert (view.is_silent, view.found_down_s) == (True, NOW_S + 0.1)


def test_the_latest_call_or_look_up_that_found_it_down_counts() -> None:
    view = silent(NOW_S)
    view.update(Availability("default", BreakerState.OPEN, 0, 1.0, NOW_S, found_down_s=NOW_S - 1), NOW_S)
    assert view.found_down_s == NOW_S
    view.update(Availability("default", BreakerState.OPEN, 0, 1.0, NOW_S, found_down_s=NOW_S + 1), NOW_S)
    assert view.found_down_s == NOW_S + 1
    view.looked_up(NOW_S + 0.5, answered=False)
    assert view.found_down_s == NOW_S + 1


def test_it_takes_over_what_is_announced_and_notes_when_an_outage_has_ended() -> None:
    view = ProcessorView()
    view.update(availability(BreakerState.OPEN, down_since_s=NOW_S), NOW_S)
    assert (view.state, view.takes, view.capacity_per_s, view.down_since_s) == (BreakerState.OPEN, 8, 100.0, NOW_S)
    view.update(availability(BreakerState.HALF_OPEN, down_since_s=NOW_S), NOW_S + 1)
    assert view.up_since_s == -inf
    view.update(Availability("default", BreakerState.CLOSED, 8, 100.0, None, turns_away=True), NOW_S + 2)
    assert (view.up_since_s, view.turns_away) == (NOW_S + 2, True)
    view.update(availability(), NOW_S + 3)
    assert (view.up_since_s, view.turns_away) == (NOW_S + 2, False)


def slow(told_fast_s: float = -inf) -> Availability:
    return Availability("default", BreakerState.CLOSED, 8, 100.0, None, is_slow=True, told_fast_s=told_fast_s)


def trials_s(view: ProcessorView, until_s: int) -> list[float]:
    tenths = range(until_s * 10)
    return [tenth / 10 for tenth in tenths if view.takes_trial(NOW_S + tenth / 10)]


def test_a_slow_one_is_tried_after_pauses_that_double_up_to_a_bound() -> None:
    view = ProcessorView()
    view.update(slow(), NOW_S)
    assert trials_s(view, 130) == [0, 2, 6, 14, 30, 60, 90, 120]
    assert (TRIAL_S, TRIAL_S_MAX) == (2, 30)


def test_one_that_became_fast_and_slow_again_is_tried_at_once_and_with_the_first_pause() -> None:
    view = ProcessorView()
    view.update(slow(), NOW_S)
    trials_s(view, 7)
    view.update(availability(), NOW_S)
    view.update(slow(), NOW_S)
    assert trials_s(view, 7) == [0, 2, 6]


def test_news_that_it_is_fast_allows_a_trial_at_once_but_not_a_second_one() -> None:
    view = ProcessorView()
    view.update(slow(), NOW_S)
    assert view.takes_trial(NOW_S)
    view.update(slow(told_fast_s=NOW_S), NOW_S + 1)
    assert not view.takes_trial(NOW_S + 1)
    view.update(slow(told_fast_s=NOW_S + 0.5), NOW_S + 1)
    assert view.takes_trial(NOW_S + 1)
    assert not view.takes_trial(NOW_S + 1)


def test_one_without_room_is_not_tried_and_its_trial_is_not_used_up() -> None:
    view = ProcessorView()
    view.update(slow(), NOW_S)
    view.given = view.takes
    assert not view.takes_trial(NOW_S)
    view.given = 0
    assert view.takes_trial(NOW_S)


def doubted(from_s: float = NOW_S) -> ProcessorView:
    return ProcessorView(BreakerState.HALF_OPEN, takes=1, down_since_s=NOW_S - 60, doubted_from_s=from_s)


def test_a_probe_is_awaited_once_its_outage_is_in_doubt() -> None:
    assert not doubted().is_awaited(NOW_S - 0.1, 5)
    assert doubted().is_awaited(NOW_S, 5)
    view = doubted()
    view.state = BreakerState.OPEN
    assert not view.is_awaited(NOW_S, 5)


def test_a_probe_is_awaited_for_a_bounded_time_and_not_twice_for_one_doubt() -> None:
    view = doubted()
    assert view.is_awaited(NOW_S, 5)
    assert view.is_awaited(NOW_S + 4.9, 5)
    assert not view.is_awaited(NOW_S + 5, 5)
    assert not view.is_awaited(NOW_S + 6, 5)
    view.doubted_from_s = NOW_S + 5
    assert not view.is_awaited(NOW_S + 6, 5)
    view.doubted_from_s = NOW_S + 6
    assert view.is_awaited(NOW_S + 6, 5)


def test_a_silent_one_is_awaited_only_where_it_may_be_probed() -> None:
    view = silent(NOW_S - SILENT_PROBE_S)
    view.doubted_from_s = NOW_S
    assert not view.is_awaited(NOW_S, 5)
    view.looked_up(NOW_S, answered=False)
    assert view.is_awaited(NOW_S, 5)


def test_a_call_that_finds_it_down_meanwhile_ends_the_wait() -> None:
    view = doubted()
    view.is_awaited(NOW_S, 5)
    down = Availability("default", BreakerState.OPEN, 0, 1.0, NOW_S - 60, found_down_s=NOW_S - 1)
    view.update(down, NOW_S + 1)
    assert view.is_awaited(NOW_S + 1, 5)
    view.update(Availability("default", BreakerState.OPEN, 0, 1.0, NOW_S - 60, found_down_s=NOW_S), NOW_S + 2)
    assert not view.is_awaited(NOW_S + 2, 5)


def test_the_end_of_the_outage_ends_the_wait() -> None:
    view = doubted()
    view.is_awaited(NOW_S, 5)
    view.update(availability(), NOW_S + 1)
    assert not view.is_awaited(NOW_S + 1, 5)
