"""`ops/reconcile`."""

import json
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from ops.reconciliation import main

AT = "2025-07-15T12:34:56.{}Z"
AT_MS = 1_752_582_896_000
"""The first of these instants."""

BOOKED = json.dumps({"correlationId": str(UUID(int=1)), "amount": 19.9, "requestedAt": AT.format("000")})

Charge = tuple[int, int, int]
"""Its number, its amount in cents, and the milliseconds of its instant."""


@pytest.fixture(autouse=True)
def environment(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)


def book(folder: Path, name: str, *charges: Charge) -> str:
    lines = [
        json.dumps(
            {
                "correlationId": str(UUID(int=number)),
                "amount": cents / 100,
                "requestedAt": AT.format(f"{millisecond:03}"),
            }
        )
        for number, cents, millisecond in charges
    ]
    path = folder / f"{name}.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    return f"{name}={path}"


def settle(database_url: str, processor: str, *charges: Charge) -> None:
    with psycopg.connect(database_url) as connection:
        for number, cents, millisecond in charges:
            accept(connection, number, cents)
            connection.execute(
                "INSERT INTO settlement (correlation_id, processor, amount_cents, requested_at_ms, attempts)"
                " VALUES (%s, %s, %s, %s, 1)",
                [UUID(int=number), processor, cents, AT_MS + millisecond],
            )


def accept(connection: psycopg.Connection, number: int, cents: int) -> None:
    connection.execute(
        "INSERT INTO payment (correlation_id, amount_cents, accepted_at_ms) VALUES (%s, %s, 1)",
        [UUID(int=number), cents],
    )


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[int, str], int]:
    """Run the command; give its status, its findings by number, and how many charges it recorded."""
    status = main([*arguments, "--json"])
    answer = json.loads(capsys.readouterr().out)
    findings: Sequence[dict[str, str]] = answer["findings"]
    return status, {UUID(each["correlation_id"]).int: each["finding"] for each in findings}, answer["recorded"]


def test_books_that_agree(database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settle(database_url, "default", (1, 1990, 5), (2, 7, 6))
    settle(database_url, "fallback", (3, 8, 5))
    books = book(tmp_path, "default", (1, 1990, 5), (2, 7, 6)), book(tmp_path, "fallback", (3, 8, 5))
    assert told(capsys, *books) == (0, {}, 0)


def test_each_difference_is_told(database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settle(database_url, "default", (1, 1990, 5), (2, 7, 6), (3, 8, 5), (4, 9, 1))
    with psycopg.connect(database_url) as connection:
        accept(connection, 6, 3)
        accept(connection, 7, 3)
        connection.execute(
            "INSERT INTO claim (correlation_id, processor, owner) VALUES (%s, 'default', '1')", [UUID(int=6)]
        )
        connection.execute("INSERT INTO closed VALUES (%s, 'declined', 'default', 1, 9)", [UUID(int=7)])
    default = book(tmp_path, "default", (1, 1990, 7), (2, 8, 6), (3, 8, 5), (5, 1, 9), (6, 3, 9), (7, 3, 9))
    fallback = book(tmp_path, "fallback", (3, 8, 6))
    assert told(capsys, default, fallback) == (
        1,
        {1: "different", 2: "different", 3: "second charge", 4: "not booked", 5: "missing", 6: "open", 7: "ended"},
        0,
    )


def test_what_is_missing_is_recorded_once_and_counted_in_sums(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settle(database_url, "default", (1, 1990, 5))
    books = book(tmp_path, "default", (1, 1990, 5), (2, 7, 6)), book(tmp_path, "fallback", (2, 7, 9), (3, 8, 5))
    assert told(capsys, *books) == (1, {2: "missing", 3: "missing"}, 0)
    # The earlier one of two charges is recorded, and the other one is told.
    assert told(capsys, *books, "--record") == (1, {2: "second charge"}, 2)
    assert told(capsys, *books, "--record") == (1, {2: "second charge"}, 0)
    with psycopg.connect(database_url) as connection:
        settled = connection.execute(
            "SELECT processor, amount_cents FROM settlement ORDER BY correlation_id"
        ).fetchall()
        wrong = connection.execute("SELECT * FROM wrong_sum").fetchall()
    assert (settled, wrong) == ([("default", 1990), ("default", 7), ("fallback", 8)], [])


def test_what_lies_outside_of_the_bounds_is_left_out(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settle(database_url, "default", (1, 1990, 5), (2, 7, 700))
    books = book(tmp_path, "default", (3, 1, 4), (4, 1, 600), (5, 1, 800))
    assert told(capsys, books, "--from", AT.format("500")) == (1, {2: "not booked", 4: "missing", 5: "missing"}, 0)
    assert told(capsys, books, "--to", AT.format("500")) == (1, {3: "missing"}, 0)


def test_a_person_reads_lines_and_a_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([book(tmp_path, "default", (5, 1990, 9))]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"missing       {UUID(int=5)}  default  19.90 BRL  {AT.format('009')}",
        "missing              1: charged, and Postgres knows nothing of it",
        "Postgres differs from the books; 0 charges recorded.",
    ]


@pytest.mark.parametrize("line", ["{", "{}", "[]", BOOKED.replace("19.9", "1.999"), BOOKED.replace("2025", "the")])
def test_a_book_that_cannot_be_read_is_one_line_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text(line)
    assert main([f"default={path}"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"ops/reconcile: {path}, line 1: ")
    assert told.err.count("\n") == 1


def test_a_database_that_cannot_be_reached_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert main([book(tmp_path, "default")]) == 3
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["default"], ["=file"], ["default=file", "--from", "yesterday"], []])
def test_wrong_usage_ends_with_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
