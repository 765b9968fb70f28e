"""What a breaker makes of news from the very instant of a change, of late probes, and of an operator's release."""

from collections.abc import Callable
from math import inf
from random import Random

import pytest

from actors.domain.breaker import Breaker, BreakerState, Transition
from actors.domain.breaker_causes import OWN_CAUSES, Cause
from actors.domain.breaker_limits import BreakerLimits
from tests.actors.domain.test_breaker import CLOSED, HALF_OPEN, LIMITS, OPEN, opened, run


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(LIMITS, Random(1))


def recovered(breaker: Breaker, at_s: float = 1.0) -> Breaker:
    """Let its outage from 0.0 on end with a probe that succeeds at once."""
    opened(breaker)
    run(breaker, "+", began_s=at_s, ended_s=at_s)
    assert breaker.state(at_s) is CLOSED
    return breaker


def test_states_have_the_names_that_operators_and_metrics_use() -> None:
    names = ["closed", "open", "half-open", "forced-open", "forced-closed"]
    assert [state.value for state in BreakerState] == names
    assert [state for state in BreakerState if state.is_closed] == [CLOSED, BreakerState.FORCED_CLOSED]
    assert [state for state in BreakerState if state.is_forced] == [
        BreakerState.FORCED_OPEN,
        BreakerState.FORCED_CLOSED,
    ]


def test_only_what_own_calls_showed_counts_towards_a_quorum() -> None:
    others = {Cause.HEALTH_FAILING, Cause.QUORUM, Cause.COOLED_DOWN, Cause.HEALTH_WORKING, Cause.PEER_RECOVERED}
    assert set(Cause) - OWN_CAUSES == others | {Cause.PROBE_SUCCEEDED, Cause.OPERATOR}
    assert len({cause.value for cause in Cause}) == len(Cause)


def test_a_new_one_knows_of_no_outage(breaker: Breaker) -> None:
    assert (breaker.changed_at_s, breaker.changes_at_s, breaker.found_down_s) == (None, None, -inf)
    assert (breaker.turns_away, breaker.is_down_by_own_calls, breaker.rates(0.0)) == (False, False, (0, 0.0, 0.0))


def test_a_look_up_of_the_instant_at_which_the_outage_ended_counts(breaker: Breaker) -> None:
    recovered(breaker)
    for _ in range(LIMITS.calls_min):
        breaker.look_up_unanswered(asked_at_s=1.0, now_s=1.5)
    assert breaker.state(1.5) is OPEN


def test_a_look_up_without_an_answer_is_failed_and_not_slow(breaker: Breaker) -> None:
    breaker.look_up_unanswered(asked_at_s=0.0, now_s=0.0)
    assert breaker.rates(0.0) == (1, 1.0, 0.0)


def test_a_health_answer_of_the_instant_of_the_latest_success_counts(breaker: Breaker) -> None:
    run(breaker, "+", began_s=5.0, ended_s=5.0)
    assert not breaker.health_answered(failing=True, asked_s_ago=1.0, now_s=6.0)
    assert breaker.state(6.0) is OPEN


def test_a_health_answer_of_the_instant_of_the_latest_change_counts_and_is_said_to_raise_doubts(
    breaker: Breaker,
) -> None:
    opened(breaker)
    assert breaker.health_answered(failing=False, asked_s_ago=0.5, now_s=0.5)
    assert breaker.take_transitions()[-1] == Transition(OPEN, HALF_OPEN, Cause.HEALTH_WORKING, 0.5)


def test_a_health_answer_raises_no_doubts_where_there_is_no_outage_or_it_is_outdated(breaker: Breaker) -> None:
    assert not breaker.health_answered(failing=False, asked_s_ago=0.0, now_s=0.0)
    opened(breaker)
    assert not breaker.health_answered(failing=True, asked_s_ago=0.0, now_s=0.5)
    assert not breaker.health_answered(failing=False, asked_s_ago=0.6, now_s=0.5)
    assert breaker.doubted_from_s == LIMITS.certain_s


def test_a_probe_that_began_at_the_instant_of_the_news_refutes_it(breaker: Breaker) -> None:
    opened(breaker).peer_recovered(0.5)
    run(breaker, "-", began_s=0.5, ended_s=0.75)
    assert breaker.doubted_from_s == 0.75 + LIMITS.certain_s


def test_a_peer_is_named_as_the_cause_where_its_success_ends_the_cool_down(breaker: Breaker) -> None:
    opened(breaker).peer_recovered(0.3)
    assert breaker.take_transitions()[-1] == Transition(OPEN, HALF_OPEN, Cause.PEER_RECOVERED, 0.3)
    breaker.peer_recovered(0.4)
    assert (breaker.take_transitions(), breaker.doubted_from_s) == ([], 0.4)


def test_of_two_probes_the_first_limits_the_half_open_time_until_both_are_withdrawn(breaker: Breaker) -> None:
    opened(breaker)
    first, second = breaker.started(1.0), breaker.started(2.0)
    assert breaker.changes_at_s == 1.0 + LIMITS.half_open_s_max
    breaker.withdrawn(first)
    assert (breaker.permits(2.0), breaker.changes_at_s) == (1, 1.0 + LIMITS.half_open_s_max)
    breaker.withdrawn(second)
    assert breaker.permits(2.0) == 2
    assert not breaker.changes_at_s


