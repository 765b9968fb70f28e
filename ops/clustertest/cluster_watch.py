"""Watches a cluster during its chaos run: which host is the primary, what state faults leave, and who needs help."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ops.chaostest.schedule import ScheduledFault
from ops.chaostest.threads import ThreadGroup
from ops.clustertest.cluster import HostCluster
from ops.clustertest.cluster_snapshot import ClusterSnapshot, MemberState, read_members, read_snapshot
from ops.clustertest.standby_repair import StuckStandbys

LOOK_STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class PrimaryChange:
    """A new primary, or a new timeline of the same one, and when it was seen."""

    at_s: float
    """Seconds since the start of the load."""
    host: str
    timeline: int


@dataclass(frozen=True, slots=True)
class StateAfterFault:
    """The state of the cluster when a fault had ended."""

    at_s: float
    fault: ScheduledFault
    state: ClusterSnapshot


class ClusterWatch:
    """A thread that looks once a second, from `start` to `stop`, which are called once each.

    As an operator does, it copies standbys anew that do not come back by themselves.
    """

    def __init__(
        self,
        cluster: HostCluster,
        report: Callable[[str], None],
        read: Callable[[HostCluster], Mapping[str, MemberState]] = read_members,
    ) -> None:
        """`report` hears in a line of each standby that is copied anew."""
        self._cluster = cluster
        self._report = report
        self._stuck = StuckStandbys()
        self._read = read
        self._lock = threading.Lock()
        self._changes: list[PrimaryChange] = []
        self._states: list[StateAfterFault] = []
        self._began_s = time.monotonic()
        self._threads = ThreadGroup()
        self._threads.add("cluster-watch", self._look_again)

    def start(self) -> None:
        """Look once, and then again and again."""
        self._began_s = time.monotonic()
        self._look()
        self._threads.start()

    def stop(self) -> None:
        """Look no more; may be called again."""
        self._threads.stop()

    @property
    def primary(self) -> str:
        """The host that was last known to be the primary."""
        with self._lock:
            return self._changes[-1].host if self._changes else self._cluster.hosts[0].name

    @property
    def changes(self) -> list[PrimaryChange]:
        """All primaries that were seen, the first one included."""
        with self._lock:
            return list(self._changes)

    @property
    def failovers(self) -> int:
        """How many new timelines there were: each promotion that Patroni led begins one."""
        changes = self.changes
        return changes[-1].timeline - changes[0].timeline if changes else 0

    @property
    def states(self) -> list[StateAfterFault]:
        """The states that were noted, in the order in which faults ended."""
        with self._lock:
            return list(self._states)

    def copies_are_whole(self) -> bool:
        """Ask whether both standbys have all that the primary has."""
        return ClusterSnapshot(self._read(self._cluster)).copies_are_whole

    def note_state(self, fault: ScheduledFault) -> None:
        """Ask all hosts for their state, after a fault has ended; it may take some seconds."""
        state = read_snapshot(self._cluster)
        with self._lock:
            self._states.append(StateAfterFault(round(time.monotonic() - self._began_s, 2), fault, state))

    def _look_again(self) -> None:
        while not self._threads.stopping.wait(LOOK_STEP_S):
            self._look()

    def _look(self) -> None:
        members = self._read(self._cluster)
        for name in self._stuck.observe(members, time.monotonic()):
            outcome = "it is copied anew" if self._cluster.patroni.reinitialize(name) else "it does not answer"
            self._report(f"{name} does not follow the primary: {outcome}")
        primary = ClusterSnapshot(members).primary
        timeline = members[primary].timeline if primary is not None else None
        if primary is None or timeline is None:
            return
        with self._lock:
            last = self._changes[-1] if self._changes else None
            # A member that knows less than others may still tell of the primary before.
            if last is None or timeline > last.timeline:
                self._changes.append(PrimaryChange(round(time.monotonic() - self._began_s, 2), primary, timeline))
