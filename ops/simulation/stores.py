"""Postgres in memory: each storage port over tables that replicas share."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import count
from uuid import UUID

from actors.domain.money import Money
from actors.domain.payment import Claim, Closing, Mark, Move, Payment, Settlement
from actors.domain.records import (
    NEVER_MS,
    Absence,
    AdoptedClaims,
    Beat,
    LedgerSummary,
    PaymentRecord,
    PaymentState,
    Position,
    ProcessorTotal,
    Registration,
    ReplicaState,
    StoreIdentity,
    Watermarks,
    WriteResult,
)
from actors.domain.wall_clock import ClockReading
from actors.errors import FencedError, LeaseLostError, LedgerUnavailableError
from ops.simulation.tables import Lease, MemoryFence, MemoryTables, OwnedClaim

_marks = count(1)
"""Marks of registrations and beats, none of which is given twice."""


class MemoryStore:
    """A connection to the tables, which fails when a test says so."""

    def __init__(
        self,
        tables: MemoryTables | None = None,
        fence: MemoryFence | None = None,
        wait: Callable[[], None] = lambda: None,
    ) -> None:
        """`wait` is called before each batch is committed, and before rows that were read to be adopted are given."""
        self.tables = tables or MemoryTables()
        self.fence = fence or MemoryFence()
        self._wait = wait
        self.failures = 0
        """How many of the next calls fail without an effect."""
        self.lost_answers = 0
        """How many of the next writes and adoptions take effect, but look as if they had failed."""

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
        super().__init__(tables, fence, wait)
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
        if self.fence.timeline not in {None, tables.timeline}:
            raise LedgerUnavailableError("not registered since the tables have forgotten something")
        if lease is None or lease.epoch != self.fence.epoch:
            raise FencedError(tables.dispute(settlements))
        self.writes.append((len(claims), len(moves), len(settlements)))
        lease.writes += 1
        # As in one statement of Postgres, moves do not see what the batch itself inserts.
        moved = tuple(move.correlation_id for move in moves if tables.move(move, replica))
        offered: dict[UUID, Claim] = {}
        for claim in claims:
            offered.setdefault(claim.payment.correlation_id, claim)
        rows = {
            key: tables.claim(claim, replica, lease.epoch, self.fence.since_epoch) for key, claim in offered.items()
        }
        for settlement in settlements:
            tables.settle(settlement)
        disputed = tables.dispute(settlements)
        for closing in closings:
            tables.close(closing, replica)
        for mark in marks:
            tables.mark(mark, replica)
        self._lose_the_answer()
        self.fence.writes = lease.writes
        claimed = tuple(key for key, row in rows.items() if row is None)
        return WriteResult(claimed, tuple(row for row in rows.values() if row is not None), moved, disputed)

    def report_conflicts(self, payments: Sequence[Payment]) -> None:
        self._answer()
        for offered in payments:
            amounts = self.tables.conflicts.setdefault(offered.correlation_id, {})
            amounts.setdefault(offered.money, offered)

    def latest(self, payments_max: int) -> Iterable[Payment]:
        self._answer()
        latest = sorted(self.tables.settlements.values(), key=lambda settlement: settlement.requested_at_ms)
        return tuple(
            replace(each.payment, accepted_at_ms=each.requested_at_ms)
            for each in latest[max(0, len(latest) - payments_max) :]
        )

    def absence(self, correlation_id: UUID) -> Absence:
        self._answer()
        others = {name for name, each in self.tables.leases.items() if not (each.has_left and each.is_emptied)}
        return Absence(correlation_id in self.tables.payments, frozenset(others - {self.fence.replica}))

    def payment(self, correlation_id: UUID, wait_s_max: float | None = None) -> PaymentRecord | None:  # noqa: ARG002
        self._answer()
        return self.tables.record(correlation_id)

    def in_state(self, state: PaymentState, after: Position, payments_max: int) -> tuple[PaymentRecord, ...]:
        self._answer()
        records = filter(None, map(self.tables.record, self.tables.payments))
        listed = [each for each in records if _state_of(each) is state and each.position > after]
        return tuple(sorted(listed, key=lambda each: each.position)[:payments_max])

    def watermarks(self) -> Watermarks:
        self._answer()
        leases, owners = self.tables.leases, self.tables.owners()
        answers_ms = (lease.answered_ms for name, lease in leases.items() if name in owners)
        return Watermarks(self._stamp_watermark_ms(), min(answers_ms, default=NEVER_MS))

    def may_lack_answers(self, to_ms: int) -> bool:
        self._answer()
        low = {name: lease for name, lease in self.tables.leases.items() if lease.watermark_ms <= to_ms}
        claims = (owned for owned in self.tables.claims.values() if owned.claim.processor is not None)
        return any(owned.owner in low and owned.epoch < low[owned.owner].epoch for owned in claims)

    def summary(self, from_ms: int | None, to_ms: int | None, answered_by_ms: int | None = None) -> LedgerSummary:
        self._answer()
        tables = self.tables
        left_out = 0
        totals: dict[tuple[str, str], tuple[int, int]] = {}
        for settlement in tables.settlements.values():
            stamp = settlement.requested_at_ms
            if (from_ms is None or from_ms <= stamp) and (to_ms is None or stamp <= to_ms):
                if answered_by_ms is not None and settlement.answered_at_ms > answered_by_ms:
                    left_out += 1
                    continue
                amount = settlement.payment.money
                key = settlement.processor, amount.currency
                requests, minor = totals.get(key, (0, 0))
                totals[key] = requests + 1, minor + amount.minor
        published_ms = max((lease.published_ms for lease in tables.leases.values()), default=-NEVER_MS)
        return LedgerSummary(
            tuple(
                ProcessorTotal(name, requests, Money(minor, currency))
                for (name, currency), (requests, minor) in totals.items()
            ),
            min(self._stamp_watermark_ms(), published_ms),
            left_out,
        )

    def _stamp_watermark_ms(self) -> int:
        tables = self.tables
        done = set(tables.gone()) - tables.owners()
        watermarks_ms = (lease.watermark_ms for name, lease in tables.leases.items() if name not in done)
        return min(watermarks_ms, default=NEVER_MS)


def _state_of(record: PaymentRecord) -> PaymentState:
    if record.settlement is not None:
        return PaymentState.SETTLED
    if record.closing is not None:
        return PaymentState(record.closing.state.value)
    return PaymentState(record.marked or "accepted")


class MemoryLeases(MemoryStore):
    """Fulfils `actors.ports.LeaseStore`."""

    renumbered = 0
    """How often the feed was to be numbered anew; in memory its numbers never repeat."""

    def identity(self) -> StoreIdentity:
        self._answer()
        tables, lease = self.tables, self.tables.leases.get(self.fence.replica)
        return StoreIdentity(
            "in memory",
            tables.timeline,
            position=0,
            noted_position=0,
            mark=lease.mark if lease else 0,
            has_last_write=(lease.writes if lease else 0) >= self.fence.writes,
            is_synchronous=lease is not None and lease.is_synchronous,
            is_established=tables.established_timeline == tables.timeline,
            forgot_history=None if tables.forgot is None else f"in memory/{tables.forgot[0]:08X}",
            forgot_at_ms=None if tables.forgot is None else tables.forgot[1],
        )

    def confirm(self, identity: StoreIdentity) -> None:
        self._answer()
        lease = self.tables.leases.get(self.fence.replica)
        if lease is not None and identity.timeline == self.tables.timeline:
            lease.confirmed_timeline = identity.timeline
            lease.beats += 1

    def establish(self, identity: StoreIdentity, forgot_at_ms: int | None = None) -> None:
        self._answer()
        if identity.timeline == self.tables.timeline:
            self.tables.established_timeline = identity.timeline
            if forgot_at_ms is not None:
                self.tables.forgot = identity.timeline, forgot_at_ms

    def register(self, generation: int, clock: ClockReading, *, store_forgot: bool = False) -> Registration:
        self._answer()
        self.renumbered += store_forgot
        tables = self.tables
        lease = self._take(Lease(0, generation, clock.clock_ms, clock.clock_ms))
        lease.epoch += 1
        lease.generation, lease.clock, lease.instance = generation, clock, self.fence.instance
        lease.is_emptied = False
        self.fence.registered_epoch = lease.epoch
        lease.watermark_ms = lease.answered_ms = min(lease.watermark_ms, clock.clock_ms)
        lease.published_ms = max(lease.published_ms, lease.watermark_ms)
        if store_forgot:
            self.fence.epoch = 0
        self.fence.timeline, self.fence.writes = tables.timeline, lease.writes
        self._note(lease)
        lease.confirmed_timeline = tables.timeline
        others_between = bool(self.fence.epoch) and lease.epoch != self.fence.epoch + 1
        if not self.fence.epoch or others_between:
            self.fence.since_epoch = lease.epoch
        self.fence.epoch = lease.epoch if generation == tables.generation and not others_between else 0
        return Registration(lease.epoch, tables.generation, lease.watermark_ms, lease.published_ms, lease.mark)

    def beat(self, epoch: int, watermarks: Watermarks, clock: ClockReading) -> Beat:
        self._answer()
        lease = self.tables.leases.get(self.fence.replica)
        if lease is None or lease.epoch != epoch or lease.has_left:
            return Beat(renewed=False, generation=0)
        lease.beats += 1
        lease.watermark_ms, lease.answered_ms, lease.clock = watermarks.stamp_ms, watermarks.answer_ms, clock
        lease.published_ms = max(lease.published_ms, watermarks.stamp_ms)
        self._note(lease)
        return Beat(renewed=True, generation=self.tables.generation, mark=lease.mark)

    def _note(self, lease: Lease) -> None:
        lease.mark, lease.is_synchronous = next(_marks), self.tables.is_synchronous

    def retire(self, epoch: int, watermarks: Watermarks) -> None:
        self._answer()
        lease = self.tables.leases.get(self.fence.replica)
        if lease is not None and lease.epoch == epoch:
            lease.left_epoch, lease.watermark_ms = epoch, watermarks.stamp_ms

    def note_emptied(self) -> None:
        self._answer()
        lease = self.tables.leases.get(self.fence.replica)
        if lease is not None and lease.has_left and lease.instance in {None, self.fence.instance}:
            lease.is_emptied = True

    def stand_aside(self, generation: int) -> None:
        self._answer()
        lease = self._take(Lease(0, generation, NEVER_MS, NEVER_MS))
        lease.end_epoch()
        lease.is_emptied = False

    def _take(self, new: Lease) -> Lease:
        """Give what the tables hold under this replica's name, which is `new` at first."""
        lease = self.tables.leases.setdefault(self.fence.replica, new)
        if not lease.has_left and lease.instance not in {None, self.fence.instance}:
            raise LeaseLostError("another instance has this replica's name")
        return lease

    def holder(self) -> ReplicaState | None:
        self._answer()
        fence = self.fence
        lease = self.tables.leases.get(fence.replica)
        if lease is None or lease.has_left or lease.instance is None:
            return None
        is_own = lease.epoch <= fence.registered_epoch if fence.registered_epoch else lease.instance == fence.instance
        return None if is_own else self._replica_state(fence.replica, lease)

    def others(self) -> tuple[ReplicaState, ...]:
        self._answer()
        leases = self.tables.leases.items()
        return tuple(self._replica_state(name, each) for name, each in leases if name != self.fence.replica)

    def expel(self, replicas: Sequence[ReplicaState]) -> None:
        self._answer()
        for seen in replicas:
            lease = self.tables.leases.get(seen.name)
            if lease is not None and (lease.epoch, str(lease.beats)) == (seen.epoch, seen.beats):
                lease.end_epoch()
        self._lose_the_answer()

    def adopt(self, claims_max: int, leave_out: Collection[str] = ()) -> AdoptedClaims | None:
        self._answer()
        tables = self.tables
        mine = tables.leases.get(self.fence.replica)
        if mine is None or mine.epoch != self.fence.epoch:
            return None
        gone = set(tables.gone()) - {self.fence.replica}
        left = [owned for owned in self._oldest_of(gone) if owned.claim.processor not in leave_out]
        gone &= {owned.owner for owned in left}
        for name in gone:
            tables.leases[name].end_epoch()
        taken = left[:claims_max]
        if not taken:
            return None
        oldest_stamp_ms = min(tables.leases[owned.owner].watermark_ms for owned in taken)
        for owned in taken:
            owned.owner, owned.epoch = self.fence.replica, 0
        mine.watermark_ms = min(mine.watermark_ms, oldest_stamp_ms)
        mine.answered_ms = min(mine.answered_ms, oldest_stamp_ms)
        adopted = AdoptedClaims(tuple(owned.claim for owned in taken), oldest_stamp_ms)
        self._wait()
        self._lose_the_answer()
        return adopted

    def claims(
        self,
        claims_max: int,
        after: UUID | None = None,
        *,
        earlier_run: bool = False,
        naming: str | None = None,
        leave_out: Collection[str] = (),
    ) -> tuple[Claim, ...]:
        self._answer()
        owned = self._oldest_of({self.fence.replica})
        claims = (each.claim for each in owned if not earlier_run or each.epoch < self.fence.since_epoch)
        claims = (each for each in claims if naming in {None, each.processor} and each.processor not in leave_out)
        behind = [each for each in claims if after is None or each.payment.correlation_id > after]
        page = set(sorted(each.payment.correlation_id for each in behind)[:claims_max])
        read = tuple(each for each in behind if each.payment.correlation_id in page)
        self._wait()
        return read

    def _oldest_of(self, owners: set[str]) -> list[OwnedClaim]:
        owned = (owned for owned in self.tables.claims.values() if owned.owner in owners)
        return sorted(owned, key=lambda each: (each.claim.payment.accepted_at_ms, each.claim.payment.correlation_id))

    def _replica_state(self, name: str, lease: Lease) -> ReplicaState:
        return ReplicaState(
            name,
            lease.epoch,
            str(lease.beats),
            lease.generation,
            lease.has_left,
            lease.published_ms,
            lease.clock,
            has_confirmed=lease.confirmed_timeline == self.tables.timeline,
            is_synchronous=lease.is_synchronous,
        )
