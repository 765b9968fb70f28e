"""A breaker opens after failures in a row, tries again after a cool-down, and is never stuck."""

from copy import deepcopy

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.domain.breaker import Breaker, BreakerLimits, BreakerState

LIMITS = BreakerLimits(consecutive_failures_max=3, cooldown_s_initial=1.0, cooldown_s_max=4.0, probes_max=2)


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(LIMITS)


def fail(breaker: Breaker, *instants_s: float) -> None:
    for now_s in instants_s:
        breaker.started(now_s)
        breaker.failed(now_s)


def test_a_closed_breaker_lets_everything_through(breaker: Breaker) -> None:
    assert (breaker.state(0.0), breaker.permits(0.0)) == (BreakerState.CLOSED, None)


def test_it_opens_with_the_last_of_the_failures_in_a_row(breaker: Breaker) -> None:
    fail(breaker, 0.0, 0.0)
    assert breaker.state(0.0) is BreakerState.CLOSED
    fail(breaker, 0.0)
    assert (breaker.state(0.0), breaker.permits(0.0)) == (BreakerState.OPEN, 0)


def test_a_success_between_failures_starts_the_count_anew(breaker: Breaker) -> None:
    fail(breaker, 0.0, 0.0)
    breaker.succeeded(0.0)
    fail(breaker, 0.0, 0.0)
    assert breaker.state(0.0) is BreakerState.CLOSED


def test_it_lets_probes_through_once_the_cool_down_is_over(breaker: Breaker) -> None:
    fail(breaker, 10.0, 10.0, 10.0)
    assert breaker.retry_at_s == 11.0
    assert (breaker.state(10.999), breaker.permits(10.999)) == (BreakerState.OPEN, 0)
    assert (breaker.state(11.0), breaker.permits(11.0)) == (BreakerState.HALF_OPEN, 2)


def test_only_a_few_probes_are_under_way_at_once(breaker: Breaker) -> None:
    fail(breaker, 0.0, 0.0, 0.0)
    breaker.started(1.0)
    assert breaker.permits(1.0) == 1
    breaker.started(1.0)
    assert breaker.permits(1.0) == 0


def test_a_probe_that_succeeds_closes_it(breaker: Breaker) -> None:
    fail(breaker, 0.0, 0.0, 0.0)
    breaker.started(1.0)
    breaker.succeeded(1.0)
    assert (breaker.state(1.0), breaker.permits(1.0)) == (BreakerState.CLOSED, None)
    fail(breaker, 1.0, 1.0)
    assert breaker.state(1.0) is BreakerState.CLOSED


def test_each_probe_that_fails_doubles_the_cool_down_up_to_its_maximum(breaker: Breaker) -> None:
    fail(breaker, 0.0, 0.0, 0.0)
    now_s, cooldowns_s = 0.0, [breaker.retry_at_s]
    for _ in range(4):
        now_s = breaker.retry_at_s
        fail(breaker, now_s)
        cooldowns_s.append(breaker.retry_at_s - now_s)
    assert cooldowns_s == [1.0, 2.0, 4.0, 4.0, 4.0]


def test_the_first_cool_down_after_a_recovery_is_short_again(breaker: Breaker) -> None:
    fail(breaker, 0.0, 0.0, 0.0, 1.0)
    breaker.started(3.0)
    breaker.succeeded(3.0)
    fail(breaker, 5.0, 5.0, 5.0)
    assert breaker.retry_at_s == 6.0


def test_what_ends_while_it_is_open_changes_nothing(breaker: Breaker) -> None:
    for _ in range(5):
        breaker.started(0.0)
    for _ in range(3):
        breaker.failed(0.0)
    breaker.failed(0.5)
    breaker.succeeded(0.5)
    assert (breaker.state(0.5), breaker.retry_at_s) == (BreakerState.OPEN, 1.0)


class AnyOrder(RuleBasedStateMachine):
    """Calls start where they may, end in any order; failures are also reported from aside; time jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(LIMITS)
        self.now_s = 100.0
        self.calls = 0

    @precondition(lambda self: self.breaker.permits(self.now_s) != 0)
    @rule()
    def start(self) -> None:
        self.breaker.started(self.now_s)
        self.calls += 1

    @precondition(lambda self: self.calls > 0)
    @rule()
    def succeed(self) -> None:
        self.breaker.succeeded(self.now_s)
        self.calls -= 1

    @precondition(lambda self: self.calls > 0)
    @rule()
    def fail(self) -> None:
        self.breaker.failed(self.now_s)
        self.calls -= 1

    @rule()
    def report_failing(self) -> None:
        self.breaker.failed(self.now_s)

    @rule(seconds=st.one_of(st.floats(0, 5), st.sampled_from([0.0, 1.0, 2.0, 4.0, 3600.0, 1e9])))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds

    @invariant()
    def permits_belong_to_the_state(self) -> None:
        permits = self.breaker.permits(self.now_s)
        match self.breaker.state(self.now_s):
            case BreakerState.CLOSED:
                assert permits is None
            case BreakerState.OPEN:
                assert permits == 0
                assert self.now_s < self.breaker.retry_at_s <= self.now_s + LIMITS.cooldown_s_max
            case BreakerState.HALF_OPEN:
                assert permits is not None
                assert 0 <= permits <= LIMITS.probes_max

    @invariant()
    def it_is_never_stuck(self) -> None:
        for calls_end in (Breaker.succeeded, Breaker.failed):
            breaker = deepcopy(self.breaker)
            for _ in range(self.calls):
                calls_end(breaker, self.now_s)
            assert breaker.permits(self.now_s + LIMITS.cooldown_s_max) != 0

    @invariant()
    def asking_changes_nothing(self) -> None:
        first = (self.breaker.state(self.now_s), self.breaker.permits(self.now_s), self.breaker.retry_at_s)
        assert (self.breaker.state(self.now_s), self.breaker.permits(self.now_s), self.breaker.retry_at_s) == first


AnyOrder.TestCase.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)
TestAnyOrder = AnyOrder.TestCase
