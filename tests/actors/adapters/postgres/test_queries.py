"""Statements stand in one file, each under a name and with a description."""

from pathlib import Path

from actors.adapters.postgres.queries import QUERIES, parse_queries

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
