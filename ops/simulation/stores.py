"""Postgres in memory: each storage port over tables that replicas share."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from actors.domain.money import Money
from actors.domain.payment import Claim, Closing, Mark, Move, Payment, Settlement
from actors.domain.records import (
    AdoptedClaims,
    Beat,
    LedgerSummary,
    PaymentRecord,
    ProcessorTotal,
    Registration,
    WriteResult,
)
from actors.errors import FencedError, LedgerUnavailableError
from ops.simulation.clock import NOW_MS
from ops.simulation.tables import Lease, MemoryFence, MemoryTables, OwnedClaim

NEVER_MS = 2**63 - 1


class MemoryStore:
    """A connection to the tables, which fails when a test says so."""

    def __init__(self, tables: MemoryTables | None = None, fence: MemoryFence | None = None) -> None:
        self.tables = tables or MemoryTables()
        self.fence = fence or MemoryFence()
        self.failures = 0
        """How many of the next calls fail without an effect."""
        self.lost_answers = 0
        """How many of the next writes and adoptions take effect, and fail all the same."""

    def _answer(self) -> None:
        if self.failures:
            self.failures -= 1
            raise LedgerUnavailableError("planted")

    def _lose_the_answer(self) -> None:
        if self.lost_answers:
            self.lost_answers -= 1
            raise LedgerUnavailableError("planted: it took effect")


class MemoryPayments(MemoryStore):
    """Fulfils `actors.ports.PaymentStore`."""

    def __init__(
        self,
        tables: MemoryTables | None = None,
        fence: MemoryFence | None = None,
        wait: Callable[[], None] = lambda: None,
    ) -> None:
        """`wait` is called before each commit."""
        super().__init__(tables, fence)
        self._wait = wait
        self.writes: list[tuple[int, int, int]] = []
        """Numbers of claims, moves and settlements in each committed batch."""

    def forget_registration(self) -> None:
        self.fence.epoch = 0

    def write(
        self,
        claims: Sequence[Claim],
        moves: Sequence[Move],
        settlements: Sequence[Settlement],
        closings: Sequence[Closing] = (),
        marks: Sequence[Mark] = (),
    ) -> WriteResult:
        self._wait()
        self._answer()
        tables, replica = self.tables, self.fence.replica
        lease = tables.leases.get(replica)
        if lease is None or lease.epoch != self.fence.epoch:
            raise FencedError(tables.dispute(settlements))
        self.writes.append((len(claims), len(moves), len(settlements)))
        # As in one statement of Postgres, moves do not see what the batch itself inserts.
        moved = tuple(move.correlation_id for move in moves if tables.move(move, replica))
        offered: dict[UUID, Claim] = {}
        for claim in claims:
            offered.setdefault(claim.payment.correlation_id, claim)
        rows = {key: tables.claim(claim, replica, lease.epoch) for key, claim in offered.items()}
        for settlement in settlements:
            tables.settle(settlement)
        disputed = tables.dispute(settlements)
        for closing in closings:
            tables.close(closing, replica)
        for mark in marks:
            tables.mark(mark, replica)
        self._lose_the_answer()
        claimed = tuple(key for key, row in rows.items() if row is None)
        return WriteResult(claimed, tuple(row for row in rows.values() if row is not None), moved, disputed)

    def report_conflicts(self, payments: Sequence[Payment]) -> None:
        self._answer()
        for offered in payments:
            amounts = self.tables.conflicts.setdefault(offered.correlation_id, {})
            amounts.setdefault(offered.money, offered)

    def latest(self, payments_max: int) -> tuple[Payment, ...]:
        self._answer()
        latest = sorted(self.tables.settlements.values(), key=lambda settlement: settlement.requested_at_ms)
        return tuple(
            replace(each.payment, accepted_at_ms=each.requested_at_ms)
            for each in latest[max(0, len(latest) - payments_max) :]
        )

    def payment(self, correlation_id: UUID) -> PaymentRecord | None:
        self._answer()
        return self.tables.record(correlation_id)

    def summary(self, from_ms: int | None, to_ms: int | None) -> LedgerSummary:
        self._answer()
        tables = self.tables
        totals: dict[tuple[str, str], tuple[int, int]] = {}
        for settlement in tables.settlements.values():
            stamp = settlement.requested_at_ms
            if (from_ms is None or from_ms <= stamp) and (to_ms is None or stamp <= to_ms):
                amount = settlement.payment.money
                key = settlement.processor, amount.currency
                requests, minor = totals.get(key, (0, 0))
                totals[key] = requests + 1, minor + amount.minor
        done = set(tables.gone()) - tables.owners()
        watermarks_ms = (lease.watermark_ms for name, lease in tables.leases.items() if name not in done)
        return LedgerSummary(
            tuple(
                ProcessorTotal(name, requests, Money(minor, currency))
                for (name, currency), (requests, minor) in totals.items()
            ),
            min(watermarks_ms, default=NEVER_MS),
        )


class MemoryLeases(MemoryStore):
    """Fulfils `actors.ports.LeaseStore`."""

    def register(self, generation: int, lease_s: float) -> Registration:
        self._answer()
        tables, replica = self.tables, self.fence.replica
        now_ms = NOW_MS + round(tables.now_s() * 1000)
        before = tables.leases.get(replica, Lease(0, 0, 0, now_ms))
        lease = Lease(
            before.epoch + 1, generation, tables.now_s() + lease_s, watermark_ms=min(before.watermark_ms, now_ms)
        )
        tables.leases[replica] = lease
        self.fence.epoch = lease.epoch if generation == tables.generation else 0
        return Registration(lease.epoch, tables.generation, lease.watermark_ms)

    def beat(self, epoch: int, lease_s: float, watermark_ms: int) -> Beat:
        self._answer()
        lease = self.tables.leases.get(self.fence.replica)
        if lease is None or lease.epoch != epoch:
            return Beat(renewed=False, generation=0)
        lease.watermark_ms = watermark_ms
        lease.until_s = self.tables.now_s() + lease_s
        return Beat(renewed=True, generation=self.tables.generation)

    def retire(self, epoch: int, watermark_ms: int) -> None:
        self.beat(epoch, 0, watermark_ms)

    def gone(self) -> tuple[str, ...]:
        return tuple(name for name in self.tables.gone() if name != self.fence.replica)

    def adopt(self, claims_max: int) -> AdoptedClaims | None:
        self._answer()
        tables = self.tables
        mine = tables.leases.get(self.fence.replica)
        if mine is None or mine.epoch != self.fence.epoch:
            return None
        gone = set(self.gone()) & tables.owners()
        for name in gone:
            tables.leases[name].epoch += 1
        taken = self._oldest_of(gone)[:claims_max]
        if not taken:
            return None
        oldest_stamp_ms = min(tables.leases[owned.owner].watermark_ms for owned in taken)
        for owned in taken:
            owned.owner, owned.epoch = self.fence.replica, 0
        mine.watermark_ms = min(mine.watermark_ms, oldest_stamp_ms)
        self._lose_the_answer()
        return AdoptedClaims(tuple(owned.claim for owned in taken), oldest_stamp_ms)

    def claims(self, claims_max: int) -> tuple[Claim, ...]:
        self._answer()
        return tuple(owned.claim for owned in self._oldest_of({self.fence.replica})[:claims_max])

    def _oldest_of(self, owners: set[str]) -> list[OwnedClaim]:
        owned = (owned for owned in self.tables.claims.values() if owned.owner in owners)
        return sorted(owned, key=lambda each: (each.claim.payment.accepted_at_ms, each.claim.payment.correlation_id))


class MemoryPurge(MemoryStore):
    """Fulfils `actors.ports.PurgeStore`."""

    def generation(self) -> int:
        self._answer()
        return self.tables.generation

    def begin_purge(self) -> int:
        self._answer()
        self.tables.generation += 1
        return self.tables.generation

    def acknowledge_purge(self, generation: int) -> None:
        self._answer()
        lease = self.tables.leases.get(self.fence.replica)
        if lease is not None:
            lease.generation = generation

    def finish_purge(self, generation: int) -> bool:
        self._answer()
        tables = self.tables
        if tables.purged_generation >= generation:
            return True
        sleepers = [name for name, lease in tables.leases.items() if lease.generation < generation]
        if not set(sleepers) <= set(tables.gone()):
            return False
        for name in sleepers:
            tables.leases[name].epoch += 1
        for table in (tables.payments, tables.claims, tables.settlements, tables.closings, tables.conflicts):
            table.clear()
        tables.disputes.clear()
        tables.purged_generation = generation
        return True
