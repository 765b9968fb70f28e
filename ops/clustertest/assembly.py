"""Makes the hosts of a cluster: which processes each has, by which configuration, on which disks."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.clustertest.clock import HostClock
from ops.clustertest.configuration import (
    etcd_document,
    etcd_peers,
    haproxy_text,
    link_proxy_arguments,
    patroni_document,
    redis_text,
    replica_environment,
    sentinel_text,
)
from ops.clustertest.disks import HostDisk
from ops.clustertest.hosts import Host
from ops.clustertest.links import Links
from ops.clustertest.membership import redis_master, replace_member
from ops.clustertest.namespaces import SYSTEM_PATH
from ops.clustertest.needs import Programs
from ops.clustertest.options import ClusterOptions
from ops.clustertest.plan import (
    ADMIN_PORT_OFFSET,
    ETCD_CLIENT_PORT,
    FEES,
    GATEWAY_PORT,
    PATRONI_PORT,
    REDIS_PORT,
    SENTINEL_PORT,
    SIMULATOR_PORTS,
    ClusterPlan,
    Place,
)
from ops.clustertest.probes import Probe, accepts, answers_http
from ops.clustertest.processes import HostProcess
from ops.environment import PYTHON_PATH
from ops.stack.embedded import redis_binary

DISKS_MB = {"system": 512, "postgres": 2048, "journal": 256}
"""The disks of a host, and their sizes; they take memory only for what is written."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """What all hosts of one cluster have in common."""

    plan: ClusterPlan
    options: ClusterOptions
    found: Programs

    def host(self, place: Place) -> Host:
        """Make a host; nothing is started."""
        folder = self.plan.state_dir / place.name
        disks = {name: HostDisk(self.plan.disk_dir(place, name), size) for name, size in DISKS_MB.items()}
        links = Links(place, folder / "links.json")
        clock = HostClock(folder / "clock", can_be_wrong=self.options.wrong_clocks)
        started: list[bool] = []

        def prepare() -> None:
            self._prepare(place, is_first=not started)
            started.append(True)

        processes = self._processes(place, links, clock)
        return Host(place, self.plan, processes, links=links, clock=clock, disks=disks, prepare=prepare)

    def replica(self, place: Place, clock: HostClock, number: int) -> HostProcess:
        """Make a replica of a host, by its number there."""
        options = self.options
        settings = replica_environment(self.plan, place, number, options.durability)
        env = self._python_environment({**settings, **options.overrides(self.plan)}) | dict(clock.environment)
        paths = (clock.environment.get("PYTHONPATH"), str(options.checkout), str(options.checkout / "http"))
        env["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        return HostProcess(
            place,
            f"replica-{number}",
            [sys.executable, "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", options.application],
            log_dir=self.plan.log_dir(place),
            probe=answers_http(place.address, GATEWAY_PORT + number, "/readyz"),
            env=env,
            # Python looks for modules first in the folder where it is started.
            prefix=("env", f"--chdir={options.checkout}", *clock.prefix),
        )

    def simulators(self) -> dict[str, HostProcess]:
        """Make the simulated processors; they keep their books in files of this machine."""
        place = self.plan.outside
        return {
            name: HostProcess(
                place,
                name,
                [
                    sys.executable,
                    "-m",
                    "ops.simulator",
                    f"--name={name}",
                    f"--host={place.address}",
                    f"--port={port}",
                    f"--admin-port={port + ADMIN_PORT_OFFSET}",
                    f"--fee={FEES[name]}",
                    f"--ledger={self.plan.state_dir / place.name / f'{name}.ledger'}",
                ],
                log_dir=self.plan.log_dir(place),
                probe=accepts(place.address, port),
                env=self._python_environment({}),
            )
            for name, port in SIMULATOR_PORTS.items()
        }

    def _processes(self, place: Place, links: Links, clock: HostClock) -> dict[str, HostProcess]:
        system = self.plan.disk_dir(place, "system")
        config = self._config_dir(place)
        redis = str(redis_binary())
        proxy = [sys.executable, "-m", "ops.clustertest.link_proxy", *link_proxy_arguments(str(links.state_file))]
        own = {
            "PATH": SYSTEM_PATH,
            "HOME": str(self.plan.disk_dir(place, "postgres")),
            "LANG": "C",
        }
        patroni, faked = [self.found.patroni, str(config / "patroni.yml")], own | dict(clock.environment)

        def make(role: str, command: list[str], probe: Probe, env: Mapping[str, str], uid: int = -1) -> HostProcess:
            sees_clock = "FAKETIME_TIMESTAMP_FILE" in env
            return HostProcess(
                place,
                role,
                command,
                log_dir=self.plan.log_dir(place),
                probe=probe,
                env=env,
                prefix=clock.prefix if sees_clock else (),
                uid=uid,
            )

        address = place.address
        made = [
            make("link-proxy", proxy, lambda: True, self._python_environment({})),
            make(
                "etcd",
                [self.found.etcd, f"--config-file={config / 'etcd.yml'}"],
                answers_http(address, ETCD_CLIENT_PORT, "/health"),
                own,
            ),
            make("redis", [redis, str(system / "redis" / "redis.conf")], accepts(address, REDIS_PORT), faked),
            make(
                "sentinel",
                [redis, str(system / "sentinel" / "sentinel.conf"), "--sentinel"],
                accepts(address, SENTINEL_PORT),
                faked,
            ),
            make("patroni", patroni, answers_http(address, PATRONI_PORT, "/health"), faked, self.found.postgres_uid),
            make("haproxy", [self.found.haproxy, "-db", "-f", str(config / "haproxy.cfg")], lambda: True, faked),
        ]
        made += [self.replica(place, clock, number) for number in range(1, self.options.replicas_per_host + 1)]
        return {process.role: process for process in made}

    def _python_environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        return {**self.options.environment, "PYTHONPATH": PYTHON_PATH, "PYTHONUNBUFFERED": "1", **settings}

    def _config_dir(self, place: Place) -> Path:
        return self.plan.state_dir / place.name / "config"

    def _prepare(self, place: Place, *, is_first: bool) -> None:
        """Write the files that programs read at their start; on a used disk, not those that they change themselves."""
        plan, config, system = self.plan, self._config_dir(place), self.plan.disk_dir(place, "system")
        config.mkdir(parents=True, exist_ok=True)
        for folder in (system / "etcd", system / "redis", system / "sentinel", plan.disk_dir(place, "journal")):
            folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(plan.disk_dir(place, "postgres"), self.found.postgres_uid, -1)
        joins = not is_first and not (system / "etcd" / "member").exists()
        members = replace_member(plan, place) if joins else etcd_peers(plan)
        etcd = etcd_document(plan, place, members, joins=joins)
        patroni = patroni_document(plan, place, self.found.postgres_binaries, synchronous=self.options.synchronous)
        for name, document in (("etcd.yml", etcd), ("patroni.yml", patroni)):
            (config / name).write_text(json.dumps(document, indent=2))
        (config / "haproxy.cfg").write_text(haproxy_text(plan))
        redis_config, sentinel_config = system / "redis" / "redis.conf", system / "sentinel" / "sentinel.conf"
        if not (redis_config.exists() and sentinel_config.exists()):
            others = [] if is_first else [other for other in plan.hosts if other != place]
            master = redis_master(plan, others) or plan.hosts[0]
            redis_config.write_text(redis_text(plan, place, master))
            sentinel_config.write_text(sentinel_text(plan, place, master))
