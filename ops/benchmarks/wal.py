"""Measures how much Postgres logs for a payment in large tables, whose pages are logged whole after a checkpoint."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from random import Random
from uuid import UUID

import psycopg

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.connections import Connections
from actors.adapters.postgres.fence import Fence
from actors.adapters.postgres.leases import PostgresLeases
from actors.adapters.postgres.payments import PostgresPayments
from actors.domain.payment import Claim, Payment, Settlement
from actors.domain.wall_clock import ClockReading
from ops.arguments import positive_count
from ops.benchmarks.own_postgres import own_postgres
from ops.benchmarks.scaling_model import PAGE_BYTES, WITHIN, page_images

NOW_MS = 1_752_582_896_700
BATCH_PAYMENTS = 20
RANDOM_INDEXES = ("payment_pkey", "settlement_1_pkey")
"""The indexes whose keys are the ids of payments, which fall anywhere."""
QUIET = {"max_wal_size": "20GB", "checkpoint_timeout": "1h", "autovacuum": "off"}
FILL = """
WITH fresh AS (SELECT gen_random_uuid() AS id, %(now_ms)s - n AS at_ms FROM generate_series(1, %(rows)s) AS n),
paid AS (INSERT INTO payment (correlation_id, amount_cents, accepted_at_ms) SELECT id, 1990, at_ms FROM fresh)
INSERT INTO settlement (correlation_id, processor, amount_cents, requested_at_ms, attempts, answered_at_ms)
SELECT id, 'default', 1990, at_ms, 1, at_ms FROM fresh
"""


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Write payments with random ids to large tables right after a checkpoint, and to the same tables later.

    The number of pages that are logged whole is compared with what `page_images` predicts.
    """
    parser = argparse.ArgumentParser(prog="ops/bench wal", description=run.__doc__)
    parser.add_argument("--rows", type=positive_count, default=300_000, help="default: 300,000")
    parser.add_argument("--payments", type=positive_count, default=4000, help="of each measurement; default: 4,000")
    given = parser.parse_args(arguments)
    with own_postgres() as url, psycopg.connect(url, autocommit=True) as connection:
        # Nothing but batches writes meanwhile.
        for setting, value in QUIET.items():
            connection.execute(f"ALTER SYSTEM SET {setting} = '{value}'".encode())
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(FILL, {"now_ms": NOW_MS, "rows": given.rows})
        connection.execute("VACUUM ANALYZE")
        pages = {index: _pages(connection, index) for index in RANDOM_INDEXES}
        predicted = sum(page_images(given.rows, given.rows / count, given.payments) for count in pages.values())
        payments = _payments(Random(1))  # noqa: S311  # they have to repeat
        connection.execute("CHECKPOINT")
        after_checkpoint = _measure(url, connection, payments, given.payments)
        ratio = after_checkpoint["page_images"] / predicted
        return {
            "rows": given.rows,
            "pages_of_each_index": pages,
            "after_a_checkpoint": after_checkpoint,
            "next": _measure(url, connection, payments, given.payments),
            "page_images_predicted": round(predicted, 3),
            "ratio_to_predicted": round(ratio, 3),
            "target": f"pages that are logged whole are predicted within {WITHIN:.0%}",
            "ok": abs(ratio - 1) <= WITHIN,
        }


def _payments(chance: Random) -> Iterator[Payment]:
    while True:
        yield Payment(UUID(int=chance.getrandbits(128), version=4), 1990, NOW_MS)


def _measure(
    url: str, connection: psycopg.Connection[tuple[int, int]], payments: Iterator[Payment], count: int
) -> dict[str, float]:
    """Write that many payments in batches as a replica does, and read what was logged for each of them."""
    with closing(Connections(url, HostDirectory())) as connections:
        fence = Fence("bench")
        PostgresLeases(connections, fence, lambda: UUID(int=0)).register(0, ClockReading(NOW_MS, NOW_MS))
        store = PostgresPayments(connections, fence)
        before_bytes, before_images = _logged(connection)
        for _ in range(0, count, BATCH_PAYMENTS):
            fresh = [next(payments) for _ in range(BATCH_PAYMENTS)]
            store.write([Claim(each, "default") for each in fresh], [], [])
            store.write([], [], [Settlement(each, "default", NOW_MS, 1, NOW_MS + 5) for each in fresh])
    after_bytes, after_images = _logged(connection)
    return {
        "bytes": round((after_bytes - before_bytes) / count),
        "page_images": round((after_images - before_images) / count, 3),
    }


def _logged(connection: psycopg.Connection[tuple[int, int]]) -> tuple[int, int]:
    """Read how many bytes were logged, and how many pages whole, which Postgres counts when a connection is idle."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0', wal_fpi FROM pg_stat_wal").fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _pages(connection: psycopg.Connection[tuple[int, int]], index: str) -> int:
    row = connection.execute("SELECT pg_relation_size(%s::regclass)", [index]).fetchone()
    return row[0] // PAGE_BYTES if row else 0
