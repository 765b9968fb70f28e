"""Starts, watches and stops a whole cluster on this machine."""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from ops import OpsError
from ops.clustertest.assembly import Assembly
from ops.clustertest.hosts import Host
from ops.clustertest.namespaces import build_network
from ops.clustertest.needs import find
from ops.clustertest.options import ClusterOptions
from ops.clustertest.patroni import PatroniView
from ops.clustertest.plan import ClusterPlan
from ops.clustertest.processes import HostProcess
from ops.clustertest.state import ClusterState
from ops.foreground import RunInterrupted
from ops.migrate import migrate
from ops.stack.process import POLL_S, Restarter

START_S_MAX = 180
"""How long everything together may take until it is ready."""
WATCH_STEP_S = 0.2
REPLICAS_STOP_S_MAX = 7.0
REPLICA_END_S_MAX = 15.0
"""How long a replica may take to end in good order."""
REPLICA_BACK_S_MAX = 20.0
"""How long a restarted replica is waited for before the next one is told to end."""


class HostCluster:
    """All of one cluster, from `start` to `stop`, which are called once each; also a context manager.

    `watch_once` restarts single processes that end, on hosts that are up. A caller that injects faults calls it, or
    starts what was killed itself.
    """

    def __init__(self, options: ClusterOptions, report: Callable[[str], None] = lambda _: None) -> None:
        self.options = options
        self.hosts: list[Host] = []
        """The three hosts: `h1`, `h2`, `h3`."""
        self.simulators: dict[str, HostProcess] = {}
        """The simulated processors by their names, on the place `plan.outside`."""
        self._report = report
        self._state = ClusterState(options.state_dir)
        self._restarters: dict[HostProcess, Restarter] = {}
        self._stopping = threading.Event()
        self._began = 0.0

    @property
    def plan(self) -> ClusterPlan:
        """The addresses and folders of all parts; known once the cluster was started."""
        return self._state.plan

    @property
    def replica_urls(self) -> list[str]:
        """The URL of each replica alone, host by host, as this machine reaches it."""
        return [url for host in self.hosts for url in host.replica_urls]

    @property
    def database_url(self) -> str:
        """The URL of the primary, as this machine reaches it."""
        return self.plan.direct_database_url

    @property
    def patroni(self) -> PatroniView:
        """The Patronis of all hosts, which can be asked for states and given orders."""
        return PatroniView(self.plan)

    def host(self, name: str) -> Host:
        """Return a host by its name."""
        return next(host for host in self.hosts if host.name == name)

    def primary(self) -> Host | None:
        """Return the host whose Patroni says that it is the primary, or None while none does."""
        name = self.patroni.primary()
        return self.host(name) if name else None

    def __enter__(self) -> Self:
        """Start the cluster."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop the cluster."""
        self.stop()

    def start(self) -> None:
        """Start everything; return when all is ready. Call `stop` also after a failure.

        Raises:
            OpsError: something is missing, another one runs on the same state, or something did not start.
            RunInterrupted: `ask_to_stop` was called.
        """
        found = find(wrong_clocks=self.options.wrong_clocks)
        self._began = time.monotonic()
        plan = self._state.claim(self.options.replicas_per_host)
        build_network(plan)
        assembly = Assembly(plan, self.options, found)
        self.hosts = [assembly.host(place) for place in plan.hosts]
        self.simulators = assembly.simulators()
        (plan.state_dir / plan.outside.name).mkdir(exist_ok=True)
        for host in self.hosts:
            host.set_up()
        self._say("network", f"{plan.subnet}")
        for simulator in self.simulators.values():
            simulator.start()
        for host in self.hosts:
            host.start(replicas=False)
        servers = [process for host in self.hosts for process in host.processes.values()]
        replicas = [process for host in self.hosts for process in host.replicas]
        self._wait([*self.simulators.values(), *(process for process in servers if process not in replicas)])
        self._wait_until(lambda: self.patroni.is_healthy(synchronous=self.options.synchronous), "PostgreSQL")
        self._say("migrations", f"{len(migrate(self.database_url, wait_s=20))} applied")
        for host in self.hosts:
            host.start()
        self._wait(replicas)
        self._restarters = {process: Restarter(process) for process in (*servers, *self.simulators.values())}

    def watch_once(self) -> None:
        """Restart processes that have ended on hosts that are up, with backoff; call it some times a second."""
        for host in self.hosts:
            host.watch(self._check)
        for simulator in self.simulators.values():
            self._check(simulator)

    def _check(self, process: HostProcess) -> None:
        if restarter := self._restarters.get(process):
            restarter.check(time.monotonic(), self._report)

    def watch(self) -> None:
        """Restart processes that end, until `ask_to_stop`."""
        while not self._stopping.wait(WATCH_STEP_S):
            self.watch_once()

    def ready(self) -> bool:
        """Tell whether all hosts are ready, and the primary has its standbys."""
        return all(host.ready() for host in self.hosts) and self.patroni.is_healthy(
            synchronous=self.options.synchronous
        )

    def restart_replicas(self) -> None:
        """Let all replicas end in good order, one after another, each when the one before is ready again.

        `watch_once` starts them again. A replica that is not ready in time, or whose host is dead, is waited for no
        longer.
        """
        for host in self.hosts:
            for replica in host.replicas:
                ended, deadline = replica.pid, time.monotonic() + REPLICA_BACK_S_MAX
                if ended is None:
                    continue
                replica.terminate()
                while host.is_up and (replica.pid in {None, ended} or not replica.ready()):
                    if time.monotonic() > deadline or self._stopping.wait(POLL_S):
                        break

    def replace_replica(self, host: Host, number: int, options: ClusterOptions) -> None:
        """Let a replica end in good order, and start one in its place as other options say; wait until it is ready.

        Raises:
            OpsError: it did not get ready, or the one before ended in disorder.
        """
        old = host.processes[f"replica-{number}"]
        self._restarters.pop(old, None)
        old.stop(REPLICA_END_S_MAX)
        if old.exit_status != 0:
            raise OpsError(f"{old.name} ended with exit status {old.exit_status}:{old.tail()}")
        assembly = Assembly(self.plan, options, find(wrong_clocks=options.wrong_clocks))
        new = host.processes[old.role] = assembly.replica(host.place, host.clock, number)
        new.start()
        self._restarters[new] = Restarter(new)
        new.wait_ready()

    def ask_to_stop(self) -> None:
        """Let `start` or `watch` return; a signal handler may call it."""
        self._stopping.set()

    def stop(self) -> None:
        """Let the replicas finish their work, end everything and remove namespaces and mounts; may be called again."""
        self._stopping.set()
        replicas = [process for host in self.hosts for process in host.replicas if process.pid is not None]
        for process in replicas:
            process.terminate()
        deadline = time.monotonic() + REPLICAS_STOP_S_MAX
        while any(process.pid is not None for process in replicas) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        for host in self.hosts:
            host.stop_postgres()
        self._state.clear()
        for process in (*(each for host in self.hosts for each in host.processes.values()), *self.simulators.values()):
            process.kill()

    def _wait(self, processes: Sequence[HostProcess]) -> None:
        waiting = list(processes)

        def check() -> bool:
            for process in list(waiting):
                if process.ready():
                    waiting.remove(process)
                    self._say(process.name, "ready")
                elif process.pid is None:
                    raise OpsError(f"{process.name} ended with exit status {process.exit_status}:{process.tail()}")
            return not waiting

        self._wait_until(check, ", ".join(process.name for process in processes), lambda: waiting)

    def _wait_until(
        self, condition: Callable[[], bool], what: str, waiting: Callable[[], Sequence[HostProcess]] = lambda: ()
    ) -> None:
        while not condition():
            if time.monotonic() - self._began > START_S_MAX:
                late = ", ".join(process.name for process in waiting()) or what
                tails = "".join(process.tail() for process in waiting())
                raise OpsError(f"{late} not ready after {START_S_MAX} s:{tails}; logs: {self.options.state_dir}/log")
            if self._stopping.wait(POLL_S):
                raise RunInterrupted

    def _say(self, name: str, state: str) -> None:
        self._report(f"{name:<18}{state:<16}{time.monotonic() - self._began:6.2f} s")
