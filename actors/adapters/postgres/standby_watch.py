"""Notices commits that no synchronous standby has confirmed, though the server is told to wait for one."""

import psycopg

from actors.errors import LedgerUnavailableError

SYNC_WAIT = "synchronous replication"
"""Stands in the warning, where the server speaks English."""


class StandbyWatch:
    """Listens on one connection for the warning that a commit did not wait for its standby.

    Whoever cancels that wait, or ends the server's process, makes the commit succeed on this server alone: a warning is
    all that a client sees.
    """

    def __init__(self) -> None:
        self._is_unconfirmed = False

    def listen(self, connection: psycopg.Connection) -> None:
        """Listen on a new connection."""
        self._is_unconfirmed = False
        connection.add_notice_handler(self._note)

    def check(self) -> None:
        """Check that every commit since `listen` was confirmed.

        Raises:
            LedgerUnavailableError: one may be lost with this server.
        """
        if self._is_unconfirmed:
            raise LedgerUnavailableError("no standby has confirmed a commit")

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        # The name of the server's function does not depend on its language.
        if notice.source_function == "SyncRepWaitForLSN" or SYNC_WAIT in (notice.message_primary or ""):
            self._is_unconfirmed = True
