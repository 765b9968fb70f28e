"""Tells whether another process has the name of this replica."""

from actors.domain.lease_watch import LeaseWatch
from actors.logs import get_logger
from actors.ports import LeaseStore, Runtime

logger = get_logger(__name__)

TELL_S = 60.0
"""Time between two log lines about a name that another process has."""


class OwnName:
    """Checks before the actors start whether another process has the name that this replica was given.

    Another process has it if another instance is registered under it or, once this process has registered, if there is
    a later registration: that may be of a copy of this replica, with its journal and its instance id. The name is free
    as soon as that process has left, or has not renewed its lease for as long as one lasts.
    """

    def __init__(self, leases: LeaseStore, runtime: Runtime) -> None:
        self._leases = leases
        self._runtime = runtime
        self._watch = LeaseWatch()
        self._told_at_s: float | None = None
        self.trouble: str | None = None
        """What is wrong with the name; None unless another process had it at the last look."""

    def is_free(self) -> bool:
        """Tell whether no other process has the name; end the lease of one whose heartbeats have stopped.

        Raises:
            LedgerUnavailableError: Postgres does not answer.
        """
        holder, now_s = self._leases.holder(), self._runtime.now_s()
        self._watch.observe(() if holder is None else (holder,), now_s)
        if holder is None:
            self.trouble = self._told_at_s = None
            return True
        self.trouble = f"another process has the name {holder.name!r}: each replica needs a REPLICA of its own"
        if self._told_at_s is None or now_s - self._told_at_s >= TELL_S:
            logger.error("this replica does not start", reason=self.trouble)
            self._told_at_s = now_s
        if still := self._watch.standing_still(now_s):
            logger.warning("the lease of another process has ended: its name is taken", name=holder.name)
            self._leases.expel(still)
        return False
