"""The history of a chaos run: what clients, processors and Postgres know of every payment, and all summaries."""

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
from ops.chaostest.client import administer
from ops.chaostest.rivals import RivalAnswer
from ops.chaostest.summary_probe import SummaryAnswer
from ops.chaostest.workload import DEFAULT_CURRENCY, OfferedPayment
from ops.stack.stack import Stack

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = {"amount_minor": "amount_cents"}
"""Columns whose names differ from those of the fields."""
READS_MAX = 40
"""How often the state is read before it is taken as it is, although payments still move."""
READ_STEP_S = 0.25


@dataclass(frozen=True, slots=True)
class BookedCharge:
    """One charge as a processor has booked it."""

    processor: str
    correlation_id: UUID
    amount_minor: int
    requested_at_us: int
    """Microseconds since the epoch, so that an instant finer than the gateway's milliseconds is noticed."""
    currency: str = DEFAULT_CURRENCY


@dataclass(frozen=True, slots=True)
class ProcessorTotals:
    """The totals that one processor reports over all its charges in the default currency."""

    processor: str
    fee: Decimal
    """The share of each amount that the processor keeps."""
    requests: int
    amount: Decimal
    total_fee: Decimal


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """One row of the table `payment`, or of the table `conflict`."""

    correlation_id: UUID
    amount_minor: int
    accepted_at_ms: int
    currency: str = DEFAULT_CURRENCY


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """One row of the table `claim`."""

    correlation_id: UUID
    processor: str
    owner: str
    attempts: int


@dataclass(frozen=True, slots=True)
class SettlementRow:
    """One row of the table `settlement`."""

    correlation_id: UUID
    processor: str
    amount_minor: int
    requested_at_ms: int
    attempts: int
    currency: str = DEFAULT_CURRENCY


Row = TypeVar("Row", PaymentRow, ClaimRow, SettlementRow)


@dataclass(frozen=True, slots=True)
class FinalState:
    """What processors and Postgres hold at the end of a run, read while no payment moved where that was possible."""

    charges: Sequence[BookedCharge] = ()
    totals: Sequence[ProcessorTotals] = ()
    payments: Sequence[PaymentRow] = ()
    claims: Sequence[ClaimRow] = ()
    settlements: Sequence[SettlementRow] = ()
    conflicts: Sequence[PaymentRow] = ()


@dataclass(frozen=True, slots=True)
class History:
    """All that the checker looks at."""

    offers: Sequence[OfferedPayment]
    final_state: FinalState
    answers: Sequence[SummaryAnswer] = ()
    """Summaries that replicas gave during the run."""
    final_answers: Sequence[SummaryAnswer] = ()
    """The summary over all time that each live replica gave after everything was settled."""
    unexpected_ends: Sequence[str] = ()
    """Names of the services that ended although no fault was injected into them."""
    rival_answers: Sequence[RivalAnswer] = ()
    """What each live replica answered at rest to amounts that had been posted under one id at once."""


def read_final_state(stack: Stack) -> FinalState:
    """Read the records of all processors and all tables, again while payments are still moving.

    Raises:
        OpsError: a processor or Postgres does not answer.
    """
    before = _charges(stack)
    for _ in range(READS_MAX):
        tables = _tables(stack.database_url)
        after = _charges(stack)
        # A replica claims a payment before charging it, so no claims and no new charges mean that the system is idle.
        if not tables.claims and len(before) == len(after):
            break
        before = after
        threading.Event().wait(READ_STEP_S)
    return FinalState(after, _totals(stack), tables.payments, tables.claims, tables.settlements, tables.conflicts)


def _charges(stack: Stack) -> list[BookedCharge]:
    return [
        BookedCharge(
            simulator.name,
            UUID(row["correlationId"]),
            row["amountMinor"],
            _microseconds(row["requestedAt"]),
            row.get("currency", DEFAULT_CURRENCY),
        )
        for simulator in stack.simulators
        for row in map(json.loads, administer(simulator.admin_url, "GET", "/admin/payments").splitlines())
    ]


def _totals(stack: Stack) -> list[ProcessorTotals]:
    totals = []
    for simulator in stack.simulators:
        summary = json.loads(administer(simulator.admin_url, "GET", "/admin/payments-summary"), parse_float=Decimal)
        fee, amount, total_fee = (Decimal(summary[name]) for name in ("feePerTransaction", "totalAmount", "totalFee"))
        totals.append(ProcessorTotals(simulator.name, fee, summary["totalRequests"], amount, total_fee))
    return totals


def _tables(database_url: str) -> FinalState:
    try:
        with psycopg.connect(database_url, connect_timeout=10) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return FinalState(
                payments=_rows(connection, PaymentRow, "payment"),
                claims=_rows(connection, ClaimRow, "claim"),
                settlements=_rows(connection, SettlementRow, "settlement"),
                conflicts=_rows(connection, PaymentRow, "conflict"),
            )
    except psycopg.Error as error:
        raise OpsError(f"the tables cannot be read: {error}") from error


def _rows(connection: psycopg.Connection[TupleRow], row_type: type[Row], table: str) -> tuple[Row, ...]:
    names = (COLUMNS.get(each.name, each.name) for each in fields(row_type))
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    with connection.cursor(row_factory=args_row(row_type)) as cursor:
        query = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(table))
        return tuple(cursor.execute(query).fetchall())


def _microseconds(instant: str) -> int:
    return (datetime.fromisoformat(instant) - EPOCH) // timedelta(microseconds=1)
