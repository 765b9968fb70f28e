"""Notices when Postgres may have forgotten what it had acknowledged."""

from typing import Protocol

from actors.domain.failover import OthersFindings, StoreFinding
from actors.domain.records import FORGOTTEN_S, SeenStore, StoreIdentity
from actors.logs import get_logger
from actors.ports import LeaseStore, Runtime

logger = get_logger(__name__)


class StoreMemory(Protocol):
    """What a replica remembers of Postgres beside its journal, for the processes after its own."""

    def seen(self) -> SeenStore | None:
        """Read what was remembered last; None where nothing can be read."""

    def remember(self, seen: SeenStore) -> None:
        """Remember this in the place of what was remembered before. It need not survive the loss of power."""


class StoreWatch:
    """Compares the Postgres that answers with the one that answered before.

    A standby that took over, a restore to an earlier point in time, or an old copy of the data has another system
    identifier or timeline, or a position in the log before one that was seen. Since others may have written until the
    position is beyond that again, each heartbeat also notes it, and a mark, in the replica's own row. After a restart
    or a crash of the same Postgres all of these go on. Whether a standby that took over has all that was acknowledged
    is known once every replica has looked for the commits that it was told of.
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
        """Whether this process has returned `FORGOTTEN` for the last change."""
        self._told_of: str | None = None
        """The last history of which this process has told that it lacks something."""
        self._others: OthersFindings | None = None
        """What the others find in a history that is undecided, in which this replica has found its commits."""
        self._undecided: StoreIdentity | None = None
        """The first identity that Postgres told in that history."""

    def look(self) -> StoreFinding:
        """Ask Postgres for its identity, and compare it. `WHOLE` and `FORGOTTEN` are returned once for each change.

        What an earlier process, or another replica, has found within `FORGOTTEN_S` is returned once as well. As long as
        the finding is `UNDECIDED` nothing may be written.

        Raises:
            LedgerUnavailableError: it does not answer.
        """
        identity, before = self._leases.identity(), self._seen
        finding = self._compare(identity, before)
        if finding is StoreFinding.UNDECIDED:
            return finding
        if finding is StoreFinding.WHOLE and not identity.is_established:
            self._leases.establish(identity)
        if finding is StoreFinding.FORGOTTEN:
            # The others are told before this replica forgets the difference.
            self._change, forgot_at_ms = f"{before} was followed by {identity}", self._runtime.now_ms()
            self._leases.establish(identity, forgot_at_ms)
            self._forgot_at_ms, self._told_of = forgot_at_ms, identity.history
        elif identity.forgot_history != self._told_of and self._is_recent(identity.forgot_at_ms):
            finding = StoreFinding.FORGOTTEN
            self._change = f"a replica has found it in {identity.forgot_history}"
            self._forgot_at_ms, self._told_of = identity.forgot_at_ms, identity.forgot_history
        elif not self._is_told and self._is_recent(self._forgot_at_ms):
            finding = StoreFinding.FORGOTTEN
        self._seen, self._others, self._undecided = identity, None, None
        if finding is StoreFinding.FORGOTTEN:
            self._is_told = True
            logger.error("Postgres may have forgotten what it had acknowledged", reason=self._change)
        elif finding is StoreFinding.WHOLE and before is not None:
            logger.info("a standby of Postgres took over with all that was acknowledged", postgres=str(identity))
        return finding

    def _compare(self, identity: StoreIdentity, before: StoreIdentity | None) -> StoreFinding:
        is_same = before is None or identity.follows(before)
        if is_same and identity.is_established:
            return StoreFinding.SAME
        if self._others is None or self._undecided is None or not identity.follows(self._undecided):
            # A process that remembers nothing has what its predecessor left in its row.
            is_whole = (
                identity.carries_on(before) if before is not None else identity.is_synchronous or not identity.mark
            )
            if not is_whole and (before is None or not is_same):
                return StoreFinding.FORGOTTEN
            self._leases.confirm(identity)
            self._undecided, self._others = identity, OthersFindings(self._runtime.now_s())
        if identity.is_established:
            return StoreFinding.WHOLE
        return self._others.decide(self._leases.others(), self._runtime.now_s())

    def remember(self, mark: int = 0) -> None:
        """Remember, for the processes after this one, the Postgres that answered last; called after each heartbeat.

        `mark` is that of the heartbeat. For `FORGOTTEN_S` after a change that is remembered as well, so that a process
        that starts meanwhile knows of it: otherwise it would rely on old rows of payments for which processors still
        had to be asked.
        """
        if self._seen is not None:
            self._seen = self._seen.noted(mark)
            self._memory.remember(SeenStore(self._seen, self._forgot_at_ms))

    def describe(self) -> str | None:
        """Tell of a Postgres that forgot, for `FORGOTTEN_S`; None where there was none."""
        if self._forgot_at_ms is None or not self._is_recent(self._forgot_at_ms):
            return None
        ago_s = (self._runtime.now_ms() - self._forgot_at_ms) / 1000
        return f"Postgres may have forgotten, {ago_s:.0f} s ago, what it had acknowledged: {self._change}"

    def _is_recent(self, at_ms: int | None) -> bool:
        return at_ms is not None and self._runtime.now_ms() - at_ms <= FORGOTTEN_S * 1000
