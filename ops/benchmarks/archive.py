"""Measures the cost of many settlements in partitions: batches, questions, the migration, archiving beside batches."""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from statistics import quantiles
from time import perf_counter
from typing import Protocol
from uuid import UUID, uuid4

import gevent
import psycopg
from psycopg import sql

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.connections import Connections
from actors.adapters.postgres.feed import PostgresFeed
from actors.adapters.postgres.fence import Fence
from actors.adapters.postgres.leases import PostgresLeases
from actors.adapters.postgres.payments import PostgresPayments
from actors.domain.feed import BEGINNING, FeedPlace
from actors.domain.payment import Claim, Payment, Settlement
from actors.domain.records import PaymentState, Position
from actors.domain.wall_clock import ClockReading
from ops import OpsError
from ops.archiving.partitions import BORDER_MS, close_last, read_partitions
from ops.archiving.work import detach_old, move_to_files
from ops.arguments import positive_count
from ops.benchmarks.own_postgres import own_postgres
from ops.foreground import print_error
from ops.migrate import migrate, read_migrations
from ops.stack.embedded import PostgresServer

DAY_MS = 86_400_000
END_MS = 1_752_582_896_700 // BORDER_MS * BORDER_MS
"""When the history ends."""
BATCH_PAYMENTS, BATCH_S, STALL_MS_MAX = 20, 0.02, 1_000
"""The size of batches, the time between two, and the target for the longest one while partitions are archived."""
FILL_ROWS = 1_000_000
FILL = """
INSERT INTO {} (correlation_id, processor, amount_cents, requested_at_ms, attempts, answered_at_ms, end_number)
SELECT gen_random_uuid(), CASE n %% 10 WHEN 0 THEN 'fallback' ELSE 'default' END, 1990, stamp_ms, 1, stamp_ms + 5, n
FROM (SELECT n, %(from_ms)s + n * %(span_ms)s / %(rows)s AS stamp_ms
    FROM generate_series(%(first)s::bigint, %(last)s) AS n) AS charge
"""
FILL_SUMS = """
INSERT INTO settlement_sum
SELECT width_ms, from_ms, processor, currency, 0, requests, amount_minor, answered_at_ms FROM true_sum
"""


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Fill a Postgres of its own with payments of 91 days, measure, archive the older half, and measure again.

    Questions are asked through the product's own adapters. While partitions are archived a replica writes a batch every
    20 ms; the longest one tells how long batches are stopped.
    """
    parser = argparse.ArgumentParser(prog="ops/bench archive", description=run.__doc__)
    parser.add_argument("--rows", type=positive_count, default=1_000_000, help="settlements; default: 1,000,000")
    parser.add_argument("--partitions", type=positive_count, default=13, help="that they are in; default: 13")
    parser.add_argument("--questions", type=positive_count, default=300, help="of each kind; default: 300")
    given = parser.parse_args(arguments)
    figures, stall_ms = dict[str, object](rows=given.rows, partitions=given.partitions), 0.0
    figures["migration_ms"] = _measure_migration(min(given.rows, FILL_ROWS))
    with own_postgres() as url, closing(Connections(url, HostDirectory())) as connections:
        connections.open()
        bench = _Bench(url, connections)
        figures["fill_s"], borders = bench.fill(given.rows, given.partitions)
        figures["sizes_mb"] = bench.sizes()
        figures["before"] = bench.ask(given.questions)
        if given.partitions > 1:
            archived, stall_ms = bench.archive(borders[len(borders) // 2])
            figures |= archived
            figures["after"] = bench.ask(given.questions)
    return {
        **figures,
        "ratio_to_target": round(stall_ms / STALL_MS_MAX, 3),
        "target": f"no batch is stopped for {STALL_MS_MAX} ms",
        "ok": stall_ms <= STALL_MS_MAX,
    }


def _measure_migration(rows: int) -> float:
    """Measure how long it takes to make one table of settlements the first partition."""
    with tempfile.TemporaryDirectory(prefix="fiel-bench-") as folder:
        server = PostgresServer(Path(folder) / "data", log=Path(folder) / "log")
        Path(folder).chmod(0o755)
        before = Path(folder) / "before"
        before.mkdir()
        for each in read_migrations():
            if each.name == "partitions":
                break
            (before / f"{each.version:04}_{each.name}.sql").write_bytes(each.sql)
        try:
            server.start()
            server.wait_ready()
            migrate(server.url, directory=before)
            with psycopg.connect(server.url, autocommit=True) as connection:
                _fill(connection, "settlement", rows, (END_MS - 91 * DAY_MS, END_MS))
            started_s = perf_counter()
            migrate(server.url)
            return round((perf_counter() - started_s) * 1000, 1)
        finally:
            server.erase()


def _fill(connection: psycopg.Connection, table: str, rows: int, span: tuple[int, int], first: int = 0) -> None:
    for start in range(0, rows, FILL_ROWS):
        numbers = {"first": first + start, "last": first + min(start + FILL_ROWS, rows) - 1}
        bounds = {"from_ms": span[0] - first * (span[1] - span[0]) // rows, "span_ms": span[1] - span[0], "rows": rows}
        connection.execute(sql.SQL(FILL).format(sql.Identifier(table)), numbers | bounds)


class _Work(Protocol):
    """Work in the background; greenlets and tasks of gevent's threads fulfil it."""

    def ready(self) -> bool:
        """Tell whether it is over."""

    def get(self) -> object:
        """Give its result, or raise what it has raised."""


