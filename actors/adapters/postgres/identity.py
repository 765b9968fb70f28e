"""Which Postgres a connection leads to, and what it holds of what a replica was told."""

from dataclasses import replace
from typing import Any

from psycopg.rows import kwargs_row

from actors.adapters.postgres.fence import Fence, FencedWrite
from actors.adapters.postgres.queries import QUERIES
from actors.adapters.postgres.session import GeventConnection
from actors.domain.records import StoreIdentity
from actors.errors import LedgerUnavailableError

NOT_REGISTERED = "Postgres may have forgotten what it had acknowledged: not registered there"
NUMBERS = 2**32
"""After so many transactions Postgres begins anew with the numbers that stand in rows."""


def read_identity(connection: GeventConnection, replica: str, last_write: FencedWrite | None = None) -> StoreIdentity:
    """Ask Postgres for its identity, as far as this replica has noted it; a standby refuses.

    Raises:
        LedgerUnavailableError: it has none, which cannot be.
    """

    def _identity(*, mark: int, locked_by: int, is_committed: bool, **columns: Any) -> StoreIdentity:  # noqa: ANN401  # the other fields
        found = StoreIdentity(**columns, mark=mark)
        if last_write is None or mark > last_write.mark:
            return found
        is_there = mark == last_write.mark and is_committed
        return replace(found, has_last_write=is_there and _is_named(last_write, locked_by, found))

    cursor = connection.cursor(row_factory=kwargs_row(_identity))
    parameters = {"replica": replica, "transaction": 0 if last_write is None else last_write.transaction}
    identity = cursor.execute(QUERIES["identity"], parameters).fetchone()
    if identity is None:
        raise LedgerUnavailableError("Postgres does not tell its identity")
    return identity


def _is_named(write: FencedWrite, locked_by: int, found: StoreIdentity) -> bool:
    """Tell whether the row names a write, so that its number is not that of another transaction of a later history.

    A later number does as well: that of a write which was sent after this one was acknowledged, and was under way at
    the end. Once a history is established, it may also be that of who tried there to end this replica's epoch.
    """
    later_by = (locked_by - write.transaction) % NUMBERS
    return later_by == 0 or (locked_by != 0 and later_by < NUMBERS // 2 and not found.is_established)


class FencedWrites:
    """Keeps writes from another Postgres than that of the registration, and notes which were acknowledged."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence
        self._verified: tuple[GeventConnection, int] | None = None
        """The connection of which it is known where it leads, and the registration that this was compared with."""

    def verify(self, connection: GeventConnection) -> None:
        """Refuse to write to another Postgres than that of the registration: the lease finds out about it first.

        Raises:
            LedgerUnavailableError: it is another one.
        """
        fence = self._fence
        # A pooler may lead each transaction elsewhere.
        if not fence.is_shut and not connection.is_shared and self._verified == (connection, fence.epoch):
            return
        is_other = fence.store is not None and not read_identity(connection, fence.replica).follows(fence.store)
        if fence.is_shut or is_other:
            raise LedgerUnavailableError(NOT_REGISTERED)
        self._verified = connection, fence.epoch

    def acknowledged(self, write: FencedWrite | None, shut_count: int) -> None:
        """Note a write that was acknowledged, if it was admitted. `shut_count` is that of its start.

        Raises:
            LedgerUnavailableError: the lease has found another Postgres meanwhile.
        """
        if shut_count != self._fence.shut_count:
            raise LedgerUnavailableError(NOT_REGISTERED)
        if write is not None:
            self._fence.last_write = write
