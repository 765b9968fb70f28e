"""A PostgreSQL server of a benchmark's own, with the gateway's tables, that leaves nothing behind."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.migrate import migrate
from ops.stack.embedded import PostgresServer


@contextmanager
def own_postgres() -> Iterator[str]:
    """Run the server, and give its URL."""
    with tempfile.TemporaryDirectory(prefix="fiel-bench-") as folder:
        server = PostgresServer(Path(folder) / "data", log=Path(folder) / "log")
        Path(folder).chmod(0o755)
        try:
            server.start()
            server.wait_ready()
            migrate(server.url)
            yield server.url
        finally:
            server.erase()
