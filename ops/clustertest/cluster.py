"""Starts, watches and stops a whole cluster on this machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops.clustertest.hosts import Host
from ops.clustertest.plan import ClusterPlan
from ops.clustertest.processes import HostProcess
from ops.environment import ROOT


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """What a cluster is made of."""

    state_dir: Path = ROOT / "var" / "cluster"
    replicas_per_host: int = 2
    durability: str = "fsync"
    """The setting `DURABILITY` of all replicas."""
    wrong_clocks: bool = False
    """Whether the clock of a host can be made wrong."""
    synchronous: bool = True
    """Whether PostgreSQL commits only when a standby has it as well; without it a failover loses what it has not."""
    as_json: bool = False


class Cluster:
    """All of one cluster, from `start` to `stop`, which are called once each; also a context manager.

    `watch` restarts single processes that end, on hosts that are up. What injects faults calls `watch_once` itself, or
    starts them itself.
    """

    def __init__(self, options: ClusterOptions, report: Callable[[str], None] = lambda _: None) -> None:
        self.options = options
        self.plan: ClusterPlan
        self.hosts: list[Host] = []
        """The three hosts: `h1`, `h2`, `h3`."""
        self.simulators: dict[str, HostProcess] = {}
        """The simulated processors by their names, on the place `plan.outside`; their admin port is `plan`'s."""

    @property
    def replica_urls(self) -> list[str]:
        """The URL of each replica alone, host by host, as this machine reaches it."""
        raise NotImplementedError

    def host(self, name: str) -> Host:
        """Return a host by its name."""
        raise NotImplementedError

    def start(self) -> None:
        """Start everything; return when all is ready. Call `stop` also after a failure."""
        raise NotImplementedError

    def stop(self) -> None:
        """End everything and remove namespaces and mounts; may be called again."""
        raise NotImplementedError

    def watch_once(self) -> None:
        """Restart processes that have ended on hosts that are up, with backoff; call it some times a second."""
        raise NotImplementedError

    def primary(self) -> Host | None:
        """Return the host whose Patroni says that it is the primary, or None while none does."""
        raise NotImplementedError

    def timeline(self) -> int | None:
        """Return the timeline of the primary: each failover and switchover adds one."""
        raise NotImplementedError

    def switchover(self, to: Host | None = None) -> bool:
        """Let Patroni make another host the primary in good order; return whether it has."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Tell whether all hosts are ready, and the primary has a synchronous standby."""
        raise NotImplementedError

    @property
    def database_url(self) -> str:
        """The primary, as this machine reaches it."""
        return self.plan.direct_database_url
