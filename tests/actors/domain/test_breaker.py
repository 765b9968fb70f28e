"""A breaker opens by rates over a sliding window, probes after a cool-down, and is never stuck."""

from copy import deepcopy
from itertools import pairwise
from math import inf
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.domain.breaker import Breaker, BreakerState, Call, Transition
from actors.domain.breaker_causes import Cause
from actors.domain.breaker_limits import BreakerLimits

LIMITS = BreakerLimits(
    window_s=10.0,
    window_s_max=10.0,
    calls_min=4,
    failure_rate_max=0.5,
    slow_call_s=3.0,
    slow_call_rate_max=0.75,
    cooldown_s_initial=1.0,
    cooldown_s_max=4.0,
    cooldown_jitter=0.0,
    probes_max=2,
    half_open_s_max=5.0,
    recovery_s=2.0,
)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(LIMITS, Random(1))


def run(breaker: Breaker, outcomes: str, *, began_s: float = 0.0, ended_s: float = 0.0) -> None:
    """Let calls begin and end together: `+` succeeds, `-` fails."""
    calls = [breaker.started(began_s) for _ in outcomes]
    for call, outcome in zip(calls, outcomes, strict=True):
        breaker.ended(call, succeeded=outcome == "+", now_s=ended_s)


def opened(breaker: Breaker, at_s: float = 0.0) -> Breaker:
    run(breaker, "----", began_s=at_s, ended_s=at_s)
    assert breaker.state(at_s) is OPEN
    return breaker


def test_look_ups_without_an_answer_open_it_as_failed_charges_do(breaker: Breaker) -> None:
    for number in range(LIMITS.calls_min):
        assert breaker.state(0.0) is CLOSED, number
        breaker.look_up_unanswered(asked_at_s=0.0, now_s=0.0)
    assert breaker.state(0.0) is OPEN
    assert [each.cause for each in breaker.take_transitions()] == [Cause.FAILURE_RATE]


def test_a_look_up_that_was_asked_before_the_outage_ended_tells_nothing_of_afterwards(breaker: Breaker) -> None:
    probe = opened(breaker).started(1.0)
    breaker.ended(probe, succeeded=True, now_s=1.0)
    for _ in range(LIMITS.calls_min):
        breaker.look_up_unanswered(asked_at_s=0.5, now_s=1.5)
    assert breaker.state(1.5) is CLOSED


def test_a_look_up_and_a_refusal_after_the_cool_down_find_it_half_open(breaker: Breaker) -> None:
    opened(breaker).look_up_unanswered(asked_at_s=1.0, now_s=1.0)
    assert breaker.take_transitions()[-1].after is HALF_OPEN
    again = opened(Breaker(LIMITS, Random(1)))
    again.refused(1.0)
    assert (again.take_transitions()[-1].after, again.found_down_s) == (HALF_OPEN, 1.0)


def test_a_look_up_without_an_answer_is_no_probe(breaker: Breaker) -> None:
    assert opened(breaker).state(1.0) is HALF_OPEN
    breaker.look_up_unanswered(asked_at_s=1.0, now_s=1.0)
    assert breaker.state(1.0) is HALF_OPEN


# Whether the outage is in doubt.


def test_without_an_outage_nothing_is_in_doubt(breaker: Breaker) -> None:
    assert breaker.doubted_from_s == inf
    probe = opened(breaker).started(1.0)
    breaker.ended(probe, succeeded=True, now_s=1.0)
    assert breaker.doubted_from_s == inf


def test_an_outage_is_certain_for_a_while_after_it_was_last_found(breaker: Breaker) -> None:
    assert (opened(breaker).doubted_from_s, breaker.found_down_s) == (LIMITS.certain_s, 0.0)
    probe = breaker.started(1.0)
    breaker.ended(probe, succeeded=False, now_s=1.5)
    assert (breaker.doubted_from_s, breaker.found_down_s) == (1.5 + LIMITS.certain_s, 1.0)


def test_a_probe_that_hangs_finds_nothing_until_it_has_failed(breaker: Breaker) -> None:
    probe = opened(breaker).started(1.0)
    assert breaker.state(1.0 + LIMITS.half_open_s_max) is OPEN
    assert (breaker.doubted_from_s, breaker.found_down_s) == (1.0 + LIMITS.half_open_s_max + LIMITS.certain_s, 0.0)
    breaker.ended(probe, succeeded=False, now_s=9.0)
    assert breaker.found_down_s == 1.0


