"""Persistence: gathers what is to be written into batches, and commits them to Postgres in order."""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice
from typing import assert_never
from uuid import UUID

from actors.actor import Actor
from actors.domain.backoff import Backoff
from actors.domain.batching import BatchLimits, BatchSize, BatchSpacing
from actors.domain.counted import Counted
from actors.domain.known_rows import KnownRows, sort_out
from actors.domain.payment import Claim, Closing, Mark, Move, Payment, Settlement
from actors.domain.records import KnownPayment, WriteResult
from actors.domain.trouble import Trouble
from actors.domain.write_counts import WriteCounts
from actors.errors import FencedError, LedgerUnavailableError
from actors.logs import get_logger
from actors.messages.intake import FirstAmountsFound, Recorded, RowsCommitted, RowsDelayed
from actors.messages.persistence import (
    CommitDue,
    GetIncidents,
    GetUnwritten,
    GetWriteStats,
    Incidents,
    PersistenceMessage,
    Record,
    Write,
    write_stats,
)
from actors.messages.router import Adopt, Written
from actors.messages.trouble import GetTrouble
from actors.outages import TimedOutageReporter
from actors.ports import PaymentStore, Recipient, Runtime

logger = get_logger(__name__)

COMMIT_BACKOFF = Backoff(first_s=0.02, longest_s=0.5)
RECORDS_MAX = 256
"""Rows that clients wait for in one batch, beside all else: as many as the intake's largest group."""
FAILURES_MAX = 1
"""Clients that wait for rows are not told of up to this many failures in a row: the next try comes at once."""


