"""The chaos of a cluster never takes away all copies of what was answered."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.chaostest.schedule import ScheduledFault
from ops.clustertest.chaos_limits import ACTIVE_MAX, WIPE, endangers_copies, why_left_out
from ops.clustertest.chaos_schedule import draw_cluster_faults
from ops.clustertest.chaos_targets import hosts_of, resolve_roles

HOSTS = ("h1", "h2", "h3")


def fault(kind: str, target: str) -> ScheduledFault:
    return ScheduledFault(1.0, kind, target, 5.0)


def reason(new: ScheduledFault, *active: ScheduledFault, whole: bool = True) -> str | None:
    return why_left_out(new, active, HOSTS, copies_are_whole=whole)


def test_a_host_is_wiped_only_while_all_copies_are_whole() -> None:
    assert reason(fault("wipe", "h1")) is None
    assert reason(fault("wipe", "h1"), whole=False) == "a disk is wiped only while all copies are whole"


@pytest.mark.parametrize(
    "other",
    [
        fault("kill", "h2"),
        fault("pause", "h2"),
        fault("wipe", "h2"),
        fault("kill", "every-host"),
        fault("cut", "h2<>h3"),
        fault("cut", "peers>h2"),
        fault("stall", "h3>h2"),
        fault("promote", "h2"),
        fault("switchover", "patroni"),
        fault("pause", "h2/postgres"),
        fault("pause", "h2/etcd"),
        fault("fill", "h2/disk-postgres"),
    ],
)
def test_no_wipe_and_nothing_that_keeps_another_copy_away_overlap(other: ScheduledFault) -> None:
    assert endangers_copies(other)
    assert reason(fault("wipe", "h1"), other) is not None
    assert reason(other, fault("wipe", "h1")) is not None


@pytest.mark.parametrize(
    "other",
    [
        fault("cut", "h2<>outside"),
        fault("kill", "h2/replica-1"),
        fault("skew", "h2/clock"),
        fault("drops", "default"),
        fault("restart", "every-replica"),
    ],
)
def test_what_touches_no_copy_may_overlap_a_wipe(other: ScheduledFault) -> None:
    assert reason(fault("wipe", "h1"), other) is None
    assert reason(other, fault("wipe", "h1")) is None


def test_faults_of_which_one_would_end_the_other_do_not_overlap() -> None:
    same = "its target is faulty already"
    assert reason(fault("kill", "h1/postgres"), fault("kill", "h1")) == same
    assert reason(fault("kill", "h1"), fault("pause", "h1/postgres")) == same
    assert reason(fault("kill", "every-host"), fault("kill", "h1")) == same
    assert reason(fault("cut", "h1<>h2"), fault("cut", "h1>peers")) == same
    assert reason(fault("cut", "h1<>h2"), fault("cut", "h2<>h3")) is None
    assert reason(fault("kill", "h1"), fault("skew", "h1/clock")) is None
    assert reason(fault("kill", "h1"), fault("cut", "h1<>h2")) is None
    assert reason(fault("pause", "h1/postgres"), fault("pause", "h1/etcd")) is None
    assert reason(fault("drops", "default"), fault("drops", "default")) is None
    assert reason(fault("restart", "every-replica"), fault("restart", "every-replica")) == same
    assert reason(fault("kill", "h1"), fault("restart", "every-replica")) is None


def test_all_copies_may_be_taken_away_where_that_is_what_is_to_be_found() -> None:
    lagging = fault("slow", "h2>h1")
    assert why_left_out(fault("wipe", "h1"), [lagging], HOSTS, copies_are_whole=False, spare_copies=False) is None


@given(st.integers(0, 10_000), st.lists(st.sampled_from(HOSTS), min_size=80, max_size=80), st.integers(0, 1))
def test_whatever_is_drawn_a_wiped_host_leaves_two_that_nothing_is_wrong_with(
    seed: int, primaries: list[str], wipes_max: int
) -> None:
    active: list[ScheduledFault] = []
    for drawn, primary in zip(islice(draw_cluster_faults(seed), 80), primaries, strict=True):
        new = resolve_roles(drawn, primary, HOSTS)
        active = [each for each in active if each.ends_at_s > new.at_s]
        if why_left_out(new, active, HOSTS, copies_are_whole=bool(wipes_max)) is None:
            active.append(new)
        wipes = [each for each in active if each.fault == WIPE]
        assert len(active) <= ACTIVE_MAX
        assert len(wipes) <= wipes_max
        if wipes:
            others = [each for each in active if each not in wipes]
            assert not any(endangers_copies(each) for each in others)
            assert len(hosts_of(wipes[0], HOSTS)) == 1
