"""Resolves the roles that drawn faults name to hosts, and tells which hosts and links a fault concerns. It is pure."""

import re
from collections.abc import Sequence
from dataclasses import replace

from ops.chaostest.schedule import ScheduledFault
from ops.clustertest.chaos_choices import BOTH_WAYS, EVERY_HOST, ONE_WAY, PEERS, ROLES

_ROLE = re.compile("|".join(ROLES))


def resolve_roles(fault: ScheduledFault, primary: str, hosts: Sequence[str]) -> ScheduledFault:
    """Replace roles by the names of hosts: the standbys are the other hosts in their order."""
    names = dict(zip(ROLES, (primary, *(host for host in hosts if host != primary)), strict=True))
    return replace(fault, target=_ROLE.sub(lambda found: names[found.group()], fault.target))


def is_link(fault: ScheduledFault) -> bool:
    """Tell whether the target is a link."""
    return ONE_WAY in fault.target


def link_ends(fault: ScheduledFault, hosts: Sequence[str]) -> list[tuple[str, str, str]]:
    """List the links of a fault: the host whose side is faulty, the other place, and `both`, `out` or `in`."""
    way = BOTH_WAYS if BOTH_WAYS in fault.target else ONE_WAY
    first, _, second = fault.target.partition(way)
    ends = []
    for one in _places(first, second, hosts):
        for other in _places(second, first, hosts):
            if one in hosts and first != PEERS:
                ends.append((one, other, "both" if way == BOTH_WAYS else "out"))
            else:
                ends.append((other, one, "both" if way == BOTH_WAYS else "in"))
    return ends


def _places(name: str, of: str, hosts: Sequence[str]) -> list[str]:
    return [host for host in hosts if host != of] if name == PEERS else [name]


def hosts_of(fault: ScheduledFault, hosts: Sequence[str]) -> list[str]:
    """List the hosts that a fault is injected into."""
    if fault.target == EVERY_HOST:
        return list(hosts)
    if is_link(fault):
        return sorted({host for host, _, _ in link_ends(fault, hosts)})
    host = fault.target.partition("/")[0]
    return [host] if host in hosts else []
