"""The history of a chaos run: what clients, processors and Postgres know of every payment, and all summaries."""

import json
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow, args_row

from ops import OpsError
from ops.chaostest.client import administer
from ops.chaostest.inquiry import read_requests, read_states
from ops.chaostest.moment_probe import MomentAnswers
from ops.chaostest.record_sources import RecordSources
from ops.chaostest.rivals import RivalAnswer
from ops.chaostest.summary_probe import SummaryAnswer
from ops.chaostest.workload import DEFAULT_CURRENCY, OfferedPayment
from ops.simulator.faults import Fault

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = {"amount_minor": "amount_cents"}
"""Columns whose names differ from those of the fields."""
OTHER_AMOUNT = Fault.OTHER_AMOUNT.value
"""The fault of an id under which a processor holds a charge that no client of the run has asked for."""
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
    booked_at_ms: int = 0
    """Wall clock at which it was booked, milliseconds since the epoch; 0 where the processor does not know it."""
    answered: bool = True
    """Whether the request for the charge was answered when it was booked."""


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
    processor: str | None
    """The processor that the row names; None where the payment was certainly sent to none."""
    owner: str
    attempts: int


@dataclass(frozen=True, slots=True)
class ClosedRow:
    """One row of the table `closed`: a payment that ended without a charge."""

    correlation_id: UUID
    state: str
    processor: str
    """The processor whose answer decided it."""
    closed_at_ms: int


@dataclass(frozen=True, slots=True)
class DisputeRow:
    """One row of the table `dispute`: a charge of a payment that another charge had settled."""

    correlation_id: UUID
    processor: str
    requested_at_ms: int


@dataclass(frozen=True, slots=True)
class SettlementRow:
    """One row of the table `settlement`."""

    correlation_id: UUID
    processor: str
    amount_minor: int
    requested_at_ms: int
    attempts: int
    currency: str = DEFAULT_CURRENCY


Row = TypeVar("Row", PaymentRow, ClaimRow, ClosedRow, DisputeRow, SettlementRow)


@dataclass(frozen=True, slots=True)
class FinalState:
    """What processors and Postgres hold at the end of a run, read while no payment moved where that was possible."""

    charges: Sequence[BookedCharge] = ()
    foreign: Sequence[BookedCharge] = ()
    """Charges of other amounts that a simulator had booked under ids of the run before they came."""
    requests: Mapping[str, Mapping[UUID, str | None]] = field(default_factory=dict)
    """For each processor, the payments that it was asked for, each with the fault that its id causes."""
    totals: Sequence[ProcessorTotals] = ()
    payments: Sequence[PaymentRow] = ()
    claims: Sequence[ClaimRow] = ()
    settlements: Sequence[SettlementRow] = ()
    conflicts: Sequence[PaymentRow] = ()
    closed: Sequence[ClosedRow] = ()
    disputes: Sequence[DisputeRow] = ()
    wrong_sums: int = 0
    """How many sums differ from their settlements."""
    doubted_history: str | None = None
    """The history of Postgres of which a replica has found that it lacks something."""
    told: Mapping[UUID, Collection[str]] = field(default_factory=dict)
    """The states that live replicas told of each payment that has not been settled."""


@dataclass(frozen=True, slots=True)
class History:
    """All that the checker looks at."""

    offers: Sequence[OfferedPayment]
    final_state: FinalState
    answers: Sequence[SummaryAnswer] = ()
    """Summaries that replicas gave during the run."""
    final_answers: Sequence[SummaryAnswer] = ()
    """The summary over all time that each live replica gave after everything was settled."""
    moments: Sequence[MomentAnswers] = ()
    """The summaries that gateway and processors gave of the same windows at the same moments."""
    unexpected_ends: Sequence[str] = ()
    """Names of the services that ended although no fault was injected into them."""
    lost_processors: Collection[str] = ()
    """Names of the processors that did not come back, so that the gateway cannot know what they have charged."""
    rival_answers: Sequence[RivalAnswer] = ()
    """What each live replica answered at rest to amounts that had been posted under one id at once."""


def read_final_state(
    sources: RecordSources, replica_urls: Sequence[str], lost_processors: Collection[str] = ()
) -> FinalState:
    """Read the records of all processors and all tables, again while payments are still moving; then ask the replicas.

    Payments that wait for one of the `lost_processors` never move.

    Raises:
        OpsError: a processor, Postgres or a replica does not answer.
    """
    before = _charges(sources)
    for _ in range(READS_MAX):
        tables = _tables(sources.database_url)
        after = _charges(sources)
        # A replica claims a payment before charging it, so no claims and no new charges mean that the system is idle.
        if len(before) == len(after) and all(claim.processor in lost_processors for claim in tables.claims):
            break
        before = after
        threading.Event().wait(READ_STEP_S)
    requests = {name: read_requests(url) for name, url in sources.administrations.items()}
    foreign = [charge for charge in after if requests[charge.processor].get(charge.correlation_id) == OTHER_AMOUNT]
    unsettled = [*(row.correlation_id for row in tables.claims), *(row.correlation_id for row in tables.closed)]
    return replace(
        tables,
        charges=[charge for charge in after if charge not in foreign] if foreign else after,
        foreign=foreign,
        requests=requests,
        totals=_totals(sources),
        told=read_states(replica_urls, unsettled),
    )


def _charges(sources: RecordSources) -> list[BookedCharge]:
    return [
        BookedCharge(
            name,
            UUID(row["correlationId"]),
            row["amountMinor"],
            _microseconds(row["requestedAt"]),
            row.get("currency", DEFAULT_CURRENCY),
            _microseconds(row["bookedAt"]) // 1000 if "bookedAt" in row else 0,
            row.get("answered", False),
        )
        for name, url in sources.administrations.items()
        for row in map(json.loads, administer(url, "GET", "/admin/payments").splitlines())
    ]


def _totals(sources: RecordSources) -> list[ProcessorTotals]:
    totals = []
    for name, url in sources.administrations.items():
        summary = json.loads(administer(url, "GET", "/admin/payments-summary"), parse_float=Decimal)
        fee, amount, total_fee = (Decimal(summary[key]) for key in ("feePerTransaction", "totalAmount", "totalFee"))
        totals.append(ProcessorTotals(name, fee, summary["totalRequests"], amount, total_fee))
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
                closed=_rows(connection, ClosedRow, "closed"),
                disputes=_rows(connection, DisputeRow, "dispute"),
                wrong_sums=connection.execute("SELECT * FROM wrong_sum").rowcount,
                doubted_history=(connection.execute("SELECT forgot_history FROM gateway").fetchone() or (None,))[0],
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
