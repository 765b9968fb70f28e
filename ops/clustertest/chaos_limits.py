"""Tells which faults a cluster's chaos leaves out: those that three hosts with one synchronous copy do not survive.

An answered payment stands on the disks of two hosts. So everything but disks may fail at once: a host is wiped only
while both others have all that was answered, and while nothing else keeps them from copying it again. All other faults
may overlap, and cost time at most. It is pure.
"""

from collections.abc import Collection, Sequence

from ops.chaostest.schedule import ScheduledFault
from ops.clustertest.chaos_choices import DISKS, EVERY_HOST, EVERY_REPLICA, OUTSIDE, PATRONI
from ops.clustertest.chaos_targets import hosts_of, is_link, link_ends

ACTIVE_MAX = 5
"""The most faults that may be active at once, so that payments are accepted some of the time."""
WIPE = "wipe"
_PARTS_OF_COPIES = frozenset({"postgres", "patroni", "etcd", "disk-postgres", "disk-system"})
"""The parts without which a host does not copy what the primary writes."""
_BEARS_ALL = frozenset({"clock", *DISKS})
"""The parts of a host whose faults go on while it is dead."""
_IN_THE_PROCESSORS = frozenset({"default", "fallback"})
_BESIDE_COPIES = _IN_THE_PROCESSORS | {EVERY_REPLICA}
"""Targets that are not hosts, and hold no copy."""


def endangers_copies(fault: ScheduledFault) -> bool:
    """Tell whether a fault may keep a host from having, or from copying, what was answered."""
    if is_link(fault):
        return OUTSIDE not in fault.target
    if fault.target in {EVERY_HOST, PATRONI}:
        return True
    _, slash, part = fault.target.partition("/")
    return part in _PARTS_OF_COPIES if slash else fault.target not in _BESIDE_COPIES


def why_left_out(
    fault: ScheduledFault,
    active: Collection[ScheduledFault],
    hosts: Sequence[str],
    *,
    copies_are_whole: bool,
    spare_copies: bool = True,
) -> str | None:
    """Say why a fault must not begin now; None where it may.

    Args:
        fault: its roles are resolved.
        active: the faults that have begun and not ended.
        hosts: the names of all hosts.
        copies_are_whole: whether both standbys have all that the primary has, one of them synchronously.
        spare_copies: whether one copy of everything must stay; without it, something that was answered is lost.
    """
    if len(active) >= ACTIVE_MAX:
        return "enough is broken already"
    if any(_concern_the_same(fault, each, hosts) for each in active):
        return "its target is faulty already"
    if not spare_copies:
        return None
    if fault.fault == WIPE and (not copies_are_whole or any(map(endangers_copies, active))):
        return "a disk is wiped only while all copies are whole"
    if endangers_copies(fault) and any(each.fault == WIPE for each in active):
        return "a wiped host has to take in a copy first"
    return None


def _concern_the_same(fault: ScheduledFault, other: ScheduledFault, hosts: Sequence[str]) -> bool:
    """Tell whether the end of one of two faults would end the other, or one has no effect during the other."""
    if is_link(fault) and is_link(other):
        return bool(_sides(fault, hosts) & _sides(other, hosts))
    if is_link(fault) or is_link(other) or fault.target in _IN_THE_PROCESSORS:
        return False
    if fault.target == other.target:
        return True
    parts = {each.target.partition("/")[2] for each in (fault, other)}
    shared = set(hosts_of(fault, hosts)) & set(hosts_of(other, hosts))
    return bool(shared) and "" in parts and not parts & _BEARS_ALL


def _sides(fault: ScheduledFault, hosts: Sequence[str]) -> set[tuple[str, str]]:
    return {(host, place) for host, place, _ in link_ends(fault, hosts)}
