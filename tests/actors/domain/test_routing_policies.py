"""A payment that is free goes to the cheapest processor that works, or waits for one that is worth it."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.breaker import BreakerState
from actors.domain.patience import Patience
from actors.domain.processor_view import Availability, ProcessorView
from actors.domain.processors import Processor
from actors.domain.routing import Choice, Reason, by_cost
from actors.domain.routing_policies import POLICIES, CheapestFirst, choose_cheapest

DEFAULT = Processor("default", "http://d", Decimal("0.05"))
FALLBACK = Processor("fallback", "http://f", Decimal("0.15"))
THIRD = Processor("third", "http://t", Decimal("0.30"))
TWIN = Processor("twin", "http://w", Decimal("0.05"))
PATIENCE = Patience(outage_s=20.0, backlog_s=5.0, outage_backlog_s=1.0)
NOW_S = 100.0

WORKS = ProcessorView(BreakerState.CLOSED, takes=10)
FULL = replace(WORKS, given=10, capacity_per_s=100.0)
FORCED = ProcessorView(BreakerState.FORCED_OPEN)
PROBED = ProcessorView(BreakerState.HALF_OPEN, takes=1, down_since_s=NOW_S - 5)


def down(seconds: float, state: BreakerState = BreakerState.OPEN) -> ProcessorView:
    return ProcessorView(state, down_since_s=NOW_S - seconds)


def announced(state: BreakerState, down_since_s: float | None, takes: int = 10) -> Availability:
    return Availability("default", state, takes, 100.0, down_since_s)


def chosen(
    default: ProcessorView, fallback: ProcessorView = WORKS, *, waiting: int = 0, spent: str | None = None
) -> Choice:
    views = {"default": default, "fallback": fallback}
    return choose_cheapest((DEFAULT, FALLBACK), views, waiting=waiting, spent=spent, now_s=NOW_S, patience=PATIENCE)


@pytest.mark.parametrize(
    ("default", "fallback", "expected"),
    [
        (WORKS, WORKS, Choice("default", Reason.CHEAPEST)),
        (WORKS, down(50), Choice("default", Reason.CHEAPEST)),
        (replace(WORKS, state=BreakerState.FORCED_CLOSED), WORKS, Choice("default", Reason.CHEAPEST)),
        (down(0), WORKS, Choice(None, Reason.WAIT_FOR_RECOVERY)),
        (down(19.9), WORKS, Choice(None, Reason.WAIT_FOR_RECOVERY)),
        (down(19.9, BreakerState.HALF_OPEN), WORKS, Choice(None, Reason.WAIT_FOR_RECOVERY)),
        (down(20), WORKS, Choice("fallback", Reason.OUTAGE)),
        (down(20, BreakerState.HALF_OPEN), WORKS, Choice("fallback", Reason.OUTAGE)),
        (PROBED, WORKS, Choice("default", Reason.PROBE)),
        (replace(PROBED, down_since_s=0.0), WORKS, Choice("default", Reason.PROBE)),
        (FORCED, WORKS, Choice("fallback", Reason.FORCED)),
        (FORCED, FORCED, Choice(None, Reason.WAIT_FOR_ANY)),
        (down(20), down(30), Choice(None, Reason.WAIT_FOR_ANY)),
        (down(20), down(5), Choice(None, Reason.WAIT_FOR_RECOVERY)),
        (down(20), PROBED, Choice("fallback", Reason.PROBE)),
        (down(20), FULL, Choice(None, Reason.WAIT_FOR_ROOM)),
        (FULL, WORKS, Choice(None, Reason.WAIT_FOR_ROOM)),
        (ProcessorView(), WORKS, Choice(None, Reason.WAIT_FOR_ROOM)),
    ],
)
def test_the_cheapest_is_chosen_or_worth_waiting_for(
    default: ProcessorView, fallback: ProcessorView, expected: Choice
) -> None:
    assert chosen(default, fallback) == expected


def test_a_slow_processor_is_waited_for_as_long_as_it_can_charge_in_time_what_waits() -> None:
    assert chosen(FULL, waiting=500) == Choice(None, Reason.WAIT_FOR_ROOM)
    assert chosen(FULL, waiting=501) == Choice("fallback", Reason.BACKLOG)


def test_what_would_not_drain_in_time_anywhere_waits() -> None:
    assert chosen(FULL, FULL, waiting=501) == Choice(None, Reason.WAIT_FOR_ANY)


# What waits for one that is down.


def test_what_a_dearer_one_could_not_charge_in_time_goes_there_the_oldest_first() -> None:
    can_charge_100 = replace(WORKS, capacity_per_s=100.0)
    assert chosen(down(5), can_charge_100, waiting=100) == Choice(None, Reason.WAIT_FOR_RECOVERY)
    assert chosen(down(5), can_charge_100, waiting=101) == Choice("fallback", Reason.BACKLOG)


def test_what_a_dearer_one_without_room_could_not_charge_waits() -> None:
    assert chosen(down(5), FULL, waiting=1000) == Choice(None, Reason.WAIT_FOR_RECOVERY)


def test_one_of_several_that_wait_finds_out_whether_a_dearer_one_works_again() -> None:
    assert chosen(down(5), PROBED, waiting=0) == Choice(None, Reason.WAIT_FOR_RECOVERY)
    assert chosen(down(5), PROBED, waiting=1) == Choice("fallback", Reason.PROBE)
    assert chosen(down(5), replace(PROBED, given=1), waiting=1) == Choice(None, Reason.WAIT_FOR_RECOVERY)


@pytest.mark.parametrize(
    ("fee", "patience_s", "others_max"), [("0.08", 6.0, 30), ("0.15", 20.0, 100), ("0.25", 40.0, 200)]
)
def test_patience_is_in_proportion_to_what_waiting_saves(fee: str, patience_s: float, others_max: int) -> None:
    dearer = Processor("fallback", "http://f", Decimal(fee))
    routes = CheapestFirst([DEFAULT, dearer], PATIENCE)
    routes.views["default"].update(announced(BreakerState.OPEN, NOW_S, takes=0), NOW_S)
    routes.views["fallback"].update(replace(announced(BreakerState.CLOSED, None), processor="fallback"), NOW_S)

    def goes_to(waiting: int, now_s: float) -> str | None:
        return routes.choose(routes.cheapest_first, waiting=waiting, spent=None, now_s=now_s).processor

    ends_s, _ = routes.patience_ends_s("default")
    assert ends_s == pytest.approx(NOW_S + patience_s)
    assert (goes_to(0, ends_s - 0.01), goes_to(0, ends_s)) == (None, "fallback")
    assert (goes_to(others_max, NOW_S), goes_to(others_max + 1, NOW_S)) == (None, "fallback")


def test_any_dearer_one_that_has_room_takes_what_it_can_charge_in_time() -> None:
    views = {"default": down(5), "fallback": replace(WORKS, capacity_per_s=100.0), "third": FULL}
    choice = choose_cheapest((DEFAULT, FALLBACK, THIRD), views, waiting=101, spent=None, now_s=NOW_S, patience=PATIENCE)
    assert choice == Choice("fallback", Reason.BACKLOG)


def test_no_payment_waits_for_a_processor_that_costs_as_much_as_another() -> None:
    routes = CheapestFirst([DEFAULT, TWIN], PATIENCE)
    routes.views["default"].update(announced(BreakerState.OPEN, NOW_S, takes=0), NOW_S)
    routes.views["twin"].update(replace(announced(BreakerState.CLOSED, None), processor="twin"), NOW_S)
    assert routes.choose(routes.cheapest_first, waiting=0, spent=None, now_s=NOW_S).processor == "twin"


def test_nobody_is_said_to_wait_for_one_that_costs_as_much_as_one_that_works() -> None:
    routes = CheapestFirst([TWIN, DEFAULT, FALLBACK], PATIENCE)
    routes.views["default"].update(announced(BreakerState.OPEN, NOW_S, takes=0), NOW_S)
    for name in ("twin", "fallback"):
        routes.views[name].update(replace(announced(BreakerState.CLOSED, None), processor=name), NOW_S)
    assert routes.is_waited_for("default", NOW_S)
    assert routes.waited_for_s(NOW_S) == {}


# Slow ones.

SLOW = replace(WORKS, is_slow=True, tried_s=NOW_S - 0.1)
"""Slow, and just tried."""


@pytest.mark.parametrize(
    ("default", "fallback", "expected"),
    [
        (SLOW, WORKS, Choice("fallback", Reason.SLOW)),
        (SLOW, SLOW, Choice("default", Reason.CHEAPEST)),
        (SLOW, down(5), Choice("default", Reason.CHEAPEST)),
        (SLOW, FORCED, Choice("default", Reason.CHEAPEST)),
        (SLOW, PROBED, Choice("fallback", Reason.PROBE)),
        (SLOW, replace(PROBED, given=1), Choice("default", Reason.CHEAPEST)),
        (SLOW, FULL, Choice(None, Reason.WAIT_FOR_ROOM)),
        (WORKS, SLOW, Choice("default", Reason.CHEAPEST)),
        (down(5), SLOW, Choice(None, Reason.WAIT_FOR_RECOVERY)),
        (down(20), SLOW, Choice("fallback", Reason.OUTAGE)),
        (replace(down(5), is_slow=True), WORKS, Choice("fallback", Reason.SLOW)),
        (replace(SLOW, state=BreakerState.FORCED_CLOSED), WORKS, Choice("default", Reason.CHEAPEST)),
    ],
)
def test_a_slow_processor_is_used_where_no_other_works(
    default: ProcessorView, fallback: ProcessorView, expected: Choice
) -> None:
    assert chosen(replace(default), replace(fallback)) == expected


def test_a_slow_processor_takes_what_the_fast_one_could_not_charge_in_time() -> None:
    assert chosen(replace(SLOW), FULL, waiting=500) == Choice(None, Reason.WAIT_FOR_ROOM)
    assert chosen(replace(SLOW), FULL, waiting=501) == Choice("default", Reason.BACKLOG)


def test_nobody_waits_for_a_dearer_one_that_is_down_where_a_slow_one_works() -> None:
    views = {"default": replace(SLOW), "fallback": FULL, "third": down(1)}
    choice = choose_cheapest((DEFAULT, FALLBACK, THIRD), views, waiting=501, spent=None, now_s=NOW_S, patience=PATIENCE)
    assert choice == Choice("default", Reason.BACKLOG)


@pytest.mark.parametrize(
    ("fallback", "expected"),
    [(FULL, Choice("default", Reason.BACKLOG)), (WORKS, Choice("fallback", Reason.SLOW))],
)
def test_nobody_waits_for_one_that_is_down_where_a_slow_one_costs_as_much(
    fallback: ProcessorView, expected: Choice
) -> None:
    views = {"default": replace(SLOW), "twin": down(1), "fallback": fallback}
    choice = choose_cheapest((DEFAULT, TWIN, FALLBACK), views, waiting=501, spent=None, now_s=NOW_S, patience=PATIENCE)
    assert choice == expected


def test_one_that_costs_as_much_stands_in_for_a_slow_one() -> None:
    views = {"default": replace(SLOW), "twin": WORKS}
    choice = choose_cheapest((DEFAULT, TWIN), views, waiting=0, spent=None, now_s=NOW_S, patience=PATIENCE)
    assert choice == Choice("twin", Reason.SLOW)


def test_a_slow_processor_is_tried_at_once_and_then_after_pauses_that_double_up_to_a_bound() -> None:
    default, tried_s = ProcessorView(), list[int]()
    default.update(replace(announced(BreakerState.CLOSED, None), is_slow=True), NOW_S)
    for second in range(200):
        views = {"default": default, "fallback": WORKS}
        now_s = NOW_S + second
        choice = choose_cheapest((DEFAULT, FALLBACK), views, waiting=0, spent=None, now_s=now_s, patience=PATIENCE)
        assert choice in {Choice("default", Reason.PROBE), Choice("fallback", Reason.SLOW)}
        tried_s += [second] if choice.processor == "default" else []
    assert tried_s == [0, 2, 6, 14, 30, 60, 90, 120, 150, 180]


def test_a_slow_processor_is_tried_once_for_each_answer_of_its_health_that_says_that_it_is_fast() -> None:
    default = replace(SLOW)
    assert chosen(default) == Choice("fallback", Reason.SLOW)
    default.update(replace(announced(BreakerState.CLOSED, None), is_slow=True, told_fast_s=NOW_S), NOW_S)
    assert chosen(default) == Choice("default", Reason.PROBE)
    assert chosen(default) == Choice("fallback", Reason.SLOW)


def test_one_that_was_fast_meanwhile_is_tried_at_once_when_it_becomes_slow_again() -> None:
    default = replace(SLOW)
    default.update(announced(BreakerState.CLOSED, None), NOW_S)
    default.update(replace(announced(BreakerState.CLOSED, None), is_slow=True), NOW_S)
    assert chosen(default) == Choice("default", Reason.PROBE)


def test_where_both_were_down_and_the_cheaper_one_is_slow_its_trial_has_half_a_second() -> None:
    returned = replace(WORKS, up_since_s=NOW_S - 0.4)
    assert chosen(replace(SLOW), returned) == Choice(None, Reason.WAIT_FOR_CHEAPER)
    assert chosen(replace(SLOW), replace(WORKS, up_since_s=NOW_S - 0.5)) == Choice("fallback", Reason.SLOW)


def test_one_that_is_slow_and_down_is_not_waited_for_though_nobody_has_tried_it_since_the_dearer_one_came_back() -> (
    None
):
    untried = replace(down(5), is_slow=True, found_down_s=NOW_S - 5)
    assert chosen(untried, replace(WORKS, up_since_s=NOW_S - 0.4)) == Choice(None, Reason.WAIT_FOR_CHEAPER)
    assert chosen(untried, replace(WORKS, up_since_s=NOW_S - 0.5)) == Choice("fallback", Reason.SLOW)


def test_after_its_retries_a_payment_goes_to_another_that_works() -> None:
    assert chosen(WORKS, spent="default") == Choice("fallback", Reason.RETRIES_SPENT)
    assert chosen(WORKS, spent="fallback") == Choice("default", Reason.RETRIES_SPENT)


@pytest.mark.parametrize("fallback", [down(5), FULL, FORCED, PROBED])
def test_after_its_retries_a_payment_stays_where_no_other_takes_it(fallback: ProcessorView) -> None:
    assert chosen(WORKS, fallback, spent="default") == Choice("default", Reason.CHEAPEST)


def test_of_three_the_cheapest_that_is_worth_it_is_chosen() -> None:
    views = {"default": down(60), "fallback": FORCED, "third": WORKS}
    choice = choose_cheapest((DEFAULT, FALLBACK, THIRD), views, waiting=0, spent=None, now_s=NOW_S, patience=PATIENCE)
    assert choice == Choice("third", Reason.FORCED)


def test_processors_are_ordered_by_cost_and_equal_fees_as_listed() -> None:
    assert by_cost([FALLBACK, TWIN, DEFAULT]) == (TWIN, DEFAULT, FALLBACK)
    assert by_cost([FALLBACK, DEFAULT, TWIN]) == (DEFAULT, TWIN, FALLBACK)


def test_there_is_room_until_as_many_are_given_as_the_processor_takes() -> None:
    assert replace(WORKS, takes=2, given=1).has_room
    assert not replace(WORKS, takes=2, given=2).has_room
    assert not replace(WORKS, takes=1, given=2).has_room


def test_what_a_gate_announces_is_taken_over_and_what_was_given_stays() -> None:
    view = replace(WORKS, given=3)
    view.update(announced(BreakerState.OPEN, 7.0, takes=0), 8.0)
    assert view == ProcessorView(BreakerState.OPEN, takes=0, capacity_per_s=100.0, down_since_s=7.0, given=3)


def test_an_outage_ends_once_when_the_processor_is_announced_without_one() -> None:
    view = ProcessorView()
    view.update(announced(BreakerState.CLOSED, None), 6.0)
    assert view.up_since_s == -inf
    view.update(announced(BreakerState.OPEN, 7.0), 7.0)
    view.update(announced(BreakerState.HALF_OPEN, 7.0), 8.0)
    assert view.up_since_s == -inf
    view.update(announced(BreakerState.CLOSED, None), 9.0)
    view.update(announced(BreakerState.CLOSED, None, takes=3), 11.0)
    assert view.up_since_s == 9.0


def test_the_patience_with_an_outage_ends_after_its_length() -> None:
    routes = CheapestFirst([DEFAULT], PATIENCE)
    assert not routes.is_waited_for("default", NOW_S)
    routes.views["default"].update(announced(BreakerState.OPEN, 7.0), 7.0)
    assert routes.patience_ends_s("default") == (27.0, -inf)
    assert (routes.is_waited_for("default", 26.9), routes.is_waited_for("default", 27.0)) == (True, False)
    routes.views["default"].update(announced(BreakerState.CLOSED, None), 9.0)
    assert (routes.is_waited_for("default", 9.0), routes.patience_ends_s("default")) == (False, (9.5, 14.0))


def test_where_both_were_down_the_dearer_one_is_not_used_in_the_moment_of_its_return() -> None:
    returned, tried = replace(WORKS, up_since_s=NOW_S - 0.4), replace(down(30), found_down_s=NOW_S - 0.3)
    assert chosen(tried, returned) == Choice(None, Reason.WAIT_FOR_CHEAPER)
    assert chosen(FORCED, returned) == Choice("fallback", Reason.FORCED)
    assert chosen(returned, returned) == Choice("default", Reason.CHEAPEST)
    assert chosen(tried, replace(WORKS, up_since_s=NOW_S - 0.5)) == Choice("fallback", Reason.OUTAGE)


def test_a_dearer_one_that_came_back_is_not_used_until_the_cheaper_one_has_been_tried_too() -> None:
    untried = replace(down(30), found_down_s=NOW_S - 5)
    assert chosen(untried, replace(WORKS, up_since_s=NOW_S - 4.9)) == Choice(None, Reason.WAIT_FOR_CHEAPER)
    assert chosen(untried, replace(WORKS, up_since_s=NOW_S - 5)) == Choice("fallback", Reason.OUTAGE)


def test_one_that_was_tried_at_the_instant_of_the_return_has_been_tried() -> None:
    tried, returned = replace(down(30), found_down_s=NOW_S - 0.5), replace(WORKS, up_since_s=NOW_S - 0.5)
    assert chosen(tried, returned) == Choice("fallback", Reason.OUTAGE)


def test_the_setting_names_the_policies() -> None:
    assert {"cheapest": CheapestFirst} == POLICIES


# The outcome of a probe.

DOUBTED = replace(down(60, BreakerState.HALF_OPEN), takes=1, given=1, doubted_from_s=NOW_S - 1)
"""Works again, perhaps: one payment is its probe."""
WAITS = Choice(None, Reason.WAIT_FOR_PROBE)
GOES_ON = Choice("fallback", Reason.OUTAGE)


def at(now_s: float, default: ProcessorView, patience: Patience = PATIENCE) -> Choice:
    views = {"default": default, "fallback": replace(WORKS)}
    return choose_cheapest((DEFAULT, FALLBACK), views, waiting=0, spent=None, now_s=now_s, patience=patience)


def doubted_anew(state: BreakerState, doubted_from_s: float, found_down_s: float = -inf) -> Availability:
    return replace(announced(state, 40.0, 0), doubted_from_s=doubted_from_s, found_down_s=found_down_s)


def test_beside_the_probe_of_an_outage_that_is_in_doubt_payments_wait_as_long_as_patience_allows() -> None:
    default = replace(DOUBTED)
    assert [at(NOW_S + later_s, default) for later_s in (0.0, 4.9, 5.0, 6.0)] == [WAITS, WAITS, GOES_ON, GOES_ON]


def test_beside_the_probe_of_an_outage_that_is_certain_no_payment_waits() -> None:
    assert at(NOW_S, replace(DOUBTED, doubted_from_s=NOW_S + 0.1)) == GOES_ON


def test_who_has_no_patience_waits_for_no_probe() -> None:
    assert at(NOW_S, replace(DOUBTED), Patience(outage_s=0.0)) == GOES_ON


def test_when_a_probe_has_failed_that_began_during_the_wait_payments_go_on() -> None:
    default = replace(DOUBTED)
    assert at(NOW_S, default) == WAITS
    default.update(doubted_anew(BreakerState.OPEN, NOW_S + 3, found_down_s=NOW_S - 0.1), NOW_S + 1)
    assert at(NOW_S + 1, default) == WAITS  # That one began before the wait.
    default.update(doubted_anew(BreakerState.OPEN, NOW_S + 3, found_down_s=NOW_S + 0.1), NOW_S + 1)
    assert at(NOW_S + 1, default) == GOES_ON


def test_a_probe_that_hangs_is_still_waited_for_when_the_breaker_has_opened_again() -> None:
    default = replace(DOUBTED)
    assert at(NOW_S, default) == WAITS
    default.update(doubted_anew(BreakerState.OPEN, NOW_S + 2.5), NOW_S + 0.5)
    assert [at(NOW_S + later_s, default) for later_s in (0.5, 4.9, 5.0)] == [WAITS, WAITS, GOES_ON]


def test_after_a_wait_in_vain_only_news_begins_another() -> None:
    default = replace(DOUBTED)
    assert at(NOW_S, default) == WAITS
    default.update(doubted_anew(BreakerState.HALF_OPEN, NOW_S + 4), NOW_S + 2)
    assert at(NOW_S + 5, default) == GOES_ON
    default.update(doubted_anew(BreakerState.HALF_OPEN, NOW_S + 6), NOW_S + 6)
    assert [at(NOW_S + later_s, default) for later_s in (6.0, 10.9, 11.0)] == [WAITS, WAITS, GOES_ON]


@given(st.lists(st.sampled_from(["nothing", "late", "failed"]), max_size=60))
def test_without_news_no_payment_waits_longer_for_probes_than_patience_allows(steps: list[str]) -> None:
    default, waits_since_s = replace(DOUBTED), None
    for number, step in enumerate(steps):
        now_s = NOW_S + number / 2
        if step != "nothing":
            found_down_s = now_s if step == "failed" else -inf
            default.update(doubted_anew(BreakerState.HALF_OPEN, now_s + 2, found_down_s), now_s)
        waits_since_s = (waits_since_s or now_s) if at(now_s, default) == WAITS else None
        assert waits_since_s is None or now_s - waits_since_s < PATIENCE.probe_s_max(default)


def test_nobody_waits_for_the_probe_of_a_silent_processor_that_gets_none() -> None:
    assert at(NOW_S, replace(DOUBTED, pinned=1, unanswered=True)) == GOES_ON
    assert at(NOW_S, replace(DOUBTED, pinned=1, unanswered=True, may_probe=True)) == WAITS


def test_where_both_are_probed_payments_wait_for_the_cheaper_one() -> None:
    views = {"default": replace(DOUBTED), "fallback": replace(PROBED)}
    choice = choose_cheapest((DEFAULT, FALLBACK), views, waiting=0, spent=None, now_s=NOW_S, patience=PATIENCE)
    assert choice == WAITS


def test_a_payment_that_failed_before_the_outage_is_not_spent_while_a_probe_is_awaited() -> None:
    routes = CheapestFirst([DEFAULT, FALLBACK], PATIENCE)
    routes.views |= {"default": replace(DOUBTED), "fallback": replace(WORKS)}
    assert routes.is_spent("default", 1, NOW_S)
    assert routes.choose(routes.cheapest_first, waiting=0, spent=None, now_s=NOW_S) == WAITS
    assert not routes.is_spent("default", 1, NOW_S + 4.9)
    assert routes.is_spent("default", 1, NOW_S + 5.0)
    assert routes.patience_ends_s("default") == (NOW_S - 40.0, NOW_S + 5.0)


@pytest.mark.parametrize("thousandths", range(20))
def test_the_patience_has_ended_at_the_instant_that_is_told_however_that_is_rounded(thousandths: int) -> None:
    start_s = 1023.7 + thousandths / 1000  # the sum lies beyond 1024, where floats are coarser
    routes = CheapestFirst([DEFAULT, FALLBACK], Patience(outage_s=0.0, return_s=0.5))
    routes.views["default"].update(announced(BreakerState.OPEN, 7.0, takes=0), 7.0)
    routes.views["fallback"] = replace(WORKS, up_since_s=start_s)
    ends_at_s, _ = routes.patience_ends_s("fallback")
    assert routes.choose(routes.cheapest_first, waiting=0, spent=None, now_s=start_s) == Choice(
        None, Reason.WAIT_FOR_CHEAPER
    )
    assert routes.choose(routes.cheapest_first, waiting=0, spent=None, now_s=ends_at_s) == Choice(
        "fallback", Reason.OUTAGE
    )


@pytest.mark.parametrize(
    ("state", "waits", "failures", "expected"),
    [
        (BreakerState.CLOSED, False, 3, False),
        (BreakerState.CLOSED, False, 4, True),
        (BreakerState.OPEN, True, 9, False),
        (BreakerState.OPEN, False, 0, False),
        (BreakerState.HALF_OPEN, False, 1, True),
    ],
)
def test_retries_are_spent_by_failures_that_no_awaited_outage_explains(
    state: BreakerState,
    waits: bool,  # noqa: FBT001  # a column of the table
    failures: int,
    expected: bool,  # noqa: FBT001  # a column of the table
) -> None:
    routes = CheapestFirst([DEFAULT], PATIENCE)
    down_since_s = None if state.is_closed else NOW_S - (5 if waits else 50)
    routes.views["default"].update(announced(state, down_since_s), NOW_S)
    assert routes.is_spent("default", failures, NOW_S) is expected


views = st.builds(
    ProcessorView,
    st.sampled_from(BreakerState),
    takes=st.integers(0, 3),
    capacity_per_s=st.sampled_from([0.0, 1.0, 100.0, inf]),
    down_since_s=st.one_of(st.none(), st.floats(0, NOW_S)),
    given=st.integers(0, 4),
    is_slow=st.booleans(),
    tried_s=st.sampled_from([-inf, NOW_S]),
).map(lambda view: replace(view, takes=0) if view.state in {BreakerState.OPEN, BreakerState.FORCED_OPEN} else view)
fleets = st.lists(st.tuples(st.sampled_from(["0.05", "0.15", "0.3"]), views), min_size=1, max_size=5)


def _named(fleet: list[tuple[str, ProcessorView]]) -> tuple[list[Processor], Mapping[str, ProcessorView]]:
    processors = [Processor(f"p{i}", f"http://p{i}", Decimal(fee)) for i, (fee, _) in enumerate(fleet)]
    return processors, {f"p{i}": view for i, (_, view) in enumerate(fleet)}


@given(fleet=fleets, waiting=st.integers(0, 2000), data=st.data())
@settings(deadline=None)
def test_only_a_processor_with_room_is_chosen_and_no_cheaper_one_has_room(
    fleet: list[tuple[str, ProcessorView]], waiting: int, data: st.DataObject
) -> None:
    processors, by_name = _named(fleet)
    spent = data.draw(st.sampled_from([None, *by_name]))
    routes = CheapestFirst(processors, PATIENCE)
    routes.views.update(by_name)
    choice = routes.choose(routes.cheapest_first, waiting=waiting, spent=spent, now_s=NOW_S)
    if choice.processor is None:
        assert choice.reason.value.startswith("waits")
        return
    assert by_name[choice.processor].has_room
    order = [processor.name for processor in by_cost(processors)]
    cheaper = [name for name in order[: order.index(choice.processor)] if by_name[name].has_room]
    # A half-open one is no help to a payment that has just failed elsewhere, and a slow one less than a fast one.
    assert all(
        name == spent or by_name[name].state is BreakerState.HALF_OPEN or by_name[name].is_slow for name in cheaper
    )


@given(fleet=fleets, waiting=st.integers(0, 2000))
@settings(deadline=None)
def test_a_slow_one_is_chosen_as_a_trial_or_where_no_fast_one_that_works_has_room(
    fleet: list[tuple[str, ProcessorView]], waiting: int
) -> None:
    processors, by_name = _named(fleet)
    choice = choose_cheapest(by_cost(processors), by_name, waiting=waiting, spent=None, now_s=NOW_S, patience=PATIENCE)
    if choice.processor is None or choice.reason is Reason.PROBE or not by_name[choice.processor].is_slow:
        return
    if by_name[choice.processor].state is BreakerState.FORCED_CLOSED:
        return
    assert not any(view.state.is_closed and view.has_room and not view.is_slow for view in by_name.values())


@given(fleet=fleets, waiting=st.integers(1, 2000))
@settings(deadline=None)
def test_without_patience_nothing_waits_while_any_has_room(
    fleet: list[tuple[str, ProcessorView]], waiting: int
) -> None:
    processors, by_name = _named([(fee, replace(view, down_since_s=view.down_since_s or 0.0)) for fee, view in fleet])
    choice = choose_cheapest(
        by_cost(processors), by_name, waiting=waiting, spent=None, now_s=NOW_S, patience=Patience(0.0, 0.0, 0.0)
    )
    assert (choice.processor is not None) == any(view.has_room for view in by_name.values())
