"""Purges in Postgres: each opens a generation, and forgets what is older once no replica holds any of it."""

from typing import Any

from psycopg.rows import class_row, scalar_row

from actors.adapters.postgres.connections import Connections
from actors.adapters.postgres.fence import Fence
from actors.adapters.postgres.queries import QUERIES, SCHEMA_VERSION
from actors.adapters.postgres.session import GeventConnection
from actors.domain.records import LastPurge
from actors.errors import LedgerUnavailableError

NO_GATEWAY = "Postgres has no row of the gateway: are the migrations applied?"


class PostgresPurge:
    """Fulfils `actors.purge.PurgeStore`."""

    def __init__(self, connections: Connections, fence: Fence) -> None:
        self._connections = connections
        self._fence = fence

    def last_purge(self) -> LastPurge:
        """Read the last purge, from a schema that is new enough for this release."""
        return self._read("last_purge")

    def finished_purge(self) -> LastPurge:
        """Read the last purge that is finished, from a schema that is new enough for this release."""
        return self._read("finished_purge")

    def _read(self, query: str) -> LastPurge:
        with self._connections.reader.use() as connection:
            version = _one(connection, "schema_version")
            if version < SCHEMA_VERSION:
                raise LedgerUnavailableError(
                    f"its schema is of migration {version}, and this release needs {SCHEMA_VERSION}: run ops.migrate"
                )
            return _purge(connection, query)

    def begin_purge(self, now_ms: int) -> LastPurge:
        """Open a generation."""
        with self._connections.reader.use() as connection:
            return _purge(connection, "begin_purge", {"now_ms": now_ms})

    def acknowledge_purge(self, generation: int) -> None:
        """Note that this replica holds nothing older than the generation, and end its epoch."""
        parameters = {"replica": self._fence.replica, "generation": generation}
        with self._connections.reader.use() as connection:
            row = connection.execute(QUERIES["acknowledge_purge"], parameters).fetchone()
        if row is not None:
            # Otherwise it would take its own row for that of another process which has registered later.
            self._fence.registered_epoch = row[0]

    def finish_purge(self, purge: LastPurge) -> bool:
        """Delete what was accepted up to the instant once no living replica holds any of it."""
        parameters = {"generation": purge.generation}
        # Whoever only waits asks as everybody does, within seconds whatever becomes of Postgres' host.
        with self._connections.reader.use() as connection:
            if _one(connection, "is_purge_pending", parameters):
                return False
        with self._connections.purger.use() as connection, connection.transaction():
            if _one(connection, "lock_purges") < purge.generation:
                # A replica may have registered meanwhile.
                if _one(connection, "is_purge_pending", parameters):
                    return False
                self._forget(connection, purge)
                connection.execute(QUERIES["finish_purge"], parameters)
        self._connections.purger.close()
        return True

    def repeat_purge(self, purge: LastPurge) -> None:
        """Purge again after a backup from before the purge was restored."""
        with self._connections.purger.use() as connection, connection.transaction():
            _one(connection, "lock_purges")
            if _purge(connection, "last_purge").generation < purge.generation:
                self._forget(connection, purge)
                parameters = {"generation": purge.generation, "at_ms": purge.at_ms}
                connection.execute(QUERIES["repeat_purge"], parameters)
        self._connections.purger.close()

    @staticmethod
    def _forget(connection: GeventConnection, purge: LastPurge) -> None:
        connection.execute(QUERIES["lock_replicas"])
        connection.execute(QUERIES["fence_sleepers"], {"generation": purge.generation})
        # Emptying a table is faster than deleting many rows, and few payments come during a purge.
        later = connection.execute(QUERIES["find_later"], {"at_ms": purge.at_ms}).rowcount
        if later:
            connection.execute(QUERIES["set_later_aside"])
        connection.execute(QUERIES["empty_tables"])
        if later:
            connection.execute(QUERIES["put_later_back"])


def _purge(connection: GeventConnection, query: str, parameters: dict[str, int] | None = None) -> LastPurge:
    """Run a query that gives a purge."""
    purge = connection.cursor(row_factory=class_row(LastPurge)).execute(QUERIES[query], parameters).fetchone()
    if purge is None:
        raise LedgerUnavailableError(NO_GATEWAY)
    return purge


def _one(connection: GeventConnection, query: str, parameters: dict[str, int] | None = None) -> Any:  # noqa: ANN401
    """Run a query that gives one value."""
    value = connection.cursor(row_factory=scalar_row).execute(QUERIES[query], parameters).fetchone()
    if value is None:
        raise LedgerUnavailableError(NO_GATEWAY)
    return value
