"""Migrations are applied in order, once, by one runner at a time, and never silently changed."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier

import psycopg
import pytest

from ops import OpsError
from ops.environment import ROOT
from ops.migrate import create_own_table, migrate, read_migrations

FIRST = "CREATE TABLE thing (id integer); CREATE INDEX ON thing (id);"
SECOND = "INSERT INTO thing VALUES (2);"
UNREACHABLE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_thing.sql").write_text(FIRST)
    (tmp_path / "0002_fill.sql").write_text(SECOND)
    return tmp_path


def rows(url: str, table: bytes) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(b"SELECT * FROM " + table).fetchall()


def test_each_migration_is_applied_once_and_in_order(empty_database_url: str, folder: Path) -> None:
    assert migrate(empty_database_url, directory=folder) == ["0001_thing", "0002_fill"]
    assert migrate(empty_database_url, directory=folder) == []
    (folder / "0003_more.sql").write_text("INSERT INTO thing VALUES (3);")
    assert migrate(empty_database_url, directory=folder) == ["0003_more"]
    assert rows(empty_database_url, b"thing") == [(2,), (3,)]
    assert [row[:2] for row in rows(empty_database_url, b"schema_migration")] == [
        (1, "thing"),
        (2, "fill"),
        (3, "more"),
    ]


def test_a_failing_migration_is_rolled_back_and_those_before_it_stay(empty_database_url: str, folder: Path) -> None:
    (folder / "0003_broken.sql").write_text("INSERT INTO thing VALUES (3); SELECT 1 / 0;")
    with pytest.raises(OpsError, match="0003_broken failed and was taken back: division by zero"):
        migrate(empty_database_url, directory=folder)
    assert rows(empty_database_url, b"thing") == [(2,)]
    (folder / "0003_broken.sql").write_text("INSERT INTO thing VALUES (4);")
    assert migrate(empty_database_url, directory=folder) == ["0003_broken"]


def test_a_migration_that_changed_after_it_was_applied_is_refused(empty_database_url: str, folder: Path) -> None:
    migrate(empty_database_url, directory=folder)
    (folder / "0002_fill.sql").write_text(SECOND + " ")
    with pytest.raises(OpsError, match="0002_fill has changed since it was applied"):
        migrate(empty_database_url, directory=folder)


def test_a_database_that_a_later_release_has_migrated_is_left_as_it_is(empty_database_url: str, folder: Path) -> None:
    (folder / "0003_later.sql").write_text("INSERT INTO thing VALUES (3);")
    migrate(empty_database_url, directory=folder)
    (folder / "0003_later.sql").unlink()
    assert migrate(empty_database_url, directory=folder) == []
    (folder / "0002_fill.sql").write_text(SECOND + " ")
    with pytest.raises(OpsError, match="0002_fill has changed since it was applied"):
        migrate(empty_database_url, directory=folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0002_again.sql", "migration 0002 is there twice"),
        ("0004_late.sql", "migration 0004 follows a gap: 0003 is missing"),
        ("3_short.sql", "3_short.sql is not named like a migration"),
    ],
)
def test_faulty_numbers_are_refused(folder: Path, name: str, message: str) -> None:
    (folder / name).write_text("")
    with pytest.raises(OpsError, match=message):
        read_migrations(folder)


def test_several_that_migrate_at_the_same_time_apply_each_migration_once(empty_database_url: str, folder: Path) -> None:
    (folder / "0003_slow.sql").write_text("SELECT pg_sleep(0.2);")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: migrate(empty_database_url, directory=folder), range(4)))
    assert sorted(name for applied in results for name in applied) == ["0001_thing", "0002_fill", "0003_slow"]
    assert rows(empty_database_url, b"thing") == [(2,)]


def test_several_that_create_the_table_of_migrations_at_the_same_moment_all_have_it(empty_database_url: str) -> None:
    with ExitStack() as opened, ThreadPoolExecutor(8) as pool:
        connections = [opened.enter_context(psycopg.connect(empty_database_url, autocommit=True)) for _ in range(8)]
        together = Barrier(len(connections))

        def create(connection: psycopg.Connection) -> None:
            together.wait()
            create_own_table(connection)

        for _ in range(50):
            list(pool.map(create, connections))
            connections[0].execute("DROP TABLE schema_migration")


def test_the_migrations_of_this_project_can_be_applied(empty_database_url: str) -> None:
    assert migrate(empty_database_url) == [f"{each.version:04}_{each.name}" for each in read_migrations()]


FILLED = b"""
INSERT INTO payment VALUES ('00000000-0000-0000-0000-000000000001', 1990, 5);
INSERT INTO payment VALUES ('00000000-0000-0000-0000-000000000002', 7, 6);
INSERT INTO claim VALUES ('00000000-0000-0000-0000-000000000002', 'default', '1', 0);
INSERT INTO settlement VALUES ('00000000-0000-0000-0000-000000000001', 'default', 1990, 9, 1);
INSERT INTO conflict VALUES ('00000000-0000-0000-0000-000000000002', 8, 7);
"""
BY_THE_RELEASE_BEFORE = b"""
INSERT INTO payment (correlation_id, amount_cents, accepted_at_ms) VALUES (gen_random_uuid(), 3, 8);
INSERT INTO settlement (correlation_id, processor, amount_cents, requested_at_ms, attempts)
SELECT correlation_id, 'default', amount_cents, 9, 1 FROM payment ON CONFLICT DO NOTHING;
INSERT INTO conflict (correlation_id, amount_cents, accepted_at_ms) SELECT correlation_id, amount_cents, accepted_at_ms
FROM conflict ON CONFLICT DO NOTHING;
"""


def test_what_was_stored_before_payments_had_a_currency_is_in_reais_and_is_not_written_again(
    empty_database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "0001_ledger.sql").write_bytes(read_migrations()[0].sql)
    migrate(empty_database_url, directory=tmp_path)
    files = (
        b"SELECT relname, relfilenode FROM pg_class WHERE relname IN ('payment', 'settlement', 'conflict') ORDER BY 1"
    )
    amounts = b"SELECT amount_cents, currency FROM %b ORDER BY 1"
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(FILLED)
        before = connection.execute(files).fetchall()
        (tmp_path / "0002_currency.sql").write_bytes(read_migrations()[1].sql)
        assert migrate(empty_database_url, directory=tmp_path) == ["0002_currency"]
        assert connection.execute(files).fetchall() == before
        found = [connection.execute(amounts % table).fetchall() for table in (b"payment", b"settlement", b"conflict")]
        assert found == [[(7, "BRL"), (1990, "BRL")], [(1990, "BRL")], [(8, "BRL")]]
        # Replicas of the release before go on writing meanwhile.
        connection.execute(BY_THE_RELEASE_BEFORE)
        assert connection.execute(amounts % b"settlement").fetchall() == [(3, "BRL"), (7, "BRL"), (1990, "BRL")]
        connection.execute(
            b"INSERT INTO conflict SELECT correlation_id, amount_cents, accepted_at_ms, 'JPY' FROM conflict"
        )
        assert connection.execute(amounts % b"conflict").fetchall() == [(8, "BRL"), (8, "JPY")]


def test_a_claim_of_the_release_before_was_written_by_no_registration_and_has_not_moved(
    empty_database_url: str, tmp_path: Path
) -> None:
    for migration in read_migrations()[:2]:
        (tmp_path / f"{migration.version:04}_{migration.name}.sql").write_bytes(migration.sql)
    migrate(empty_database_url, directory=tmp_path)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO claim VALUES (gen_random_uuid(), 'default', '1', 4)")
        migrate(empty_database_url)
        # Replicas of the release before go on writing meanwhile.
        connection.execute("INSERT INTO claim VALUES (gen_random_uuid(), 'default', '1', 4)")
        rows = connection.execute("SELECT processor, owner, attempts, moves, epoch, state FROM claim").fetchall()
    assert rows == [("default", "1", 4, 0, 0, None)] * 2


def test_what_was_purged_before_purges_had_an_instant_stays_purged(empty_database_url: str, tmp_path: Path) -> None:
    migrations = read_migrations()
    first = next(index for index, each in enumerate(migrations) if each.name == "purge")
    for each in migrations[:first]:
        (tmp_path / f"{each.version:04}_{each.name}.sql").write_bytes(each.sql)
    migrate(empty_database_url, directory=tmp_path)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("UPDATE gateway SET generation = 2, purged_generation = 2")
        before_ms = time.time_ns() // 1_000_000
        migrate(empty_database_url)
        (purged_at_ms,) = connection.execute("SELECT purged_at_ms FROM gateway").fetchone() or (0,)
    assert before_ms <= purged_at_ms <= time.time_ns() // 1_000_000 + 1


def test_an_unreachable_database_is_one_line() -> None:
    with pytest.raises(OpsError, match=r"^cannot reach PostgreSQL at DATABASE_URL: [^\n]*$"):
        migrate(UNREACHABLE, wait_s=0)


def test_an_invalid_url_is_one_line() -> None:
    with pytest.raises(OpsError, match=r"^DATABASE_URL is not a PostgreSQL URL: [^\n]*$"):
        migrate("mysql://somewhere", wait_s=0)


def test_the_command_prints_the_migrations_that_it_applied(empty_database_url: str) -> None:
    command = [sys.executable, "-m", "ops.migrate"]
    environment = {**os.environ, "DATABASE_URL": empty_database_url}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)  # noqa: S603 - ours
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"applied {each.version:04}_{each.name}" for each in read_migrations()]


def test_the_command_without_a_database_is_one_line() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    command = [sys.executable, "-m", "ops.migrate"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)  # noqa: S603 - ours
    assert done.returncode == 2
    assert "error: DATABASE_URL is not set: name a database" in done.stderr


def test_the_command_tells_what_it_applied_as_json_and_a_wrong_url_by_its_status(empty_database_url: str) -> None:
    def run(url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "ops.migrate", *arguments]
        environment = {**os.environ, "DATABASE_URL": url}
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)  # noqa: S603 - ours

    assert len(json.loads(run(empty_database_url, "--json").stdout)["applied"]) == len(read_migrations())
    assert json.loads(run(empty_database_url, "--json").stdout) == {"applied": []}
    wrong = run("mysql://somewhere")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (3, "", 1)
    assert wrong.stderr.startswith("python -m ops.migrate: DATABASE_URL is not a PostgreSQL URL")
