"""Archives old settlements: `ops/archive`."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import psycopg

from actors.domain.instant import iso_from_ms
from ops import ExitStatus
from ops.archiving.partitions import LOWEST_MS, Partition, close_last, read_partitions
from ops.archiving.work import detach_old, move_to_files, restore
from ops.arguments import add_json_option, make_parser, positive_number, read_database_url
from ops.console import Console, RunVerdict
from ops.database import connected
from ops.foreground import interrupt_on_end_signals, run_command

COMMAND = "ops/archive"
DAY_MS = 86_400_000
DAYS_DEFAULT = 90
SPAN_DAYS_DEFAULT = 7


def parse_archiving(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(
        COMMAND,
        "Move settlements that are older than some days out of the database at DATABASE_URL into files, a partition at "
        "a time, while the gateway goes on. Run it every day: it also begins a new partition each week. Sums stay, ids "
        "stay known and are never charged again. It may be killed and run again at any time.",
        kept="whatever is old enough is archived, or there was nothing",
        broken="is not used",
        takes="some 20 s for a million settlements",
        examples={
            f"{COMMAND} --folder /srv/archive": "what is older than 90 days",
            f"{COMMAND} --older-than 30 --keep": "only detaches: the tables stay in the database",
            f"{COMMAND} --restore /srv/archive/settlements-….csv.gz": "the latest archive becomes a partition again",
        },
        notes="A file is CSV with a header, compressed by gzip; the manifest beside it has its checksum, its totals "
        "and its bounds.",
    )
    parser.add_argument("--folder", type=Path, help="where files are written")
    parser.add_argument(
        "--older-than", type=positive_number, default=DAYS_DEFAULT, metavar="DAYS", help="default: %(default)s"
    )
    parser.add_argument(
        "--span",
        type=positive_number,
        default=SPAN_DAYS_DEFAULT,
        metavar="DAYS",
        help="how long a new partition is for; default: %(default)s",
    )
    parser.add_argument("--keep", action="store_true", help="detach only, and write no file")
    parser.add_argument(
        "--restore", type=Path, metavar="FILE", help="put back the latest archive: its file, or its table if it is kept"
    )
    add_json_option(parser)
    given = parser.parse_args(arguments)
    if [given.folder is not None, given.keep, given.restore is not None].count(True) != 1:
        parser.error("one of --folder, --keep and --restore is needed")
    if given.folder is not None and not given.folder.is_dir():
        parser.error(f"--folder {given.folder} is no folder")
    given.database_url = read_database_url(parser)
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Archive, and tell what was archived."""
    given = parse_archiving(sys.argv[1:] if arguments is None else arguments)
    return run_command(COMMAND, lambda: _run(given))


def _run(given: argparse.Namespace) -> ExitStatus:
    console = Console(as_json=given.json)
    with connected(given.database_url, COMMAND, autocommit=True) as connection:
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
        f"Archived: {len(detached)} partitions detached, {len(files)} files written;"
        f" {len(partitions)} partitions are left, the last one from {_span(partitions[-1])}."
    )
    document = {
        "closed": closed and asdict(closed),
        "detached": [asdict(each) for each in detached],
        "files": [asdict(each) for each in files],
    }
    return console.conclude(RunVerdict(words, kept=True), rows, document)


def _span(partition: Partition) -> str:
    return "the beginning" if partition.from_ms == LOWEST_MS else iso_from_ms(partition.from_ms)


if __name__ == "__main__":
    interrupt_on_end_signals()
    sys.exit(main())
