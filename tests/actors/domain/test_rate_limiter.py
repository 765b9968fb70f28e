"""The rate of starts follows what the process can do.

The simulation runs in virtual time against a model of a process with a CPU quota. The figures that it reaches stand in
the assertions, with room for other choices of the constants.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf
from random import Random
from statistics import mean, quantiles

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.rate_limiter import RateLimiter, RateLimits

RATES = RateLimits(per_s_min=100, per_s_initial=200)


@pytest.fixture
def limiter() -> RateLimiter:
    return RateLimiter(RATES)


def test_a_burst_starts_at_once_and_then_one_by_one(limiter: RateLimiter) -> None:
    assert [limiter.take(0.0) for _ in range(17)] == [True] * 16 + [False]
    assert not limiter.take(0.004)
    assert limiter.take(0.0051)
    assert not limiter.take(0.0051)


def test_several_can_start_when_it_says_so(limiter: RateLimiter) -> None:
    while limiter.take(0.0):
        pass
    next_at_s = limiter.next_at_s(0.0)
    assert next_at_s == pytest.approx(4 / 200)
    assert sum(limiter.take(next_at_s + 1e-9) for _ in range(9)) == 4


def test_what_has_come_since_counts_for_when_several_can_start(limiter: RateLimiter) -> None:
    while limiter.take(0.0):
        pass
    assert limiter.next_at_s(0.010) == pytest.approx(0.010 + 2 / 200)


def test_a_new_rate_counts_from_the_moment_at_which_it_changes(limiter: RateLimiter) -> None:
    while limiter.take(0.0):
        pass
    limiter.lagged(0.02, 0.010)
    assert limiter.per_s == pytest.approx(140)
    assert [limiter.take(0.010) for _ in range(3)] == [True, True, False]


def test_a_lag_of_just_what_is_allowed_slows_nothing(limiter: RateLimiter) -> None:
    limiter.lagged(RATES.lag_s_max, 0.0)
    assert limiter.per_s == 205


def test_a_timer_is_never_due_too_soon_to_be_worth_it(limiter: RateLimiter) -> None:
    assert limiter.next_at_s(5.0) == 5.010


def test_new_payments_are_not_slowed_at_the_lowest_rate(limiter: RateLimiter) -> None:
    for number in range(100):
        limiter.lagged(0.07, number * 0.1)
    assert limiter.per_s == 100
    assert all(limiter.take(10.0 + number / 60) for number in range(6000))


def test_lag_takes_a_share_of_the_rate_once_in_a_step(limiter: RateLimiter) -> None:
    rates_per_s = []
    for now_s in (0.0, 0.05, 0.099, 0.1, 0.15, 0.3):
        limiter.lagged(0.02, now_s)
        rates_per_s.append(limiter.per_s)
    assert rates_per_s == pytest.approx([140, 140, 140, 100, 100, 100])


def test_without_lag_the_rate_grows_once_in_a_step_up_to_its_maximum(limiter: RateLimiter) -> None:
    rates_per_s = []
    for now_s in (0.0, 0.05, 0.1, 0.2):
        limiter.lagged(0.009, now_s)
        rates_per_s.append(limiter.per_s)
    assert rates_per_s == [205, 205, 210, 215]
    for number in range(200):
        limiter.lagged(0.0, 1.0 + number * 0.11)
    assert limiter.per_s == 1000


def test_the_worst_lag_of_a_step_counts(limiter: RateLimiter) -> None:
    limiter.lagged(0.0, 0.0)
    limiter.lagged(0.05, 0.03)
    limiter.lagged(0.0, 0.11)
    assert limiter.per_s == pytest.approx(205 * 0.7)


def test_a_clock_that_steps_back_gives_nothing_twice(limiter: RateLimiter) -> None:
    while limiter.take(10.0):
        pass
    assert not limiter.take(9.0)
    assert not limiter.take(10.0)
    assert limiter.take(10.01)


seconds = st.one_of(st.floats(0, 0.2), st.sampled_from([0.0, 0.001, 3600.0, 1e9]))


@given(st.lists(st.tuples(seconds, st.integers(0, 30), st.one_of(st.none(), st.floats(0, 10))), max_size=100))
@settings(deadline=None)
def test_in_no_interval_more_start_than_a_burst_and_the_greatest_rate(
    steps: list[tuple[float, int, float | None]],
) -> None:
    limiter, now_s, started = RateLimiter(RATES), 0.0, 0
    worst, least = 0.0, inf
    for passed_s, wanted, lag_s in steps:
        now_s += passed_s
        if lag_s is not None:
            limiter.lagged(lag_s, now_s)
        # The most that any interval ending here has too many, as a running maximum.
        least = min(least, started - RATES.per_s_max * now_s)
        started += sum(limiter.take(now_s) for _ in range(wanted))
        worst = max(worst, started - RATES.per_s_max * now_s - least)
        assert RATES.per_s_min <= limiter.per_s <= RATES.per_s_max
        assert now_s + RATES.wait_s_min <= limiter.next_at_s(now_s) <= now_s + RATES.burst / RATES.per_s_min
    assert worst <= RATES.burst + 1e-3 * len(steps)


@given(st.lists(st.tuples(seconds, st.floats(0, 10)), max_size=50))
@settings(deadline=None)
def test_whatever_has_happened_the_rate_grows_again_and_starts_go_on(steps: list[tuple[float, float]]) -> None:
    limiter, now_s = RateLimiter(RATES), 0.0
    for passed_s, lag_s in steps:
        now_s += passed_s
        limiter.lagged(lag_s, now_s)
    started = 0
    for _ in range(200):
        now_s += 0.11
        limiter.lagged(0.0, now_s)
        started += limiter.take(now_s)
    assert (limiter.per_s, started) == (RATES.per_s_max, 200)


@dataclass
class Process:
    """An event loop with 32 ms of CPU in each 100 ms: answers requests, and charges them and a backlog of others."""

    limiter: RateLimiter | None
    """None: as many start as may be under way."""
    backlog: int
    requests_per_s: float = 180.0
    request_cpu_s: float = 0.0004
    charge_cpu_s: float = 0.0007
    charge_latency_s: float = 0.02
    in_flight_max: int = 32
    now_s: float = 0.0
    delays_s: list[float] = field(default_factory=list)
    """What requests waited for their answer while the backlog lasted."""
    drained_s: float = inf

    def __post_init__(self) -> None:
        self._rng = Random(1)
        self._order = count()
        self._ready: list[tuple[float, int, Callable[[float], None]]] = []
        self._cpu_used_s = 0.0
        self._in_flight = 0
        self._timer = False
        self._at(0.0, self._request)

    def run(self, until_s: float) -> "Process":
        """Whatever is ready is done in the order in which it has become so, as an event loop does."""
        while self._ready[0][0] < until_s:
            ready_s, _, task = heappop(self._ready)
            self._pass(max(0.0, ready_s - self.now_s), cpu=False)
            task(ready_s)
            self._start()
        return self

    def _at(self, at_s: float, task: Callable[[float], None]) -> None:
        heappush(self._ready, (at_s, next(self._order), task))

    def _pass(self, seconds: float, *, cpu: bool) -> None:
        period = int(self.now_s / 0.1 + 1e-9)
        self.now_s += seconds
        self._cpu_used_s += seconds * cpu
        if self._cpu_used_s >= 0.032:
            self.now_s = max(self.now_s, (period + 1) * 0.1)
        if int(self.now_s / 0.1 + 1e-9) > period:
            self._cpu_used_s = 0.0

    def _request(self, came_s: float) -> None:
        self._at(came_s + self._rng.expovariate(self.requests_per_s), self._request)
        self._pass(self.request_cpu_s, cpu=True)
        if self.drained_s == inf:
            self.delays_s.append(self.now_s - came_s)
        self.backlog += 1

    def _start(self) -> None:
        if self.drained_s == inf and self.backlog <= 10:
            self.drained_s = self.now_s
        while self.backlog and self._in_flight < self.in_flight_max:
            if self.limiter is not None and not self.limiter.take(self.now_s):
                if not self._timer:
                    self._timer = True
                    self._at(self.limiter.next_at_s(self.now_s), self._start_due)
                return
            self.backlog -= 1
            self._in_flight += 1
            self._at(self.now_s, self._charge)

    def _start_due(self, due_s: float) -> None:
        assert self.limiter is not None
        self._timer = False
        self.limiter.lagged(max(0.0, self.now_s - due_s), self.now_s)

    def _charge(self, _: float) -> None:
        self._pass(self.charge_cpu_s, cpu=True)
        self._at(self.now_s + self.charge_latency_s, self._charged)

    def _charged(self, _: float) -> None:
        self._in_flight -= 1


def p99_s(values_s: list[float]) -> float:
    return quantiles(values_s, n=100)[98]


def test_draining_a_backlog_leaves_the_cpu_that_requests_need() -> None:
    paced = Process(RateLimiter(RATES), backlog=1500).run(40.0)
    unpaced = Process(None, backlog=1500).run(40.0)
    assert p99_s(unpaced.delays_s) >= 0.05
    assert p99_s(paced.delays_s) <= p99_s(unpaced.delays_s) / 2
    assert mean(paced.delays_s) <= mean(unpaced.delays_s) / 4
    assert unpaced.drained_s < paced.drained_s <= 2.0 * unpaced.drained_s
