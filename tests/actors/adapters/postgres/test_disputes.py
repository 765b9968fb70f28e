"""A charge is booked with its payment, once; a second one that differs is kept in dispute, whoever writes it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest

from actors.domain.money import Money
from actors.domain.payment import Payment, Settlement
from actors.domain.records import ProcessorTotal, WriteResult
from actors.errors import FencedError
from tests.actors.adapters.postgres.storage import (
    DEADLINE_S,
    MANY,
    NOTHING,
    OpenStorage,
    ReplicaStorage,
    charge,
    claim,
    ended,
    on_postgres,
    record_of,
    settlement,
    uid,
    wait_until_blocked,
)
from tests.actors.fakes import NOW_MS, READING, payment


def disputed(*numbers: int) -> WriteResult:
    return WriteResult((), (), (), tuple(uid(number) for number in numbers))


def test_a_settlement_brings_back_a_payment_that_postgres_has_lost(mine: ReplicaStorage) -> None:
    assert mine.payments.write([], [], [settlement(1)]) == NOTHING
    assert (record_of(mine, 1).payment, record_of(mine, 1).settlement) == (payment(1), settlement(1))
    assert mine.payments.summary(None, None).totals == (ProcessorTotal("default", 1, Money(1990, "BRL")),)
    (known,) = mine.payments.write([claim(1)], [], []).known
    assert (known.payment, known.owner) == (payment(1), None)


@on_postgres
def test_a_payment_whose_rows_were_lost_after_its_claim_is_settled_all_the_same(
    database_url: str, mine: ReplicaStorage
) -> None:
    mine.payments.write([claim(1)], [], [])
    with psycopg.connect(database_url) as restored:
        restored.execute("DELETE FROM payment")
        restored.execute("DELETE FROM claim")
    mine.payments.write([], [], [settlement(1)])
    assert record_of(mine, 1).settlement == settlement(1)


def test_a_charge_is_booked_with_its_own_amount(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    charged = settlement(1, amount_minor=5)
    mine.payments.write([], [], [charged])
    assert (record_of(mine, 1).payment, record_of(mine, 1).settlement) == (payment(1), charged)
    assert mine.payments.summary(None, None).totals == (ProcessorTotal("default", 1, Money(5, "BRL")),)
    assert tuple(mine.payments.latest(1)) == (Payment(uid(1), 5, NOW_MS),)


SECOND = (
    settlement(1, "fallback"),
    settlement(1, requested_at_ms=NOW_MS + 1),
    settlement(1, amount_minor=5),
    Settlement(payment(1, currency="JPY"), "default", NOW_MS, 1, NOW_MS),
)


@pytest.mark.parametrize("second", SECOND)
def test_a_second_charge_is_in_dispute_and_the_first_stays(
    mine: ReplicaStorage, other: ReplicaStorage, second: Settlement
) -> None:
    charge(mine, 1)
    charge(mine, 2)
    assert other.payments.write([], [], [settlement(2), second]) == disputed(1)
    assert [record_of(mine, number).settlement for number in (1, 2)] == [settlement(1), settlement(2)]
    assert mine.payments.summary(None, None).totals == (ProcessorTotal("default", 2, Money(2 * 1990, "BRL")),)


def test_a_dispute_is_news_once_whoever_finds_it_again(
    open_storage: OpenStorage, mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    charge(mine, 1)
    second, third = settlement(1, "fallback"), settlement(1, requested_at_ms=NOW_MS + 1)
    assert mine.payments.write([], [], [second]) == disputed(1)
    assert [writer.payments.write([], [], [second]) for writer in (mine, other)] == [NOTHING, NOTHING]
    assert other.payments.write([], [], [second, third]) == disputed(1)
    open_storage("a").leases.register(0, READING)
    with pytest.raises(FencedError) as refused:
        mine.payments.write([], [], [second, third])
    assert refused.value.disputed == ()


def test_the_same_charge_again_is_in_no_dispute(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    charge(mine, 1)
    for writer in (mine, other):
        assert writer.payments.write([], [], [settlement(1, attempts=9)]) == NOTHING
    assert record_of(mine, 1).settlement == settlement(1)


def test_two_charges_in_one_batch_are_a_dispute(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    assert mine.payments.write([], [], [settlement(1), settlement(1, "fallback")]) == disputed(1)
    assert mine.payments.summary(None, None).totals[0].requests == 1


def test_a_payment_that_is_settled_elsewhere_has_no_claim_any_more(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    mine.payments.write([claim(1), claim(2)], [], [])
    other.payments.write([], [], [settlement(1)])
    assert mine.payments.write([], [], [settlement(1, "fallback"), settlement(2)]) == disputed(1)
    assert mine.leases.claims(MANY) == ()


def test_what_a_fenced_replica_has_charged_is_compared_all_the_same(
    open_storage: OpenStorage, mine: ReplicaStorage
) -> None:
    for number in (1, 2):
        charge(mine, number)
    mine.payments.write([claim(3)], [], [])
    open_storage("a").leases.register(0, READING)
    with pytest.raises(FencedError) as refused:
        mine.payments.write([], [], [settlement(1), settlement(2, "fallback"), settlement(3)])
    assert refused.value.disputed == (uid(2),)
    assert record_of(mine, 3).settlement is None
    with pytest.raises(FencedError) as refused:
        mine.payments.write([claim(4)], [], [])
    assert refused.value.disputed == ()


def test_a_settlement_ends_what_was_closed(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    mine.payments.write([], [], [], [ended(1)])
    mine.payments.write([], [], [settlement(1)])
    assert (record_of(mine, 1).settlement, record_of(mine, 1).closing) == (settlement(1), None)


@on_postgres
def test_of_two_replicas_that_settle_a_payment_at_once_on_two_processors_one_is_in_dispute(
    database_url: str, mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    numbers = range(100)
    mine.payments.write([claim(number) for number in numbers], [], [])
    barrier = Barrier(2)

    def settle(writer: ReplicaStorage, processor: str) -> WriteResult:
        barrier.wait(DEADLINE_S)
        return writer.payments.write([], [], [settlement(number, processor) for number in numbers])

    with ThreadPoolExecutor() as executor:
        futures = [executor.submit(settle, *each) for each in ((mine, "default"), (other, "fallback"))]
        results = [future.result(DEADLINE_S) for future in futures]
    everything = {uid(number) for number in numbers}
    assert sum(len(result.disputed) for result in results) == len(everything)
    assert {each for result in results for each in result.disputed} == everything
    assert sum(total.requests for total in mine.payments.summary(None, None).totals) == len(everything)
    assert mine.leases.claims(MANY) == ()
    with psycopg.connect(database_url) as connection:
        booked_and_disputed = connection.execute(
            "SELECT s.processor, d.processor, d.requested_at_ms, d.amount_cents, d.currency"
            " FROM settlement AS s JOIN dispute AS d USING (correlation_id)"
        ).fetchall()
    assert len(booked_and_disputed) == len(everything)
    for booked, *dispute in booked_and_disputed:
        assert dispute == [{"default": "fallback", "fallback": "default"}[booked], NOW_MS, 1990, "BRL"]


@on_postgres
def test_a_settlement_that_waits_for_another_one_is_compared_with_it(database_url: str, mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    with ThreadPoolExecutor() as executor, psycopg.connect(database_url) as rival:
        rival.execute("INSERT INTO settlement VALUES (%s, 'fallback', 1990, %s, 1)", (uid(1), NOW_MS))
        write = executor.submit(mine.payments.write, [], [], [settlement(1)])
        wait_until_blocked(database_url, 1)
        rival.commit()
        assert write.result(DEADLINE_S) == disputed(1)
    assert mine.leases.claims(MANY) == ()


@on_postgres
def test_a_settlement_ends_a_claim_that_changes_at_the_same_moment(database_url: str, mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1), claim(2)], [], [])
    with ThreadPoolExecutor() as executor, psycopg.connect(database_url) as rival:
        rival.execute("UPDATE claim SET owner = 'b', moves = 1")
        write = executor.submit(mine.payments.write, [], [], [settlement(1), settlement(2)])
        wait_until_blocked(database_url, 1)
        rival.commit()
        assert write.result(DEADLINE_S) == NOTHING
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM claim").fetchone() == (0,)


@on_postgres
def test_a_dispute_is_kept_once_with_the_time_at_which_it_was_found(database_url: str, mine: ReplicaStorage) -> None:
    charge(mine, 1)
    for _ in range(3):
        mine.payments.write([], [], [settlement(1, "fallback")])
    with psycopg.connect(database_url) as connection:
        ((found_at_ms, now_ms),) = connection.execute(
            "SELECT found_at_ms, extract(epoch FROM now()) * 1000 FROM dispute"
        ).fetchall()
    assert now_ms - DEADLINE_S * 1000 < found_at_ms <= now_ms
