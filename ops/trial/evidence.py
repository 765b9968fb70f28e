"""What is known after a trial: the clients' side, the processors' side, the gateway's books and its summaries."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow, args_row

from ops import OpsError
from ops.stack import Stack
from ops.trial.line import administer
from ops.trial.offers import Offer
from ops.trial.watch import SummaryAnswer

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
READS_MAX = 40
READ_STEP_S = 0.25


@dataclass(frozen=True, slots=True)
class Charge:
    """What one processor has booked."""

    processor: str
    correlation_id: UUID
    amount_cents: int
    requested_at_us: int
    """Microseconds since the epoch: more exact than anything the gateway should send."""


@dataclass(frozen=True, slots=True)
class ProcessorTotals:
    """What one processor says of all its charges."""

    processor: str
    fee: Decimal
    """The share that it takes of each amount."""
    requests: int
    amount: Decimal
    total_fee: Decimal


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """One row of `payment`, or of `conflict`."""

    correlation_id: UUID
    amount_cents: int
    accepted_at_ms: int


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """One row of `claim`."""

    correlation_id: UUID
    processor: str
    owner: str
    attempts: int


@dataclass(frozen=True, slots=True)
class SettlementRow:
    """One row of `settlement`."""

    correlation_id: UUID
    processor: str
    amount_cents: int
    requested_at_ms: int
    attempts: int


Row = TypeVar("Row", PaymentRow, ClaimRow, SettlementRow)


@dataclass(frozen=True, slots=True)
class Books:
    """What processors and Postgres hold, read while nothing moved where that was possible."""

    charges: Sequence[Charge] = ()
    totals: Sequence[ProcessorTotals] = ()
    payments: Sequence[PaymentRow] = ()
    claims: Sequence[ClaimRow] = ()
    settlements: Sequence[SettlementRow] = ()
    conflicts: Sequence[PaymentRow] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that an audit looks at."""

    offers: Sequence[Offer]
    books: Books
    answers: Sequence[SummaryAnswer] = ()
    """Of the windows that were asked for during the trial."""
    answers_at_rest: Sequence[SummaryAnswer] = ()
    """Of each living replica once all was settled."""
    unexpected_ends: Sequence[str] = ()
    """Parts that ended though no fault met them."""


def read_books(stack: Stack) -> Books:
    """Read both sides, again where something moved in between.

    Raises:
        OpsError: a processor or Postgres does not answer.
    """
    before = _charges(stack)
    for _ in range(READS_MAX):
        tables = _tables(stack.database_url)
        after = _charges(stack)
        # Who charges has claimed before: nothing claimed, and nothing charged meanwhile, is rest.
        if not tables.claims and len(before) == len(after):
            break
        before = after
        threading.Event().wait(READ_STEP_S)
    return Books(after, _totals(stack), tables.payments, tables.claims, tables.settlements, tables.conflicts)


def _charges(stack: Stack) -> list[Charge]:
    return [
        Charge(simulator.name, UUID(row["correlationId"]), row["amountCents"], _microseconds(row["requestedAt"]))
        for simulator in stack.simulators
        for row in map(json.loads, administer(simulator.admin_url, "GET", "/admin/payments").splitlines())
    ]


def _totals(stack: Stack) -> list[ProcessorTotals]:
    totals = []
    for simulator in stack.simulators:
        told = json.loads(administer(simulator.admin_url, "GET", "/admin/payments-summary"), parse_float=Decimal)
        fee, amount, total_fee = (Decimal(told[name]) for name in ("feePerTransaction", "totalAmount", "totalFee"))
        totals.append(ProcessorTotals(simulator.name, fee, told["totalRequests"], amount, total_fee))
    return totals


def _tables(database_url: str) -> Books:
    try:
        with psycopg.connect(database_url, connect_timeout=10) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")

            return Books(
                payments=_rows(connection, PaymentRow, "payment"),
                claims=_rows(connection, ClaimRow, "claim"),
                settlements=_rows(connection, SettlementRow, "settlement"),
                conflicts=_rows(connection, PaymentRow, "conflict"),
            )
    except psycopg.Error as error:
        raise OpsError(f"the tables cannot be read: {error}") from error


def _rows(connection: psycopg.Connection[TupleRow], row_type: type[Row], table: str) -> tuple[Row, ...]:
    columns = sql.SQL(", ").join(sql.Identifier(each.name) for each in fields(row_type))
    with connection.cursor(row_factory=args_row(row_type)) as cursor:
        query = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(table))
        return tuple(cursor.execute(query).fetchall())


def _microseconds(instant: str) -> int:
    return (datetime.fromisoformat(instant) - EPOCH) // timedelta(microseconds=1)
