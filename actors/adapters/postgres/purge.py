"""Purges in Postgres: each opens a generation, and empties the tables when no replica holds anything older."""

from typing import Any

from psycopg.rows import scalar_row

from actors.adapters.postgres.connections import Connections, GeventConnection
from actors.adapters.postgres.queries import QUERIES
from actors.errors import LedgerUnavailableError


class PostgresPurge:
    """Fulfils `actors.ports.PurgeStore`."""

    def __init__(self, connections: Connections, replica: str) -> None:
        self._connections = connections
        self._replica = replica

    def generation(self) -> int:
        """Read the number of the last purge."""
        with self._connections.pool.use() as connection:
            return int(_one(connection, "generation"))

    def begin_purge(self) -> int:
        """Open a generation."""
        with self._connections.pool.use() as connection:
            return int(_one(connection, "begin_purge"))

    def acknowledge_purge(self, generation: int) -> None:
        """Note that this replica holds nothing older than the generation."""
        parameters = {"replica": self._replica, "generation": generation}
        with self._connections.pool.use() as connection:
            connection.execute(QUERIES["acknowledge_purge"], parameters)

    def finish_purge(self, generation: int) -> bool:
        """Empty the tables once no living replica holds anything older."""
        parameters = {"generation": generation}
        with self._connections.pool.use() as connection, connection.transaction():
            if _one(connection, "lock_purges") >= generation:
                return True
            if _one(connection, "is_purge_pending", parameters):
                return False
            connection.execute(QUERIES["lock_tables"])
            connection.execute(QUERIES["fence_sleepers"], parameters)
            connection.execute(QUERIES["empty_tables"])
            connection.execute(QUERIES["finish_purge"], parameters)
        return True


def _one(connection: GeventConnection, query: str, parameters: dict[str, int] | None = None) -> Any:  # noqa: ANN401
    """Run a query that gives one value."""
    value = connection.cursor(row_factory=scalar_row).execute(QUERIES[query], parameters).fetchone()
    if value is None:
        raise LedgerUnavailableError("Postgres has no row of the gateway: are the migrations applied?")
    return value
