"""Lists of payments in one state: the oldest first, page by page, each payment once."""

from uuid import UUID

import psycopg
import pytest

from actors.domain.payment import EndState, Mark
from actors.domain.records import FIRST, PaymentState, Position
from tests.actors.adapters.postgres.storage import (
    MANY,
    ReplicaStorage,
    charge,
    claim,
    ended,
    on_postgres,
    record_of,
    rows_read,
    uid,
)
from tests.actors.fakes import NOW_MS


def listed(storage: ReplicaStorage, state: PaymentState, after: Position = FIRST, most: int = MANY) -> list[UUID]:
    return [each.payment.correlation_id for each in storage.payments.in_state(state, after, most)]


def test_each_payment_is_in_the_list_of_its_state_alone(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(number) for number in range(1, 6)], [], [])
    charge(mine, 6)
    closings = [ended(3, EndState.DECLINED), ended(4, EndState.MISMATCHED)]
    mine.payments.write([], [], [], closings, [Mark(uid(2), "unknown", NOW_MS), Mark(uid(5), "stranded", NOW_MS)])
    assert {state: listed(mine, state) for state in PaymentState} == {
        PaymentState.ACCEPTED: [uid(1)],
        PaymentState.UNKNOWN: [uid(2)],
        PaymentState.STRANDED: [uid(5)],
        PaymentState.DECLINED: [uid(3)],
        PaymentState.MISMATCHED: [uid(4)],
        PaymentState.SETTLED: [uid(6)],
    }


def test_a_listed_payment_is_what_is_told_of_it_alone(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(number) for number in range(1, 4)], [], [])
    charge(mine, 4)
    mine.payments.write([], [], [], [ended(3)], [Mark(uid(2), "unknown", NOW_MS)])
    for number, state in enumerate(
        (PaymentState.ACCEPTED, PaymentState.UNKNOWN, PaymentState.DECLINED, PaymentState.SETTLED), 1
    ):
        (found,) = mine.payments.in_state(state, FIRST, MANY)
        assert found == record_of(mine, number)


def test_pages_follow_each_other_without_a_gap_also_where_instants_are_equal(mine: ReplicaStorage) -> None:
    for number in (5, 3, 1, 4, 2):
        charge(mine, number, NOW_MS + number // 3)
    pages, after = [], FIRST
    while page := mine.payments.in_state(PaymentState.SETTLED, after, 2):
        pages.append([each.payment.correlation_id for each in page])
        after = page[-1].position
    assert pages == [[uid(1), uid(2)], [uid(3), uid(4)], [uid(5)]]


def test_claims_of_every_replica_are_listed(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    mine.payments.write([claim(2)], [], [])
    other.payments.write([claim(1)], [], [])
    assert listed(mine, PaymentState.ACCEPTED) == [uid(1), uid(2)]


@on_postgres
def test_a_page_of_claims_reads_the_payments_of_no_others(mine: ReplicaStorage, database_url: str) -> None:
    mine.payments.write([claim(number) for number in range(300)], [], [])
    given = {"before_epoch": 2**62, "from_id": uid(0), "naming": None, "leave_out": [], "claims_max": 5}
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        read = rows_read(connection, "claims", given | {"replica": "a"})
    assert len(mine.leases.claims(5)) == 5
    assert read <= 300 + 5


@on_postgres
@pytest.mark.parametrize(("query", "state"), [("open_payments", None), ("closed_payments", "declined")])
def test_a_list_reads_nothing_of_what_was_settled_long_ago(
    mine: ReplicaStorage, database_url: str, query: str, state: str | None
) -> None:
    mine.payments.write([claim(number) for number in range(300)], [], [])
    mine.payments.write([], [], [], [ended(number) for number in range(150)])
    parameters = {"state": state, "after_ms": FIRST.at_ms, "after_id": FIRST.correlation_id, "payments_max": 100}
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO payment SELECT gen_random_uuid(), 1990, n FROM generate_series(1, 3000) AS n;"
            "INSERT INTO settlement SELECT correlation_id, 'default', 1990, accepted_at_ms, 1 FROM payment"
            " WHERE accepted_at_ms <= 3000;"
        )
        connection.execute("VACUUM ANALYZE")
        assert rows_read(connection, query, parameters) <= 3 * 150
