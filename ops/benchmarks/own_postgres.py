"""Runs a PostgreSQL server for one benchmark, with the gateway's tables; it leaves nothing behind."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from ops import OpsError
from ops.migrate import migrate
from ops.stack.embedded import PostgresServer

STANDBY = "standby"
"""The name by which the standby confirms."""
STANDBY_S_MAX = 30.0
STEP_S = 0.05


@contextmanager
def own_postgres() -> Iterator[str]:
    """Run the server, and give its URL."""
    with _running() as server:
        yield server.url


@contextmanager
def replicated_postgres() -> Iterator[str]:
    """Run the server with a standby on the same disk, which confirms each commit, and give the server's URL."""
    with _running() as server:
        standby = _copy(server)
        try:
            standby.start()
            standby.wait_ready()
            _wait_for_standby(server.url)
            yield server.url
        finally:
            standby.erase()


@contextmanager
def _running() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory(prefix="fiel-bench-") as folder:
        server = PostgresServer(Path(folder) / "data", log=Path(folder) / "log")
        Path(folder).chmod(0o755)
        try:
            server.start()
            server.wait_ready()
            migrate(server.url)
            yield server
        finally:
            server.erase()


def _copy(server: PostgresServer) -> PostgresServer:
    """Make a standby of the server, which is not started."""
    # Replication is allowed for any account, whichever both servers run as.
    access = server.data / "pg_hba.conf"
    access.write_text(f"local replication all trust\n{access.read_text()}")
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("SELECT pg_reload_conf()")
    data = server.data.with_name(STANDBY)
    command = [str(server.binaries / "pg_basebackup"), "-d", f"{server.url}&application_name={STANDBY}"]
    command += ["-D", str(data), "--write-recovery-conf", "--checkpoint=fast"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603  # made above
    if done.returncode:
        raise OpsError(f"pg_basebackup cannot copy {server.data}: {' '.join(done.stderr.split())}")
    for path in (data, *data.rglob("*")):
        os.chown(path, server.account.pw_uid, -1)
    return PostgresServer(data, log=server.log.with_name(f"{STANDBY}.log"))


def _wait_for_standby(url: str) -> None:
    """Let every commit wait for the standby, once it follows."""
    deadline_s = time.monotonic() + STANDBY_S_MAX
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'".encode())
        connection.execute("SELECT pg_reload_conf()")
        while connection.execute("SELECT sync_state FROM pg_stat_replication").fetchone() != ("sync",):
            if time.monotonic() > deadline_s:
                raise OpsError(f"the standby does not follow after {STANDBY_S_MAX:.0f} s")
            time.sleep(STEP_S)
