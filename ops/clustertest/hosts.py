"""The hosts of a cluster, as fault injection sees them: processes, disks, a clock and links.

All of it may be called from any thread, but for one host from one thread at a time, and may be repeated. Only
`watch` may be called beside all else.
"""

import signal
import threading
from collections.abc import Callable, Mapping

from ops.clustertest.clock import HostClock
from ops.clustertest.disks import HostDisk
from ops.clustertest.links import Direction, Links
from ops.clustertest.namespaces import kill_all, pids, signal_all
from ops.clustertest.plan import GATEWAY_PORT, ClusterPlan, Place
from ops.clustertest.processes import HostProcess, ServerOfPatroni


class Host:
    """One host of a cluster, between `start` and `kill`, any number of times."""

    def __init__(
        self,
        place: Place,
        plan: ClusterPlan,
        processes: dict[str, HostProcess],
        *,
        links: Links,
        clock: HostClock,
        disks: Mapping[str, HostDisk],
        prepare: Callable[[], None],
    ) -> None:
        """`prepare` writes what the processes read when they start."""
        self.place = place
        self.processes = processes
        """What runs on the host, by its role, in the order of their start: `link-proxy`, `etcd`, `redis`, `sentinel`,
        `patroni`, `haproxy`, `replica-1`, ... Each has `pid`, `start`, `ready`, `kill`, `pause`, `resume`, `restart`,
        `terminate`, `output` and `tail`, as every `ManagedProcess`."""
        self.postgres = ServerOfPatroni(plan.disk_dir(place, "postgres") / "data")
        """The PostgreSQL server, which is no child of this process: it has `pid`, `kill`, `pause` and `resume`."""
        self.links = links
        """The links of this host: `cut`, `slow`, `stall` and `heal`, each with the `place` of another."""
        self.clock = clock
        """The wall clock that this host's processes see: `step` makes it wrong."""
        self.disks = disks
        """The disks by what is on them: `system` (etcd, Redis, Sentinel), `postgres` and `journal`. Each has `fill`,
        `empty`, `wipe` and `used_bytes`."""
        self._prepare = prepare
        self._is_up = False
        self._changing = threading.Lock()
        """Held while processes are started or killed together, so that `watch` does not start one meanwhile."""

    @property
    def name(self) -> str:
        """The name of the host: `h1`, `h2` or `h3`."""
        return self.place.name

    @property
    def address(self) -> str:
        """The address of the host."""
        return self.place.address

    @property
    def is_up(self) -> bool:
        """Whether the host was started and not killed since; single processes may be dead all the same."""
        return self._is_up

    @property
    def replicas(self) -> list[HostProcess]:
        """The gateway's replicas on this host."""
        return [process for role, process in self.processes.items() if role.startswith("replica-")]

    @property
    def replica_urls(self) -> list[str]:
        """The URL of each replica alone, as this machine reaches it."""
        return [f"http://{self.address}:{GATEWAY_PORT + number}" for number, _ in enumerate(self.replicas, 1)]

    def set_up(self) -> None:
        """Mount the disks and prepare the links of a host that is new."""
        for disk in self.disks.values():
            disk.mount()
        self.links.prepare()
        self.clock.step(0)

    def start(self, *, replicas: bool = True) -> None:
        """Start all processes of the host that do not run; return before they are ready (see `ready`).

        A disk that was wiped is made anew: etcd joins as a new member, Patroni copies the primary. Without `replicas`,
        those of the gateway are left out.

        Raises:
            OpsError: the disk of etcd was wiped, and the other hosts have no majority to accept a new member.
        """
        with self._changing:
            self._prepare()
            self._is_up = True
            for process in self.processes.values():
                if replicas or process not in self.replicas:
                    process.start()

    def watch(self, check: Callable[[HostProcess], None]) -> None:
        """Let `check` look after each process, unless the host is dead, or is being started or killed."""
        if self._changing.acquire(blocking=False):
            try:
                for process in self.processes.values() if self._is_up else ():
                    check(process)
            finally:
                self._changing.release()

    def ready(self) -> bool:
        """Tell whether every process of the host does its work."""
        return self._is_up and all(process.ready() for process in self.processes.values())

    def kill(self) -> None:
        """End all processes of the host at once, as a power cut does; what they have written stays on its disks."""
        with self._changing:
            self._is_up = False
            kill_all(self.place)

    def stop_postgres(self) -> None:
        """End Patroni, then PostgreSQL such that it gives its shared memory back; `kill` ends the rest."""
        self.resume()
        self.processes["patroni"].kill()
        self.postgres.stop()

    def wipe(self) -> None:
        """Kill the host and delete all its disks, as a new machine in its place has them."""
        self.kill()
        for disk in self.disks.values():
            disk.wipe()

    def pause(self) -> None:
        """Freeze all processes of the host (SIGSTOP); connections stay open, but nothing is answered."""
        signal_all(self.place, signal.SIGSTOP)

    def resume(self) -> None:
        """Let all processes of the host continue."""
        signal_all(self.place, signal.SIGCONT)

    def cut(self, other: Place, direction: Direction = Direction.BOTH) -> None:
        """Lose the packets between this host and another place; `heal` of the same host undoes it."""
        self.links.cut(other, direction)

    def slow(self, other: Place, delay_ms: int) -> None:
        """Delay all that goes over TCP connections that this host makes to another place, both ways."""
        self.links.slow(other, delay_ms)

    def stall(self, other: Place) -> None:
        """Pass nothing on over TCP connections that this host makes to another place, without closing them."""
        self.links.stall(other)

    def heal(self, other: Place | None = None) -> None:
        """Undo what was done to the link to another place, or to all links of this host."""
        self.links.heal(other)

    def heal_all(self) -> None:
        """Undo all faults but dead processes: heal links, give disks their size, set the clock right, unfreeze."""
        self.links.heal()
        for disk in self.disks.values():
            disk.empty()
        self.clock.step(0)
        self.resume()

    @property
    def pids(self) -> list[int]:
        """The ids of all processes on the host."""
        return pids(self.place)
