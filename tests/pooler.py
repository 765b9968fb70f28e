"""A real PgBouncer in transaction mode, between a replica and a PostgreSQL server."""

import os
import pwd
import shutil
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict

from ops.stack.ports import reserve_ports
from ops.stack.process import ManagedProcess

BINARY = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")

needs_pgbouncer = pytest.mark.skipif(BINARY is None, reason="no pgbouncer on this machine")


class PgBouncer(ManagedProcess):
    """Pools the connections to one server, whichever the database."""

    def __init__(self, folder: Path, server_url: str, *, sessions_max: int = 20, settings: str = "") -> None:
        """Listens on a port of the loopback address, and lets everybody in."""
        assert BINARY is not None
        self._folder = folder
        (self.port,) = reserve_ports(1)
        given = conninfo_to_dict(server_url)
        password = f" password={given['password']}" if given.get("password") else ""
        # A socket of the file system lets in the account of whoever runs the tests alone; an embedded server listens on
        # the loopback address as well.
        host = "127.0.0.1" if str(given["host"]).startswith("/") else given["host"]
        server = f"host={host} port={given.get('port', 5432)} user={given['user']}{password}"
        self._configuration = "\n".join(
            [
                f"[databases]\n* = {server}",
                "[pgbouncer]\nlisten_addr = 127.0.0.1\nunix_socket_dir =\nauth_type = any",
                f"listen_port = {self.port}",
                f"pool_mode = transaction\ndefault_pool_size = {sessions_max}\nmax_client_conn = 1000",
                settings,
            ]
        )
        command = [BINARY, str(folder / "pgbouncer.ini")]
        # It refuses to run as root.
        uid = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else -1
        super().__init__("pgbouncer", command, log=folder / "log", uid=uid)

    def start(self) -> None:
        """Start it, unless it is alive."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "pgbouncer.ini").write_text(self._configuration)
        super().start()

    def ready(self) -> bool:
        """Tell whether it listens."""
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def url_of(self, database_url: str) -> str:
        """Give the URL by which the same database is reached through it."""
        name = urlsplit(database_url).path
        return f"postgresql://anybody@127.0.0.1:{self.port}{name}"
