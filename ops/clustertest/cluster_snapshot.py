"""The state of a cluster, as each host's Patroni, replicas and processes tell it."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ops.clustertest.cluster import HostCluster
from ops.clustertest.hosts import Host
from ops.clustertest.plan import PATRONI_PORT
from ops.clustertest.probes import ask_http

LEADERS = frozenset({"leader", "standby_leader"})
SYNCHRONOUS = frozenset({"sync_standby", "quorum_standby"})
STREAMING = frozenset({"running", "streaming"})


@dataclass(frozen=True, slots=True)
class MemberState:
    """What Patroni tells of the PostgreSQL of one host."""

    role: str
    state: str
    timeline: int | None = None
    lag_bytes: int | None = None
    """How far it is behind the primary; None where that is not known."""


@dataclass(frozen=True, slots=True)
class HostSnapshot:
    """What one host tells of itself."""

    is_up: bool
    patroni: Mapping[str, Any] = field(default_factory=dict)
    """What its Patroni tells of its own PostgreSQL; empty where it does not answer."""
    dead: Sequence[str] = ()
    """The processes that do not run."""
    replicas: Mapping[str, int | None] = field(default_factory=dict)
    """The status of each replica's `/readyz`; None where it does not answer."""
    links: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with those of its links that have a fault."""
    clock_offset_s: float = 0.0
    """How far its clock is ahead."""


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """What a whole cluster tells of itself at one moment."""

    members: Mapping[str, MemberState]
    """The hosts' PostgreSQLs as the first Patroni that answers knows them."""
    hosts: Mapping[str, HostSnapshot] = field(default_factory=dict)

    @property
    def primary(self) -> str | None:
        """The host that is the primary, where there is one."""
        return next((name for name, each in self.members.items() if each.role in LEADERS), None)

    @property
    def copies_are_whole(self) -> bool:
        """Whether both standbys have all that the primary has, one of them synchronously."""
        standbys = [each for each in self.members.values() if each.role not in LEADERS]
        whole = [each for each in standbys if each.state in STREAMING and each.lag_bytes == 0]
        return (
            self.primary is not None
            and len(whole) == len(standbys) == 2  # noqa: PLR2004 - all others
            and any(each.role in SYNCHRONOUS for each in whole)
        )


def read_members(cluster: HostCluster) -> dict[str, MemberState]:
    """Ask the Patronis, one host after the other, for the state of all; nothing where none answers."""
    return parse_members(cluster.patroni.members())


def parse_members(told: Sequence[Mapping[str, Any]]) -> dict[str, MemberState]:
    """Read what Patroni tells of its members."""
    return {
        each["name"]: MemberState(
            each.get("role", ""),
            each.get("state", ""),
            each.get("timeline"),
            each["lag"] if isinstance(each.get("lag"), int) else None,
        )
        for each in told
    }


def read_snapshot(cluster: HostCluster) -> ClusterSnapshot:
    """Ask all hosts at once; those that do not answer cost two seconds at most."""
    with ThreadPoolExecutor(len(cluster.hosts)) as askers:
        told = askers.map(_read_host, cluster.hosts)
    return ClusterSnapshot(
        read_members(cluster), {host.name: each for host, each in zip(cluster.hosts, told, strict=True)}
    )


def _read_host(host: Host) -> HostSnapshot:
    _, patroni = ask_http(host.address, PATRONI_PORT, "GET", "/patroni", timeout_s=1)
    replicas = {}
    for number, url in enumerate(host.replica_urls, 1):
        parts = urlsplit(url)
        replicas[f"replica-{number}"] = ask_http(parts.hostname or "", parts.port or 80, "GET", "/readyz", timeout_s=1)[
            0
        ]
    return HostSnapshot(
        host.is_up,
        patroni if isinstance(patroni, dict) else {},
        [role for role, process in host.processes.items() if process.pid is None],
        replicas,
        host.links.disturbed,
        host.clock.offset_s,
    )