@pytest.mark.parametrize("now_s", [0.5, 1.0])
def test_a_good_health_answer_puts_an_outage_in_doubt_and_closes_nothing(breaker: Breaker, now_s: float) -> None:
    opened(breaker).health_answered(failing=False, asked_s_ago=0.0, now_s=now_s)
    assert (breaker.state(now_s), breaker.doubted_from_s) == (HALF_OPEN, now_s)


def test_a_good_health_answer_from_before_the_probe_failed_puts_nothing_in_doubt(breaker: Breaker) -> None:
    probe = opened(breaker).started(1.0)
    breaker.ended(probe, succeeded=False, now_s=1.0)
    breaker.health_answered(failing=False, asked_s_ago=0.5, now_s=1.2)
    assert breaker.doubted_from_s == 1.0 + LIMITS.certain_s


@pytest.mark.parametrize("is_turned_away", [False, True])
def test_a_probe_that_began_before_the_news_leaves_the_outage_in_doubt(
    breaker: Breaker, *, is_turned_away: bool
) -> None:
    probe = opened(breaker).started(1.0)
    breaker.peer_recovered(2.0)
    if is_turned_away:
        breaker.turned_away(probe, 2.5)
    else:
        breaker.ended(probe, succeeded=False, now_s=2.5)
    assert (breaker.state(2.5), breaker.doubted_from_s, breaker.found_down_s) == (OPEN, 2.0, 1.0)


def test_a_late_probe_that_began_before_the_news_leaves_the_outage_in_doubt(breaker: Breaker) -> None:
    opened(breaker).started(1.0)
    breaker.peer_recovered(2.0)
    assert breaker.state(1.0 + LIMITS.half_open_s_max) is OPEN
    assert breaker.doubted_from_s == 2.0


def test_a_new_outage_is_certain_whatever_the_news_of_an_earlier_one(breaker: Breaker) -> None:
    call = breaker.started(0.0)
    opened(breaker).peer_recovered(2.0)
    breaker.ended(breaker.started(2.0), succeeded=True, now_s=2.0)
    breaker.turned_away(call, 3.0)
    assert (breaker.state(3.0), breaker.doubted_from_s) == (OPEN, 3.0 + LIMITS.certain_s)


def test_a_peer_that_got_through_and_an_operator_who_releases_put_an_outage_in_doubt(breaker: Breaker) -> None:
    opened(breaker).peer_recovered(1.5)
    assert breaker.doubted_from_s == 1.5
    breaker.force(BreakerState.FORCED_OPEN, 2.0)
    breaker.force(None, 2.5)
    assert (breaker.state(2.5), breaker.doubted_from_s) == (HALF_OPEN, 2.5)


def test_a_refused_connection_makes_an_outage_certain_again(breaker: Breaker) -> None:
    breaker.refused(0.0)
    assert breaker.doubted_from_s == inf
    assert opened(breaker).state(1.0) is HALF_OPEN
    breaker.refused(4.0)
    assert (breaker.doubted_from_s, breaker.found_down_s) == (4.0 + LIMITS.certain_s, 4.0)


def test_a_closed_breaker_lets_everything_through(breaker: Breaker) -> None:
    assert (breaker.state(0.0), breaker.permits(0.0), breaker.down_since_s) == (CLOSED, None, None)


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [("---", CLOSED), ("+++--", CLOSED), ("++--", OPEN), ("+---", OPEN), ("++++++----", CLOSED), ("+++++-----", OPEN)],
)
def test_it_opens_from_the_failure_rate_on_once_there_are_enough_calls(
    breaker: Breaker, outcomes: str, state: BreakerState
) -> None:
    run(breaker, outcomes)
    assert breaker.state(0.0) is state


def test_calls_that_ended_before_the_window_do_not_count(breaker: Breaker) -> None:
    run(breaker, "++++++++")
    run(breaker, "----", began_s=9.0, ended_s=9.0)
    assert breaker.state(9.0) is CLOSED
    run(breaker, "-", began_s=10.5, ended_s=10.5)
    assert breaker.state(10.5) is OPEN


