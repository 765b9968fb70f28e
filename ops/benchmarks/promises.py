"""Measures what was expected of the design: smaller bodies, quicker parsing and writes, and a quick start."""

import argparse
import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from http import HTTPStatus
from pathlib import Path
from statistics import median
from uuid import UUID

import msgpack
import psycopg
import requests

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.connections import Connections
from actors.adapters.postgres.fence import Fence
from actors.adapters.postgres.leases import PostgresLeases
from actors.adapters.postgres.payments import PostgresPayments
from actors.domain.payment import Claim, Payment, Settlement
from actors.domain.processors import ALL_CURRENCIES
from actors.domain.wall_clock import ClockReading
from gateway.payment_body import parse_payment
from ops import OpsError
from ops.benchmarks.deployment import Deployment
from ops.benchmarks.own_postgres import own_postgres
from ops.benchmarks.usage import process_tree
from ops.environment import ROOT

PAYMENT_ID = UUID("4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3")
PARSED = 200_000
WRITTEN = 2000
BATCH_MAX = 40
"""Payments that share a commit at most, as in `BatchLimits`."""
STARTS = 5
START_S_MAX = 30.0
NOW_MS = 1_752_582_896_700
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Measure each of the expected gains against the same work without it, in one call."""
    parser = argparse.ArgumentParser(prog="ops/bench promises", description=run.__doc__)
    parser.add_argument("--payments", type=int, default=WRITTEN, help=f"to be written each way; default: {WRITTEN}")
    parser.add_argument("--starts", type=int, default=STARTS, help=f"of a replica; default: {STARTS}")
    given = parser.parse_args(arguments)
    if given.payments < BATCH_MAX or given.starts < 1:
        parser.error(f"--payments is {BATCH_MAX} or more, --starts 1 or more")
    return {
        "body_bytes": {form: len(body) for form, body in bodies().items()},
        "parse_us": {form: round(_parse_us(body, is_msgpack=form != "json"), 2) for form, body in bodies().items()},
        "writes": _measure_writes(given.payments),
        "start_s": _measure_starts(given.starts),
    }


def bodies() -> dict[str, bytes]:
    """Make the same payment in each form that is accepted."""
    return {
        "json": json.dumps({"correlationId": str(PAYMENT_ID), "amount": 19.9}, separators=(",", ":")).encode(),
        "msgpack": msgpack.packb({"correlationId": str(PAYMENT_ID), "amount": 19.9}),
        "compact": msgpack.packb([PAYMENT_ID.bytes, 19.9], use_single_float=True),
    }


def _parse_us(body: bytes, *, is_msgpack: bool) -> float:
    began_ns = time.process_time_ns()
    for _ in range(PARSED):
        parse_payment(body, ALL_CURRENCIES, NOW_MS, is_msgpack=is_msgpack)
    return (time.process_time_ns() - began_ns) / PARSED / 1000


def _measure_writes(payments: int) -> dict[str, dict[str, float]]:
    """Write claims and settlements one by one, then in the product's batches; each commit is synced."""
    with own_postgres() as url, closing(Connections(url, HostDirectory())) as connections:
        connections.open()
        fence = Fence("bench")
        PostgresLeases(connections, fence, lambda: UUID(int=0)).register(0, ClockReading(NOW_MS, NOW_MS))
        store = PostgresPayments(connections, fence)
        figures = {}
        for first, size in ((0, BATCH_MAX), (payments, 1), (2 * payments, BATCH_MAX)):
            # The first round warms up: the statements are prepared, and the tables have their first pages.
            figures[f"of_{size}"] = _write_in_batches(url, store, first, payments, size)
    return figures


def _write_in_batches(url: str, store: PostgresPayments, first: int, payments: int, size: int) -> dict[str, float]:
    with psycopg.connect(url, autocommit=True) as connection:

        def log_bytes() -> int:
            row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
            return int(row[0]) if row else 0

        before_bytes, began_s = log_bytes(), time.perf_counter()
        for number in range(first, first + payments, size):
            fresh = [Payment(UUID(int=each), 1990, NOW_MS) for each in range(number, number + size)]
            store.write([Claim(each, "default") for each in fresh], [], [])
            store.write([], [], [Settlement(each, "default", NOW_MS, 1, NOW_MS + 5) for each in fresh])
        taken_s = time.perf_counter() - began_s
        written = log_bytes() - before_bytes
    return {
        "payments_per_s": round(payments / taken_s),
        "log_bytes_per_payment": round(written / payments),
        "syncs_per_payment": round(2 / size, 3),
    }


def _measure_starts(starts: int) -> dict[str, float]:
    """Kill a replica several times, and measure from its successor's exec to its first 202."""
    with Deployment(ROOT, replicas=1) as deployment:
        taken_s = [_start_s(deployment) for _ in range(starts)]
    return {"median": round(median(taken_s), 2), "max": round(max(taken_s), 2)}


def _start_s(deployment: Deployment) -> float:
    before = deployment.replicas()
    for pid in (each for parent in before for each in process_tree(parent)):
        os.kill(pid, signal.SIGKILL)
    deadline_s = time.monotonic() + START_S_MAX
    while not (accepted := _is_accepted(deployment.ports[0])) and time.monotonic() < deadline_s:
        time.sleep(0.002)
    if not accepted:
        raise OpsError("the replica did not start again")
    (successor,) = deployment.replicas()
    started_ticks = int(Path(f"/proc/{successor}/stat").read_text().rpartition(")")[2].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - started_ticks / _TICKS_PER_S


def _is_accepted(port: int) -> bool:
    body = {"correlationId": str(UUID(bytes=os.urandom(16), version=4)), "amount": 19.9}
    with suppress(requests.RequestException), requests.Session() as session:
        session.trust_env = False
        return (
            session.post(f"http://127.0.0.1:{port}/payments", json=body, timeout=START_S_MAX).status_code
            == HTTPStatus.ACCEPTED
        )
    return False
