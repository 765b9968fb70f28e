"""Payments in Postgres: what is claimed, moved and settled, and what readers ask about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import gevent
from psycopg.rows import class_row, dict_row, kwargs_row, tuple_row

from actors.adapters.postgres.batches import compare, settle_unclaimed, to_json, write_batch
from actors.adapters.postgres.connections import READER_S_MAX, Connections
from actors.adapters.postgres.fence import Fence
from actors.adapters.postgres.identity import FencedWrites
from actors.adapters.postgres.queries import QUERIES
from actors.adapters.postgres.summary import read_summary
from actors.domain.money import Money
from actors.domain.payment import Claim, Closing, EndState, Mark, Move, Payment, Settlement, payment_from_row
from actors.domain.records import (
    NEVER_MS,
    Absence,
    KnownPayment,
    LedgerSummary,
    PaymentRecord,
    PaymentState,
    Position,
    Watermarks,
    WriteResult,
)
from actors.errors import FencedError

_LISTS = {
    PaymentState.SETTLED: ("settled_payments", None),
    PaymentState.ACCEPTED: ("open_payments", None),
    PaymentState.UNKNOWN: ("open_payments", "unknown"),
    PaymentState.STRANDED: ("open_payments", "stranded"),
    PaymentState.DECLINED: ("closed_payments", EndState.DECLINED.value),
    PaymentState.MISMATCHED: ("closed_payments", EndState.MISMATCHED.value),
}
"""The query that lists payments in a state, and its parameter."""

LATEST_AT_ONCE = 1000
"""How many of the latest payments are in memory at once."""
ROWS_AT_ONCE = 50
"""Rows of a list that are read before other greenlets run: some 0.3 ms."""


@dataclass(slots=True)
class _KnownRow:
    """A payment that had a row already, and the registration that wrote its claim."""

    known: KnownPayment
    epoch: int | None


class PostgresPayments:
    """Fulfils `actors.ports.PaymentStore`. `write` is for one caller at a time."""

    def __init__(self, connections: Connections, fence: Fence) -> None:
        self._connections = connections
        self._fence = fence
        self._writes = FencedWrites(fence)

    def forget_registration(self) -> None:
        """Let the fence admit nothing until leases have registered anew."""
        self._fence.epoch = 0

    def write(
        self,
        claims: Sequence[Claim],
        moves: Sequence[Move],
        settlements: Sequence[Settlement],
        closings: Sequence[Closing] = (),
        marks: Sequence[Mark] = (),
    ) -> WriteResult:
        """Commit one batch in one transaction, and charges whose payments had no claim in another one."""
        shut_count = self._fence.shut_count
        fence = self._fence.parameters
        with self._connections.writer.use() as connection:
            self._writes.verify(connection)
            written = write_batch(connection, fence, claims, moves, settlements, closings, marks)
            known: list[_KnownRow] = []
            if written.known:
                rows = connection.cursor(row_factory=kwargs_row(_known_row))
                known = rows.execute(QUERIES["known_payments"], {"correlation_ids": written.known}).fetchall()
            fenced, disputed = written.fenced, list[UUID]()
            if fenced is None and settlements:
                disputed = compare(connection, settlements)
            elif written.booked < len(settlements):
                fenced, disputed = settle_unclaimed(connection, fence, settlements)
        # Only now: through a pooler all of it is committed at the end, and before that a standby may lack it.
        self._writes.acknowledged(fenced, shut_count)
        if fenced is None:
            raise FencedError(tuple(disputed))
        earlier = self._earlier_tries(claims, known)
        others = tuple(row.known for row in known if row.known.payment.correlation_id not in earlier)
        claimed = dict.fromkeys(claim.payment.correlation_id for claim in claims)
        for correlation_id in set(written.known) - earlier:
            del claimed[correlation_id]
        return WriteResult(tuple(claimed), others, tuple(written.moved), tuple(disputed))

    def _earlier_tries(self, claims: Sequence[Claim], rows: Sequence[_KnownRow]) -> set[UUID]:
        """Find the rows that this run wrote in an earlier try of the same claims, so that nothing was sent for them."""
        claimed = {(claim.payment, claim.processor) for claim in claims}
        mine, since_epoch = (self._fence.replica, 0), self._fence.since_epoch
        return {
            known.payment.correlation_id
            for known, epoch in ((row.known, row.epoch or 0) for row in rows)
            if (known.owner, known.moves) == mine and epoch >= since_epoch > 0
            if (known.payment, known.processor) in claimed
        }

    def report_conflicts(self, payments: Sequence[Payment]) -> None:
        """Record payments whose amounts differ from the first one under their ids."""
        with self._connections.reader.use() as connection, connection.transaction():
            connection.execute(QUERIES["hold_off_purge"])
            connection.execute(QUERIES["report_conflicts"], {"payments": to_json(payments)})

    def latest(self, payments_max: int) -> Iterator[Payment]:
        """Read the payments that were charged last, the oldest of them first, some at a time."""
        with (
            self._connections.reader.use() as connection,
            connection.transaction(),
            connection.cursor("latest", row_factory=class_row(Payment)) as cursor,
        ):
            cursor.execute(QUERIES["latest_payments"], {"payments_max": payments_max})
            while page := cursor.fetchmany(LATEST_AT_ONCE):
                yield from page

    def payment(self, correlation_id: UUID, wait_s_max: float | None = None) -> PaymentRecord | None:
        """Read one payment."""
        with self._connections.reader.use(wait_s_max) as connection:
            cursor = connection.cursor(row_factory=dict_row)
            row = cursor.execute(QUERIES["payment"], {"correlation_id": correlation_id}).fetchone()
        return None if row is None else _payment_record(row)

    def absence(self, correlation_id: UUID) -> Absence:
        """Look whether a payment still has no row, and who else may have accepted it."""
        parameters = {"correlation_id": correlation_id, "replica": self._fence.replica}
        with self._connections.reader.use() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            recorded, others = cursor.execute(QUERIES["absence"], parameters).fetchone() or (False, ())
        return Absence(recorded, frozenset(others))

    def in_state(self, state: PaymentState, after: Position, payments_max: int) -> tuple[PaymentRecord, ...]:
        """Read payments in one state."""
        query, marked = _LISTS[state]
        parameters = {
            "state": marked,
            "after_ms": after.at_ms,
            "after_id": after.correlation_id,
            "payments_max": payments_max,
        }
        with self._connections.reader.use(READER_S_MAX) as connection:
            found = connection.cursor(row_factory=dict_row).execute(QUERIES[query], parameters)
        # All rows are in the client by now; the connection is free for others meanwhile.
        records: list[PaymentRecord] = []
        while rows := found.fetchmany(ROWS_AT_ONCE):
            records += map(_payment_record, rows)
            gevent.sleep(0)
        return tuple(records)

    def watermarks(self) -> Watermarks:
        """Tell how far the charges of all replicas are complete."""
        with self._connections.reader.use() as connection:
            (row,) = connection.cursor(row_factory=dict_row).execute(QUERIES["watermarks"]).fetchall()
        return Watermarks(*(NEVER_MS if row[name] is None else row[name] for name in ("stamp_ms", "answer_ms")))

    def may_lack_answers(self, to_ms: int) -> bool:
        """Tell whether answers to charges with stamps up to `to_ms` may be lost with the replicas that had them."""
        with self._connections.reader.use() as connection:
            return connection.execute(QUERIES["lost_answers"], {"to_ms": to_ms}).fetchone() == (True,)

    def summary(self, from_ms: int | None, to_ms: int | None, answered_by_ms: int | None = None) -> LedgerSummary:
        """Add up the charges within the bounds."""
        with self._connections.reader.use(READER_S_MAX) as connection:
            return read_summary(connection, from_ms, to_ms, answered_by_ms)


def _known_row(  # columns
    *,
    owner: str | None,
    processor: str | None,
    attempts: int | None,
    moves: int | None,
    epoch: int | None,
    watermark_ms: int | None,
    **payment: Any,  # noqa: ANN401  # its fields
) -> _KnownRow:
    known = KnownPayment(Payment(**payment), owner, processor, moves or 0, attempts or 0, watermark_ms)
    return _KnownRow(known, epoch)


def _payment_record(row: dict[str, Any]) -> PaymentRecord:
    payment = payment_from_row(row)
    settlement = closing = None
    if row["requested_at_ms"] is not None:
        charged = replace(payment, amount_minor=row["settled_minor"], currency=row["settled_currency"])
        settlement = Settlement(
            charged, row["processor"], row["requested_at_ms"], row["attempts"], row["answered_at_ms"]
        )
    elif row["ended"] is not None:
        closing = Closing(payment, EndState(row["ended"]), row["processor"], row["attempts"], row["closed_at_ms"])
    amounts = tuple(Money(**money) for money in row["conflicting_amounts"])
    told = row["marked"], bool(row.get("archived"))
    return PaymentRecord(payment, row["processor"], row["owner"], settlement, amounts, closing, *told)