def test_slow_calls_open_it_though_they_succeed(breaker: Breaker) -> None:
    run(breaker, "+", ended_s=2.9)
    run(breaker, "+++", ended_s=3.0)
    assert breaker.take_transitions() == [Transition(CLOSED, OPEN, Cause.SLOW_CALL_RATE, 3.0)]


def test_it_lets_probes_through_once_the_cool_down_is_over(breaker: Breaker) -> None:
    opened(breaker, 10.0)
    assert breaker.changes_at_s == 11.0
    assert (breaker.state(10.999), breaker.permits(10.999)) == (OPEN, 0)
    assert (breaker.state(11.0), breaker.permits(11.0)) == (HALF_OPEN, 2)


def test_only_a_few_probes_are_under_way_at_once(breaker: Breaker) -> None:
    opened(breaker)
    breaker.started(1.0)
    assert breaker.permits(1.0) == 1
    breaker.started(1.0)
    assert breaker.permits(1.0) == 0


def test_a_probe_that_succeeds_closes_it_and_forgets_the_failures(breaker: Breaker) -> None:
    opened(breaker)
    run(breaker, "+", began_s=1.0, ended_s=1.5)
    assert (breaker.state(1.5), breaker.permits(1.5), breaker.down_since_s) == (CLOSED, None, None)
    run(breaker, "---", began_s=1.5, ended_s=1.5)
    assert breaker.state(1.5) is CLOSED


def test_a_slow_probe_does_not_close_it(breaker: Breaker) -> None:
    opened(breaker)
    run(breaker, "+", began_s=1.0, ended_s=4.0)
    assert breaker.state(4.0) is not CLOSED


def test_each_probe_that_fails_doubles_the_cool_down_up_to_its_maximum(breaker: Breaker) -> None:
    opened(breaker)
    cooldowns_s = [breaker.changes_at_s]
    for _ in range(4):
        now_s = breaker.changes_at_s
        assert now_s is not None
        run(breaker, "-", began_s=now_s, ended_s=now_s)
        assert breaker.changes_at_s is not None
        cooldowns_s.append(breaker.changes_at_s - now_s)
    assert cooldowns_s == [1.0, 2.0, 4.0, 4.0, 4.0]


def test_the_jitter_of_cool_downs_stays_within_its_share_and_differs() -> None:
    limits = BreakerLimits(calls_min=1, cooldown_s_initial=1.0, cooldown_jitter=0.25)
    cooled_at_s = []
    for seed in range(50):
        breaker = Breaker(limits, Random(seed))
        run(breaker, "-")
        assert breaker.changes_at_s is not None
        cooled_at_s.append(breaker.changes_at_s)
    assert 0.75 <= min(cooled_at_s) < 0.85
    assert 1.15 < max(cooled_at_s) <= 1.25


def test_an_opening_long_after_the_recovery_is_a_new_outage_with_a_short_cool_down(breaker: Breaker) -> None:
    opened(breaker)
    run(breaker, "-", began_s=1.0, ended_s=1.0)
    run(breaker, "+", began_s=3.0, ended_s=3.0)
    opened(breaker, 5.0)
    assert (breaker.down_since_s, breaker.changes_at_s) == (5.0, 6.0)


def test_a_recovery_that_does_not_last_is_part_of_the_outage(breaker: Breaker) -> None:
    opened(breaker)
    run(breaker, "-", began_s=1.0, ended_s=1.0)
    run(breaker, "+", began_s=3.0, ended_s=3.0)
    opened(breaker, 4.9)
    assert (breaker.down_since_s, breaker.changes_at_s) == (0.0, 6.9)


def test_calls_from_before_it_opened_change_nothing(breaker: Breaker) -> None:
    early = [breaker.started(0.0) for _ in range(3)]
    opened(breaker)
    breaker.ended(early[0], succeeded=True, now_s=0.5)
    assert breaker.state(0.5) is OPEN
    breaker.started(1.0)
    breaker.ended(early[1], succeeded=False, now_s=1.0)
    breaker.ended(early[2], succeeded=True, now_s=1.0)
    assert (breaker.state(1.0), breaker.permits(1.0)) == (HALF_OPEN, 1)


