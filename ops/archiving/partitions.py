"""The partitions of the settlements: the last one is closed, old ones are detached, archived ones are attached again.

The partitions always cover every instant, so that each charge of a batch has one: the last partition has no upper
bound, and the spans that are archived belong to one without a lower bound, which holds charges that are found late.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from actors.domain.spans import WIDTHS_MS
from ops import OpsError

Result = TypeVar("Result")

LOCK_MS_MAX = 100
"""The longest time for which batches wait behind a change of the partitions that does not get its locks."""
TRIES_MAX = 600
PAUSE_S = 0.25
BORDER_MS = WIDTHS_MS[-1]
"""Partitions begin at multiples of the width of the widest sums, so that each sum belongs to one partition."""
LOWEST_MS = -(2**63 // BORDER_MS) * BORDER_MS
"""Stands for the lower bound of the first partition, which has none."""
HIGHEST_MS = 2**63 - 1
BOUNDS = re.compile(r"FOR VALUES FROM \((?:MINVALUE|'?(-?\d+)'?)\) TO \((?:MAXVALUE|'?(-?\d+)'?)\)")

PARTITIONS = """
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
WHERE inhparent = 'settlement'::regclass
"""
NUMBERS = (
    r"SELECT substring(relname FROM '^settlement_(\d+)$')::integer FROM pg_class WHERE relname ~ '^settlement_\d+$'"
)
SETTLES_BY_CLAIMS = """
ALTER TABLE replica DROP CONSTRAINT IF EXISTS settles_by_claims,
    ADD CONSTRAINT settles_by_claims CHECK (left_epoch >= epoch OR partitions_epoch = epoch)
"""
NOTE_ARCHIVE = """
INSERT INTO archive (from_ms, to_ms, table_name, row_count, end_number, end_id, detached_at_ms)
SELECT %(from_ms)s, %(to_ms)s, %(table)s,
    (
        SELECT coalesce(sum(requests), 0) FROM settlement_sum
        WHERE width_ms = %(width_ms)s AND from_ms >= %(from_ms)s AND from_ms < %(to_ms)s
    ),
    %(end_number)s, %(end_id)s, %(now_ms)s
"""
NOTE_SUMS = """
INSERT INTO archive_sum (from_ms, processor, currency, requests, amount_minor)
SELECT %(from_ms)s, processor, currency, sum(requests), sum(amount_minor) FROM settlement_sum
WHERE width_ms = %(width_ms)s AND from_ms >= %(from_ms)s AND from_ms < %(to_ms)s
GROUP BY processor, currency HAVING sum(requests) <> 0
"""
NOTE_PLACE = """
UPDATE gateway SET (archived_number, archived_id) = (
    SELECT end_number, end_id FROM (
        SELECT end_number, end_id FROM archive UNION ALL SELECT -1, '00000000-0000-0000-0000-000000000000'
    ) AS places ORDER BY end_number DESC, end_id DESC LIMIT 1
)
"""


@dataclass(frozen=True, slots=True)
class Partition:
    """One table of settlements."""

    table: str
    from_ms: int
    to_ms: int
    """The first instant behind the partition."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A span of settlements that is detached, as the table `archive` has it."""

    from_ms: int
    to_ms: int
    table_name: str
    row_count: int
    file_name: str | None
    checksum: str | None
    dropped_at_ms: int | None


def read_partitions(connection: psycopg.Connection) -> list[Partition]:
    """List the partitions, the lowest first."""
    found = []
    for table, text in connection.execute(PARTITIONS).fetchall():
        bounds = BOUNDS.fullmatch(text)
        if bounds is None:
            raise OpsError(f"the partition {table} has bounds that nobody here has given it: {text}")
        found.append(Partition(table, int(bounds[1] or LOWEST_MS), int(bounds[2] or HIGHEST_MS)))
    return sorted(found, key=lambda each: each.from_ms)


def read_archives(connection: psycopg.Connection) -> list[Archive]:
    """List what was detached, the lowest first."""
    query = "SELECT from_ms, to_ms, table_name, row_count, file_name, checksum, dropped_at_ms FROM archive ORDER BY 1"
    return connection.cursor(row_factory=class_row(Archive)).execute(query).fetchall()


def briefly(connection: psycopg.Connection, change: Callable[[], Result]) -> Result:
    """Make a change in a transaction that waits for its locks for a moment only; try again where it does not get them.

    Raises:
        OpsError: it did not get them for minutes.
    """
    for number in range(TRIES_MAX):
        try:
            with connection.transaction():
                connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_MS_MAX)))
                # Locks are taken in the order of a purge, which may empty the tables meanwhile.
                connection.execute("SELECT generation FROM gateway FOR UPDATE")
                return change()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if number + 1 < TRIES_MAX:
                time.sleep(PAUSE_S)
    raise OpsError("long transactions keep the partitions locked: end them (pg_stat_activity shows them)")


