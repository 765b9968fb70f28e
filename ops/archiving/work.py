"""The steps of ops/archive. Each reads from the database what is left to do, so that it may be killed at any time."""

from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql

from ops import OpsError
from ops.archiving.files import (
    COLUMNS,
    Manifest,
    Total,
    check_file,
    manifest_path,
    put_back,
    read_manifest,
    read_rows,
    write_file,
)
from ops.archiving.partitions import (
    LOWEST_MS,
    NOTE_PLACE,
    Archive,
    Partition,
    attach,
    briefly,
    check_bounds,
    create_table,
    detach,
    detach_oldest,
    late_partition,
    read_archives,
)

SUMS = "SELECT processor, currency, requests, amount_minor FROM archive_sum WHERE from_ms = %s ORDER BY 1, 2"
NOTE_FILE = "UPDATE archive SET file_name = %s, checksum = %s WHERE from_ms = %s"
NOTE_DROP = "UPDATE archive SET dropped_at_ms = %s WHERE from_ms = %s"


def detach_old(connection: psycopg.Connection, before_ms: int, now_ms: int) -> list[Partition]:
    """Detach every partition that lies before an instant as a whole."""
    detached: list[Partition] = []
    while (partition := detach_oldest(connection, before_ms, now_ms)) is not None:
        detached.append(partition)
    return detached


def move_to_files(
    connection: psycopg.Connection, folder: Path, now_ms: int, say: Callable[[str], None]
) -> list[Manifest]:
    """Write detached tables into files, and drop each once its file was read again and found right.

    Raises:
        OpsError: a file does not hold what the gateway has summed up; its table stays.
    """
    moved = []
    for archive in read_archives(connection):
        if archive.dropped_at_ms is not None:
            continue
        say(f"writing {archive.row_count} settlements of {archive.table_name}")
        manifest = _written(connection, archive, folder)
        file = folder / manifest.file
        check_file(file, manifest)
        _compare(connection, archive, manifest)
        connection.execute(NOTE_FILE, [manifest.file, manifest.sha256, archive.from_ms])
        drop = sql.SQL("DROP TABLE {}").format(sql.Identifier(archive.table_name))
        with connection.transaction():
            connection.execute(drop)
            connection.execute(NOTE_DROP, [now_ms, archive.from_ms])
        moved.append(manifest)
    return moved


def _written(connection: psycopg.Connection, archive: Archive, folder: Path) -> Manifest:
    if archive.file_name is not None and manifest_path(folder / archive.file_name).exists():
        manifest = read_manifest(folder / archive.file_name)
        if manifest.sha256 == archive.checksum:
            return manifest
    try:
        return write_file(connection, archive, folder)
    except OSError as error:
        raise OpsError(f"{folder}: {error}") from error


def _compare(connection: psycopg.Connection, archive: Archive, manifest: Manifest) -> None:
    """Compare a file with the sums that triggers kept when its settlements were written."""
    kept = tuple(
        Total(name, code, int(requests), int(amount))
        for name, code, requests, amount in connection.execute(SUMS, [archive.from_ms]).fetchall()
    )
    if kept != manifest.totals or archive.row_count != manifest.rows:
        raise OpsError(
            f"{manifest.file} does not hold what was summed up: {archive.table_name} stays; look at the view wrong_sum"
        )


def restore(connection: psycopg.Connection, given: Path) -> Partition:
    """Make an archive a partition again, from its file or from its table if that was kept; the latest one comes first.

    Raises:
        OpsError: there is no such file, or it is of another database, not the latest one, or damaged.
    """
    archives = read_archives(connection)
    latest = next(reversed(archives), None)
    missing = "" if given.exists() else f"there is no file {given}; "
    if latest is None:
        raise OpsError(f"{missing}nothing is archived here; a purge forgets what was")
    if latest.dropped_at_ms is None:
        if given.name != latest.table_name:
            raise OpsError(f"{missing}the latest archive comes first, which is the table {latest.table_name}")
    elif missing:
        raise OpsError(f"{missing}the latest archive comes first, which is the file {latest.file_name}")
    else:
        manifest = read_manifest(given)
        if (manifest.from_ms, manifest.to_ms, manifest.sha256) != (latest.from_ms, latest.to_ms, latest.checksum):
            raise OpsError(f"the latest archive comes first, which is the file {latest.file_name} as it was written")
        check_file(given, manifest)
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(latest.table_name)))
        create_table(connection, latest.table_name)
        put_back(connection, latest.table_name, read_rows(given))
    partition = Partition(latest.table_name, latest.from_ms, latest.to_ms)
    check_bounds(connection, partition)
    briefly(connection, lambda: _attach_again(connection, partition))
    return partition


def _attach_again(connection: psycopg.Connection, partition: Partition) -> None:
    late = late_partition(connection)
    if late is None:
        raise OpsError("no partition covers what is archived: somebody else has changed the partitions")
    detach(connection, late.table)
    names = {"late": sql.Identifier(late.table), "again": sql.Identifier(partition.table)}
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    moved = sql.SQL("INSERT INTO {again} ({columns}) SELECT {columns} FROM {late} WHERE requested_at_ms >= {at}")
    deleted = sql.SQL("DELETE FROM {late} WHERE requested_at_ms >= {at}")
    for each in (moved, deleted):
        connection.execute(each.format(**names, columns=columns, at=sql.Literal(partition.from_ms)))
    if partition.from_ms == LOWEST_MS:
        connection.execute(sql.SQL("DROP TABLE {late}").format(**names))
    else:
        attach(connection, Partition(late.table, LOWEST_MS, partition.from_ms))
    attach(connection, partition)
    connection.execute("DELETE FROM archive_sum WHERE from_ms = %s", [partition.from_ms])
    connection.execute("DELETE FROM archive WHERE from_ms = %s", [partition.from_ms])
    connection.execute(NOTE_PLACE)