class PersistenceActor(Actor):
    """Owns the batches. A batch that fails is tried again, whole and in order; nothing is dropped."""

    REFUSED_WHEN_FULL = (GetTrouble, GetIncidents, GetWriteStats)

    def __init__(
        self,
        *,
        payments: PaymentStore,
        intake: Recipient,
        router: Recipient,
        runtime: Runtime,
        limits: BatchLimits,
        replica: str,
    ) -> None:
        super().__init__()
        self._payments = payments
        self._intake = intake
        self._router = router
        self._runtime = runtime
        self._replica = replica
        self._size = BatchSize(limits.items_max)
        self._spacing = BatchSpacing(limits)
        self._records: dict[UUID, Claim] = {}
        """Rows that name no processor and that clients wait for, in the order of their arrival."""
        self._claims: deque[Claim] = deque()
        self._moves: list[Move] = []
        self._settlements: list[Settlement] = []
        self._closings: list[Closing] = []
        self._marks: dict[UUID, Mark] = {}
        """The latest mark of each payment."""
        self._counts = WriteCounts()
        self._failures = 0
        self._trouble = Trouble("batches fail")
        self._outage = TimedOutageReporter(logger, "writes wait for Postgres", runtime)
        self._other_amounts = TimedOutageReporter(
            logger, "a payment was offered with another amount: not charged", runtime
        )
        self._commit_due = False

    def on_start(self) -> None:
        """Make sure that nothing is written under the registration of an earlier run of the actors.

        Otherwise a row of the earlier run, whose payment was perhaps sent, would be taken for this run's own.
        """
        self._payments.forget_registration()

    def on_receive(self, message: PersistenceMessage) -> object:
        """Handle one message."""
        match message:
            case Write():
                self._spacing.added(self._take(message), self._runtime.now_s())
            case Record(payments):
                for payment in payments:
                    self._records.setdefault(payment.correlation_id, Claim(payment, None))
            case CommitDue():
                self._commit_due = False
                if self._failures:
                    self._commit()
            case GetUnwritten():
                return self._waiting
            case GetIncidents():
                counts = self._counts
                return Incidents(counts.disputes, dict(counts.closed), counts.settled_by_processor())
            case GetWriteStats():
                return write_stats(self._counts)
            case GetTrouble():
                return self._trouble.describe(self._runtime.now_s())
            case _:
                assert_never(message)
        return None

    def on_drained(self) -> None:
        """Commit rows that clients wait for, full batches, and what has waited long enough for others to join it."""
        while not self._failures and (self._records or self._waiting >= self._size.items or self._is_due()):
            self._commit()
        if self._waiting and not self._commit_due:
            self._commit_due = True
            wait_s = self._spacing.next_at_s - self._runtime.now_s()
            if self._failures:
                wait_s = COMMIT_BACKOFF.pause_s(self._failures)
            self._runtime.call_later(wait_s, self.tell_self, CommitDue())

    def _is_due(self) -> bool:
        return self._waiting > 0 and self._runtime.now_s() >= self._spacing.next_at_s

    def on_stop(self) -> None:
        """Write what waits, once; what fails now is found again in the journal or by asking the processors."""
        while self._waiting:
            self._commit()
            if self._failures:
                return

    @property
    def _waiting(self) -> int:
        ending = len(self._settlements) + len(self._closings)
        return len(self._records) + len(self._claims) + len(self._moves) + ending + len(self._marks)

    def _take(self, write: Write) -> int:
        """Add what is to be written to what waits, and tell how many items it has."""
        self._claims.extend(write.claims)
        self._moves.extend(write.moves)
        self._settlements.extend(write.settlements)
        self._closings.extend(write.closings)
        if self._marks:
            ending: tuple[Move | Settlement | Closing, ...] = (*write.moves, *write.settlements, *write.closings)
            for each in ending:
                self._marks.pop(each.correlation_id, None)
        for mark in write.marks:
            self._marks[mark.correlation_id] = mark
        changes = len(write.moves) + len(write.settlements) + len(write.closings)
        return len(write.claims) + changes + len(write.marks)

    def _commit(self) -> None:
        records = tuple(islice(self._records.values(), RECORDS_MAX))
        batch = self._next_batch(records)
        started_s = self._runtime.now_s()
        self._spacing.written(started_s)
        try:
            claims = (*records, *batch.claims)
            result = self._payments.write(claims, batch.moves, batch.settlements, batch.closings, batch.marks)
        except LedgerUnavailableError as error:
            self._failures += 1
            self.counts[Counted.FAILED_COMMIT] += 1
            self._trouble.failed(error, self._runtime.now_s())
            self._size.failed()
            self._outage.failed(writes_waiting=self._waiting, reason=str(error))
            if isinstance(error, FencedError):
                self._note_disputes(error.disputed)
            if self._records and self._failures > FAILURES_MAX:
                self._intake.tell(RowsDelayed())
            return
        self._failures = 0
        self._trouble.succeeded()
        self._outage.succeeded()
        self.progressed()
        took_s, now_ms = self._runtime.now_s() - started_s, self._runtime.now_ms()
        self._size.committed(took_s)
        self._counts.committed(batch.settlements, batch.closings, batch.moves, result, took_s, now_ms)
        self._drop(batch)
        self._note_disputes(result.disputed)
        for claim in records:
            del self._records[claim.payment.correlation_id]
        if records:
            result = self._announce_records(records, result)
        self._announce(batch, result)

    def _next_batch(self, records: Sequence[Claim]) -> Write:
        """Take the oldest of each kind, as many as a batch may hold: first what ends payments, last the marks.

        A claim of a payment whose row is among `records` waits for the next batch.
        """
        room = self._size.items
        settlements = tuple(self._settlements[:room])
        room -= len(settlements)
        closings = tuple(self._closings[:room])
        room -= len(closings)
        moves = tuple(self._moves[:room])
        room -= len(moves)
        claims = self._next_claims(room, {claim.payment.correlation_id for claim in records})
        marks = tuple(islice(self._marks.values(), room - len(claims)))
        return Write(claims, moves, settlements, closings, marks)

    def _drop(self, batch: Write) -> None:
        del self._settlements[: len(batch.settlements)], self._closings[: len(batch.closings)]
        del self._moves[: len(batch.moves)]
        self._drop_claims(batch.claims)
        for mark in batch.marks:
            del self._marks[mark.correlation_id]

    def _next_claims(self, most: int, left_out: Collection[UUID]) -> tuple[Claim, ...]:
        """Take the oldest claims, one for each id: its next one waits for a later batch, which compares amounts."""
        chosen: dict[UUID, Claim] = {}
        for claim in self._claims:
            if len(chosen) == most:
                break
            if claim.payment.correlation_id not in left_out:
                chosen.setdefault(claim.payment.correlation_id, claim)
        return tuple(chosen.values())

    def _drop_claims(self, written: Sequence[Claim]) -> None:
        repeated = []
        for claim in written:
            while (first := self._claims.popleft()) is not claim:
                repeated.append(first)
        self._claims.extendleft(reversed(repeated))

    def _announce_records(self, records: Sequence[Claim], result: WriteResult) -> WriteResult:
        """Tell the intake which payments have rows now, and give the rest of what the batch changed.

        A payment that had a row already is driven by its owner, or taken up from the row once the journal gives it.
        """
        offered = {claim.payment.correlation_id for claim in records}
        found = sort_out(records, [row for row in result.known if row.payment.correlation_id in offered], self._replica)
        self._refuse(found)
        unnamed = tuple(key for key in result.claimed if key in offered)
        refused = tuple(payment.correlation_id for payment in found.conflicts)
        self._intake.tell(RowsCommitted(unnamed, tuple(offered.difference(unnamed, refused)), refused))
        claimed = tuple(key for key in result.claimed if key not in offered)
        known = tuple(row for row in result.known if row.payment.correlation_id not in offered)
        return replace(result, claimed=claimed, known=known)

    def _announce(self, batch: Write, result: WriteResult) -> None:
        if batch.claims:
            self._intake.tell(Recorded(tuple(claim.payment.correlation_id for claim in batch.claims)))
        rejected = self._sort_out(batch.claims, result.known) if result.known else ()
        moves_rejected = {move.correlation_id for move in batch.moves}.difference(result.moved)
        settled = tuple(settlement.correlation_id for settlement in batch.settlements)
        closed = tuple(closing.correlation_id for closing in batch.closings)
        self._router.tell(Written(result.claimed, rejected, result.moved, tuple(moves_rejected), settled, closed))

    def _note_disputes(self, disputed: Sequence[UUID]) -> None:
        self._counts.disputes += len(disputed)
        for correlation_id in disputed:
            logger.error(
                "a payment was charged more than once: the table dispute has the other charge",
                correlation_id=correlation_id,
            )

    def _sort_out(self, claims: Sequence[Claim], known: Sequence[KnownPayment]) -> tuple[Payment, ...]:
        """Tell the other actors of ids that had a row; give the payments that this replica may not charge."""
        found = sort_out(claims, known, self._replica)
        if found.ours:
            # Perhaps this replica sent it before the interruption: only its row is known.
            adopted = tuple(Claim(row.payment, row.processor, row.attempts, row.moves) for row in found.ours)
            self._router.tell(Adopt(adopted, min(row.oldest_stamp_ms or 0 for row in found.ours)))
        self._refuse(found)
        return tuple(found.rejected)

    def _refuse(self, found: KnownRows) -> None:
        """Tell the intake, and record, which amounts did not come first."""
        if found.conflicts:
            self._intake.tell(FirstAmountsFound(tuple(found.first), is_news=True))
            self._report(found.conflicts)

    def _report(self, conflicts: list[Payment]) -> None:
        for payment in conflicts:
            self._other_amounts.occurred(
                correlation_id=payment.correlation_id, amount=payment.money.decimal, currency=payment.currency
            )
        try:
            self._payments.report_conflicts(conflicts)
        except LedgerUnavailableError as error:
            logger.warning(
                "refused amounts are in the log alone",
                refused=[f"{each.correlation_id}: {each.money.decimal} {each.currency}" for each in conflicts],
                reason=str(error),
            )
