"""Totals of a window of time, read from sums and, at its edges, from settlements."""

import msgspec
from psycopg.rows import dict_row

from actors.adapters.postgres.queries import QUERIES
from actors.adapters.postgres.session import GeventConnection
from actors.domain.money import Money
from actors.domain.records import LedgerSummary, ProcessorTotal
from actors.domain.spans import WIDTHS_MS, part_window
from actors.errors import ArchivedError

SPAN_S = WIDTHS_MS[0] // 1000
EXAMPLE = f"12:00:00.000 to 12:00:0{SPAN_S - 1}.999"
INSTANT_MS_MIN, INSTANT_MS_MAX = -(2**63), 2**63 - 1


def read_summary(
    connection: GeventConnection, from_ms: int | None, to_ms: int | None, answered_by_ms: int | None
) -> LedgerSummary:
    """Add up the charges within the bounds, both inclusive, that were answered by an instant; None leaves one open.

    Raises:
        ArchivedError: a bound lies within a narrowest span that is archived.
    """
    parts = part_window(INSTANT_MS_MIN if from_ms is None else from_ms, INSTANT_MS_MAX if to_ms is None else to_ms)
    bounds = {
        "spans": msgspec.json.encode(parts).decode(),
        "answered_by_ms": INSTANT_MS_MAX if answered_by_ms is None else answered_by_ms,
    }
    totals = []
    final_before_ms, left_out = INSTANT_MS_MIN, 0
    is_cut = False
    for row in connection.cursor(row_factory=dict_row).execute(QUERIES["summary"], bounds).fetchall():
        if row["processor"] is None:
            if row["final_before_ms"] is not None:
                final_before_ms = row["final_before_ms"]
            is_cut = row["is_cut"]
            continue
        left_out += int(row["left_out"])
        if row["requests"]:
            amount = Money(int(row["amount_minor"]), row["currency"])
            totals.append(ProcessorTotal(row["processor"], int(row["requests"]), amount))
    if is_cut:
        raise ArchivedError(f"charges there are archived: only whole spans of {SPAN_S} s, from {EXAMPLE}, have sums")
    return LedgerSummary(tuple(totals), final_before_ms, left_out)
