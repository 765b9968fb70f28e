"""The plan of a cluster: which hosts there are, at which addresses, and which ports everything listens on."""

from dataclasses import dataclass
from pathlib import Path

HOSTS = 3
"""Hosts of the cluster. With three, the fewest for it, one may fail while a majority is left."""
REPLICAS_PER_HOST_MAX = 8
BLOCKS = range(256)
"""The third numbers of the networks 10.77.N.0/24, of which each cluster on this machine has one."""

GATEWAY_PORT = 9999
"""The port that all replicas of one host share; replica N of a host also listens on `GATEWAY_PORT` + N."""
PRIMARY_PORT = 5000
"""The port at which HAProxy of each host, on its loopback address, leads to the primary PostgreSQL."""
POSTGRES_PORT = 5432
PATRONI_PORT = 8008
ETCD_CLIENT_PORT = 2379
ETCD_PEER_PORT = 2380
REDIS_PORT = 6379
SENTINEL_PORT = 26379
LINK_PROXY_PORT = 15000
"""The port of the proxy that slows links down, on each host's loopback address."""
SIMULATOR_PORTS = {"default": 8001, "fallback": 8002}
ADMIN_PORT_OFFSET = 1000
FEES = {"default": "0.05", "fallback": "0.15"}
"""The share of each amount that the simulated processors keep."""
REDIS_MASTER = "mymaster"
"""The name under which Sentinel watches the Redis master."""


@dataclass(frozen=True, slots=True)
class Place:
    """A machine with an address in the cluster's network."""

    name: str
    address: str
    namespace: str
    """The name of its network namespace; empty for the namespace in which the cluster was started."""


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """The addresses, ports and folders of one cluster."""

    block: int
    """The third number of its network, one of `BLOCKS`."""
    state_dir: Path
    replicas_per_host: int = 2

    @property
    def prefix(self) -> str:
        """The prefix of all names of its namespaces and links."""
        return f"fiel{self.block}"

    @property
    def subnet(self) -> str:
        """The network that all places share."""
        return f"10.77.{self.block}.0/24"

    @property
    def switch(self) -> str:
        """Name of the namespace that holds the bridge."""
        return f"{self.prefix}-switch"

    @property
    def hosts(self) -> tuple[Place, ...]:
        """The hosts of the cluster."""
        return tuple(self._place(f"h{number}", 10 + number) for number in range(1, HOSTS + 1))

    @property
    def outside(self) -> Place:
        """The machine on which the payment processors run."""
        return self._place("outside", 20)

    @property
    def client(self) -> Place:
        """This machine's own place in the network, from which replicas can be called."""
        return Place("client", f"10.77.{self.block}.1", "")

    def _place(self, name: str, number: int) -> Place:
        return Place(name, f"10.77.{self.block}.{number}", f"{self.prefix}-{name}")

    def disk_dir(self, host: Place, disk: str) -> Path:
        """Return where a disk of a host is mounted."""
        return self.state_dir / host.name / disk

    def log_dir(self, place: Place) -> Path:
        """Return the folder of a place's logs, which is on no disk of the hosts."""
        return self.state_dir / "log" / place.name

    @property
    def processor_urls(self) -> dict[str, str]:
        """The URL of each simulated processor, by its name."""
        return {name: f"http://{self.outside.address}:{port}" for name, port in SIMULATOR_PORTS.items()}

    @property
    def processors(self) -> str:
        """The processors as the setting `PROCESSORS` lists them."""
        return " ".join(f"{name}={url},{FEES[name]}" for name, url in self.processor_urls.items())

    @property
    def redis_url(self) -> str:
        """The Redis master, as its Sentinels know it, for the setting `REDIS_URL`."""
        sentinels = ",".join(f"{host.address}:{SENTINEL_PORT}" for host in self.hosts)
        return f"redis+sentinel://{sentinels}/{REDIS_MASTER}/0"

    @property
    def database_url(self) -> str:
        """The primary, as a host of the cluster reaches it: through its own HAProxy."""
        return f"postgresql://postgres@127.0.0.1:{PRIMARY_PORT}/postgres"

    @property
    def direct_database_url(self) -> str:
        """The primary, as this machine reaches it: whichever host accepts writes."""
        addresses = ",".join(host.address for host in self.hosts)
        return f"postgresql://postgres@{addresses}:{POSTGRES_PORT}/postgres?target_session_attrs=read-write"
