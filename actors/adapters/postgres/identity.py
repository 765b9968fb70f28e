"""Which Postgres a connection leads to."""

from psycopg.rows import class_row

from actors.adapters.postgres.connections import GeventConnection
from actors.adapters.postgres.queries import QUERIES
from actors.domain.records import StoreIdentity
from actors.errors import LedgerUnavailableError


def read_identity(connection: GeventConnection) -> StoreIdentity:
    """Ask Postgres for its identity; a standby refuses, as it does to be written.

    Raises:
        LedgerUnavailableError: it has none, which cannot be.
    """
    identity = connection.cursor(row_factory=class_row(StoreIdentity)).execute(QUERIES["identity"]).fetchone()
    if identity is None:
        raise LedgerUnavailableError("Postgres does not tell its identity")
    return identity
