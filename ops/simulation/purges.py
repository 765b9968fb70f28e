"""Purges of Postgres in memory."""

from actors.domain.records import LastPurge
from ops.simulation.stores import MemoryStore


class MemoryPurge(MemoryStore):
    """Fulfils `actors.purge.PurgeStore`."""

    def last_purge(self) -> LastPurge:
        self._answer()
        return LastPurge(self.tables.generation, self.tables.purged_at_ms)

    def finished_purge(self) -> LastPurge:
        self._answer()
        return LastPurge(self.tables.purged_generation, self.tables.purged_at_ms)

    def begin_purge(self, now_ms: int) -> LastPurge:
        self._answer()
        self.tables.generation += 1
        self.tables.purged_at_ms = max(self.tables.purged_at_ms, now_ms)
        return LastPurge(self.tables.generation, self.tables.purged_at_ms)

    def acknowledge_purge(self, generation: int) -> None:
        self._answer()
        lease = self.tables.leases.get(self.fence.replica)
        if lease is not None:
            lease.generation = generation
            lease.epoch += 1
            self.fence.registered_epoch = lease.epoch

    def repeat_purge(self, purge: LastPurge) -> None:
        self._answer()
        if self.tables.generation < purge.generation:
            self._forget(purge)
            self.tables.generation = purge.generation
            self.tables.purged_at_ms = max(self.tables.purged_at_ms, purge.at_ms)

    def finish_purge(self, purge: LastPurge) -> bool:
        self._answer()
        tables, generation = self.tables, purge.generation
        if tables.purged_generation >= generation:
            return True
        sleepers = [name for name, lease in tables.leases.items() if lease.generation < generation]
        if not set(sleepers) <= set(tables.gone()):
            return False
        self._forget(purge)
        return True

    def _forget(self, purge: LastPurge) -> None:
        tables = self.tables
        for lease in tables.leases.values():
            if lease.generation < purge.generation:
                lease.end_epoch()
        forgotten = [key for key, payment in tables.payments.items() if payment.accepted_at_ms <= purge.at_ms]
        for table in (tables.payments, tables.claims, tables.settlements, tables.closings, tables.conflicts):
            for key in forgotten:
                table.pop(key, None)
        tables.disputes = {each for each in tables.disputes if each.correlation_id in tables.payments}
        tables.purged_generation, tables.purge_number = purge.generation, tables.next_number()
