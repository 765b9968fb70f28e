"""Starts, watches and stops all services of one gateway on this machine."""

import contextlib
import fcntl
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from actors.domain.processors import Processor
from ops import OpsError
from ops.foreground import RunInterrupted
from ops.migrate import migrate
from ops.stack.checks import check_stack_options
from ops.stack.controls import ControlsProcess
from ops.stack.embedded import PostgresServer, RedisServer
from ops.stack.process import POLL_S, ManagedProcess, ProcessState, Restarter
from ops.stack.services import ReplicaProcess, SimulatorProcess, service_environment
from ops.stack.settings import StackOptions

START_S_MAX = 60
"""How long each service may take until it is ready."""
WATCH_STEP_S = 0.2
"""How often `watch` checks all services."""

REPLICAS_STOP_S_MAX = 6.0
"""How long all replicas and the controls together may take to stop."""
SERVERS_STOP_S_MAX = 1.0
"""How long the simulators, then Redis, then PostgreSQL may take to stop; so a stack stops within 9 s."""


class Stack:
    """All services of one gateway, from `start` to `stop`, which are called once each.

    In between, services may be killed, paused and restarted; they are restarted on their own only while `watch` runs.
    `postgres` and `redis` are None, and `simulators` is empty, where the options name servers of others instead, and
    `controls` where the options leave them out.
    """

    def __init__(self, options: StackOptions, report: Callable[[str], None] = lambda _: None) -> None:
        self.options = options
        self.postgres: PostgresServer | None = None
        self.redis: RedisServer | None = None
        self.simulators: list[SimulatorProcess] = []
        self.replicas: list[ReplicaProcess] = []
        self.controls: ControlsProcess | None = None
        self.database_url = options.database_url or ""
        self.redis_url = options.redis_url or ""
        self.processors: tuple[Processor, ...] = ()
        self._report = report
        self._restarters: dict[ManagedProcess, Restarter] = {}
        self._stopping = threading.Event()
        self._hurrying = threading.Event()
        self._lock: int | None = None

    @property
    def url(self) -> str:
        """The URL that all replicas share."""
        return f"http://127.0.0.1:{self.options.port}"

    @property
    def replica_urls(self) -> list[str]:
        """The URL of each replica alone, in the order of their numbers."""
        return [replica.url for replica in self.replicas]

    @property
    def services(self) -> list[ManagedProcess]:
        """All services in the order of their start."""
        return [*filter(None, (self.postgres, self.redis)), *self.simulators, *self._started_last]

    @property
    def _started_last(self) -> list[ManagedProcess]:
        return [*filter(None, (self.controls,)), *self.replicas]

    @property
    def replica_states(self) -> dict[int, ProcessState]:
        """The state of each replica that was started, by its number, as far as `watch` has noticed."""
        return {number: self._restarters[each].state for number, each in enumerate(self.replicas, 1)}

    def replica(self, number: int) -> ReplicaProcess:
        """Return a replica by its number, which counts from 1."""
        return self.replicas[number - 1]

    def simulator(self, name: str) -> SimulatorProcess:
        """Return the simulated processor called `name`."""
        return next(simulator for simulator in self.simulators if simulator.name == name)

    def __enter__(self) -> Self:
        """Start the stack."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop the stack."""
        self.stop()

    def start(self) -> None:
        """Start all services; return when every replica is ready. Call `stop` also after a failure.

        Raises:
            OpsError: something is missing, a port is in use, or a service did not start.
            RunInterrupted: `ask_to_stop` was called.
        """
        state_dir = self.options.state_dir
        self._lock = _lock_state(state_dir)
        self.processors = check_stack_options(self.options)
        if self.options.fresh:
            _delete_state(state_dir)
        postgres_port, redis_port = self.options.server_ports or (0, 0)
        if not self.database_url:
            log = state_dir / "log" / "postgres.log"
            templates = self.options.templates
            self.postgres = PostgresServer(state_dir / "postgres", log=log, tcp_port=postgres_port, templates=templates)
            self.database_url = self.postgres.url
        if not self.redis_url:
            log = state_dir / "log" / "redis.log"
            self.redis = RedisServer(state_dir / "redis", log=log, tcp_port=redis_port)
            self.redis_url = self.redis.url
        if self.options.processors is None:
            ports = zip(self.processors, self.options.processor_ports, self.options.admin_ports, strict=True)
            self.simulators = [SimulatorProcess(*service, self.options) for service in ports]
        self._start_all(self.services)
        with self._timed("migrations") as say:
            say(f"{len(migrate(self.database_url, wait_s=10))} applied")
        if self.options.controls:
            self.controls = ControlsProcess(self.options, self.processors)
        env = self.replica_environment()
        self.replicas = [ReplicaProcess(number, self.options, env) for number in range(1, self.options.replicas + 1)]
        self._start_all(self._started_last)
        self._restarters = {service: Restarter(service) for service in self.services}

    def watch(self) -> None:
        """Restart services that end, with backoff, until `ask_to_stop`; report each with the end of its log."""
        while not self._stopping.wait(WATCH_STEP_S):
            for number in self.controls.orders() if self.controls else ():
                self.replica(number).kill()
            for restarter in self._restarters.values():
                restarter.check(time.monotonic(), self._report)
            if self.controls:
                self.controls.tell(self.replica_states)

    def ask_to_stop(self) -> None:
        """Let `start` or `watch` return; when called again, let `stop` kill at once what it would wait for.

        It may be called by a signal handler.
        """
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    def stop(self) -> None:
        """Let the replicas finish their work, then end all else, within 10 s; may be called again."""
        self._stopping.set()
        self._stop_all(self._started_last, REPLICAS_STOP_S_MAX)
        self._stop_all(self.simulators, SERVERS_STOP_S_MAX)
        for server in (self.redis, self.postgres):
            if server is not None:
                self._stop_all([server], SERVERS_STOP_S_MAX)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _start_all(self, services: Sequence[ManagedProcess]) -> None:
        began: dict[ManagedProcess, float] = {}
        for service in services:
            began[service] = time.monotonic()
            service.start()
        while began:
            for service in list(began):
                spent_s = time.monotonic() - began[service]
                if service.ready():
                    self._say(service.name, "ready", spent_s)
                    del began[service]
                else:
                    service.check_alive()
                    if spent_s > START_S_MAX:
                        raise OpsError(f"{service.name} is not ready after {START_S_MAX} s:{service.tail()}")
            if self._stopping.wait(POLL_S):
                raise RunInterrupted

    def _stop_all(self, services: Sequence[ManagedProcess], timeout_s: float) -> None:
        began = time.monotonic()
        alive = [service for service in services if service.pid is not None]
        for service in alive:
            service.terminate()
        waiting = list(alive)
        while waiting and time.monotonic() - began < timeout_s and not self._hurrying.is_set():
            for service in [service for service in waiting if service.pid is None]:
                self._say(service.name, "ended", time.monotonic() - began)
                waiting.remove(service)
            time.sleep(POLL_S)
        for service in waiting:
            service.kill()
            self._say(service.name, "killed", time.monotonic() - began)
        for service in services:
            service.stop()

    def replica_environment(self) -> dict[str, str]:
        """Return the environment variables of replicas, but for those that tell one from another."""
        database_url, redis_url = self.database_url, self.redis_url
        if self.options.server_ports is not None:
            postgres_port, redis_port = self.options.server_ports
            if self.postgres is not None:
                database_url = f"postgresql://{urlsplit(database_url).username}@localhost:{postgres_port}/postgres"
            if self.redis is not None:
                redis_url = f"redis://localhost:{redis_port}/0"
        return service_environment(self.options) | {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PROCESSORS": self.options.processors
            or " ".join(f"{each.name}={each.url},{each.fee}" for each in self.processors),
            "JOURNAL_DIR": str(self.options.state_dir / "journal"),
            **(self.controls.replica_environment if self.controls else {}),
        }

    @contextlib.contextmanager
    def _timed(self, name: str) -> Iterator[Callable[[str], None]]:
        began = time.monotonic()
        yield lambda state: self._say(name, state, time.monotonic() - began)

    def _say(self, name: str, state: str, spent_s: float) -> None:
        self._report(f"{name:<12}{state:<12}{spent_s:6.2f} s")


def _lock_state(state_dir: Path) -> int:
    state_dir.mkdir(parents=True, exist_ok=True)
    lock = os.open(state_dir / "stack.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise OpsError(f"another ops/up runs on {state_dir}: stop it, or choose another --state-dir") from None
    return lock


def _delete_state(state_dir: Path) -> None:
    PostgresServer(state_dir / "postgres", log=state_dir / "log" / "postgres.log").erase()
    for name in ("redis", "journal", "journals", "simulator", "log"):
        if (state_dir / name).exists():
            shutil.rmtree(state_dir / name)
