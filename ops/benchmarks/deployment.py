"""Runs a whole gateway by a checkout's own `ops/up`, and measures its processes and its database from outside."""

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import requests

from ops import OpsError
from ops.benchmarks.control_group import ControlGroup
from ops.benchmarks.usage import (
    Usage,
    children,
    command_line,
    environment,
    executable,
    peak_pss_bytes,
    process_tree,
    read_usage,
)
from ops.stack.ports import reserve_ports
from ops.stack.process import ManagedProcess

READY_S_MAX = 600
"""The first start in a checkout installs its environment."""
STOP_S_MAX = 20
ANSWER_S_MAX = 30
SETTLED_S_MAX = 60
POLL_S = 0.1
TOKEN = {"X-Rinha-Token": "123"}
"""The header that the administration of simulated processors requires."""
REPLACEMENTS = ("DATABASE_URL", "REDIS_URL", "PROCESSORS", "PYTHONPATH")
"""Variables that would lead `ops/up` to servers, or to modules, that are not its own."""
SERVERS = {"postgres": "postgres", "redis-server": "redis", "valkey-server": "redis"}
"""The part that a server's executable belongs to."""


class Deployment(ManagedProcess):
    """The processes that one `ops/up` starts, in a fresh state, on free ports. Used in a `with` statement."""

    def __init__(self, checkout: Path, *, replicas: int, group: ControlGroup | None = None) -> None:
        """Prepare `replicas` replicas of the gateway in `checkout`, with all they write in a temporary folder.

        The processes of all replicas join `group` as soon as they are seen.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="fiel-bench-")
        folder = Path(self._folder.name)
        port = reserve_ports(replicas + 5)[0]
        first = port + replicas + 1
        self.port = port
        """The port that all replicas share."""
        self.ports = [port + number for number in range(1, replicas + 1)]
        self._admin_ports = (first + 2, first + 3)
        options = {
            "port": port,
            "replicas": replicas,
            "state-dir": folder / "state",
            "processor-ports": f"{first},{first + 1}",
            "admin-ports": f"{first + 2},{first + 3}",
        }
        command = [sys.executable, str(checkout / "ops" / "up"), "--fresh"]
        command += [f"--{name}={value}" for name, value in options.items()]
        env = {name: value for name, value in os.environ.items() if name not in REPLACEMENTS}
        super().__init__("ops/up", command, log=folder / "up.log", env=env)
        self._group = group
        # Loopback needs no proxy, whatever the environment says.
        self._http = requests.Session()
        self._http.trust_env = False
        self._parts: Mapping[str, list[int]] = {}

    def __enter__(self) -> Self:
        """Start everything, and wait until it serves."""
        try:
            self.start()
            self.wait_ready(READY_S_MAX)
        except BaseException:
            self._end()
            raise
        self._parts = self._find_parts()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End everything that was started."""
        self._end()

    def ready(self) -> bool:
        """Tell whether `ops/up` has announced that every replica serves."""
        # This is called every few milliseconds until then: early enough to see a replica before it has loaded much.
        if self._group is not None:
            self._group.add(each for pid in self._find_parts().get("replicas", ()) for each in process_tree(pid))
        return self.pid is not None and "ready http" in self.output()

    def usage(self) -> dict[str, Usage]:
        """Read what the replicas, PostgreSQL and Redis have used so far, by part."""
        return {name: read_usage(pids) for name, pids in self._parts.items()}

    def replica_peak_bytes(self) -> int:
        """Return the peak memory of the largest replica, with all its processes; of the group, where there is one."""
        if self._group is not None:
            return self._group.peak_bytes()
        return max(map(peak_pss_bytes, self._parts["replicas"]))

    def replicas(self) -> list[int]:
        """List the process ids of gunicorn's masters, one for each replica that runs now."""
        return self._find_parts().get("replicas", [])

    def check_unchanged(self) -> None:
        """Check that every part is still the process that was started.

        Raises:
            OpsError: a part ended meanwhile, so that figures of its processes mean nothing.
        """
        self.check_alive()
        if self._find_parts() != self._parts:
            raise OpsError(f"a part was started again during the measurement; ops/up said:{self.tail()}")

    def pids(self) -> Mapping[str, list[int]]:
        """Give the processes that `ops/up` has started, by part."""
        return self._parts

    @property
    def database_url(self) -> str:
        """The URL that replicas know Postgres by."""
        return environment(self._parts["replicas"][0])["DATABASE_URL"]

    @property
    def redis_url(self) -> str:
        """The URL that replicas know Redis by."""
        return environment(self._parts["replicas"][0])["REDIS_URL"]

    def commits(self) -> int:
        """Read how many transactions the gateway's database has committed; PostgreSQL counts up to a second late."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            row = connection.execute(
                "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
        return int(row[0]) if row else 0

    def wait_settled(self, payments: int, timeout_s: float = SETTLED_S_MAX) -> int:
        """Wait until the gateway's summary holds that many payments; return how many are missing after `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        while (missing := payments - self._settled()) > 0 and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
        return max(missing, 0)

    def charges(self) -> Counter[str]:
        """Count the charges in the processors' own ledgers by correlation id."""
        rows = (row for port in self._admin_ports for row in self._ask("GET", port, "/admin/payments").splitlines())
        return Counter(json.loads(row)["correlationId"] for row in rows)

    def fail_processors(self) -> None:
        """Let both processors answer every charge with 500 from now on."""
        for port in self._admin_ports:
            self._ask("PUT", port, "/admin/configurations/failure", {"failure": True})

    def _end(self) -> None:
        self._http.close()
        self.stop(STOP_S_MAX)
        self._folder.cleanup()

    def _settled(self) -> int:
        summary = json.loads(self._ask("GET", self.ports[0], "/payments-summary"))
        return sum(processor["totalRequests"] for processor in summary.values())

    def _ask(self, method: str, port: int, path: str, body: object = None) -> str:
        url = f"http://127.0.0.1:{port}{path}"
        answer = self._http.request(method, url, json=body, headers=TOKEN, timeout=ANSWER_S_MAX)
        answer.raise_for_status()
        return answer.text

    def _find_parts(self) -> dict[str, list[int]]:
        """List the processes that `ops/up` started itself, by part, without the simulated processors."""
        parts: dict[str, list[int]] = {}
        for pid in sorted(children(self.pid or 0)):
            part = "replicas" if "gunicorn" in command_line(pid) else SERVERS.get(executable(pid))
            if part is not None:
                parts.setdefault(part, []).append(pid)
        return parts