def close_last(connection: psycopg.Connection, now_ms: int, span_ms: int) -> Partition | None:
    """Give the last partition an upper bound if it is in use, and make one behind it; give the one that has it now.

    Raises:
        OpsError: replicas of the release before live, which cannot write to several partitions.
    """
    last = read_partitions(connection)[-1]
    if last.from_ms > now_ms:
        return None
    try:
        briefly(connection, lambda: connection.execute(SETTLES_BY_CLAIMS))
    except psycopg.errors.CheckViolation as error:
        raise OpsError("replicas of the release before live, or have not been found gone yet: upgrade them") from error
    newest = connection.execute(
        sql.SQL("SELECT max(requested_at_ms) FROM {}").format(sql.Identifier(last.table))
    ).fetchone()
    top_ms = max(now_ms, (newest and newest[0]) or now_ms) + span_ms
    closed = Partition(last.table, last.from_ms, -(-top_ms // BORDER_MS) * BORDER_MS)
    # With a constraint that is known to hold, nothing is read while batches wait. If this ends in between, batches fail
    # for charges behind the bound, which is a span from now, until this is run again.
    check_bounds(connection, closed)
    briefly(connection, lambda: _part(connection, closed))
    return closed


def check_bounds(connection: psycopg.Connection, partition: Partition) -> None:
    """Add a constraint that a table holds only charges within its bounds, and have Postgres validate it."""
    table = sql.Identifier(partition.table)
    check = sql.SQL(
        "ALTER TABLE {} DROP CONSTRAINT IF EXISTS bounds,"
        " ADD CONSTRAINT bounds CHECK (requested_at_ms >= {} AND requested_at_ms < {}) NOT VALID"
    ).format(table, sql.Literal(partition.from_ms), sql.Literal(partition.to_ms))
    briefly(connection, lambda: connection.execute(check))
    connection.execute(sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT bounds").format(table))


def _part(connection: psycopg.Connection, closed: Partition) -> None:
    numbers = connection.cursor(row_factory=scalar_row).execute(NUMBERS).fetchall()
    following = f"settlement_{max(numbers, default=0) + 1}"
    detach(connection, closed.table)
    create_table(connection, following)
    attach(connection, closed)
    attach(connection, Partition(following, closed.to_ms, HIGHEST_MS))


def create_table(connection: psycopg.Connection, table: str) -> None:
    """Make a table as every partition is: with a key and indexes of its own."""
    name = sql.Identifier(table)
    connection.execute(
        sql.SQL("CREATE TABLE {} (LIKE settlement INCLUDING DEFAULTS INCLUDING CONSTRAINTS)").format(name)
    )
    connection.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY (correlation_id)").format(name))
    connection.execute(
        sql.SQL(
            "CREATE INDEX {} ON {} (requested_at_ms) INCLUDE (processor, amount_cents, currency, answered_at_ms)"
        ).format(sql.Identifier(f"{table}_requested_at"), name)
    )
    connection.execute(
        sql.SQL("CREATE INDEX {} ON {} (end_number, correlation_id)").format(
            sql.Identifier(f"{table}_end_number"), name
        )
    )


def detach(connection: psycopg.Connection, table: str) -> None:
    """Take a table out of the settlements."""
    connection.execute(sql.SQL("ALTER TABLE settlement DETACH PARTITION {}").format(sql.Identifier(table)))


def attach(connection: psycopg.Connection, partition: Partition) -> None:
    """Make a table a partition of the settlements, and drop its own constraint, which the bounds replace."""
    table = sql.Identifier(partition.table)
    lower, upper = sql.Literal(partition.from_ms), sql.Literal(partition.to_ms)
    connection.execute(
        sql.SQL("ALTER TABLE settlement ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            table,
            sql.SQL("MINVALUE") if partition.from_ms == LOWEST_MS else lower,
            sql.SQL("MAXVALUE") if partition.to_ms == HIGHEST_MS else upper,
        )
    )
    connection.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS bounds").format(table))


def late_partition(connection: psycopg.Connection) -> Partition | None:
    """Find the partition that holds charges of archived spans that were found late."""
    lowest = read_partitions(connection)[0]
    archives = read_archives(connection)
    return lowest if archives and lowest.to_ms == archives[-1].to_ms else None


def detach_oldest(connection: psycopg.Connection, before_ms: int, now_ms: int) -> Partition | None:
    """Detach the oldest partition if all of it lies before an instant, and note what it holds."""
    late = late_partition(connection)
    oldest = next(each for each in read_partitions(connection) if each != late)
    if oldest.to_ms > before_ms:
        return None
    briefly(connection, lambda: _archive(connection, oldest, late, now_ms))
    return oldest


def _archive(connection: psycopg.Connection, oldest: Partition, late: Partition | None, now_ms: int) -> None:
    detach(connection, oldest.table)
    if late is None:
        numbers = connection.cursor(row_factory=scalar_row).execute(NUMBERS).fetchall()
        late = Partition(f"settlement_{max(numbers) + 1}", LOWEST_MS, oldest.to_ms)
        create_table(connection, late.table)
    else:
        detach(connection, late.table)
    attach(connection, Partition(late.table, LOWEST_MS, oldest.to_ms))
    # The release before could leave an end without a charge beside a settlement, which alone counts.
    ended = sql.SQL("DELETE FROM closed USING {} AS s WHERE s.correlation_id = closed.correlation_id")
    connection.execute(ended.format(sql.Identifier(oldest.table)))
    query = sql.SQL("SELECT end_number, correlation_id FROM {} ORDER BY 1 DESC, 2 DESC LIMIT 1")
    last_end = connection.execute(query.format(sql.Identifier(oldest.table))).fetchone()
    end_number, end_id = last_end or (-1, "00000000-0000-0000-0000-000000000000")
    span = {"from_ms": oldest.from_ms, "to_ms": oldest.to_ms, "table": oldest.table, "width_ms": BORDER_MS}
    connection.execute(NOTE_ARCHIVE, {**span, "end_number": end_number, "end_id": end_id, "now_ms": now_ms})
    connection.execute(NOTE_SUMS, span)
    connection.execute(NOTE_PLACE)
