"""A plan is a pure function of seed, seconds and profile, and leaves a stack that can come to rest."""

import itertools
import math

import msgspec
import pytest

from ops.simulator.faults import Faults
from ops.trial.plan import PlannedFault, make_plan
from ops.trial.profiles import PROCESSORS, PROFILES, Profile
from ops.trial.stage import PROCESSOR_DELAY_MS_MAX
from ops.trial.targets import merge

SECONDS = 120
SEEDS = range(20)


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> Profile:
    return PROFILES[request.param]


def overlap(one: PlannedFault, other: PlannedFault) -> bool:
    return one.at_s < other.ends_at_s and other.at_s < one.ends_at_s


def test_the_same_seed_gives_the_same_plan(profile: Profile) -> None:
    assert make_plan(7, SECONDS, profile) == make_plan(7, SECONDS, profile)


def test_another_seed_gives_another_plan() -> None:
    assert make_plan(7, SECONDS, PROFILES["mix"]) != make_plan(8, SECONDS, PROFILES["mix"])


def test_every_fault_ends_with_the_load_at_the_latest_but_one_that_never_does(profile: Profile) -> None:
    for seed in SEEDS:
        plan = make_plan(seed, SECONDS, profile)
        lasting = [fault for fault in plan if fault.ends_at_s > SECONDS + 0.001]
        expected = [] if profile.gone is None else [(profile.gone, "kill", None)]
        assert expected == [(fault.target, fault.fault, fault.duration_s) for fault in lasting]


def test_faults_of_one_process_never_overlap(profile: Profile) -> None:
    for seed in SEEDS:
        plan = [fault for fault in make_plan(seed, SECONDS, profile) if fault.target not in PROCESSORS]
        for one, other in itertools.combinations(plan, 2):
            assert one.target != other.target or not overlap(one, other), (seed, one, other)


def test_faults_of_processors_do_overlap() -> None:
    plan = [fault for fault in make_plan(1, SECONDS, PROFILES["mix"]) if fault.target in PROCESSORS]
    assert any(one.target == other.target and overlap(one, other) for one, other in itertools.combinations(plan, 2))


def test_no_charge_is_delayed_for_longer_than_the_replicas_expect(profile: Profile) -> None:
    for seed in SEEDS:
        for fault in make_plan(seed, SECONDS, profile):
            assert fault.parameters.get("delayMs", 0) < PROCESSOR_DELAY_MS_MAX / 2
            assert fault.parameters.get("lateCommitMs", 0) < PROCESSOR_DELAY_MS_MAX / 2


def test_a_simulator_takes_whatever_is_on_at_once(profile: Profile) -> None:
    for seed in SEEDS:
        plan = [fault for fault in make_plan(seed, SECONDS, profile) if fault.target in PROCESSORS]
        for fault in plan:
            on = [other for other in plan if other.target == fault.target and overlap(fault, other)]
            faults = msgspec.convert(msgspec.to_builtins(merge(on)), Faults)
            assert math.fsum(rate for _, rate in faults.rates()) <= 1


def test_the_mix_holds_every_kind_of_fault() -> None:
    profile = PROFILES["mix"]
    drawn = {fault.kind for seed in SEEDS for fault in make_plan(seed, SECONDS, profile)}
    listed = {
        PlannedFault(0, spell.fault, spell.targets[0], 0).kind for _, spells in profile.spells for spell in spells
    }
    assert listed == {kind.replace("fallback", "default") for kind in drawn}


def test_half_an_hour_of_the_soak_brings_more_than_five_hundred_faults_of_processes() -> None:
    plan = make_plan(1, 1800, PROFILES["soak"])
    assert sum(fault.target not in PROCESSORS for fault in plan) > 500


def test_rates_that_add_up_to_more_than_one_are_scaled_down() -> None:
    on = [
        PlannedFault(0, "outage", "default", 1, {"failureRate": 1}),
        PlannedFault(0, "drops", "default", 1, {"commitThenDropRate": 1}),
    ]
    merged = merge(on)
    assert merged == {"failureRate": pytest.approx(0.5), "commitThenDropRate": pytest.approx(0.5)}


def test_nothing_that_is_on_is_no_fault() -> None:
    assert msgspec.convert(merge([]), Faults) == Faults()
