"""The faults of a cluster are drawn by the seed alone, and their roles are resolved to hosts."""

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from ops.chaostest.schedule import ScheduledFault
from ops.clustertest.chaos_choices import EVERY_REPLICA, PATRONI, ROLES
from ops.clustertest.chaos_schedule import draw_cluster_faults
from ops.clustertest.chaos_targets import hosts_of, is_link, link_ends, resolve_roles

HOSTS = ("h1", "h2", "h3")
SHOWN = 300


def drawn(seed: int) -> list[ScheduledFault]:
    return list(islice(draw_cluster_faults(seed), SHOWN))


def resolved(target: str, primary: str = "h2") -> ScheduledFault:
    return resolve_roles(ScheduledFault(1.0, "cut", target, 1.0), primary, HOSTS)


def test_the_same_seed_draws_the_same_faults_and_another_one_others() -> None:
    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


@given(st.integers(0, 10_000), st.sampled_from(HOSTS))
def test_faults_begin_in_order_and_every_target_is_a_known_place(seed: int, primary: str) -> None:
    faults = drawn(seed)[:60]
    assert [each.at_s for each in faults] == sorted(each.at_s for each in faults)
    for fault in (resolve_roles(each, primary, HOSTS) for each in faults):
        assert not any(role in fault.target for role in ROLES)
        ends = link_ends(fault, HOSTS) if is_link(fault) else []
        assert all(host in HOSTS and other in {*HOSTS, "outside"} and host != other for host, other, _ in ends)
        assert ends or hosts_of(fault, HOSTS) or fault.target in {PATRONI, EVERY_REPLICA, "default", "fallback"}


def test_every_kind_of_fault_comes_within_the_first_hundreds() -> None:
    kinds = {each.fault for seed in range(4) for each in drawn(seed)}
    assert kinds >= {
        "kill",
        "wipe",
        "pause",
        "cut",
        "slow",
        "stall",
        "switchover",
        "failover",
        "promote",
        "skew",
        "fill",
        "restart",
    }


def test_standbys_are_the_other_hosts_in_their_order() -> None:
    targets = [resolved(each).target for each in ("primary", "standby-1/etcd", "primary>standby-2")]
    assert targets == ["h2", "h1/etcd", "h2>h3"]


def test_a_link_is_faulty_on_the_side_of_a_host() -> None:
    assert link_ends(resolved("primary<>standby-1"), HOSTS) == [("h2", "h1", "both")]
    assert link_ends(resolved("primary>standby-1"), HOSTS) == [("h2", "h1", "out")]
    assert link_ends(resolved("outside>primary"), HOSTS) == [("h2", "outside", "in")]
    assert link_ends(resolved("primary<>peers"), HOSTS) == [("h2", "h1", "both"), ("h2", "h3", "both")]
    assert link_ends(resolved("peers>primary"), HOSTS) == [("h2", "h1", "in"), ("h2", "h3", "in")]