class _Bench:
    """A replica's storage over a Postgres with a long history."""

    def __init__(self, url: str, connections: Connections) -> None:
        self._url = url
        fence = Fence("bench")
        PostgresLeases(connections, fence, lambda: UUID(int=0)).register(0, ClockReading(END_MS, END_MS))
        self._payments = PostgresPayments(connections, fence)
        self._ends = PostgresFeed(connections)
        self._rng = Random(1)  # noqa: S311  # no secret
        self._ids, self._rows = list[UUID](), 0
        self._claimed: list[Payment] = []

    def fill(self, rows: int, partitions: int) -> tuple[float, list[int]]:
        """Write the history; give how long it took, and where the partitions end."""
        started_s, self._rows = perf_counter(), rows
        days, borders = 91 // partitions, list[int]()
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("SET synchronous_commit = off")
            begin_ms = END_MS - 91 * DAY_MS
            for number in range(partitions):
                if number + 1 < partitions:
                    closed = close_last(connection, begin_ms, days * DAY_MS)
                    if closed is None:
                        raise OpsError("the last partition begins later than the one before ends")
                    table, end_ms = closed.table, closed.to_ms
                else:
                    table, end_ms = read_partitions(connection)[-1].table, max(END_MS, begin_ms + BORDER_MS)
                _fill(connection, table, rows // partitions, (begin_ms, end_ms), number * (rows // partitions))
                borders.append(end_ms)
                begin_ms = end_ms
            connection.execute(FILL_SUMS)
            connection.execute(
                "INSERT INTO payment (correlation_id, amount_cents, accepted_at_ms)"
                " SELECT correlation_id, amount_cents, requested_at_ms FROM settlement"
            )
            connection.execute("VACUUM ANALYZE")
            found = connection.execute("SELECT correlation_id FROM payment TABLESAMPLE SYSTEM (0.5) LIMIT 20000")
            self._ids = [key for (key,) in found.fetchall()]
        return round(perf_counter() - started_s, 1), borders

    def sizes(self) -> dict[str, float]:
        """Tell how large tables are with their indexes, in megabytes of a million bytes."""
        query = """
        SELECT CASE WHEN relname ~ '^settlement_[0-9]+$' THEN 'settlement' ELSE relname END,
            sum(pg_total_relation_size(oid))
        FROM pg_class WHERE relname ~ '^(payment|settlement_sum|settlement_[0-9]+)$' AND relkind = 'r' GROUP BY 1
        """
        with psycopg.connect(self._url, autocommit=True) as connection:
            return {name: round(int(size) / 1e6, 1) for name, size in connection.execute(query).fetchall()}

    def ask(self, times: int) -> dict[str, tuple[float, float]]:
        """Measure batches and questions: the 10th percentile and the median of their durations, in milliseconds."""
        begin_ms = END_MS - 20 * DAY_MS

        def place() -> FeedPlace:
            return FeedPlace(self._rows * 3 // 4 + self._rng.randint(0, self._rows // 10), BEGINNING.correlation_id)

        def position() -> Position:
            return Position(begin_ms + self._rng.randint(0, 15 * DAY_MS), UUID(int=0))

        def recent() -> tuple[int, int]:
            return (from_ms := position().at_ms), from_ms + DAY_MS

        questions: dict[str, Callable[[], object]] = {
            "batch of 20 claims and 20 settlements": self.batch,
            "payment by id": lambda: self._payments.payment(self._rng.choice(self._ids)),
            "summary of everything": lambda: self._payments.summary(None, None),
            "summary of a day": lambda: self._payments.summary(*recent()),
            "page of 100 settled": lambda: self._payments.in_state(PaymentState.SETTLED, position(), 100),
            "page of 500 of the feed": lambda: self._ends.read(place(), 500),
        }
        figures: dict[str, tuple[float, float]] = {}
        for name, question in questions.items():
            taken_ms = [_milliseconds(question) for _ in range(times)]
            quickest, middle = (round(quantiles(taken_ms, n=10)[tenth], 2) for tenth in (0, 4))
            figures[name] = quickest, middle
            print_error(f"{name:<40} p10 {quickest:8.2f} ms   p50 {middle:8.2f} ms")
        return figures

    def batch(self) -> None:
        """Claim some payments, and settle those that were claimed before."""
        claimed = [Payment(uuid4(), 1990, END_MS) for _ in range(BATCH_PAYMENTS)]
        before, self._claimed = self._claimed, claimed
        at_ms = END_MS + self._rng.randint(0, 1000)
        charged = [Settlement(payment, "default", at_ms, 1, at_ms + 5) for payment in before]
        self._payments.write([Claim(payment, "default") for payment in claimed], [], charged)

    def archive(self, before_ms: int) -> tuple[dict[str, object], float]:
        """Archive older settlements while batches are written; give the figures, and the time of the longest batch."""
        worker = gevent.get_hub().threadpool
        with tempfile.TemporaryDirectory(prefix="fiel-bench-") as folder:
            longest_alone_ms = self._write_until(gevent.spawn(gevent.sleep, 5.0))
            started_s = perf_counter()
            longest_ms = self._write_until(worker.spawn(_archive, self._url, Path(folder), before_ms))
            took_s = perf_counter() - started_s
            files_mb = sum(file.stat().st_size for file in Path(folder).glob("*.gz")) / 1e6
        figures: dict[str, object] = {
            "archive_s": round(took_s, 1),
            "files_mb": round(files_mb, 1),
            "longest_batch_alone_ms": longest_alone_ms,
            "longest_batch_ms": longest_ms,
        }
        return figures, longest_ms

    def _write_until(self, work: _Work) -> float:
        longest_ms = 0.0
        while not work.ready():
            longest_ms = max(longest_ms, _milliseconds(self.batch))
            gevent.sleep(BATCH_S)
        work.get()
        return round(longest_ms, 1)


def _milliseconds(work: Callable[[], object]) -> float:
    started_s = perf_counter()
    work()
    return (perf_counter() - started_s) * 1000


def _archive(url: str, folder: Path, before_ms: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        detach_old(connection, before_ms, END_MS)
        move_to_files(connection, folder, END_MS, print_error)