def test_a_probe_of_an_earlier_period_gives_back_no_room_and_opens_nothing(breaker: Breaker) -> None:
    opened(breaker)
    late = [breaker.started(1.0), breaker.started(1.0)]
    breaker.state(6.0)
    breaker.started(8.0)
    breaker.turned_away(late[0], 8.1)
    breaker.withdrawn(late[1])
    assert (breaker.state(8.1), breaker.permits(8.1), breaker.turns_away) == (HALF_OPEN, 1, False)


def test_an_early_call_that_ends_while_it_is_closed_again_is_counted(breaker: Breaker) -> None:
    early = breaker.started(0.0)
    recovered(breaker)
    breaker.ended(early, succeeded=False, now_s=1.5)
    assert breaker.rates(1.5) == (1, 1.0, 0.0)


def test_it_turns_all_away_until_it_has_closed(breaker: Breaker) -> None:
    breaker.turned_away(breaker.started(0.5), 0.6)
    assert (breaker.turns_away_here, breaker.found_down_s) == (True, 0.6)
    assert breaker.state(1.6) is HALF_OPEN
    assert breaker.turns_away
    run(breaker, "-", began_s=1.6, ended_s=1.6)
    assert (breaker.turns_away, breaker.is_down_by_own_calls) == (True, True)
    run(breaker, "+", began_s=3.6, ended_s=3.6)
    assert not breaker.turns_away


def test_another_replica_that_is_turned_away_is_believed_until_an_own_call_succeeds(breaker: Breaker) -> None:
    breaker.turned_away_elsewhere()
    assert (breaker.turns_away, breaker.turns_away_here, breaker.state(0.0)) == (True, False, CLOSED)
    run(breaker, "-")
    assert breaker.turns_away
    run(breaker, "+")
    assert not breaker.turns_away


def test_a_released_one_that_was_forced_open_begins_a_new_outage_with_a_short_cool_down(breaker: Breaker) -> None:
    opened(breaker)
    run(breaker, "-", began_s=1.0, ended_s=1.0)
    run(breaker, "-", began_s=3.0, ended_s=3.0)
    breaker.force(BreakerState.FORCED_OPEN, 4.0)
    breaker.force(None, 5.0)
    assert (breaker.changed_at_s, breaker.down_since_s) == (5.0, 5.0)
    run(breaker, "-", began_s=5.0, ended_s=5.0)
    assert breaker.changes_at_s == 5.0 + 2 * LIMITS.cooldown_s_initial
    assert breaker.take_transitions()[-3:] == [
        Transition(OPEN, BreakerState.FORCED_OPEN, Cause.OPERATOR, 4.0),
        Transition(BreakerState.FORCED_OPEN, HALF_OPEN, Cause.OPERATOR, 5.0),
        Transition(HALF_OPEN, OPEN, Cause.PROBE_FAILED, 5.0),
    ]


def test_a_released_one_that_was_forced_closed_forgets_the_calls_of_that_time(breaker: Breaker) -> None:
    breaker.force(BreakerState.FORCED_CLOSED, 0.0)
    run(breaker, "--------")
    assert breaker.rates(0.0) == (8, 1.0, 0.0)
    breaker.force(None, 0.0)
    assert breaker.rates(0.0) == (0, 0.0, 0.0)
    run(breaker, "+++-")
    assert breaker.state(0.0) is CLOSED
    assert breaker.take_transitions() == [
        Transition(CLOSED, BreakerState.FORCED_CLOSED, Cause.OPERATOR, 0.0),
        Transition(BreakerState.FORCED_CLOSED, CLOSED, Cause.OPERATOR, 0.0),
    ]


@pytest.mark.parametrize(
    ("cause", "tell"),
    [
        (Cause.QUORUM, lambda breaker: breaker.quorum_found_down(2.0)),
        (Cause.STALLED, lambda breaker: breaker.stalled(calls=9, idle_s=60.0, latency_s=0.0, now_s=2.0)),
        (Cause.HEALTH_FAILING, lambda breaker: breaker.health_answered(failing=True, asked_s_ago=0.0, now_s=2.0)),
    ],
)
def test_the_cause_of_each_opening_is_told_once(
    breaker: Breaker, cause: Cause, tell: Callable[[Breaker], object]
) -> None:
    tell(breaker)
    assert breaker.take_transitions() == [Transition(CLOSED, OPEN, cause, 2.0)]
    assert breaker.is_down_by_own_calls is (cause is Cause.STALLED)
    tell(breaker)
    assert breaker.take_transitions() == []


def test_both_rates_at_once_are_told_as_failures(breaker: Breaker) -> None:
    run(breaker, "----", ended_s=3.0)
    assert breaker.take_transitions()[-1].cause is Cause.FAILURE_RATE


def test_one_probe_at_a_time_and_a_pause_of_a_tenth_of_a_second_are_usual() -> None:
    breaker = Breaker(BreakerLimits(), Random(1))
    run(breaker, "-" * 20)
    assert breaker.changes_at_s == pytest.approx(0.1, rel=0.25)
    assert breaker.permits(0.2) == 1
    breaker.started(0.2)
    assert breaker.permits(0.2) == 0
