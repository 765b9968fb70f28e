"""Old settlements leave their table for files: nothing is lost, nobody is stopped, and what was told stays true."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from actors.domain.feed import BEGINNING
from actors.domain.payment import Settlement
from actors.errors import ArchivedError
from ops import OpsError
from ops.archiving.files import manifest_path, read_rows
from ops.archiving.partitions import BORDER_MS, close_last, read_archives, read_partitions
from ops.archiving.work import detach_old, move_to_files, restore
from ops.environment import ROOT
from tests.actors.adapters.postgres.storage import (
    DEADLINE_S,
    NOTHING,
    ReplicaStorage,
    charge,
    claim,
    opened,
    record_of,
    register_anew,
    settlement,
    uid,
    wait_until_blocked,
)
from tests.actors.fakes import NOW_MS, READING, payment

DAY_MS = 86_400_000


@pytest.fixture
def server(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def mine(database_url: str) -> Iterator[ReplicaStorage]:
    with opened(database_url) as storage:
        storage.leases.register(0, READING)
        yield storage


def next_span(server: psycopg.Connection) -> int:
    """Close the last partition a day from its beginning, or from now; tell where the next one begins."""
    closed = close_last(server, max(NOW_MS, read_partitions(server)[-1].from_ms), DAY_MS)
    assert closed is not None
    return closed.to_ms


def archive(server: psycopg.Connection, folder: Path, before_ms: int) -> list[Path]:
    detach_old(server, before_ms, NOW_MS)
    return [folder / each.file for each in move_to_files(server, folder, NOW_MS, lambda _: None)]


def wrong_sums(server: psycopg.Connection) -> list[tuple[Any, ...]]:
    return server.execute("SELECT * FROM wrong_sum").fetchall()


def requests(storage: ReplicaStorage, from_ms: int | None = None, to_ms: int | None = None) -> int:
    return sum(total.requests for total in storage.payments.summary(from_ms, to_ms).totals)


def test_the_last_partition_is_closed_once_it_is_in_use(server: psycopg.Connection, mine: ReplicaStorage) -> None:
    assert mine.payments.write([], [], [settlement(1)]) == NOTHING
    closed = close_last(server, NOW_MS, DAY_MS)
    assert closed is not None
    assert closed.to_ms % BORDER_MS == 0
    assert NOW_MS + DAY_MS <= closed.to_ms < NOW_MS + DAY_MS + BORDER_MS
    assert close_last(server, closed.to_ms - 1, DAY_MS) is None
    assert [(each.table, each.from_ms == closed.to_ms) for each in read_partitions(server)] == [
        ("settlement_1", False),
        ("settlement_2", True),
    ]
    # What is stamped beyond all plans has its place.
    for number, stamp_ms in ((2, closed.to_ms), (3, 2**62), (4, -NOW_MS)):
        charge(mine, number, stamp_ms)
    assert close_last(server, closed.to_ms, DAY_MS) is not None
    assert (len(read_partitions(server)), requests(mine), wrong_sums(server)) == (3, 4, [])


def test_what_is_archived_is_still_known_and_counted(
    server: psycopg.Connection, mine: ReplicaStorage, tmp_path: Path
) -> None:
    charge(mine, 1)
    charge(mine, 2, NOW_MS + 7)
    mine.payments.write([claim(3)], [], [])
    mine.payments.report_conflicts([payment(1, 5)])
    border_ms = next_span(server)
    charge(mine, 4, border_ms)
    assert archive(server, tmp_path, border_ms - 1) == []
    (file,) = archive(server, tmp_path, border_ms)
    assert [row[0] for row in read_rows(file)] == [str(uid(1)), str(uid(2))]
    assert [record_of(mine, number).archived for number in (1, 2, 3, 4)] == [True, True, False, False]
    assert record_of(mine, 1).conflicting_amounts != ()
    (known,) = mine.payments.write([claim(1)], [], []).known
    assert (known.payment, known.owner) == (payment(1), None)
    assert wrong_sums(server) == []


def test_a_summary_over_what_is_archived_is_exact_or_refused(
    server: psycopg.Connection, mine: ReplicaStorage, tmp_path: Path
) -> None:
    charge(mine, 1)
    border_ms = next_span(server)
    charge(mine, 2, border_ms)
    archive(server, tmp_path, border_ms)
    first_ms = NOW_MS // 5000 * 5000
    assert [requests(mine, *each) for each in ((None, None), (first_ms, None), (None, first_ms - 1))] == [2, 2, 0]
    assert (requests(mine, first_ms, first_ms + 4999), requests(mine, first_ms - 3 * DAY_MS + 1, border_ms - 1)) == (
        1,
        1,
    )
    for bounds in ((first_ms + 1, None), (None, first_ms), (first_ms - 1, first_ms + 17)):
        with pytest.raises(ArchivedError, match="whole spans of 5 s"):
            mine.payments.summary(*bounds)


def test_the_feed_begins_behind_what_is_archived(
    server: psycopg.Connection, mine: ReplicaStorage, tmp_path: Path
) -> None:
    charge(mine, 1)
    border_ms = next_span(server)
    place = mine.ends.newest()[1]
    assert mine.ends.read(BEGINNING, 10)[0].archived < BEGINNING
    archive(server, tmp_path, border_ms)
    assert mine.ends.newest()[1] == place == mine.ends.read(place, 10)[0].archived
    charge(mine, 2, border_ms)
    assert [event.place.correlation_id for event in mine.ends.read(place, 10)[1]] == [uid(2)]


def test_a_second_charge_of_an_archived_payment_is_in_dispute(
    server: psycopg.Connection, mine: ReplicaStorage, tmp_path: Path
) -> None:
    charge(mine, 1)
    archive(server, tmp_path, next_span(server))
    for charged in (settlement(1, "fallback"), settlement(1, "fallback", NOW_MS + 3 * DAY_MS)):
        assert mine.payments.write([], [], [charged]).disputed == (uid(1),)
        assert mine.payments.write([], [], [charged]).disputed == ()
    assert (requests(mine), wrong_sums(server)) == (1, [])


def test_a_charge_that_is_found_late_is_booked_in_an_archived_span(
    server: psycopg.Connection, mine: ReplicaStorage, tmp_path: Path
) -> None:
    charge(mine, 1)
    mine.payments.write([claim(2)], [], [])
    border_ms = next_span(server)
    archive(server, tmp_path, border_ms)
    mine.payments.write([], [], [settlement(2), settlement(3, requested_at_ms=NOW_MS - DAY_MS)])
    assert [record_of(mine, number).settlement is None for number in (1, 2, 3)] == [True, False, False]
    assert (requests(mine), wrong_sums(server)) == (3, [])
    charge(mine, 4, border_ms)
    archive(server, tmp_path, next_span(server))
    assert [record_of(mine, number).settlement is None for number in (2, 3, 4)] == [False, False, True]
    assert (requests(mine), wrong_sums(server), len(read_partitions(server))) == (4, [], 2)


def test_an_archive_is_put_back_whole(server: psycopg.Connection, mine: ReplicaStorage, tmp_path: Path) -> None:
    charge(mine, 1)
    border_ms = next_span(server)
    charge(mine, 2, border_ms)
    first, second = archive(server, tmp_path, border_ms) + archive(server, tmp_path, next_span(server))
    mine.payments.write([], [], [settlement(3)])
    with pytest.raises(OpsError, match=f"latest archive comes first, which is the file {second.name}"):
        restore(server, first)
    for file in (second, first):
        restore(server, file)
        assert (requests(mine), wrong_sums(server)) == (3, [])
    assert [record_of(mine, number).settlement for number in (1, 2, 3)] == [
        settlement(1),
        settlement(2, requested_at_ms=border_ms),
        settlement(3),
    ]
    assert requests(mine, NOW_MS, NOW_MS) == 2
    assert len(mine.ends.read(BEGINNING, 10)[1]) == 3
    assert mine.ends.read(BEGINNING, 10)[0].archived < BEGINNING
    with pytest.raises(OpsError, match="nothing is archived"):
        restore(server, first)


def test_a_table_that_was_kept_is_put_back(server: psycopg.Connection, mine: ReplicaStorage) -> None:
    charge(mine, 1)
    detach_old(server, next_span(server), NOW_MS)
    assert record_of(mine, 1).archived
    restore(server, Path("settlement_1"))
    assert record_of(mine, 1).settlement == settlement(1)


def test_a_file_that_is_missing_is_told(server: psycopg.Connection, mine: ReplicaStorage, tmp_path: Path) -> None:
    missing = tmp_path / "missing.csv.gz"

    def told() -> str:
        with pytest.raises(OpsError, match=r"^there is no file") as caught:
            restore(server, missing)
        return str(caught.value).removeprefix(f"there is no file {missing}; ")

    assert told() == "nothing is archived here; a purge forgets what was"
    charge(mine, 1)
    detach_old(server, next_span(server), NOW_MS)
    assert told() == "the latest archive comes first, which is the table settlement_1"
    (file,) = archive(server, tmp_path, NOW_MS)
    assert told() == f"the latest archive comes first, which is the file {file.name}"


def test_a_damaged_file_is_not_put_back(server: psycopg.Connection, mine: ReplicaStorage, tmp_path: Path) -> None:
    charge(mine, 1)
    (file,) = archive(server, tmp_path, next_span(server))
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(OpsError, match="is not what its manifest says"):
        restore(server, file)
    manifest_path(file).unlink()
    with pytest.raises(OpsError, match="is no manifest"):
        restore(server, file)


def test_a_table_whose_sums_are_wrong_is_not_dropped(
    server: psycopg.Connection, mine: ReplicaStorage, tmp_path: Path
) -> None:
    charge(mine, 1)
    server.execute("UPDATE settlement_sum SET amount_minor = amount_minor + 1")
    with pytest.raises(OpsError, match="settlement_1 stays"):
        archive(server, tmp_path, next_span(server))
    assert server.execute("SELECT count(*) FROM settlement_1").fetchone() == (1,)


def test_a_purge_forgets_what_was_archived(server: psycopg.Connection, mine: ReplicaStorage, tmp_path: Path) -> None:
    charge(mine, 1)
    (file,) = archive(server, tmp_path, next_span(server))
    purge = mine.purge.begin_purge(NOW_MS)
    mine.purge.acknowledge_purge(purge.generation)
    assert mine.purge.finish_purge(purge)
    assert (requests(mine), wrong_sums(server), read_archives(server)) == (0, [], [])
    register_anew(mine, purge)
    assert mine.payments.write([claim(1)], [], []).claimed == (uid(1),)
    with pytest.raises(OpsError, match="a purge forgets"):
        restore(server, file)


class Killed(Exception):  # noqa: N818  # it stands for a signal
    pass


class MortalConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose process ends before some statement."""

    statements_left = 0

    def execute(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # as psycopg's own
        if not self.statements_left:
            raise Killed
        self.statements_left -= 1
        return super().execute(*arguments, **options)


def test_killed_before_any_statement_it_loses_nothing_and_goes_on(
    database_url: str, server: psycopg.Connection, mine: ReplicaStorage, tmp_path: Path
) -> None:
    number = 0
    charge(mine, number)
    begin_ms = next_span(server)
    booked: list[Settlement] = [settlement(0)]
    while True:
        number += 1
        booked.append(settlement(number, requested_at_ms=begin_ms))
        charge(mine, number, begin_ms)
        is_killed = False
        with MortalConnection.connect(database_url, autocommit=True) as mortal:
            mortal.statements_left = number - 1
            try:
                close_last(mortal, begin_ms, DAY_MS)
                archive(mortal, tmp_path, begin_ms)
            except Killed:
                is_killed = True
        assert (requests(mine), wrong_sums(server)) == (len(booked), [])
        close_last(server, begin_ms, DAY_MS)
        archive(server, tmp_path, begin_ms)
        begin_ms = read_partitions(server)[-1].from_ms
        if not is_killed:
            break
    assert number > 20
    filed = [row[0] for file in tmp_path.glob("*.gz") for row in read_rows(file)]
    kept = [str(key) for (key,) in server.execute("SELECT correlation_id FROM settlement").fetchall()]
    assert sorted(filed + kept) == sorted(str(each.correlation_id) for each in booked)
    assert (requests(mine), wrong_sums(server)) == (len(booked), [])
    assert list(tmp_path.glob("*.unfinished")) == []


def test_batches_go_on_while_a_reader_keeps_a_partition_from_being_detached(
    database_url: str, server: psycopg.Connection, mine: ReplicaStorage
) -> None:
    charge(mine, 1)
    border_ms = next_span(server)
    with psycopg.connect(database_url) as reader, ThreadPoolExecutor() as executor:
        assert reader.execute("SELECT count(*) FROM settlement").fetchone() == (1,)
        detaching = executor.submit(detach_old, server, border_ms, NOW_MS)
        wait_until_blocked(database_url, 1)
        for number in range(2, 5):
            charge(mine, number, border_ms)
        assert not detaching.done()
        reader.rollback()
        assert len(detaching.result(DEADLINE_S)) == 1
    assert requests(mine) == 4


def test_replicas_of_the_release_before_keep_it_from_beginning_and_cannot_come_back(
    server: psycopg.Connection, mine: ReplicaStorage
) -> None:
    charge(mine, 1)
    old = "UPDATE replica SET epoch = epoch + 1 WHERE name = 'a'"
    server.execute(old)
    with pytest.raises(OpsError, match="replicas of the release before live"):
        close_last(server, NOW_MS, DAY_MS)
    assert len(read_partitions(server)) == 1
    mine.leases.register(0, READING)
    assert close_last(server, NOW_MS, DAY_MS) is not None
    with pytest.raises(psycopg.errors.CheckViolation):
        server.execute(old)
    mine.leases.expel(mine.leases.others())
    mine.leases.stand_aside(0)


def run(url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ops.archiving", *arguments]
    environment = {**os.environ, "DATABASE_URL": url}
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)  # noqa: S603  # ours


def test_the_command_archives_and_restores(
    server: psycopg.Connection, mine: ReplicaStorage, database_url: str, tmp_path: Path
) -> None:
    charge(mine, 1)
    next_span(server)
    done = run(database_url, "--folder", str(tmp_path), "--json")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    (told,) = json.loads(done.stdout)["files"]
    assert (told["rows"], told["totals"][0]["amount_minor"]) == (1, 1990)
    assert run(database_url, "--keep").stdout.startswith("Archived: partitions detached: 0, files written: 0, ")
    back = run(database_url, "--restore", str(tmp_path / told["file"]))
    assert (back.returncode, back.stdout) == (0, "Restored: settlement_1 is a partition again.\n")
    assert record_of(mine, 1).settlement == settlement(1)


@pytest.mark.parametrize("arguments", [(), ("--keep", "--folder", "."), ("--folder", "/nowhere")])
def test_wrong_usage_is_told(arguments: tuple[str, ...]) -> None:
    assert run("postgresql://nobody@127.0.0.1:1/none", *arguments).returncode == 2
