"""What a Postgres that forgets may cost: the promises hold for all payments but these."""

from collections.abc import Callable
from uuid import UUID

from ops.simulation.tables import MemoryTables


class StoreLoss:
    """Puts tables back to an earlier copy of them, and follows of which payments nobody may know any more."""

    def __init__(self, tables: MemoryTables) -> None:
        self.payments: set[UUID] = set()
        """Those that Postgres has forgotten whole, and that no replica has in its memory. They may be missing in the
        books, and be charged again where they are posted again."""
        self._has_lost = False
        self._tables = tables
        self._copy: MemoryTables | None = None
        self._held: dict[UUID, str] = {}
        """Payments that Postgres has forgotten whole, and the replicas that have them in their memories."""

    @property
    def has_happened(self) -> bool:
        """Whether Postgres has forgotten anything."""
        return self._has_lost

    def copy(self) -> None:
        """Let a standby have all that is committed by now."""
        self._copy = self._tables.copy()

    def forget(self, is_held: Callable[[str, UUID], bool], *, is_told: bool = True) -> None:
        """Let that standby take over; `is_held` tells whether a replica has a payment in its memory.

        With `is_told` their rows tell that commits did not wait for it. Else only who was told of something that it
        lacks can find that out.
        """
        if self._copy is None:
            return
        self._has_lost = True
        before = self._tables.copy()
        self._tables.forget(self._copy)
        for lease in self._tables.leases.values():
            lease.is_synchronous &= not is_told
        gone = before.payments.keys() - self._tables.payments.keys()
        held = {key: before.claims[key].owner for key in gone & before.claims.keys()}
        # One that was written anew since it was forgotten before may have ended, and so have left the memory.
        self._held = {key: owner for key, owner in self._held.items() if key not in gone}
        self._held |= {key: owner for key, owner in held.items() if is_held(owner, key)}
        self.payments |= gone - self._held.keys()

    def memory_ended(self, replica: str) -> None:
        """Note that the process of a replica has ended: what it has not written anew is lost."""
        lost = {key for key, owner in self._held.items() if owner == replica}
        self.payments |= lost - self._tables.payments.keys()
        for key in lost:
            del self._held[key]

    def is_held_in_memory(self, correlation_id: UUID) -> bool:
        """Tell whether a replica has to write a payment anew, which nothing else knows of."""
        return correlation_id in self._held
