"""A schedule depends on seed, length and profile alone, and ends with a stack that can come to rest."""

import itertools
import math

import msgspec
import pytest

from ops.chaostest.crowd import KINDS
from ops.chaostest.faults import merge
from ops.chaostest.profiles import PROCESSORS, PROFILES, REPLICAS, Profile
from ops.chaostest.schedule import ScheduledFault, make_schedule
from ops.chaostest.stack_options import PROCESSOR_DELAY_MS_MAX
from ops.simulator.faults import Faults

SECONDS = 120
SEEDS = range(20)
PROCESSES = (*REPLICAS, "postgres", "redis", "twin", *KINDS)


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> Profile:
    return PROFILES[request.param]


def overlap(one: ScheduledFault, other: ScheduledFault) -> bool:
    return one.at_s < other.ends_at_s and other.at_s < one.ends_at_s


def test_the_same_seed_gives_the_same_schedule(profile: Profile) -> None:
    assert make_schedule(7, SECONDS, profile) == make_schedule(7, SECONDS, profile)


def test_another_seed_gives_another_schedule() -> None:
    assert make_schedule(7, SECONDS, PROFILES["mix"]) != make_schedule(8, SECONDS, PROFILES["mix"])


def test_every_fault_ends_with_the_load_except_the_one_that_lasts_for_ever(profile: Profile) -> None:
    for seed in SEEDS:
        schedule = make_schedule(seed, SECONDS, profile)
        lasting = [fault for fault in schedule if fault.ends_at_s > SECONDS + 0.001]
        expected = [(choice.targets[0], choice.fault, None) for choice in profile.lasting_faults]
        assert expected == [(fault.target, fault.fault, fault.duration_s) for fault in lasting]


def test_faults_of_one_process_never_overlap(profile: Profile) -> None:
    for seed in SEEDS:
        schedule = [fault for fault in make_schedule(seed, SECONDS, profile) if fault.target in PROCESSES]
        for one, other in itertools.combinations(schedule, 2):
            assert one.target != other.target or not overlap(one, other), (seed, one, other)


def test_faults_of_processors_may_overlap() -> None:
    schedule = [fault for fault in make_schedule(1, SECONDS, PROFILES["mix"]) if fault.target in PROCESSORS]
    assert any(one.target == other.target and overlap(one, other) for one, other in itertools.combinations(schedule, 2))


def test_no_charge_is_delayed_for_longer_than_the_replicas_expect(profile: Profile) -> None:
    for seed in SEEDS:
        schedule = make_schedule(seed, SECONDS, profile)
        longest_ms = [max(fault.parameters.get(name, 0) for fault in schedule) for name in ("delayMs", "lateCommitMs")]
        assert sum(longest_ms) < PROCESSOR_DELAY_MS_MAX


def test_a_simulator_accepts_all_faults_that_are_active_at_once(profile: Profile) -> None:
    for seed in SEEDS:
        schedule = [fault for fault in make_schedule(seed, SECONDS, profile) if fault.target in PROCESSORS]
        for fault in schedule:
            active = [other for other in schedule if other.target == fault.target and overlap(fault, other)]
            faults = msgspec.convert(msgspec.to_builtins(merge(active)), Faults)
            assert math.fsum(rate for _, rate in faults.rates()) <= 1


def test_all_neighbours_are_there_at_once_in_the_middle_and_come_twice() -> None:
    schedule = make_schedule(1, SECONDS, PROFILES["neighbours"])
    lasting = {"slow", "crowd", "start"}
    spans = {kind: [fault for fault in schedule if fault.kind == kind] for kind in {fault.kind for fault in schedule}}
    middle = {fault.kind for fault in schedule if fault.at_s < SECONDS * 0.47 < fault.ends_at_s}
    assert middle >= {fault.kind for fault in schedule if fault.fault in lasting} | {"full_disk", "hangs_default"}
    assert {kind for kind, faults in spans.items() if len(faults) < 2} == {"leave_dead"}
    assert min(fault.at_s for fault in schedule) > SECONDS / 5


def test_a_pause_of_postgres_beside_neighbours_is_shorter_than_a_second_in_three_minutes() -> None:
    schedule = make_schedule(1, 180, PROFILES["neighbours"])
    pauses_s = [fault.duration_s for fault in schedule if fault.kind == "pause_postgres"]
    assert all(each is not None and 0.5 < each <= 1 for each in pauses_s)


def test_the_profile_mix_has_every_kind_of_fault() -> None:
    profile = PROFILES["mix"]
    drawn = {fault.kind for seed in SEEDS for fault in make_schedule(seed, SECONDS, profile)}
    listed = {
        ScheduledFault(0, choice.fault, choice.targets[0], 0).kind
        for _, choices in profile.random_faults
        for choice in choices
    }
    assert listed == {kind.replace("fallback", "default") for kind in drawn}


def test_half_an_hour_of_the_soak_brings_more_than_five_hundred_faults_of_processes() -> None:
    schedule = make_schedule(1, 1800, PROFILES["soak"])
    assert sum(fault.target not in PROCESSORS for fault in schedule) > 500


def test_rates_that_add_up_to_more_than_one_are_scaled_down() -> None:
    active = [
        ScheduledFault(0, "outage", "default", 1, {"failureRate": 1}),
        ScheduledFault(0, "drops", "default", 1, {"commitThenDropRate": 1}),
    ]
    merged = merge(active)
    assert merged == {"failureRate": pytest.approx(0.5), "commitThenDropRate": pytest.approx(0.5)}


def test_ids_are_declined_at_the_same_rate_whatever_else_is_active() -> None:
    active = [
        ScheduledFault(0, "declines", "default", 1, {"declineRate": 0.06, "declineStatus": 402.0}),
        ScheduledFault(0, "outage", "default", 1, {"failureRate": 1}),
        ScheduledFault(0, "drops", "default", 1, {"commitThenDropRate": 1}),
    ]
    faults = msgspec.convert(merge(active), Faults)
    assert (faults.decline_rate, faults.decline_status) == (0.06, 402)
    assert faults.failure_rate == pytest.approx(0.5)


def test_without_active_faults_a_simulator_injects_none() -> None:
    assert msgspec.convert(merge([]), Faults) == Faults()
