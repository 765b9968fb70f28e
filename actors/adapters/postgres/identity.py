"""Which Postgres a connection leads to, and whether it has the commits that a replica was told of."""

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
"""The transaction numbers that stand in rows begin anew after this many."""


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
    """Tell whether the row's transaction is this write, so that its number is not reused by a later history.

    A later number counts as well: that of a write which was sent after this one was acknowledged, and was under way at
    the end. Once a history is established, it may also be of a replica that tried there to end this one's epoch.
    """
    later_by = (locked_by - write.transaction) % NUMBERS
    return later_by == 0 or (locked_by != 0 and later_by < NUMBERS // 2 and not found.is_established)


class FencedWrites:
    """Prevents writes to another Postgres than that of the registration, and notes which were acknowledged."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence
        self._verified: tuple[GeventConnection, int] | None = None
        """The connection that leads to the Postgres of a registration, and the epoch of that registration."""

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
