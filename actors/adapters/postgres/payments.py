"""Payments in Postgres: what is claimed, moved and settled, and what readers ask about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import class_row, dict_row, kwargs_row, tuple_row

from actors.adapters.postgres.connections import Connections, Fence
from actors.adapters.postgres.queries import QUERIES
from actors.domain.money import Money
from actors.domain.payment import Claim, Move, Payment, Settlement, claim_to_row
from actors.domain.records import Absence, KnownPayment, LedgerSummary, PaymentRecord, ProcessorTotal, WriteResult
from actors.errors import LedgerUnavailableError

INSTANT_MS_MIN, INSTANT_MS_MAX = -(2**63), 2**63 - 1

_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class _Written:
    """The row that `write_batch` gives."""

    admitted: bool
    known: list[UUID]
    moved: list[UUID]


class PostgresPayments:
    """Fulfils `actors.ports.PaymentStore`. `write` is for one caller at a time."""

    def __init__(self, connections: Connections, fence: Fence) -> None:
        self._connections = connections
        self._fence = fence

    def write(self, claims: Sequence[Claim], moves: Sequence[Move], settlements: Sequence[Settlement]) -> WriteResult:
        """Commit one batch."""
        parameters = {
            "replica": self._fence.replica,
            "epoch": self._fence.epoch,
            "claims": _json([claim_to_row(claim) for claim in claims]),
            "moves": _json(moves),
            "settlements": _json(settlements),
        }
        with self._connections.writer.use() as connection:
            cursor = connection.cursor(row_factory=class_row(_Written))
            written = cursor.execute(QUERIES["write_batch"], parameters, prepare=True).fetchone()
            if written is None or (not written.admitted and (claims or moves)):
                raise LedgerUnavailableError("this replica is not registered, or others have taken over from it")
            known: list[KnownPayment] = []
            if written.known:
                reader = connection.cursor(row_factory=kwargs_row(_known_payment))
                known = reader.execute(QUERIES["known_payments"], {"correlation_ids": written.known}).fetchall()
        claimed = dict.fromkeys(claim.payment.correlation_id for claim in claims)
        for correlation_id in written.known:
            del claimed[correlation_id]
        return WriteResult(tuple(claimed), tuple(known), tuple(written.moved))

    def report_conflicts(self, payments: Sequence[Payment]) -> None:
        """Keep other amounts beside the first."""
        with self._connections.pool.use() as connection:
            connection.execute(QUERIES["report_conflicts"], {"payments": _json(payments)})

    def latest(self, payments_max: int) -> tuple[Payment, ...]:
        """Read the payments that were charged last, the oldest of them first."""
        with self._connections.pool.use() as connection:
            cursor = connection.cursor(row_factory=class_row(Payment))
            rows = cursor.execute(QUERIES["latest_payments"], {"payments_max": payments_max}).fetchall()
        return tuple(reversed(rows))

    def payment(self, correlation_id: UUID, wait_s_max: float | None = None) -> PaymentRecord | None:
        """Read one payment."""
        with self._connections.pool.use(wait_s_max) as connection:
            cursor = connection.cursor(row_factory=kwargs_row(_payment_record))
            return cursor.execute(QUERIES["payment"], {"correlation_id": correlation_id}).fetchone()

    def absence(self, correlation_id: UUID) -> Absence:
        """Look whether a payment still has no row, and who else may have accepted it."""
        parameters = {"correlation_id": correlation_id, "replica": self._fence.replica}
        with self._connections.pool.use() as connection:
            cursor = connection.cursor(row_factory=tuple_row)
            recorded, others = cursor.execute(QUERIES["absence"], parameters).fetchone() or (False, ())
        return Absence(recorded, frozenset(others))

    def summary(self, from_ms: int | None, to_ms: int | None) -> LedgerSummary:
        """Add up the charges within the bounds."""
        bounds = {
            "from_ms": INSTANT_MS_MIN if from_ms is None else from_ms,
            "to_ms": INSTANT_MS_MAX if to_ms is None else to_ms,
        }
        with self._connections.pool.use() as connection:
            rows = connection.cursor(row_factory=dict_row).execute(QUERIES["summary"], bounds).fetchall()
        totals = []
        final_before_ms = INSTANT_MS_MAX
        for row in rows:
            if row["processor"] is not None:
                amount = Money(int(row["amount_minor"]), row["currency"])
                totals.append(ProcessorTotal(row["processor"], row["requests"], amount))
            elif row["final_before_ms"] is not None:
                final_before_ms = row["final_before_ms"]
        return LedgerSummary(tuple(totals), final_before_ms)


def _json(rows: Sequence[object]) -> str:
    return _encoder.encode(rows).decode()


def _known_payment(owner: str | None, processor: str | None, **payment: Any) -> KnownPayment:  # noqa: ANN401  # columns
    return KnownPayment(Payment(**payment), owner, processor)


def _payment_record(
    *,
    owner: str | None,
    processor: str,
    requested_at_ms: int | None,
    attempts: int,
    conflicting_amounts: list[dict[str, Any]],
    **columns: Any,  # noqa: ANN401  # those of the payment
) -> PaymentRecord:
    payment = Payment(**columns)
    settlement = None
    if requested_at_ms is not None:
        settlement = Settlement(payment.correlation_id, processor, requested_at_ms, attempts)
    return PaymentRecord(payment, processor, owner, settlement, tuple(Money(**money) for money in conflicting_amounts))
