"""Notices when Postgres may have forgotten what it had acknowledged."""

from typing import Protocol

from actors.domain.records import FORGOTTEN_S, SeenStore, StoreIdentity
from actors.logs import get_logger
from actors.ports import LeaseStore, Runtime

logger = get_logger(__name__)


class StoreMemory(Protocol):
    """What a replica remembers of Postgres beside its journal, over the end of its process."""

    def seen(self) -> SeenStore | None:
        """Read what was remembered last; None where nothing can be read."""

    def remember(self, seen: SeenStore) -> None:
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
        seen = memory.seen()
        self._seen: StoreIdentity | None = None if seen is None else seen.identity
        self._forgot_at_ms = None if seen is None else seen.forgot_at_ms
        self._change = "an earlier process of this replica has found that"
        self._is_told = False
        """Whether this process knows of the last time."""

    def has_forgotten(self) -> bool:
        """Ask Postgres which it is; return whether it may have forgotten something, once for each time.

        What an earlier process has found within `FORGOTTEN_S` is returned once as well.

        Raises:
            LedgerUnavailableError: it does not answer.
        """
        identity = self._leases.identity()
        before, self._seen = self._seen, identity
        if before is not None and not identity.follows(before):
            self._change, self._forgot_at_ms = f"{before} was followed by {identity}", self._runtime.now_ms()
        elif self._is_told or not self._forgot_lately():
            return False
        self._is_told = True
        logger.error("Postgres may have forgotten what it had acknowledged", reason=self._change)
        return True

    def remember(self) -> None:
        """Remember, over the end of this process, the Postgres that answered last; called after each heartbeat.

        For `FORGOTTEN_S` after a change the one before it stays remembered. A process that starts meanwhile then
        notices the change as well: else it would rely on old rows of payments for which processors still had to be
        asked.
        """
        if self._seen is not None:
            self._seen = self._seen.noted()
            self._memory.remember(SeenStore(self._seen, self._forgot_at_ms))

    def describe(self) -> str | None:
        """Tell of a Postgres that forgot, for `FORGOTTEN_S`; None where there was none."""
        if self._forgot_at_ms is None or not self._forgot_lately():
            return None
        ago_s = (self._runtime.now_ms() - self._forgot_at_ms) / 1000
        return f"it may have forgotten, {ago_s:.0f} s ago, what it had acknowledged: {self._change}"

    def _forgot_lately(self) -> bool:
        return self._forgot_at_ms is not None and self._runtime.now_ms() - self._forgot_at_ms <= FORGOTTEN_S * 1000
