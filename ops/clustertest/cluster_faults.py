"""Begins and ends faults of a cluster: what a fault of each name does to a host, a part of it, a link or Patroni."""

import threading
from collections import defaultdict
from collections.abc import Mapping

import msgspec
import psycopg

from ops import OpsError
from ops.chaostest.client import administer
from ops.chaostest.faults import merge
from ops.chaostest.schedule import ScheduledFault
from ops.clustertest.chaos_choices import EVERY_HOST, EVERY_REPLICA, PATRONI
from ops.clustertest.chaos_limits import WIPE
from ops.clustertest.chaos_targets import hosts_of, is_link, link_ends
from ops.clustertest.cluster import HostCluster
from ops.clustertest.cluster_snapshot import LEADERS, SYNCHRONOUS, read_members
from ops.clustertest.hosts import Host
from ops.clustertest.links import Direction
from ops.clustertest.plan import POSTGRES_PORT, Place
from ops.clustertest.processes import HostProcess, ServerOfPatroni

DISK_LEFT_BYTES = 0


class ClusterFaults:
    """Injects faults into a running cluster. Any thread may call it; one at a time changes a host."""

    def __init__(self, cluster: HostCluster, administrations: Mapping[str, str]) -> None:
        """`administrations` holds the addresses of the processors' administrations by the processors' names."""
        self._cluster = cluster
        self._administrations = administrations
        self._names = [host.name for host in cluster.hosts]
        self._places = {host.name: host.place for host in cluster.hosts} | {"outside": cluster.plan.outside}
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._in_processors: dict[str, list[ScheduledFault]] = defaultdict(list)
        self._changes = 0

    def begin(self, fault: ScheduledFault) -> None:
        """Begin a fault whose roles are resolved.

        Raises:
            OpsError: it could not be begun.
        """
        if fault.target in self._administrations:
            self._in_processors[fault.target].append(fault)
            self._tell_processor(fault.target)
        elif fault.target == PATRONI:
            self._order(fault.fault)
        elif fault.target == EVERY_REPLICA:
            self._cluster.restart_replicas()
        elif is_link(fault):
            self._break_links(fault)
        else:
            for host in self._hosts(fault):
                with self._locks[host.name]:
                    _begin_on(host, fault)

    def end(self, fault: ScheduledFault) -> None:
        """End a fault that was begun; may be called again.

        Raises:
            OpsError: it could not be ended.
        """
        if fault.target in self._administrations:
            if fault in self._in_processors[fault.target]:
                self._in_processors[fault.target].remove(fault)
            self._tell_processor(fault.target)
        elif is_link(fault):
            for name, other, _ in link_ends(fault, self._names):
                with self._locks[name]:
                    self._cluster.host(name).heal(self._places[other])
        elif fault.target != PATRONI:
            for host in self._hosts(fault):
                with self._locks[host.name]:
                    _end_on(host, fault)

    def watch(self) -> None:
        """Restart what has ended on hosts that are up, as a service manager does."""
        self._cluster.watch_once()

    def heal_all(self) -> None:
        """End whatever is still wrong with any host or processor, and start what is dead.

        Raises:
            OpsError: that failed; it may be tried again.
        """
        for name in self._administrations:
            self._in_processors[name].clear()
            self._tell_processor(name)
        for host in self._cluster.hosts:
            with self._locks[host.name]:
                host.heal_all()
                host.postgres.resume()
                if not host.is_up:
                    host.start()

    def _hosts(self, fault: ScheduledFault) -> list[Host]:
        return [self._cluster.host(name) for name in hosts_of(fault, self._names)]

    def _break_links(self, fault: ScheduledFault) -> None:
        for name, place, way in link_ends(fault, self._names):
            host, other = self._cluster.host(name), self._places[place]
            with self._locks[name]:
                _break_link(host, other, way, fault)

    def _order(self, what: str) -> None:
        patroni = self._cluster.patroni
        if what == "switchover":
            done = patroni.switchover()
        else:
            members = read_members(self._cluster)
            candidates = [name for name, each in members.items() if each.role not in LEADERS]
            # Patroni refuses all but the synchronous standby while there is one.
            candidates.sort(key=lambda name: members[name].role not in SYNCHRONOUS)
            done = bool(candidates) and patroni.failover(candidates[0])
        if not done:
            raise OpsError(f"Patroni carried out no {what}")

    def _tell_processor(self, name: str) -> None:
        # A new seed each time, because with the same seed every change would hit the same requests again.
        self._changes += 1
        faults = {"seed": self._changes, **merge(self._in_processors[name])}
        administer(self._administrations[name], "PUT", "/admin/faults", msgspec.json.encode(faults))


def _break_link(host: Host, other: Place, way: str, fault: ScheduledFault) -> None:
    match fault.fault:
        case "cut":
            host.cut(other, Direction(way))
        case "slow":
            host.slow(other, int(fault.parameters["delayMs"]))
        case "stall":
            host.stall(other)
        case unknown:
            raise OpsError(f"links know no fault {unknown}")


def _begin_on(host: Host, fault: ScheduledFault) -> None:
    part = "" if fault.target == EVERY_HOST else fault.target.partition("/")[2]
    match fault.fault:
        case "kill":
            (_part(host, part) if part else host).kill()
        case "pause":
            (_part(host, part) if part else host).pause()
        case "promote":
            _promote(host)
        case "skew":
            host.clock.step(fault.parameters["aheadS"])
        case "fill":
            host.disks[part.removeprefix("disk-")].fill(DISK_LEFT_BYTES)
        case _ if fault.fault == WIPE:
            host.wipe()
        case unknown:
            raise OpsError(f"{host.name} knows no fault {unknown}")


def _end_on(host: Host, fault: ScheduledFault) -> None:
    part = "" if fault.target == EVERY_HOST else fault.target.partition("/")[2]
    match fault.fault:
        case "kill" | "wipe" if not part:
            host.start()
        case "pause":
            (_part(host, part) if part else host).resume()
        case "skew":
            host.clock.step(0)
        case "fill":
            host.disks[part.removeprefix("disk-")].empty()
        case _:
            # `watch` restarts a killed process; Patroni makes a promoted standby one again.
            pass


def _part(host: Host, part: str) -> HostProcess | ServerOfPatroni:
    return host.postgres if part == "postgres" else host.processes[part]


def _promote(host: Host) -> None:
    """Promote a standby behind the back of Patroni, which has to make it a standby again."""
    try:
        url = f"postgresql://postgres@{host.address}:{POSTGRES_PORT}/postgres"
        with psycopg.connect(url, autocommit=True, connect_timeout=3) as connection:
            connection.execute("SELECT pg_promote(false)")
    except psycopg.Error as error:
        raise OpsError(f"{host.name} is not promoted: {error}") from error
