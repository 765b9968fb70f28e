"""The world as actors see it, in memory and in virtual time: a fake for each port of `actors.ports`."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from actors.actor import Actor
from actors.domain.outcome import Outcome
from actors.domain.payment import Claim, Move, Payment, Settlement
from actors.domain.records import (
    Adopted,
    Beat,
    KnownPayment,
    LedgerSummary,
    LookUpAnswer,
    PaymentRecord,
    ProcessorHealth,
    ProcessorTotal,
    Registration,
    WriteResult,
)
from actors.errors import JournalUnavailableError, LedgerUnavailableError
from ops.simulation.clock import NOW_MS as NOW_MS
from ops.simulation.peers import MemoryBoard as MemoryBoard
from ops.simulation.peers import MemoryChannel as MemoryChannel


def payment(number: int, amount_cents: int = 1990) -> Payment:
    """Make the payment with this number."""
    return Payment(UUID(int=number), amount_cents, NOW_MS)


def deliver(actor: Actor) -> None:
    """Let an actor that is not started handle its messages until its mailbox is empty."""
    while not actor.actor_inbox.empty():
        actor.handle_waiting()


class Recorder:
    """A recipient that keeps what it is told, and answers questions by the type of the message."""

    def __init__(self, answers: dict[type, object] | None = None) -> None:
        self.messages: list[object] = []
        self.answers = answers or {}

    def tell(self, message: object) -> None:
        self.messages.append(message)

    def ask(self, message: object, timeout_s: float) -> Any:  # noqa: ANN401, ARG002  # as in the protocol
        answer = self.answers[type(message)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def take(self) -> list[object]:
        """Give what was told since the last call."""
        messages, self.messages = self.messages, []
        return messages


class VirtualRuntime:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.time_s = 1000.0
        self.timers: list[tuple[float, Callable[..., object], tuple[object, ...]]] = []
        self.spawned: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()

    def now_s(self) -> float:
        return self.time_s

    def now_ms(self) -> int:
        return NOW_MS + round((self.time_s - 1000.0) * 1000)

    def call_later(self, delay_s: float, function: Callable[..., object], *args: object) -> None:
        self.timers.append((self.time_s + delay_s, function, args))

    def spawn(self, function: Callable[..., object], *args: object) -> None:
        self.spawned.append((function, args))

    def sleep(self, duration_s: float) -> None:
        self.advance(duration_s)

    def advance(self, seconds: float) -> None:
        """Let time pass, calling what is due in its order."""
        end_s = self.time_s + seconds
        while due := [timer for timer in self.timers if timer[0] <= end_s]:
            timer = min(due, key=lambda timer: timer[0])
            self.timers.remove(timer)
            self.time_s = max(self.time_s, timer[0])
            timer[1](*timer[2])
        self.time_s = end_s

    def run_spawned(self) -> None:
        """Run what was spawned to its end."""
        while self.spawned:
            function, args = self.spawned.popleft()
            function(*args)


class MemoryJournal:
    """A journal that forgets with the test."""

    def __init__(self, kept: Sequence[Payment] = ()) -> None:
        self.kept = {payment.correlation_id: payment for payment in kept}
        self.appends: list[tuple[Payment, ...]] = []
        self.broken = False

    def append(self, payments: Sequence[Payment]) -> None:
        if self.broken:
            raise JournalUnavailableError("planted")
        self.appends.append(tuple(payments))
        self.kept.update({payment.correlation_id: payment for payment in payments})

    def committed(self, correlation_ids: Sequence[UUID]) -> None:
        for correlation_id in correlation_ids:
            self.kept.pop(correlation_id, None)

    def replay(self) -> Iterator[Payment]:
        yield from list(self.kept.values())


class MemoryOrphan(MemoryJournal):
    """The journal of a replica that is gone."""

    def __init__(self, kept: Sequence[Payment]) -> None:
        super().__init__(kept)
        self.closed = False

    def clear(self) -> None:
        self.kept.clear()

    def close(self) -> None:
        self.closed = True


class MemoryShelf:
    """The journals that nobody holds, as a test puts them there."""

    def __init__(self) -> None:
        self.unheld: list[MemoryOrphan] = []
        self.gone: tuple[str, ...] = ()

    def orphans(self, gone: Collection[str]) -> Iterator[MemoryOrphan]:
        self.gone = tuple(gone)
        yield from [orphan for orphan in self.unheld if orphan.kept]


@dataclass
class MemoryTables:
    """What several `MemoryLedger` share, as replicas share one Postgres."""

    payments: dict[UUID, Payment] = field(default_factory=dict)
    claims: dict[UUID, tuple[str, str]] = field(default_factory=dict)
    """Owner and processor by id."""
    settlements: dict[UUID, Settlement] = field(default_factory=dict)
    conflicts: dict[UUID, list[int]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    watermarks_ms: dict[str, int] = field(default_factory=dict)
    acknowledged: dict[str, int] = field(default_factory=dict)
    leases_until_s: dict[str, float] = field(default_factory=dict)
    generation: int = 0
    purged_generation: int = 0


class MemoryLedger:
    """A ledger in memory, whose leases end by `now_s`."""

    def __init__(
        self, replica: str = "1", tables: MemoryTables | None = None, now_s: Callable[[], float] = lambda: 0.0
    ) -> None:
        self.replica = replica
        self.tables = tables or MemoryTables()
        self._now_s = now_s
        self.writes: list[tuple[int, int, int]] = []
        """Numbers of claims, moves and settlements in each committed batch."""
        self.failures = 0
        """How many of the next calls fail."""
        self.lost_answers = 0
        """How many of the next writes and adoptions take effect, and fail all the same."""
        self._epoch = 0

    def write(self, claims: Sequence[Claim], moves: Sequence[Move], settlements: Sequence[Settlement]) -> WriteResult:
        self._answer()
        if (claims or moves) and self._epoch != self.tables.epochs.get(self.replica, 0):
            raise LedgerUnavailableError("others have taken over")
        self.writes.append((len(claims), len(moves), len(settlements)))
        tables = self.tables
        assigned = []
        for claim in claims:
            correlation_id = claim.payment.correlation_id
            if correlation_id not in tables.payments:
                tables.payments[correlation_id] = claim.payment
                tables.claims[correlation_id] = (self.replica, claim.processor)
                assigned.append(correlation_id)
        known = tuple(
            KnownPayment(tables.payments[correlation_id], *tables.claims.get(correlation_id, (None, None)))
            for correlation_id in dict.fromkeys(claim.payment.correlation_id for claim in claims)
            if correlation_id not in assigned
        )
        moved = tuple(move.correlation_id for move in moves if self._owns(move.correlation_id))
        for move in moves:
            if move.correlation_id in moved:
                tables.claims[move.correlation_id] = (self.replica, move.processor)
        for settlement in settlements:
            if settlement.correlation_id in tables.payments:
                tables.settlements.setdefault(settlement.correlation_id, settlement)
            tables.claims.pop(settlement.correlation_id, None)
        self._lose_the_answer()
        return WriteResult(tuple(assigned), known, moved)

    def report_conflicts(self, payments: Sequence[Payment]) -> None:
        self._answer()
        for offered in payments:
            self.tables.conflicts.setdefault(offered.correlation_id, []).append(offered.amount_cents)

    def generation(self) -> int:
        self._answer()
        return self.tables.generation

    def register(self, generation: int, lease_s: float) -> Registration:
        self._answer()
        tables = self.tables
        tables.leases_until_s[self.replica] = self._now_s() + lease_s
        tables.epochs[self.replica] = tables.epochs.get(self.replica, 0) + 1
        self._epoch = tables.epochs[self.replica] if generation == tables.generation else 0
        tables.acknowledged[self.replica] = generation
        now_ms = NOW_MS + round(self._now_s() * 1000)
        watermark_ms = min(tables.watermarks_ms.get(self.replica, now_ms), now_ms)
        tables.watermarks_ms[self.replica] = watermark_ms
        return Registration(tables.epochs[self.replica], tables.generation, watermark_ms)

    def beat(self, epoch: int, lease_s: float, watermark_ms: int) -> Beat:
        self._answer()
        if self.tables.epochs.get(self.replica) != epoch:
            return Beat(renewed=False, generation=0)
        self.tables.watermarks_ms[self.replica] = watermark_ms
        self.tables.leases_until_s[self.replica] = self._now_s() + lease_s
        return Beat(renewed=True, generation=self.tables.generation)

    def retire(self, epoch: int, watermark_ms: int) -> None:
        self.beat(epoch, 0, watermark_ms)

    def gone(self) -> tuple[str, ...]:
        leases = self.tables.leases_until_s.items()
        return tuple(name for name, until_s in leases if name != self.replica and until_s < self._now_s())

    def adopt(self, claims_max: int) -> Adopted | None:
        self._answer()
        tables = self.tables
        gone = self.gone()
        taken = [key for key, (owner, _) in tables.claims.items() if owner in gone][:claims_max]
        if not taken:
            return None
        owners = {tables.claims[key][0] for key in taken}
        oldest_stamp_ms = min(tables.watermarks_ms[owner] for owner in owners)
        for owner in owners:
            tables.epochs[owner] += 1
        for key in taken:
            tables.claims[key] = (self.replica, tables.claims[key][1])
        tables.watermarks_ms[self.replica] = min(tables.watermarks_ms[self.replica], oldest_stamp_ms)
        self._lose_the_answer()
        return Adopted(tuple(Claim(tables.payments[key], tables.claims[key][1]) for key in taken), oldest_stamp_ms)

    def claims(self) -> tuple[Claim, ...]:
        self._answer()
        claims = self.tables.claims.items()
        return tuple(
            Claim(self.tables.payments[key], processor) for key, (owner, processor) in claims if owner == self.replica
        )

    def latest(self, payments_max: int) -> tuple[Payment, ...]:
        self._answer()
        return tuple(self.tables.payments[key] for key in list(self.tables.settlements)[-payments_max:])

    def payment(self, correlation_id: UUID) -> PaymentRecord | None:
        self._answer()
        tables = self.tables
        if correlation_id not in tables.payments:
            return None
        settlement = tables.settlements.get(correlation_id)
        owner, processor = tables.claims.get(correlation_id, (None, settlement.processor if settlement else ""))
        conflicts = tuple(tables.conflicts.get(correlation_id, ()))
        return PaymentRecord(tables.payments[correlation_id], processor, owner, settlement, conflicts)

    def summary(self, from_ms: int | None, to_ms: int | None) -> LedgerSummary:
        self._answer()
        totals: dict[str, tuple[int, int]] = {}
        for settlement in self.tables.settlements.values():
            stamp = settlement.requested_at_ms
            if (from_ms is None or from_ms <= stamp) and (to_ms is None or stamp <= to_ms):
                requests, cents = totals.get(settlement.processor, (0, 0))
                amount_cents = self.tables.payments[settlement.correlation_id].amount_cents
                totals[settlement.processor] = (requests + 1, cents + amount_cents)
        tables = self.tables
        owners = {owner for owner, _ in tables.claims.values()}
        counted = [name for name, until_s in tables.leases_until_s.items() if until_s > self._now_s() or name in owners]
        final_before_ms = min((tables.watermarks_ms[name] for name in counted), default=2**63 - 1)
        return LedgerSummary(tuple(ProcessorTotal(name, *total) for name, total in totals.items()), final_before_ms)

    def begin_purge(self) -> int:
        self._answer()
        self.tables.generation += 1
        return self.tables.generation

    def acknowledge_purge(self, generation: int) -> None:
        self._answer()
        self.tables.acknowledged[self.replica] = generation

    def finish_purge(self, generation: int) -> bool:
        self._answer()
        tables = self.tables
        if tables.purged_generation >= generation:
            return True
        if any(acknowledged < generation for acknowledged in tables.acknowledged.values()):
            return False
        for table in (tables.payments, tables.claims, tables.settlements, tables.conflicts):
            table.clear()
        tables.purged_generation = generation
        return True

    def _owns(self, correlation_id: UUID) -> bool:
        return self.tables.claims.get(correlation_id, ("", ""))[0] == self.replica

    def _lose_the_answer(self) -> None:
        if self.lost_answers:
            self.lost_answers -= 1
            raise LedgerUnavailableError("planted: it took effect")

    def _answer(self) -> None:
        if self.failures:
            self.failures -= 1
            raise LedgerUnavailableError("planted")


class ScriptedProcessor:
    """A processor whose answers a test lays out in advance; after them it settles everything."""

    def __init__(self) -> None:
        self.outcomes: deque[Outcome] = deque()
        self.look_ups: deque[LookUpAnswer] = deque()
        self.charges: list[tuple[Payment, int]] = []
        self.looked_up: list[UUID] = []
        self.error: Exception | None = None
        """Raised by every call, though the protocol allows none."""

    def charge(self, payment: Payment, requested_at_ms: int) -> Outcome:
        self._fail()
        self.charges.append((payment, requested_at_ms))
        return self.outcomes.popleft() if self.outcomes else Outcome.SETTLED

    def look_up(self, payment: Payment) -> LookUpAnswer:
        self._fail()
        self.looked_up.append(payment.correlation_id)
        return self.look_ups.popleft() if self.look_ups else LookUpAnswer(answered=True)

    def close(self) -> None:
        self.error = ConnectionError("closed")

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


class ScriptedProbe:
    """Health endpoints that answer what a test puts in."""

    def __init__(self) -> None:
        self.answers: dict[str, ProcessorHealth] = {}
        self.asked: list[str] = []

    def ask(self, processor: str) -> ProcessorHealth | None:
        self.asked.append(processor)
        return self.answers.get(processor)

    def close(self) -> None:
        self.answers.clear()
