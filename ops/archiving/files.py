"""Files of archived settlements: compressed CSV with a header, each beside a manifest that tells its content."""

import csv
import gzip
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, cast

import psycopg
from psycopg import sql

from ops import OpsError
from ops.archiving.partitions import Archive

COLUMNS = (
    "correlation_id",
    "processor",
    "amount_cents",
    "currency",
    "requested_at_ms",
    "attempts",
    "answered_at_ms",
    "end_number",
)
FORMAT = 1
"""The version of the format of files and manifests."""
COMPRESSION = 1
"""The level of compression. A higher one saves hardly any bytes, and takes several times as long."""
CHUNK_BYTES = 1 << 20
ROWS_AT_ONCE = 50_000
"""Rows that are put back in one transaction: a longer one would hold back the feed."""


@dataclass(frozen=True, slots=True)
class Total:
    """What one processor charged in one currency."""

    processor: str
    currency: str
    requests: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file holds."""

    file: str
    from_ms: int
    to_ms: int
    """The first instant behind the span of the file."""
    rows: int
    totals: tuple[Total, ...]
    sha256: str
    """The checksum of the compressed file."""
    columns: tuple[str, ...] = COLUMNS
    format: int = FORMAT


def manifest_path(file: Path) -> Path:
    """Tell where the manifest of a file is."""
    return file.with_name(file.name + ".json")


def read_manifest(file: Path) -> Manifest:
    """Read the manifest of a file.

    Raises:
        OpsError: there is none that can be read.
    """
    try:
        told = json.loads(manifest_path(file).read_bytes())
        totals = tuple(Total(**total) for total in told.pop("totals"))
        manifest = Manifest(**{**told, "totals": totals, "columns": tuple(told["columns"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OpsError(f"{manifest_path(file)} is no manifest of an archive: {error}") from error
    if (manifest.format, manifest.columns) != (FORMAT, COLUMNS):
        raise OpsError(f"{file} is of another format than {FORMAT}: restore it by the release that made it")
    return manifest


def write_file(connection: psycopg.Connection, archive: Archive, folder: Path) -> Manifest:
    """Copy a detached table into a file, and write its manifest; each of them appears as a whole or not at all."""
    file = folder / f"settlements-{archive.from_ms}-{archive.to_ms}.csv.gz"
    copy_out = sql.SQL("COPY {} ({}) TO STDOUT WITH (FORMAT csv, HEADER)").format(
        sql.Identifier(archive.table_name), sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    )
    with (
        _replacing(file) as target,
        gzip.GzipFile(filename="", fileobj=target, mode="wb", compresslevel=COMPRESSION, mtime=0) as compressed,
        connection.cursor().copy(copy_out) as rows,
    ):
        for piece in rows:
            compressed.write(piece)
    counted = _count(file)
    manifest = Manifest(file.name, archive.from_ms, archive.to_ms, *counted, _sha256(file))
    with _replacing(manifest_path(file)) as target:
        target.write(json.dumps(asdict(manifest), indent=1).encode() + b"\n")
    return manifest


def check_file(file: Path, manifest: Manifest) -> None:
    """Read a file again from the disk, and compare it with its manifest.

    Raises:
        OpsError: they differ, or the file cannot be read.
    """
    try:
        agrees = _sha256(file) == manifest.sha256 and _count(file) == (manifest.rows, manifest.totals)
    except (OSError, EOFError, ValueError, csv.Error) as error:
        raise OpsError(f"{file} cannot be read: {error}") from error
    if not agrees:
        raise OpsError(f"{file} is not what its manifest says: it is damaged, or of another archive")


def read_rows(file: Path) -> Iterator[list[str]]:
    """Read the rows of a file, without the header."""
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        if tuple(next(rows, ())) != COLUMNS:
            raise ValueError("it has other columns")
        yield from rows


def put_back(connection: psycopg.Connection, table: str, rows: Iterable[list[str]]) -> None:
    """Write rows into a table, some in each transaction."""
    copy_in = sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT csv)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    )
    lines = io.StringIO()
    writer = csv.writer(lines)
    waiting = 0

    def flush() -> None:
        with connection.cursor().copy(copy_in) as copy:
            copy.write(lines.getvalue())
        lines.seek(0)
        lines.truncate()

    for row in rows:
        writer.writerow(row)
        waiting += 1
        if waiting == ROWS_AT_ONCE:
            flush()
            waiting = 0
    flush()


def _count(file: Path) -> tuple[int, tuple[Total, ...]]:
    requests: Counter[tuple[str, str]] = Counter()
    amounts: Counter[tuple[str, str]] = Counter()
    for _, processor, amount, currency, *_ in read_rows(file):
        requests[processor, currency] += 1
        amounts[processor, currency] += int(amount)
    totals = (Total(*key, count, amounts[key]) for key, count in sorted(requests.items()))
    return requests.total(), tuple(totals)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def _replacing(file: Path) -> Iterator[IO[bytes]]:
    """Write a file under a temporary name, and rename it once all of it is on the disk."""
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("wb") as target:
            yield cast("IO[bytes]", target)
            target.flush()
            os.fsync(target.fileno())
        unfinished.rename(file)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        unfinished.unlink(missing_ok=True)