def test_a_probe_that_hangs_does_not_hold_up_the_next(breaker: Breaker) -> None:
    opened(breaker)
    hangs = breaker.started(1.0)
    assert breaker.changes_at_s == 6.0
    assert breaker.state(6.0) is OPEN
    assert breaker.take_transitions()[-1].cause is Cause.PROBE_LATE
    assert (breaker.state(8.0), breaker.permits(8.0)) == (HALF_OPEN, 2)
    breaker.started(8.0)
    breaker.ended(hangs, succeeded=False, now_s=8.5)
    assert (breaker.state(8.5), breaker.permits(8.5)) == (HALF_OPEN, 1)


def test_a_late_probe_that_comes_through_closes_it(breaker: Breaker) -> None:
    opened(breaker)
    late = breaker.started(1.0)
    breaker.health_answered(failing=False, asked_s_ago=0.0, now_s=1.0)
    assert breaker.state(3.9) is HALF_OPEN
    breaker.ended(late, succeeded=True, now_s=3.9)
    assert breaker.state(3.9) is CLOSED


def test_half_open_without_a_probe_waits_for_one(breaker: Breaker) -> None:
    opened(breaker)
    assert (breaker.state(1e6), breaker.changes_at_s) == (HALF_OPEN, None)


def test_a_probe_that_was_not_made_makes_room_for_another(breaker: Breaker) -> None:
    opened(breaker)
    calls = [breaker.started(1.0), breaker.started(1.0)]
    for call in calls:
        breaker.withdrawn(call)
    assert (breaker.state(100.0), breaker.permits(100.0), breaker.changes_at_s) == (HALF_OPEN, 2, None)


def test_a_call_that_is_turned_away_opens_it_at_once_and_tells_of_no_earlier_time(breaker: Breaker) -> None:
    before, later = breaker.started(0.0), breaker.started(0.0)
    breaker.turned_away(before, 0.5)
    assert (breaker.take_transitions(), breaker.is_down_by_own_calls) == (
        [Transition(CLOSED, OPEN, Cause.MISCONFIGURED, 0.5)],
        True,
    )
    breaker.turned_away(later, 1.5)
    assert breaker.state(1.5) is HALF_OPEN
    breaker.turned_away(breaker.started(1.5), 1.6)
    assert breaker.take_transitions()[-1] == Transition(HALF_OPEN, OPEN, Cause.MISCONFIGURED, 1.6)


def test_its_own_health_answer_opens_it_unless_a_call_came_through_since(breaker: Breaker) -> None:
    run(breaker, "+", began_s=5.0, ended_s=5.0)
    breaker.health_answered(failing=True, asked_s_ago=1.5, now_s=6.0)
    assert breaker.state(6.0) is CLOSED
    breaker.health_answered(failing=True, asked_s_ago=0.5, now_s=6.0)
    assert breaker.take_transitions() == [Transition(CLOSED, OPEN, Cause.HEALTH_FAILING, 6.0)]
    assert not breaker.is_down_by_own_calls


def test_its_own_health_answer_ends_the_cool_down(breaker: Breaker) -> None:
    opened(breaker)
    breaker.health_answered(failing=True, asked_s_ago=0.0, now_s=0.1)
    assert breaker.state(0.1) is OPEN
    breaker.health_answered(failing=False, asked_s_ago=0.3, now_s=0.2)
    assert breaker.state(0.2) is OPEN
    breaker.health_answered(failing=False, asked_s_ago=0.1, now_s=0.2)
    assert breaker.state(0.2) is HALF_OPEN


@pytest.mark.parametrize(
    ("calls", "idle_s", "latency_s", "state"),
    [(3, 60.0, 0.0, CLOSED), (4, 1.4, 0.0, CLOSED), (4, 1.5, 0.0, OPEN), (4, 7.9, 2.0, CLOSED), (4, 8.0, 2.0, OPEN)],
)
def test_it_opens_where_no_call_ends_for_much_longer_than_usual(
    breaker: Breaker, calls: int, idle_s: float, latency_s: float, state: BreakerState
) -> None:
    breaker.stalled(calls=calls, idle_s=idle_s, latency_s=latency_s, now_s=100.0)
    assert breaker.state(100.0) is state


