"""Which Postgres a connection leads to."""

from psycopg.rows import class_row

from actors.adapters.postgres.connections import GeventConnection
from actors.adapters.postgres.queries import QUERIES
from actors.domain.records import StoreIdentity
from actors.errors import LedgerUnavailableError


def read_identity(connection: GeventConnection, replica: str) -> StoreIdentity:
    """Ask Postgres for its identity, as far as this replica has noted it; a standby refuses.

    Raises:
        LedgerUnavailableError: it has none, which cannot be.
    """
    cursor = connection.cursor(row_factory=class_row(StoreIdentity))
    identity = cursor.execute(QUERIES["identity"], {"replica": replica}).fetchone()
    if identity is None:
        raise LedgerUnavailableError("Postgres does not tell its identity")
    return identity
