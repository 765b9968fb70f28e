"""The gateway on one machine: `python -m ops.stack`, which is `ops/up`, or `with Stack(Settings(...)) as stack:`."""

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from actors.domain.processors import Processor
from ops import OpsError
from ops.embedded import PostgreSQL, Redis
from ops.migrate import migrate
from ops.parts import Replica, Simulator, part_environment
from ops.process import POLL_S, Keeper, Process
from ops.settings import Settings, check_settings, parse_settings

START_S_MAX = 60
WATCH_S = 0.2

REPLICAS_STOP_S_MAX = 6.0
SERVERS_STOP_S_MAX = 1.0
"""Stopping: for all replicas together, then for each of simulators, Redis and PostgreSQL; 9 s in all."""


class StackInterrupted(Exception):  # noqa: N818 - a wish, not a fault
    """The start was given up because somebody asked for the end."""


class Stack:
    """All parts of one gateway. `start` and `stop` once each; between them parts may be killed, paused and restarted.

    `postgres` and `redis` are None where the settings name others', `simulators` is empty where they name processors.
    Nothing is restarted by itself unless `watch` runs.
    """

    def __init__(self, settings: Settings, report: Callable[[str], None] = lambda _: None) -> None:
        self.settings = settings
        self.postgres: PostgreSQL | None = None
        self.redis: Redis | None = None
        self.simulators: list[Simulator] = []
        self.replicas: list[Replica] = []
        self.database_url = settings.database_url or ""
        self.redis_url = settings.redis_url or ""
        self.processors: tuple[Processor, ...] = ()
        self._report = report
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._lock: int | None = None

    @property
    def url(self) -> str:
        """The address that all replicas share."""
        return f"http://127.0.0.1:{self.settings.port}"

    @property
    def replica_urls(self) -> list[str]:
        """The address that each replica has for itself."""
        return [replica.url for replica in self.replicas]

    @property
    def parts(self) -> list[Process]:
        """All that was started, in that order."""
        servers = [part for part in (self.postgres, self.redis) if part is not None]
        return [*servers, *self.simulators, *self.replicas]

    def replica(self, number: int) -> Replica:
        """Replica 1 to N."""
        return self.replicas[number - 1]

    def simulator(self, name: str) -> Simulator:
        """The simulated processor of that name."""
        return next(simulator for simulator in self.simulators if simulator.name == name)

    def __enter__(self) -> Self:
        """Start it."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> None:
        """Start everything, in its order; returns when every replica is ready. `stop` also after a failure.

        Raises:
            OpsError: something is missing, taken, or did not start.
            StackInterrupted: `ask_to_stop` was called.
        """
        state_dir = self.settings.state_dir
        self._lock = _lock_state(state_dir)
        self.processors = check_settings(self.settings)
        if self.settings.fresh:
            _forget(state_dir)
        if not self.database_url:
            self.postgres = PostgreSQL(state_dir / "postgres", log=state_dir / "log" / "postgres.log")
            self.database_url = self.postgres.url
        if not self.redis_url:
            self.redis = Redis(state_dir / "redis", log=state_dir / "log" / "redis.log")
            self.redis_url = self.redis.url
        if self.settings.processors is None:
            ports = zip(self.processors, self.settings.processor_ports, self.settings.admin_ports, strict=True)
            self.simulators = [Simulator(*part, self.settings) for part in ports]
        self._start_all(self.parts)
        with self._timed("migrations") as say:
            say(f"{len(migrate(self.database_url, wait_s=10))} applied")
        env = self._replica_environment()
        self.replicas = [Replica(number, self.settings, env) for number in range(1, self.settings.replicas + 1)]
        self._start_all(self.replicas)

    def watch(self) -> None:
        """Start parts that ended again, with backoff, until `ask_to_stop`; reports each, with the end of its log."""
        keepers = [Keeper(part) for part in self.parts]
        while not self._stopping.wait(WATCH_S):
            for keeper in keepers:
                keeper.look(time.monotonic(), self._report)

    def ask_to_stop(self) -> None:
        """Let `start` or `watch` return; asked again, `stop` waits for nobody. May be called by a signal handler."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    def stop(self) -> None:
        """Drain the replicas, then end all the rest, in under 10 s. May be called again."""
        self._stopping.set()
        self._stop_all(self.replicas, REPLICAS_STOP_S_MAX)
        self._stop_all(self.simulators, SERVERS_STOP_S_MAX)
        for server in (self.redis, self.postgres):
            if server is not None:
                self._stop_all([server], SERVERS_STOP_S_MAX)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _start_all(self, parts: Sequence[Process]) -> None:
        began: dict[Process, float] = {}
        for part in parts:
            began[part] = time.monotonic()
            part.start()
        while began:
            for part in list(began):
                spent_s = time.monotonic() - began[part]
                if part.ready():
                    self._say(part.name, "ready", spent_s)
                    del began[part]
                else:
                    part.check_alive()
                    if spent_s > START_S_MAX:
                        raise OpsError(f"{part.name} is not ready after {START_S_MAX} s:{part.tail()}")
            if self._stopping.wait(POLL_S):
                raise StackInterrupted

    def _stop_all(self, parts: Sequence[Process], timeout_s: float) -> None:
        began = time.monotonic()
        alive = [part for part in parts if part.pid is not None]
        for part in alive:
            part.terminate()
        waiting = list(alive)
        while waiting and time.monotonic() - began < timeout_s and not self._hurry.is_set():
            for part in [part for part in waiting if part.pid is None]:
                self._say(part.name, "ended", time.monotonic() - began)
                waiting.remove(part)
            time.sleep(POLL_S)
        for part in waiting:
            part.kill()
            self._say(part.name, "killed", time.monotonic() - began)
        for part in parts:
            part.stop()

    def _replica_environment(self) -> dict[str, str]:
        return part_environment(self.settings) | {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "PROCESSORS": " ".join(f"{each.name}={each.url},{each.fee}" for each in self.processors),
            "JOURNAL_DIR": str(self.settings.state_dir / "journal"),
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


def _forget(state_dir: Path) -> None:
    PostgreSQL(state_dir / "postgres", log=state_dir / "log" / "postgres.log").erase()
    for name in ("redis", "journal", "simulator", "log"):
        if (state_dir / name).exists():
            shutil.rmtree(state_dir / name)


def _print(line: str) -> None:
    # Whoever read this may be gone, as in `ops/up | head`; the stack goes on.
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)  # noqa: T201 - what ops/up shows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a stack in the foreground until SIGINT, SIGTERM or SIGHUP; 1 where it cannot start."""
    settings = parse_settings(sys.argv[1:] if arguments is None else arguments, os.environ)
    stack = Stack(settings, _print)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stack.ask_to_stop())
    try:
        with stack:
            _print(f"ready http://localhost:{settings.port}")
            stack.watch()
            _print("stopping")
    except StackInterrupted:
        _print("stopped before it was ready")
    except OpsError as error:
        print(f"ops/up: {error}", file=sys.stderr)  # noqa: T201 - the same
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