def test_a_quorum_opens_it_and_only_a_failed_probe_is_evidence_of_its_own(breaker: Breaker) -> None:
    breaker.quorum_found_down(1.0)
    assert (breaker.state(1.0), breaker.down_since_s, breaker.is_down_by_own_calls) == (OPEN, 1.0, False)
    run(breaker, "-", began_s=2.0, ended_s=2.0)
    assert breaker.is_down_by_own_calls


def test_another_replicas_success_ends_the_cool_down_and_a_probe_decides(breaker: Breaker) -> None:
    opened(breaker)
    breaker.peer_recovered(0.3)
    assert (breaker.state(0.3), breaker.permits(0.3)) == (HALF_OPEN, 2)


@pytest.mark.parametrize("state", [BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED])
def test_an_operator_holds_it_whatever_happens(breaker: Breaker, state: BreakerState) -> None:
    breaker.force(state, 0.0)
    run(breaker, "--------")
    breaker.quorum_found_down(1.0)
    breaker.health_answered(failing=True, asked_s_ago=0.0, now_s=1.0)
    breaker.peer_recovered(1.0)
    assert (breaker.state(1e6), breaker.down_since_s, breaker.changes_at_s) == (state, None, None)
    assert breaker.permits(1e6) == (0 if state is BreakerState.FORCED_OPEN else None)


def test_what_an_operator_releases_is_probed_after_forced_open_and_closed_after_forced_closed(breaker: Breaker) -> None:
    breaker.force(BreakerState.FORCED_OPEN, 0.0)
    breaker.force(None, 1.0)
    assert (breaker.state(1.0), breaker.down_since_s, breaker.is_down_by_own_calls) == (HALF_OPEN, 1.0, False)
    breaker.force(BreakerState.FORCED_CLOSED, 2.0)
    run(breaker, "--------", began_s=2.0, ended_s=2.0)
    breaker.force(None, 2.0)
    assert breaker.state(2.0) is CLOSED


def test_an_order_that_changes_nothing_is_no_transition(breaker: Breaker) -> None:
    breaker.force(None, 0.0)
    breaker.force(BreakerState.FORCED_OPEN, 0.0)
    breaker.force(BreakerState.FORCED_OPEN, 1.0)
    assert len(breaker.take_transitions()) == 1


def test_every_change_is_told_once_with_its_cause(breaker: Breaker) -> None:
    opened(breaker)
    run(breaker, "-", began_s=1.0, ended_s=1.25)
    run(breaker, "+", began_s=3.25, ended_s=3.5)
    assert breaker.take_transitions() == [
        Transition(CLOSED, OPEN, Cause.FAILURE_RATE, 0.0),
        Transition(OPEN, HALF_OPEN, Cause.COOLED_DOWN, 1.0),
        Transition(HALF_OPEN, OPEN, Cause.PROBE_FAILED, 1.25),
        Transition(OPEN, HALF_OPEN, Cause.COOLED_DOWN, 3.25),
        Transition(HALF_OPEN, CLOSED, Cause.PROBE_SUCCEEDED, 3.5),
    ]
    assert breaker.take_transitions() == []


@pytest.mark.parametrize("per_s", [1.5, 2, 5, 10, 20, 60, 200])
def test_an_outage_is_seen_however_few_the_calls_are(per_s: float) -> None:
    breaker, at_s = Breaker(BreakerLimits(), Random(1)), 0.0
    outcomes = "+" * 40 + "-" * 20
    for outcome in outcomes:
        at_s += 1 / per_s
        run(breaker, outcome, began_s=at_s, ended_s=at_s)
    while breaker.state(at_s) is CLOSED and at_s < 60 / per_s + 1:
        at_s += 1 / per_s
        run(breaker, "-", began_s=at_s, ended_s=at_s)
    assert next(each.cause for each in breaker.take_transitions()) is Cause.FAILURE_RATE


