from collections import Counter
from statistics import median
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.simulator.faults import (
    GARBAGE,
    Fault,
    Faults,
    FixedDelay,
    Injection,
    InjectionPlan,
    LognormalDelay,
    UniformDelay,
)


def injections(faults: Faults, number: int) -> list[Injection]:
    plan = InjectionPlan(faults)
    return [plan.draw() for _ in range(number)]


def test_without_rates_nothing_goes_wrong() -> None:
    assert {(None, 0.0)} == {(injection.fault, injection.delay_ms) for injection in injections(Faults(), 1000)}


@given(st.integers())
def test_the_same_seed_draws_the_same_faults(seed: int) -> None:
    faults = Faults(seed=seed, failure_rate=0.3, garbage_rate=0.3, delay=LognormalDelay(10, 1))

    assert injections(faults, 50) == injections(faults, 50)


def test_another_seed_draws_other_faults() -> None:
    assert injections(Faults(seed=1, failure_rate=0.5), 100) != injections(Faults(seed=2, failure_rate=0.5), 100)


def test_a_delay_does_not_change_which_faults_a_seed_draws() -> None:
    without = injections(Faults(seed=3, failure_rate=0.5), 100)
    delayed = injections(Faults(seed=3, failure_rate=0.5, delay=UniformDelay(1, 2)), 100)

    assert [injection.fault for injection in without] == [injection.fault for injection in delayed]


def test_each_fault_comes_as_often_as_its_rate_says() -> None:
    faults = Faults(
        seed=4,
        failure_rate=0.3,
        commit_then_drop_rate=0.2,
        commit_then_hang_rate=0.1,
        late_commit_rate=0.1,
        garbage_rate=0.1,
        drip_rate=0.1,
        edge_rate=0.02,
        late_edge_rate=0.03,
    )

    counts = Counter(injection.fault for injection in injections(faults, 10_000))

    for fault, rate in (*faults.rates(), (None, 0.05)):
        assert rate * 10_000 == pytest.approx(counts[fault], abs=200), fault


@pytest.mark.parametrize("fault", [fault for fault, _ in Faults().rates()], ids=lambda fault: fault.value)
def test_a_rate_of_one_is_injected_into_every_request(fault: Fault) -> None:
    faults = msgspec.convert({f"{fault.value}Rate": 1}, Faults)

    assert {fault} == {injection.fault for injection in injections(faults, 1000)}


def test_each_fault_of_an_id_comes_as_often_as_its_rate_says_whatever_the_seed() -> None:
    faults = Faults(decline_rate=0.2, other_amount_rate=0.1, false_duplicate_rate=0.05)
    ids = [UUID(int=number) for number in range(10_000)]

    plan, reseeded = InjectionPlan(faults), InjectionPlan(msgspec.structs.replace(faults, seed=7))

    found = [plan.fault_of_id(each) for each in ids]
    assert found == [reseeded.fault_of_id(each) for each in ids]
    counts = Counter(found)
    for fault, rate in (*faults.rates_by_id(), (None, 0.65)):
        assert rate * 10_000 == pytest.approx(counts[fault], abs=200), fault


def test_an_id_that_is_declined_at_a_low_rate_is_declined_at_a_higher_one() -> None:
    low, high = InjectionPlan(Faults(decline_rate=0.1)), InjectionPlan(Faults(decline_rate=0.3))
    ids = [UUID(int=number) for number in range(1_000)]

    declined = [each for each in ids if low.fault_of_id(each)]

    assert declined
    assert all(high.fault_of_id(each) for each in declined)


def test_every_kind_of_garbage_is_drawn() -> None:
    assert set(GARBAGE) == {injection.garbage for injection in injections(Faults(garbage_rate=1), 1000)}


def test_delays_follow_their_distribution() -> None:
    fixed = {injection.delay_ms for injection in injections(Faults(delay=FixedDelay(7)), 10)}
    uniform = [injection.delay_ms for injection in injections(Faults(delay=UniformDelay(10, 20)), 1000)]
    lognormal = [injection.delay_ms for injection in injections(Faults(delay=LognormalDelay(100, 1, max_ms=500)), 1000)]

    assert {7} == fixed
    assert min(uniform) >= 10
    assert max(uniform) <= 20
    assert pytest.approx(100, rel=0.2) == median(lognormal)
    assert max(lognormal) == 500


@pytest.mark.parametrize(
    "content",
    [
        b'{"failureRate": 1.01}',
        b'{"failureRate": -0.01}',
        b'{"failureRate": "1"}',
        b'{"failureRate": 0.6, "garbageRate": 0.6}',
        b'{"failRate": 0.5}',
        b'{"seed": 0.5}',
        b'{"declineRate": 0.6, "otherAmountRate": 0.6}',
        b'{"edgeStatus": 200}',
        b'{"declineStatus": 499}',
        b'{"refuse": 1}',
        b'{"lateCommitMs": -1}',
        b'{"delay": 5}',
        b'{"delay": {"kind": "gamma"}}',
        b'{"delay": {"kind": "fixed"}}',
        b'{"delay": {"kind": "fixed", "ms": 5, "sigma": 1}}',
        b'{"delay": {"kind": "uniform", "minMs": 5, "maxMs": 4}}',
        b'{"delay": {"kind": "lognormal", "medianMs": 0, "sigma": 1}}',
    ],
)
def test_invalid_faults_are_refused(content: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(content, type=Faults)
