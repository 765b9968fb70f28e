"""Statements stand in one file, each under a name and with a description."""

import re
from pathlib import Path

import pytest

from actors.adapters.postgres.queries import QUERIES, number_parameters, parse_queries
from ops.migrate import read_migrations

ROOT = Path(__file__).parents[4]


def test_a_statement_is_found_by_its_name() -> None:
    text = b"-- A file.\n-- name: one\n-- Gives one.\nSELECT 1\n\n-- name: two\nSELECT 2\n"
    assert parse_queries(text) == {"one": b"-- Gives one.\nSELECT 1\n\n", "two": b"SELECT 2\n"}


def test_every_statement_is_described_and_used_and_no_name_stands_twice() -> None:
    folder = ROOT / "actors" / "adapters" / "postgres"
    assert len(QUERIES) == (folder / "queries.sql").read_bytes().count(b"\n-- name: ")
    source = "".join(path.read_text() for path in folder.glob("*.py"))
    assert [name for name in QUERIES if f'"{name}"' not in source] == []
    assert [name for name, statement in QUERIES.items() if not statement.startswith(b"-- ")] == []


def test_parameters_are_numbered_as_the_server_reads_them() -> None:
    assert number_parameters(b"SELECT %(a)s, %(b)s::json, %(a)s") == (b"SELECT $1, $2::json, $1", ("a", "b"))


WRITES = re.compile(r"\b(?:INSERT INTO|DELETE FROM|TRUNCATE|(?<!FOR )(?<!DO )(?<!KEY )UPDATE)\s+(\w+)", re.IGNORECASE)
REFUSED = {
    "locks a table": re.compile(r"\bLOCK\s+TABLE\b", re.IGNORECASE),
    "takes an advisory lock": re.compile(r"advisory", re.IGNORECASE),
    "notifies": re.compile(r"\b(?:NOTIFY|LISTEN|pg_notify)\b", re.IGNORECASE),
}


def faults_of(statement: str) -> list[str]:
    """Tell what makes a statement one that a distributed table cannot bear."""
    code = re.sub(r"--[^\n]*", "", statement)
    faults = [fault for fault, form in REFUSED.items() if form.search(code)]
    for each in code.split(";"):
        written = WRITES.findall(each)
        faults += [f"writes {table} {written.count(table)} times" for table in set(written) if written.count(table) > 1]
    return faults


@pytest.mark.parametrize(
    ("statement", "faults"),
    [
        ("lock table payment", ["locks a table"]),
        ("SELECT pg_advisory_xact_lock(1)", ["takes an advisory lock"]),
        ("NOTIFY settled", ["notifies"]),
        ("WITH a AS (DELETE FROM claim) UPDATE claim SET epoch = 1", ["writes claim 2 times"]),
        ("WITH a AS (SELECT FROM claim FOR UPDATE) INSERT INTO claim SELECT 1 ON CONFLICT DO UPDATE SET epoch = 1", []),
        ("-- LOCK TABLE\nDELETE FROM claim; DELETE FROM claim", []),
    ],
)
def test_statements_that_distributed_tables_cannot_bear_are_told(statement: str, faults: list[str]) -> None:
    assert faults_of(statement) == faults


def test_no_statement_of_a_replica_locks_a_table_or_writes_one_twice() -> None:
    assert {name: found for name, text in QUERIES.items() if (found := faults_of(text.decode()))} == {}


def test_no_migration_locks_a_table_or_notifies() -> None:
    found = {each.name: faults_of(each.sql.decode()) for each in read_migrations()}
    assert {name: faults for name, faults in found.items() if set(faults) & REFUSED.keys()} == {}
    assert REFUSED["takes an advisory lock"].search((ROOT / "ops" / "migrate.py").read_text()) is None
