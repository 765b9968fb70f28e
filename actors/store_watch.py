"""Notices when Postgres may have forgotten what it had acknowledged."""

import logging
from typing import Protocol

from actors.domain.records import StoreIdentity
from actors.ports import LeaseStore, Runtime

logger = logging.getLogger(__name__)

TOLD_S = 3600.0
"""How long readiness tells of it, and a process that starts anew still notices it."""


class StoreMemory(Protocol):
    """What a replica remembers of Postgres beside its journal, over the end of its process."""

    def seen(self) -> StoreIdentity | None:
        """Read what was remembered last; None where nothing can be read."""

    def remember(self, identity: StoreIdentity) -> None:
        """Remember this in the place of what was remembered before. It need not survive the loss of power."""


class StoreWatch:
    """Compares the Postgres that answers with the one that answered before.

    A standby that took over, a restore to an earlier point in time, or an old copy of the data has another system
    identifier or timeline, or a position in the log before one that was seen. Others may have written meanwhile until
    it is beyond that one, so each heartbeat notes the position in the replica's own row as well. After a restart or a
    crash of the same Postgres all of it goes on.
    """

    def __init__(self, leases: LeaseStore, memory: StoreMemory, runtime: Runtime) -> None:
        self._leases = leases
        self._memory = memory
        self._runtime = runtime
        self._seen = memory.seen()
        self._change = ""
        self._changed_at_s: float | None = None

    def has_forgotten(self) -> bool:
        """Ask Postgres which it is; return whether it may have forgotten something, once for each time.

        Raises:
            LedgerUnavailableError: it does not answer.
        """
        identity = self._leases.identity()
        before, self._seen = self._seen, identity
        if before is None or identity.follows(before):
            return False
        self._change, self._changed_at_s = f"{before} was followed by {identity}", self._runtime.now_s()
        logger.error("Postgres may have forgotten what it had acknowledged: %s", self._change)
        return True

    def remember(self) -> None:
        """Remember, over the end of this process, the Postgres that answered last; called after each heartbeat.

        For `TOLD_S` after a change the one before it stays remembered. A process that starts meanwhile then notices the
        change as well: else it would rely on old rows of payments for which processors still had to be asked.
        """
        if self._seen is not None:
            self._seen = self._seen.noted()
            if not self._has_changed_lately(self._runtime.now_s()):
                self._memory.remember(self._seen)

    def describe(self, now_s: float) -> str | None:
        """Tell of a Postgres that forgot, for `TOLD_S`; None where there was none."""
        if self._changed_at_s is None or not self._has_changed_lately(now_s):
            return None
        ago_s = now_s - self._changed_at_s
        return f"it may have forgotten, {ago_s:.0f} s ago, what it had acknowledged: {self._change}"

    def _has_changed_lately(self, now_s: float) -> bool:
        return self._changed_at_s is not None and now_s - self._changed_at_s <= TOLD_S
