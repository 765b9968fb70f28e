"""The number of charges under way follows what a processor can take.

The simulations run in virtual time against a model of a processor. The figures that they reach stand in the assertions,
with room for other choices of the constants.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import exp, inf
from random import Random
from statistics import mean, median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.concurrency_limit import ConcurrencyLimit, ConcurrencyLimits

LIMITS = ConcurrencyLimits()


@pytest.fixture
def concurrency() -> ConcurrencyLimit:
    return ConcurrencyLimit(LIMITS)


def serve(concurrency: ConcurrencyLimit, latency_s: float, *, began_s: float, times: int = 1) -> float:
    """Let as many charges as the limit allows begin and end together, `times` times. Return the time after the last."""
    for _ in range(times):
        began_s += latency_s
        in_flight = concurrency.limit
        for _ in range(in_flight):
            concurrency.ended(in_flight=in_flight, latency_s=latency_s, overloaded=False, now_s=began_s)
    return began_s


def test_nothing_is_known_at_first(concurrency: ConcurrencyLimit) -> None:
    assert (concurrency.limit, concurrency.latency_s, concurrency.capacity_per_s()) == (32, None, inf)


def test_a_limit_that_is_used_doubles_in_a_round_trip_up_to_its_maximum(concurrency: ConcurrencyLimit) -> None:
    limits, now_s = [], 0.0
    for _ in range(5):
        now_s = serve(concurrency, 0.1, began_s=now_s)
        limits.append(concurrency.limit)
    assert limits == [64, 128, 256, 266, 266]


def test_a_limit_that_is_not_used_stays(concurrency: ConcurrencyLimit) -> None:
    for number in range(1000):
        concurrency.ended(in_flight=15, latency_s=0.1, overloaded=False, now_s=number * 0.1)
    assert concurrency.limit == 32


def test_without_congestion_the_capacity_is_what_the_greatest_limit_would_give(concurrency: ConcurrencyLimit) -> None:
    concurrency.ended(in_flight=1, latency_s=0.5, overloaded=False, now_s=1.0)
    assert (concurrency.latency_s, concurrency.capacity_per_s()) == (0.5, 266 / 0.5)


def test_the_latency_is_smoothed(concurrency: ConcurrencyLimit) -> None:
    concurrency.ended(in_flight=1, latency_s=0.1, overloaded=False, now_s=0.0)
    concurrency.ended(in_flight=1, latency_s=1.1, overloaded=False, now_s=1.0)
    assert concurrency.latency_s == pytest.approx(0.2)


def test_after_congestion_the_capacity_is_what_the_limit_gives(concurrency: ConcurrencyLimit) -> None:
    concurrency.ended(in_flight=1, latency_s=0.5, overloaded=False, now_s=1.0)
    concurrency.ended(in_flight=1, latency_s=0.0, overloaded=True, now_s=1.0)
    assert (concurrency.limit, concurrency.capacity_per_s()) == (22, 22 / 0.5)


def test_charges_that_take_no_time_are_no_congestion(concurrency: ConcurrencyLimit) -> None:
    for number in range(1000):
        concurrency.ended(in_flight=concurrency.limit, latency_s=0.0, overloaded=False, now_s=number * 0.01)
    assert (concurrency.limit, concurrency.capacity_per_s()) == (266, inf)


def test_an_overload_shrinks_the_limit_once_in_a_round_trip(concurrency: ConcurrencyLimit) -> None:
    concurrency.ended(in_flight=1, latency_s=0.1, overloaded=False, now_s=0.0)
    limits = []
    for now_s in (1.0, 1.01, 1.09, 1.11, 1.15, 1.22):
        concurrency.ended(in_flight=32, latency_s=0.001, overloaded=True, now_s=now_s)
        limits.append(concurrency.limit)
    assert limits == [22, 22, 22, 15, 15, 10]


def test_before_any_charge_has_ended_an_overload_shrinks_it_once_in_the_shortest_round(
    concurrency: ConcurrencyLimit,
) -> None:
    limits = []
    for now_s in (1.0, 1.04, 1.06):
        concurrency.ended(in_flight=32, latency_s=0.001, overloaded=True, now_s=now_s)
        limits.append(concurrency.limit)
    assert limits == [22, 22, 15]


def test_after_an_overload_it_grows_slowly(concurrency: ConcurrencyLimit) -> None:
    concurrency.ended(in_flight=32, latency_s=0.001, overloaded=True, now_s=0.0)
    serve(concurrency, 0.1, began_s=0.0, times=4)
    assert concurrency.limit in {26, 27}


def test_overloads_never_take_it_below_its_minimum(concurrency: ConcurrencyLimit) -> None:
    for number in range(100):
        concurrency.ended(in_flight=32, latency_s=0.001, overloaded=True, now_s=float(number))
    assert concurrency.limit == 4


def test_a_latency_that_rises_is_probed_and_one_that_stays_in_the_probe_is_the_processors_own(
    concurrency: ConcurrencyLimit,
) -> None:
    now_s = serve(concurrency, 0.1, began_s=0.0, times=8)
    assert concurrency.limit == 266
    now_s = serve(concurrency, 1.0, began_s=now_s, times=2)
    assert concurrency.limit == 33
    now_s = serve(concurrency, 1.0, began_s=now_s, times=3)
    assert concurrency.limit == 266
    serve(concurrency, 1.0, began_s=now_s, times=40)
    assert concurrency.limit == 266


@pytest.mark.parametrize("latency_s", [1.0, 2.0])
def test_a_latency_that_falls_in_the_probe_was_a_queue(concurrency: ConcurrencyLimit, latency_s: float) -> None:
    now_s = serve(concurrency, 0.1, began_s=0.0, times=8)
    now_s = serve(concurrency, latency_s, began_s=now_s, times=2)
    assert concurrency.limit == 33
    serve(concurrency, latency_s / 4, began_s=now_s, times=9)
    assert 266 / 4 < concurrency.limit < 266 / 4 * 1.5


def test_a_probe_does_not_change_the_capacity(concurrency: ConcurrencyLimit) -> None:
    concurrency.ended(in_flight=32, latency_s=0.001, overloaded=True, now_s=0.0)
    now_s = serve(concurrency, 0.1, began_s=1.0, times=60)
    before = concurrency.limit
    assert before < 266
    serve(concurrency, 1.0, began_s=now_s, times=2)
    assert concurrency.limit == before // 8
    assert concurrency.latency_s is not None
    assert concurrency.capacity_per_s() * concurrency.latency_s >= before


def test_after_a_probe_that_found_no_queue_it_grows_at_once() -> None:
    concurrency = ConcurrencyLimit(ConcurrencyLimits(max=10_000, fleet_max=10_000))
    now_s = serve(concurrency, 0.1, began_s=0.0, times=3)
    now_s = serve(concurrency, 1.0, began_s=now_s, times=2)
    assert concurrency.limit < 512
    while concurrency.limit < 512:
        now_s += 0.1
        concurrency.ended(in_flight=concurrency.limit, latency_s=1.0, overloaded=False, now_s=now_s)
    before = concurrency.limit
    assert 512 <= before < 10_000
    concurrency.ended(in_flight=before, latency_s=1.0, overloaded=False, now_s=now_s)
    assert concurrency.limit == before + 1


def test_a_limit_of_which_less_than_half_is_used_does_not_queue(concurrency: ConcurrencyLimit) -> None:
    for number in range(400):
        latency_s = 0.1 if number < 200 else 1.0
        concurrency.ended(in_flight=12, latency_s=latency_s, overloaded=False, now_s=number * 0.1)
    assert concurrency.limit == 32


def test_a_latency_that_has_fallen_a_little_is_what_later_ones_are_compared_with_after_some_rounds(
    concurrency: ConcurrencyLimit,
) -> None:
    now_s = serve(concurrency, 0.1, began_s=0.0, times=8)
    now_s = serve(concurrency, 0.06, began_s=now_s, times=7)
    assert concurrency.limit == 266
    serve(concurrency, 0.12, began_s=now_s, times=2)
    assert concurrency.limit == 33


def test_an_overload_ends_a_probe(concurrency: ConcurrencyLimit) -> None:
    now_s = serve(concurrency, 0.1, began_s=0.0, times=8)
    now_s = serve(concurrency, 1.0, began_s=now_s, times=2)
    assert concurrency.limit == 33
    concurrency.ended(in_flight=33, latency_s=0.001, overloaded=True, now_s=now_s)
    assert concurrency.limit == int(266 * 0.7)


def test_a_reset_forgets_everything(concurrency: ConcurrencyLimit) -> None:
    now_s = serve(concurrency, 0.1, began_s=0.0, times=8)
    concurrency.ended(in_flight=32, latency_s=0.001, overloaded=True, now_s=now_s)
    concurrency.reset()
    assert (concurrency.limit, concurrency.latency_s, concurrency.capacity_per_s()) == (32, None, inf)
    serve(concurrency, 2.0, began_s=now_s, times=2)
    assert concurrency.limit == 128


calls = st.tuples(
    st.integers(1, 400),
    st.one_of(st.floats(0, 10), st.sampled_from([0.0, 0.02, 2.0])),
    st.booleans(),
    st.one_of(st.floats(0, 1), st.sampled_from([0.0, 60.0, 1e9])),
)


@given(st.lists(calls, max_size=200), st.sampled_from([LIMITS, ConcurrencyLimits(min=1, initial=4, max=4)]))
@settings(deadline=None)
def test_whatever_happens_the_bounds_hold(
    history: list[tuple[int, float, bool, float]], bounds: ConcurrencyLimits
) -> None:
    concurrency, now_s = ConcurrencyLimit(bounds), 0.0
    for in_flight, latency_s, overloaded, seconds in history:
        now_s += seconds
        concurrency.ended(in_flight=in_flight, latency_s=latency_s, overloaded=overloaded, now_s=now_s)
        assert bounds.min <= concurrency.limit <= bounds.max
        assert concurrency.latency_s is None or 0 <= concurrency.latency_s <= 10
        assert concurrency.capacity_per_s() > 0


@given(st.lists(calls, max_size=60), st.sampled_from([0.02, 0.1, 2.0]))
@settings(deadline=None, max_examples=40)
def test_whatever_has_happened_a_limit_that_is_used_grows_to_its_maximum(
    history: list[tuple[int, float, bool, float]], latency_s: float
) -> None:
    concurrency, now_s = ConcurrencyLimit(LIMITS), 0.0
    for in_flight, before_s, overloaded, seconds in history:
        now_s += seconds
        concurrency.ended(in_flight=in_flight, latency_s=before_s, overloaded=overloaded, now_s=now_s)
    for _ in range(400):
        now_s = serve(concurrency, latency_s, began_s=now_s)
        if concurrency.limit == LIMITS.max:
            return
    pytest.fail(f"still at {concurrency.limit}")


def test_replicas_share_what_a_processor_takes(concurrency: ConcurrencyLimit) -> None:
    now_s = serve(concurrency, 0.1, began_s=0.0, times=8)
    for replicas, limit in ((3, 266), (4, 199), (10, 79), (1000, 1)):
        concurrency.share(replicas)
        assert concurrency.limit == limit, "at once"
    concurrency.share(10)
    now_s = serve(concurrency, 0.1, began_s=now_s, times=8)
    assert concurrency.limit == 79
    assert concurrency.capacity_per_s() == pytest.approx(790, rel=0.01)
    concurrency.share(3)
    serve(concurrency, 0.1, began_s=now_s, times=8)
    assert concurrency.limit == 266


changes = st.lists(st.one_of(calls, st.integers(1, 1000)), max_size=200)


@given(changes, st.sampled_from([LIMITS, ConcurrencyLimits(min=1, initial=4, max=4, fleet_max=7)]))
@settings(deadline=None)
def test_whatever_happens_all_replicas_together_keep_to_what_the_processor_takes(
    history: list[tuple[int, float, bool, float] | int], bounds: ConcurrencyLimits
) -> None:
    concurrency, now_s, replicas = ConcurrencyLimit(bounds), 0.0, 1
    for event in history:
        if isinstance(event, int):
            replicas = event
            concurrency.share(replicas)
        else:
            in_flight, latency_s, overloaded, seconds = event
            now_s += seconds
            concurrency.ended(in_flight=in_flight, latency_s=latency_s, overloaded=overloaded, now_s=now_s)
        assert 1 <= concurrency.limit <= bounds.max
        assert concurrency.limit == 1 or concurrency.limit * replicas <= bounds.fleet_max
        assert concurrency.capacity_per_s() > 0
        if concurrency.latency_s:
            share = max(1, bounds.fleet_max // replicas)
            assert concurrency.capacity_per_s() <= share / concurrency.latency_s


@dataclass
class Simulation:
    """Replicas that charge on one processor: as many at a time as it has workers, the others queue or are refused."""

    replicas: list[ConcurrencyLimit]
    work_s: Callable[[float], float]
    """How long a charge takes a worker, by the time at which it begins."""
    demand_per_s: float = inf
    """Of each replica."""
    workers: Callable[[float], float] = lambda _: inf
    at_once_max: float = inf
    sigma: float = 0.0
    """Of the logarithm of what a charge takes."""
    seed: int = 1
    now_s: float = 0.0
    ended_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    seen: list[tuple[float, int]] = field(default_factory=list)
    """Times, and how many were under way at them over all replicas."""

    def __post_init__(self) -> None:
        self._rng = Random(self.seed)
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._in_flight = [0] * len(self.replicas)
        self._begun = [0] * len(self.replicas)
        self._working = 0
        self._queue: deque[Callable[[], None]] = deque()
        self._after(0.0, self._poll)

    def run(self, until_s: float) -> "Simulation":
        while self._events[0][0] <= until_s:
            self.now_s, _, event = heappop(self._events)
            event()
        return self

    def throughput_per_s(self, from_s: float, until_s: float) -> float:
        return sum(from_s <= at_s < until_s for at_s in self.ended_s) / (until_s - from_s)

    def in_flight(self, from_s: float, until_s: float) -> list[int]:
        return [number for at_s, number in self.seen if from_s <= at_s < until_s]

    def reaches_s(self, per_s: float, *, from_s: float = 0.0, over_s: float = 2.0) -> float:
        """After how many seconds the throughput is as high, over a while."""
        at_s = from_s
        while self.throughput_per_s(at_s, at_s + over_s) < per_s:
            at_s += over_s
            assert at_s < self.now_s, "it never is"
        return at_s + over_s - from_s

    def _after(self, seconds: float, event: Callable[[], None]) -> None:
        heappush(self._events, (self.now_s + seconds, next(self._order), event))

    def _poll(self) -> None:
        self.seen.append((self.now_s, sum(self._in_flight)))
        for replica in range(len(self.replicas)):
            self._fill(replica)
        self._after(0.005, self._poll)

    def _fill(self, replica: int) -> None:
        while (
            self._in_flight[replica] < self.replicas[replica].limit
            and self._begun[replica] < self.demand_per_s * self.now_s
        ):
            self._begun[replica] += 1
            self._in_flight[replica] += 1
            self._begin(replica, self._in_flight[replica], self.now_s)

    def _begin(self, replica: int, in_flight: int, began_s: float) -> None:
        def end() -> None:
            self._work_ended()
            self._end(replica, in_flight, began_s, overloaded=False)

        def work() -> None:
            self._after(self.work_s(self.now_s) * exp(self._rng.gauss(0, self.sigma)), end)

        if sum(self._in_flight) > self.at_once_max:
            self._after(0.002, lambda: self._end(replica, in_flight, began_s, overloaded=True))
        elif self._working < self.workers(self.now_s):
            self._working += 1
            work()
        else:
            self._queue.append(work)

    def _work_ended(self) -> None:
        self._working -= 1
        while self._queue and self._working < self.workers(self.now_s):
            self._working += 1
            self._queue.popleft()()

    def _end(self, replica: int, in_flight: int, began_s: float, *, overloaded: bool) -> None:
        self._in_flight[replica] -= 1
        (self.refused_s if overloaded else self.ended_s).append(self.now_s)
        self._begun[replica] -= overloaded
        self.replicas[replica].ended(
            in_flight=in_flight, latency_s=self.now_s - began_s, overloaded=overloaded, now_s=self.now_s
        )
        if not overloaded:
            self._fill(replica)


def one(**limits: int) -> list[ConcurrencyLimit]:
    return [ConcurrencyLimit(ConcurrencyLimits(**limits))]


@pytest.mark.parametrize(("latency_s", "within_s"), [(0.02, 2.0), (0.1, 2.0), (2.0, 12.0)])
def test_a_processor_gets_the_concurrency_that_its_latency_needs(latency_s: float, within_s: float) -> None:
    simulation = Simulation(one(max=400), lambda _: latency_s, demand_per_s=180.0).run(40.0)
    assert simulation.reaches_s(0.95 * 180) <= within_s
    assert simulation.throughput_per_s(20.0, 40.0) >= 0.95 * 180


def test_a_processor_that_becomes_slow_at_any_load_gets_more_and_when_it_is_fast_again_less_is_under_way() -> None:
    def work_s(now_s: float) -> float:
        return 2.0 if 10.0 <= now_s < 50.0 else 0.02

    simulation = Simulation(one(), work_s, demand_per_s=120.0).run(70.0)
    assert simulation.reaches_s(0.95 * 120, from_s=10.0) <= 20.0
    assert simulation.throughput_per_s(30.0, 50.0) >= 0.95 * 120
    assert simulation.reaches_s(0.95 * 120, from_s=50.0) <= 4.0
    assert simulation.throughput_per_s(60.0, 70.0) == pytest.approx(120, rel=0.05)
    assert max(simulation.in_flight(60.0, 70.0)) <= 10


def test_a_processor_that_queues_is_used_fully_and_its_queue_stays_short() -> None:
    simulation = Simulation(one(), lambda _: 0.1, workers=lambda now_s: 50 if now_s < 600.0 else 20, sigma=0.05).run(
        690.0
    )
    for minute in range(10):
        from_s, until_s = max(5.0, minute * 60.0), minute * 60.0 + 60.0
        assert 40 <= mean(simulation.in_flight(from_s, until_s)) <= 80
        assert max(simulation.in_flight(from_s, until_s)) <= 100
        assert simulation.throughput_per_s(from_s, until_s) >= 0.9 * 500
    assert 20 <= median(simulation.in_flight(605.0, 690.0)) <= 40
    assert max(simulation.in_flight(605.0, 690.0)) <= 60
    assert simulation.throughput_per_s(605.0, 690.0) >= 0.85 * 200


@pytest.mark.parametrize("sigma", [0.05, 0.3])
def test_three_replicas_do_not_bury_a_processor_that_queues(sigma: float) -> None:
    replicas = [ConcurrencyLimit(LIMITS) for _ in range(3)]
    simulation = Simulation(replicas, lambda _: 0.1, workers=lambda _: 50, sigma=sigma).run(120.0)
    assert mean(simulation.in_flight(20.0, 120.0)) <= 250
    assert simulation.throughput_per_s(20.0, 120.0) >= 0.9 * 500 / exp(sigma**2 / 2)


def test_a_processor_that_refuses_above_a_number_is_kept_below_it() -> None:
    simulation = Simulation(one(), lambda _: 0.1, at_once_max=100, sigma=0.05).run(60.0)
    seen = simulation.in_flight(5.0, 60.0)
    assert sum(number > 100 for number in seen) <= 0.02 * len(seen)
    assert mean(seen) >= 75
    assert len(simulation.refused_s) <= 0.02 * len(simulation.ended_s)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("sigma", [0.3, 0.5])
def test_noise_does_not_make_the_limit_fall(sigma: float, seed: int) -> None:
    simulation = Simulation(one(), lambda _: 0.1, sigma=sigma, seed=seed).run(30.0)
    assert simulation.throughput_per_s(10.0, 30.0) >= 0.9 * 266 / (0.1 * exp(sigma**2 / 2))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_does_not_keep_a_queue_from_being_found(seed: int) -> None:
    simulation = Simulation(one(), lambda _: 0.1, workers=lambda _: 50, sigma=0.5, seed=seed).run(60.0)
    assert mean(simulation.in_flight(10.0, 60.0)) <= 80
    assert simulation.throughput_per_s(10.0, 60.0) >= 0.8 * 500 / exp(0.5**2 / 2)
