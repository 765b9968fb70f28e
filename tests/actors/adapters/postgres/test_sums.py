"""Sums never differ from the settlements that they are of, and a summary reads few rows."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from actors.domain.money import Money
from actors.domain.payment import Settlement
from actors.domain.records import LedgerSummary
from actors.domain.spans import WIDTHS_MS, part_window
from ops.migrate import read_migrations
from tests.actors.adapters.postgres.storage import (
    ReplicaStorage,
    claim,
    opened,
    register_anew,
    rows_read,
    settlement,
    uid,
)
from tests.actors.fakes import NOW_MS, READING, payment

SPREAD_MS = (0, 40, 9_000, 11_000, 1_500_000, 250_000_000, -2 * NOW_MS)
"""How far before now charges are stamped, so that spans of every width are met; the last lies before 1970."""
AUDIT = "SELECT count(*) FROM wrong_sum"


@pytest.fixture
def backend() -> str:
    """Where the storage is: sums are of Postgres alone."""
    return "postgres"


@pytest.fixture
def server(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection beside those of the replicas."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def wrong_sums(server: psycopg.Connection) -> int:
    return int((server.execute(AUDIT).fetchone() or (-1,))[0])


def random_settlements(rng: Random, numbers: range) -> list[Settlement]:
    """Make settlements, some of ids that others have, with stamps and answers far and near."""
    made = []
    for number in rng.sample(numbers, rng.randint(0, 15)):
        stamp_ms = NOW_MS - rng.choice(SPREAD_MS) + rng.randint(0, 5)
        currency = rng.choice(("BRL", "BRL", "JPY"))
        made.append(
            Settlement(
                payment(number, rng.choice((1, 1990, 10**14)), currency),
                rng.choice(("default", "fallback")),
                stamp_ms,
                1,
                stamp_ms + rng.randint(0, 2_000),
            )
        )
    return made


def expected(booked: list[Settlement], from_ms: int, to_ms: int, by_ms: int) -> tuple[Counter[tuple[str, Money]], int]:
    counts: Counter[tuple[str, str]] = Counter()
    amounts: Counter[tuple[str, str]] = Counter()
    left_out = 0
    for each in booked:
        if from_ms <= each.requested_at_ms <= to_ms:
            key = each.processor, each.payment.currency
            left_out += each.answered_at_ms > by_ms
            counts[key] += each.answered_at_ms <= by_ms
            amounts[key] += each.payment.amount_minor * (each.answered_at_ms <= by_ms)
    totals = Counter({(name, Money(amounts[name, code], code)): n for (name, code), n in counts.items() if n})
    return totals, left_out


def told(found: LedgerSummary) -> tuple[Counter[tuple[str, Money]], int]:
    return Counter({(each.processor, each.amount): each.requests for each in found.totals}), found.left_out


def booked_now(storage: ReplicaStorage, numbers: range) -> list[Settlement]:
    records = (storage.payments.payment(uid(number)) for number in numbers)
    return [record.settlement for record in records if record is not None and record.settlement is not None]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_written_sums_and_summaries_equal_the_settlements(
    mine: ReplicaStorage, other: ReplicaStorage, server: psycopg.Connection, seed: int
) -> None:
    rng, numbers = Random(seed), range(150)  # no secret
    for step in range(60):
        storage = rng.choice((mine, other))
        storage.payments.write(
            [claim(number) for number in rng.sample(numbers, 3)], [], random_settlements(rng, numbers)
        )
        if step == 30:
            purge = mine.purge.begin_purge(payment(100).accepted_at_ms - 1)
            for each in (mine, other):
                each.purge.acknowledge_purge(purge.generation)
            assert mine.purge.finish_purge(purge)
            for each in (mine, other):
                register_anew(each, purge)
        if step % 10 == 9:
            assert wrong_sums(server) == 0
    booked = booked_now(mine, numbers)
    instants = sorted(each.requested_at_ms for each in booked)
    for _ in range(60):
        from_ms, to_ms = (rng.choice(instants) + rng.randint(-1, 1) for _ in range(2))
        by_ms = rng.choice(booked).answered_at_ms + rng.randint(-1, 1)
        assert told(mine.payments.summary(from_ms, to_ms, by_ms)) == expected(booked, from_ms, to_ms, by_ms)


def test_a_purge_leaves_the_sums_of_what_was_accepted_after_it(
    mine: ReplicaStorage, server: psycopg.Connection
) -> None:
    early = replace(payment(1), accepted_at_ms=NOW_MS - 5)
    late = replace(payment(2), accepted_at_ms=NOW_MS + 5)
    mine.payments.write([], [], [Settlement(each, "default", NOW_MS, 1, NOW_MS) for each in (early, late)])
    purge = mine.purge.begin_purge(NOW_MS)
    mine.purge.acknowledge_purge(purge.generation)
    assert mine.purge.finish_purge(purge)
    assert (mine.payments.summary(None, None).totals[0].requests, wrong_sums(server)) == (1, 0)


def test_replicas_that_write_at_once_lose_nothing(database_url: str, server: psycopg.Connection) -> None:
    def write(replica: int) -> None:
        with opened(database_url, str(replica)) as storage:
            storage.leases.register(0, READING)
            for batch in range(40):
                first = 1000 * replica + 10 * batch
                storage.payments.write([], [], [settlement(first + number) for number in range(10)])

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(3)))
    rows = server.execute("SELECT sum(requests) FROM settlement_sum GROUP BY width_ms").fetchall()
    assert (rows, wrong_sums(server)) == ([(1200,)] * 3, 0)


def test_an_operator_who_changes_settlements_by_hand_changes_the_sums(
    mine: ReplicaStorage, server: psycopg.Connection
) -> None:
    mine.payments.write([], [], [settlement(number) for number in (1, 2, 3)])
    server.execute(
        "UPDATE settlement SET amount_cents = 7, processor = 'fallback' WHERE correlation_id = %s", (uid(1),)
    )
    server.execute("DELETE FROM settlement WHERE correlation_id = %s", (uid(2),))
    assert wrong_sums(server) == 0
    assert told(mine.payments.summary(None, None)) == (
        Counter({("default", Money(1990, "BRL")): 1, ("fallback", Money(7, "BRL")): 1}),
        0,
    )


@pytest.mark.parametrize(
    "change", ["requests = requests + 1", "amount_minor = amount_minor - 1", "answered_at_ms = -1"]
)
def test_the_audit_finds_a_sum_that_is_wrong(
    mine: ReplicaStorage, server: psycopg.Connection, change: LiteralString
) -> None:
    mine.payments.write([], [], [settlement(1)])
    server.execute(sql.SQL("UPDATE settlement_sum SET {} WHERE width_ms = 5000").format(sql.SQL(change)))
    assert wrong_sums(server) == 1
    server.execute("DELETE FROM settlement_sum WHERE width_ms = 5000")
    assert wrong_sums(server) == 1


def test_what_was_settled_before_there_were_sums_is_summed_up(empty_database_url: str) -> None:
    migrations = read_migrations()
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        for each in migrations[:7]:
            connection.execute(each.sql)
        fill_settlements(connection, 1000, 37_000)
        connection.execute(migrations[7].sql)
        assert connection.execute(AUDIT).fetchone() == (0,)
        assert connection.execute("SELECT sum(requests) FROM settlement_sum").fetchone() == (3000,)


def test_amounts_whose_sum_no_bigint_holds_are_summed_up(mine: ReplicaStorage, server: psycopg.Connection) -> None:
    """Amounts of 10¹² in reais, 92,234 times: more than 2⁶³ cents."""
    server.execute(
        "INSERT INTO settlement SELECT gen_random_uuid(), 'default', 10^14::bigint, %s + n %% 50000, 1"
        " FROM generate_series(1, 92234) AS n",
        (NOW_MS,),
    )
    for bounds in ((None, None), (NOW_MS, NOW_MS + 49_999)):
        assert told(mine.payments.summary(*bounds)) == (
            Counter({("default", Money(92_234 * 10**14, "BRL")): 92_234}),
            0,
        )
    assert wrong_sums(server) == 0


def test_the_widths_of_postgres_are_those_that_windows_are_parted_into(server: psycopg.Connection) -> None:
    assert server.execute("SELECT width_ms, from_ms FROM spans_of(-1)").fetchall() == [(w, -w) for w in WIDTHS_MS]


def fill_settlements(connection: psycopg.Connection, count: int, step_ms: int) -> None:
    connection.execute(
        "INSERT INTO settlement (correlation_id, processor, amount_cents, requested_at_ms, attempts, answered_at_ms)"
        " SELECT gen_random_uuid(), (ARRAY['default', 'fallback'])[n %% 2 + 1], 1990, %s - n * %s::bigint, 1, %s"
        " FROM generate_series(1, %s) AS n",
        (NOW_MS, step_ms, NOW_MS, count),
    )


@pytest.mark.parametrize(("step_ms", "rows_max"), [(2, 6_000), (300_000, 3_000)])
def test_a_summary_reads_few_rows_however_many_settlements_there_are(
    server: psycopg.Connection, step_ms: int, rows_max: int
) -> None:
    """Reads its edges, each shorter than 5 s, and some hundred sums: of 500 charges a second, and of a year."""
    fill_settlements(server, 100_000, step_ms)
    server.execute("VACUUM ANALYZE")
    first_ms = NOW_MS - 100_000 * step_ms
    for from_ms, to_ms in ((first_ms + 1, NOW_MS - 1), (-(2**63), 2**63 - 1), (first_ms, NOW_MS - 77_777)):
        parts = [{"width_ms": p.width_ms, "from_ms": p.from_ms, "to_ms": p.to_ms} for p in part_window(from_ms, to_ms)]
        bounds = {"spans": json.dumps(parts), "answered_by_ms": NOW_MS}
        assert rows_read(server, "summary", bounds) < rows_max


def test_an_answer_that_came_later_is_found_without_reading_what_was_answered_before(
    mine: ReplicaStorage, server: psycopg.Connection
) -> None:
    fill_settlements(server, 50_000, 2)
    mine.payments.write([], [], [replace(settlement(1, requested_at_ms=NOW_MS - 50_000), answered_at_ms=NOW_MS + 9)])
    server.execute("VACUUM ANALYZE")
    bounds = {
        "spans": '[{"width_ms": 50000000, "from_ms": 0, "to_ms": 9223372036854775807}]',
        "answered_by_ms": NOW_MS,
    }
    assert rows_read(server, "summary", bounds) < 6_000
    assert mine.payments.summary(0, None, NOW_MS).left_out == 1
