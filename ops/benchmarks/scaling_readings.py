"""Reads what a whole gateway has used so far: CPU of each part, and what Postgres, Redis and replicas count."""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg
import redis
import requests

from ops.benchmarks.deployment import Deployment
from ops.benchmarks.usage import PROC, process_tree

NS_PER_MS = 1_000_000
COMMIT_COUNT = re.compile(r"^fiel_postgres_commit_seconds_count (\S+)$", re.MULTILINE)
KINDS: Mapping[str, tuple[str, ...]] = {
    "leases": ("beats", "log_position"),
    "batches": ("FOR SHARE", "claim", "COMMIT"),
}
"""The purpose of a connection, by a text in one of its statements. A lease's connection adopts claims as well."""
LOOKS = 6
LOOK_S = 0.15
"""Time between two looks at what connections have executed last."""
ANSWER_S_MAX = 10.0


@dataclass(frozen=True, slots=True)
class CpuReading:
    """The CPU time of all parts at one moment."""

    at_s: float
    replicas_ms: float
    postgres_ms: Mapping[int, float]
    """The CPU time of each process of Postgres."""
    redis_ms: float


@dataclass(frozen=True, slots=True)
class CountReading:
    """What the parts count themselves at one moment."""

    at_s: float
    counts: Mapping[str, float]


def read_cpu(deployment: Deployment) -> CpuReading:
    """Read the CPU time that all parts have used so far."""
    usage, pids = deployment.usage(), deployment.pids()
    postgres_ms = {each: read_cpu_ms(each) for pid in pids["postgres"] for each in process_tree(pid)}
    redis_ms = sum(read_cpu_ms(each) for pid in pids["redis"] for each in process_tree(pid))
    return CpuReading(time.monotonic(), 1000 * usage["replicas"].cpu_s, postgres_ms, redis_ms)


def read_counts(deployment: Deployment) -> CountReading:
    """Ask all parts what they have counted so far, which costs them some CPU."""
    counts = {
        "batches": sum(_batches(port) for port in deployment.ports),
        **_postgres_counts(deployment),
        **_redis_counts(deployment.redis_url),
    }
    return CountReading(time.monotonic(), counts)


def cpu_used(before: CpuReading, after: CpuReading, kinds: Mapping[int, str]) -> dict[str, float]:
    """Tell the CPU time used in a second between two readings; `kinds` tells what Postgres' processes are for."""
    by_kind = dict.fromkeys(("leases", "batches", "other"), 0.0)
    for pid, cpu_ms in after.postgres_ms.items():
        by_kind[kinds.get(pid, "other")] += cpu_ms - before.postgres_ms.get(pid, 0.0)
    used_ms = {
        "replicas_cpu_ms": after.replicas_ms - before.replicas_ms,
        **{f"postgres_{kind}_cpu_ms": cpu_ms for kind, cpu_ms in by_kind.items()},
        "redis_cpu_ms": after.redis_ms - before.redis_ms,
    }
    return {name: value / (after.at_s - before.at_s) for name, value in used_ms.items()}


def counted(before: CountReading, after: CountReading) -> dict[str, float]:
    """Tell what was counted in a second between two readings."""
    seconds = after.at_s - before.at_s
    return {name: (count - before.counts[name]) / seconds for name, count in after.counts.items()}


def connection_kinds(database_url: str) -> dict[int, str]:
    """Tell what each connection of the gateway to Postgres is for, by looking a few times at its last statement."""
    statements: dict[int, list[str]] = {}
    with psycopg.connect(database_url, autocommit=True) as connection:
        for _ in range(LOOKS):
            rows = connection.execute(
                "SELECT pid, query FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            for pid, query in rows:
                statements.setdefault(pid, []).append(query)
            time.sleep(LOOK_S)
    return {pid: kind for pid, said in statements.items() if (kind := kind_of(said)) is not None}


def kind_of(statements: Sequence[str]) -> str | None:
    """Tell what a connection is for that executed these statements; None where it answers questions."""
    text = "\n".join(statements)
    return next((kind for kind, marks in KINDS.items() if any(mark in text for mark in marks)), None)


def cpu_ms_of(schedstats: Iterable[str]) -> float:
    """Add up the time that threads have run, from what the kernel says of each in its file `schedstat`."""
    return sum(int(each.split()[0]) for each in schedstats if each.strip()) / NS_PER_MS


def read_cpu_ms(pid: int | str) -> float:
    """Read how long a process has run, which /proc/PID/stat tells in hundredths of a second alone; 0 where it is gone.

    Threads that have ended are left out.
    """
    found = []
    for task in (PROC / str(pid) / "task").glob("*/schedstat"):
        try:
            found.append(task.read_text())
        except OSError:
            continue  # The thread has ended.
    return cpu_ms_of(found)


def _batches(port: int) -> float:
    with requests.Session() as session:
        session.trust_env = False  # Loopback needs no proxy, whatever the environment says.
        answer = session.get(f"http://127.0.0.1:{port}/metrics", timeout=ANSWER_S_MAX)
    answer.raise_for_status()
    found = COMMIT_COUNT.search(answer.text)
    return float(found[1]) if found else 0.0


def _postgres_counts(deployment: Deployment) -> dict[str, float]:
    with psycopg.connect(deployment.database_url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
    return {"commits": deployment.commits(), "wal_bytes": float(row[0]) if row else 0.0}


def _redis_counts(redis_url: str) -> dict[str, float]:
    with redis.Redis.from_url(redis_url) as client:
        stats = client.info("stats")
    return {"redis_commands": stats["total_commands_processed"], "redis_sent_bytes": stats["total_net_output_bytes"]}