class AnyOrder(RuleBasedStateMachine):
    """Calls start where they may, end in any order; others report; operators interfere; time jumps ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(LIMITS, Random(7))
        self.now_s = 100.0
        self.calls: list[Call] = []

    @precondition(lambda self: self.breaker.permits(self.now_s) != 0)
    @rule()
    def start(self) -> None:
        self.calls.append(self.breaker.started(self.now_s))

    @precondition(lambda self: self.calls)
    @rule(index=st.integers(0, 1000), succeeded=st.booleans())
    def end(self, index: int, succeeded: bool) -> None:  # noqa: FBT001  # drawn
        call = self.calls.pop(index % len(self.calls))
        self.breaker.ended(call, succeeded=succeeded, now_s=self.now_s)

    @precondition(lambda self: self.calls)
    @rule(index=st.integers(0, 1000), turned_away=st.booleans())
    def give_back(self, index: int, turned_away: bool) -> None:  # noqa: FBT001  # the same
        call = self.calls.pop(index % len(self.calls))
        if turned_away:
            self.breaker.turned_away(call, self.now_s)
        else:
            self.breaker.withdrawn(call)

    @rule(failing=st.booleans(), asked_s_ago=st.floats(0, 10))
    def hear_of_health(self, failing: bool, asked_s_ago: float) -> None:  # noqa: FBT001  # the same
        self.breaker.health_answered(failing=failing, asked_s_ago=asked_s_ago, now_s=self.now_s)

    @rule(down=st.booleans())
    def hear_from_peers(self, down: bool) -> None:  # noqa: FBT001  # the same
        (self.breaker.quorum_found_down if down else self.breaker.peer_recovered)(self.now_s)

    @rule(state=st.sampled_from([None, BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED]))
    def force(self, state: BreakerState | None) -> None:
        self.breaker.force(state, self.now_s)

    @rule(seconds=st.one_of(st.floats(0, 5), st.sampled_from([0.0, 1.0, 2.0, 4.0, 3600.0, 1e9])))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds

    @invariant()
    def permits_belong_to_the_state(self) -> None:
        permits = self.breaker.permits(self.now_s)
        match self.breaker.state(self.now_s):
            case BreakerState.CLOSED | BreakerState.FORCED_CLOSED:
                assert permits is None
            case BreakerState.FORCED_OPEN:
                assert permits == 0
            case BreakerState.OPEN:
                assert permits == 0
                assert self.breaker.changes_at_s is not None
                assert self.now_s < self.breaker.changes_at_s <= self.now_s + LIMITS.cooldown_s_max
            case BreakerState.HALF_OPEN:
                assert permits is not None
                assert 0 <= permits <= LIMITS.probes_max

    @invariant()
    def it_is_never_stuck(self) -> None:
        """Let time pass, however calls end or hang: it takes calls again, and closes when one comes through."""
        if self.breaker.state(self.now_s) is BreakerState.FORCED_OPEN:
            return
        for succeeded in (True, False, None):
            breaker = deepcopy(self.breaker)
            for call in self.calls if succeeded is not None else []:
                breaker.ended(call, succeeded=bool(succeeded), now_s=self.now_s)
            now_s = self.now_s
            while breaker.permits(now_s) == 0:
                assert breaker.changes_at_s is not None
                now_s = max(now_s, breaker.changes_at_s)
            assert now_s <= self.now_s + LIMITS.half_open_s_max + LIMITS.cooldown_s_max
            if breaker.state(now_s) is HALF_OPEN:
                run(breaker, "+", began_s=now_s, ended_s=now_s)
                assert breaker.state(now_s) is CLOSED

    @invariant()
    def transitions_follow_each_other(self) -> None:
        transitions = deepcopy(self.breaker).take_transitions()
        assert all(earlier.after is later.before for earlier, later in pairwise(transitions))
        assert [each.at_s for each in transitions] == sorted(each.at_s for each in transitions)
        assert all(each.before is not each.after for each in transitions)

    @invariant()
    def asking_changes_nothing(self) -> None:
        first = (self.breaker.state(self.now_s), self.breaker.permits(self.now_s), self.breaker.changes_at_s)
        assert (self.breaker.state(self.now_s), self.breaker.permits(self.now_s), self.breaker.changes_at_s) == first


AnyOrder.TestCase.settings = settings(deadline=None, max_examples=150, stateful_step_count=40)
TestAnyOrder = AnyOrder.TestCase
