"""Migrates a database to the schema of this checkout: `DATABASE_URL=... python -m ops.migrate`.

The numbered files are applied in order, each once and in a transaction of its own. A PostgreSQL that is just starting
is waited for, and several processes that migrate at the same time wait for one another. A database that a later release
has migrated is left as it is: that release only adds to what this one needs (docs/operations.md, "Upgrade").
"""

import hashlib
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from actors.adapters.postgres.conninfo import for_writing, named
from ops import ExitStatus, OpsError
from ops.arguments import add_json_option, make_parser, read_database_url
from ops.database import CONNECT_S_MAX, one_line
from ops.foreground import interrupt_on_end_signals, print_line, run_command

COMMAND = "python -m ops.migrate"
SESSION = "ops.migrate"
"""The name under which the server shows the session of this command."""
MIGRATIONS = Path(__file__).with_name("migrations")
FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
LOCK_WAIT = "60s"
RETRY_S = 0.25

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migration (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """A file of the migrations folder."""

    version: int
    name: str
    sql: bytes

    @property
    def checksum(self) -> str:
        """The SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.sql).hexdigest()


def read_migrations(directory: Path = MIGRATIONS) -> list[Migration]:
    """Read the migrations of `directory` in the order of their numbers.

    Raises:
        OpsError: a file is not named `NNNN_name.sql`, or a number is used twice or left out.
    """
    migrations = []
    for path in sorted(directory.glob("*.sql")):
        match = FILE_NAME.fullmatch(path.name)
        if match is None:
            raise OpsError(f"{path.name} is not named like a migration: call it NNNN_name.sql")
        migrations.append(Migration(int(match[1]), match[2], path.read_bytes()))
    for expected, migration in enumerate(migrations, start=1):
        if migration.version != expected:
            fault = "is there twice" if migration.version < expected else f"follows a gap: {expected:04} is missing"
            raise OpsError(f"migration {migration.version:04} {fault}: number the files 0001, 0002, ...")
    return migrations


def migrate(database_url: str, *, directory: Path = MIGRATIONS, wait_s: float = 30) -> list[str]:
    """Apply the migrations that the database lacks and return their names.

    It may be called again, and by several processes at the same time.

    Raises:
        OpsError: there was no connection within `wait_s` seconds, a migration failed, or one that was applied earlier
            has changed.
    """
    migrations = read_migrations(directory)
    with _connect(database_url, wait_s) as connection:
        try:
            connection.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_WAIT])
            create_own_table(connection)
            missing = _missing(connection, migrations)
            return [name for name in (_apply(connection, migration) for migration in missing) if name is not None]
        except psycopg.Error as error:
            raise OpsError(f"migration failed: {one_line(error)}") from error


def _connect(database_url: str, wait_s: float) -> psycopg.Connection:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            conninfo = named(for_writing(database_url), SESSION)
            return psycopg.connect(conninfo, connect_timeout=CONNECT_S_MAX, autocommit=True)
        except psycopg.OperationalError as error:
            if time.monotonic() >= deadline:
                raise OpsError(
                    f"cannot reach PostgreSQL at DATABASE_URL: {one_line(error)}: start it, or correct DATABASE_URL"
                ) from error
        except psycopg.ProgrammingError as error:
            raise OpsError(f"DATABASE_URL is not a PostgreSQL URL: {one_line(error)}") from error
        time.sleep(RETRY_S)


def create_own_table(connection: psycopg.Connection) -> None:
    """Create the table of the applied migrations, which other processes may be creating at the same moment."""
    try:
        connection.execute(CREATE_TABLE)
    except (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateTable, psycopg.errors.DuplicateObject):
        # What another process commits between the steps of this statement, IF NOT EXISTS does not notice.
        connection.execute(CREATE_TABLE)


def _missing(connection: psycopg.Connection, migrations: list[Migration]) -> list[Migration]:
    rows = connection.execute("SELECT version, name, checksum FROM schema_migration ORDER BY version").fetchall()
    known = {migration.version: migration for migration in migrations}
    for version, name, checksum in rows:
        # A later release has migrated the database already, and this one runs beside it, or replaces it again.
        is_later = version > len(migrations)
        if not is_later and known[version].checksum != checksum:
            raise OpsError(
                f"migration {version:04}_{name} has changed since it was applied: restore it, and add a new one instead"
            )
    return [migration for migration in migrations if migration.version > len(rows)]


def _apply(connection: psycopg.Connection, migration: Migration) -> str | None:
    """Apply a migration, and give its name; None where another process has applied it meanwhile.

    The migration's row is written first: a process that writes the same one waits until this transaction ends.
    """
    name = f"{migration.version:04}_{migration.name}"
    try:
        with connection.transaction():
            written = connection.execute(
                "INSERT INTO schema_migration (version, name, checksum) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                [migration.version, migration.name, migration.checksum],
            )
            if not written.rowcount:
                return None
            connection.execute(migration.sql)
    except psycopg.Error as error:
        raise OpsError(f"migration {name} failed and was taken back: {one_line(error)}") from error
    return name


def main(arguments: Sequence[str] | None = None) -> int:
    """Migrate the database at `DATABASE_URL`, and print the name of each migration that was applied."""
    parser = make_parser(
        COMMAND,
        "Migrate the database at DATABASE_URL to the schema of this checkout. It may be run again, and by several "
        "at once.",
        kept="the database has the schema of this checkout",
        broken="is not used",
        takes="a second; up to 30 s for a PostgreSQL that is starting, longer where a migration rewrites a table",
        examples={"DATABASE_URL=postgresql://fiel@localhost/fiel python -m ops.migrate": "prints what it applies"},
    )
    add_json_option(parser)
    given = parser.parse_args(arguments)
    database_url = read_database_url(parser)
    return run_command(COMMAND, lambda: _run(database_url, as_json=given.json))


def _run(database_url: str, *, as_json: bool) -> ExitStatus:
    applied = migrate(database_url)
    for line in [json.dumps({"applied": applied})] if as_json else [f"applied {name}" for name in applied]:
        print_line(line)
    return ExitStatus.KEPT


if __name__ == "__main__":
    interrupt_on_end_signals()
    sys.exit(main())
