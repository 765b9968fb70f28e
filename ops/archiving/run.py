"""What `ops/archive` does once its command line is read."""

import argparse
import time
from dataclasses import asdict

import psycopg

from actors.domain.instant import iso_from_ms
from ops import ExitStatus
from ops.archiving.partitions import LOWEST_MS, Partition, close_last, read_partitions
from ops.archiving.work import detach_old, move_to_files, restore
from ops.console import Console, RunVerdict
from ops.database import connected

DAY_MS = 86_400_000


def archive_or_restore(command: str, given: argparse.Namespace) -> ExitStatus:
    """Archive what is old, or put back what was archived, and tell what was done.

    Raises:
        OpsError: it could not be finished.
    """
    console = Console(as_json=given.json)
    with connected(given.database_url, command, autocommit=True) as connection:
        if given.restore is not None:
            restored = restore(connection, given.restore)
            words = f"Restored: {restored.table} is a partition again."
            return console.conclude(RunVerdict(words, kept=True), (), {"restored": asdict(restored)})
        return _archive(connection, given, console)


def _archive(connection: psycopg.Connection, given: argparse.Namespace, console: Console) -> ExitStatus:
    now_ms = time.time_ns() // 1_000_000
    closed = close_last(connection, now_ms, round(given.span * DAY_MS))
    detached = detach_old(connection, now_ms - round(given.older_than * DAY_MS), now_ms)
    files = [] if given.keep else move_to_files(connection, given.folder, now_ms, console.say)
    rows = [(each.table, f"detached: {_span(each)}") for each in detached]
    rows += [(each.file, f"{each.rows} settlements") for each in files]
    partitions = read_partitions(connection)
    words = (
        f"Archived: partitions detached: {len(detached)}, files written: {len(files)},"
        f" partitions left: {len(partitions)}, the last one from {_span(partitions[-1])}."
    )
    document = {
        "closed": closed and asdict(closed),
        "detached": [asdict(each) for each in detached],
        "files": [asdict(each) for each in files],
    }
    return console.conclude(RunVerdict(words, kept=True), rows, document)


def _span(partition: Partition) -> str:
    return "the beginning" if partition.from_ms == LOWEST_MS else iso_from_ms(partition.from_ms)
