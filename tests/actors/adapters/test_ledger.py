"""Postgres keeps one payment and one charge per id, whoever writes, how often and through whatever loss."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from threading import Barrier, Event, Thread
from time import monotonic
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from actors.adapters.ledger import (
    ASK_S_MAX,
    CONNECTIONS_MAX,
    INSTANT_MS_MAX,
    PING_S_MAX,
    WRITE_S_MAX,
    PostgresLedger,
)
from actors.domain.messages import Claim, Move
from actors.domain.payment import Payment, Settlement
from actors.errors import LedgerUnavailableError
from actors.ports import Beat, KnownPayment, PaymentRecord, ProcessorTotal, Registration, WriteResult
from tests.actors.fakes import NOW_MS, payment

ROOT = Path(__file__).parents[3]
DEADLINE_S = 20
LEASE_S = 60.0
NOTHING = WriteResult((), (), ())

CALLS: dict[str, Callable[[PostgresLedger], object]] = {
    "write": lambda ledger: ledger.write([claim(1)], [Move(uid(2), "fallback", 1)], [settlement(3)]),
    "report_conflicts": lambda ledger: ledger.report_conflicts([payment(1, 5)]),
    "generation": lambda ledger: ledger.generation(),
    "register": lambda ledger: ledger.register(0, LEASE_S),
    "beat": lambda ledger: ledger.beat(1, LEASE_S, NOW_MS),
    "retire": lambda ledger: ledger.retire(1, NOW_MS),
    "adopt": lambda ledger: ledger.adopt(100),
    "claims": lambda ledger: ledger.claims(),
    "latest": lambda ledger: ledger.latest(100),
    "payment": lambda ledger: ledger.payment(uid(1)),
    "summary": lambda ledger: ledger.summary(None, None),
    "begin_purge": lambda ledger: ledger.begin_purge(),
    "acknowledge_purge": lambda ledger: ledger.acknowledge_purge(0),
    "finish_purge": lambda ledger: ledger.finish_purge(0),
    "ping": lambda ledger: ledger.ping(),
}
"""Every method of the port, and what readiness asks."""


@contextmanager
def opened(database_url: str, replica: str = "a", now_ms: int = NOW_MS) -> Iterator[PostgresLedger]:
    with closing(PostgresLedger(database_url, replica, lambda: now_ms)) as ledger:
        ledger.open()
        yield ledger


@pytest.fixture
def newcomer(database_url: str) -> Iterator[PostgresLedger]:
    """The ledger of replica a before it registers."""
    with opened(database_url) as newcomer:
        yield newcomer


@pytest.fixture
def other_newcomer(database_url: str) -> Iterator[PostgresLedger]:
    """The ledger of replica b before it registers."""
    with opened(database_url, "b") as newcomer:
        yield newcomer


@pytest.fixture
def ledger(newcomer: PostgresLedger) -> PostgresLedger:
    """The ledger of replica a."""
    newcomer.register(0, LEASE_S)
    return newcomer


@pytest.fixture
def other(other_newcomer: PostgresLedger) -> PostgresLedger:
    """The ledger of replica b."""
    other_newcomer.register(0, LEASE_S)
    return other_newcomer


def uid(number: int) -> UUID:
    return payment(number).correlation_id


def claim(number: int, processor: str = "default", amount_cents: int = 1990, attempts: int = 0) -> Claim:
    return Claim(payment(number, amount_cents), processor, attempts)


def settlement(number: int, processor: str = "default", requested_at_ms: int = NOW_MS, attempts: int = 1) -> Settlement:
    return Settlement(uid(number), processor, requested_at_ms, attempts)


def record_of(ledger: PostgresLedger, number: int) -> PaymentRecord:
    record = ledger.payment(uid(number))
    assert record is not None
    return record


def charge(ledger: PostgresLedger, number: int, requested_at_ms: int = NOW_MS, processor: str = "default") -> None:
    ledger.write([claim(number, processor)], [], [])
    ledger.write([], [], [settlement(number, processor, requested_at_ms)])


def wait_until_blocked(database_url: str, statements: int) -> None:
    """Return once so many statements wait for locks of others."""
    with psycopg.connect(database_url, autocommit=True) as observer:
        deadline_s = monotonic() + DEADLINE_S
        blocked = 0
        while blocked != statements:
            assert monotonic() < deadline_s, f"{blocked} statements wait, not {statements}"
            (blocked,) = observer.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone() or (0,)


def owners(result: WriteResult) -> dict[UUID, str | None]:
    return {known.payment.correlation_id: known.owner for known in result.known}


# What is written


def test_a_new_payment_belongs_to_the_replica_that_wrote_it(ledger: PostgresLedger) -> None:
    assert ledger.write([claim(1), claim(2, "fallback", 5)], [], []) == WriteResult((uid(1), uid(2)), (), ())
    assert record_of(ledger, 1) == PaymentRecord(payment(1), "default", "a", None, ())
    assert record_of(ledger, 2) == PaymentRecord(payment(2, 5), "fallback", "a", None, ())


def test_nothing_to_write_is_written(ledger: PostgresLedger) -> None:
    assert ledger.write([], [], []) == NOTHING


def test_a_payment_that_nobody_wrote_is_unknown(ledger: PostgresLedger) -> None:
    assert ledger.payment(uid(1)) is None


def test_the_same_batch_again_changes_nothing(ledger: PostgresLedger) -> None:
    ledger.write([claim(1), claim(2)], [], [])
    batch = ([claim(3)], [Move(uid(1), "fallback", 1)], [settlement(2)])
    first = ledger.write(*batch)
    assert first == WriteResult((uid(3),), (), (uid(1),))
    records = [ledger.payment(uid(number)) for number in (1, 2, 3)]
    again = ledger.write(*batch)
    assert again == WriteResult((), (KnownPayment(payment(3), "a", "default"),), (uid(1),))
    assert [ledger.payment(uid(number)) for number in (1, 2, 3)] == records


def test_a_payment_that_stands_twice_in_a_batch_is_written_once(ledger: PostgresLedger) -> None:
    assert ledger.write([claim(1), claim(2), claim(1)], [], []).assigned == (uid(1), uid(2))
    assert ledger.claims() == (claim(1), claim(2))


def test_of_two_amounts_in_a_batch_one_is_kept(ledger: PostgresLedger) -> None:
    ledger.write([claim(1, amount_cents=1), claim(1, amount_cents=2)], [], [])
    assert [kept.payment.amount_cents in {1, 2} for kept in ledger.claims()] == [True]


def test_a_known_payment_is_told_as_it_was_written_first(ledger: PostgresLedger, other: PostgresLedger) -> None:
    ledger.write([claim(1), claim(2), claim(3)], [], [])
    ledger.write([], [Move(uid(2), "fallback", 1)], [settlement(3)])
    result = other.write([claim(number, "third", 5) for number in (1, 2, 3, 4)], [], [])
    assert result.assigned == (uid(4),)
    known = {each.payment: (each.owner, each.processor) for each in result.known}
    assert known.keys() == {payment(1), payment(2), payment(3)}
    assert (known[payment(1)], known[payment(2)]) == (("a", "default"), ("a", "fallback"))
    assert known[payment(3)][0] is None


def test_a_move_names_the_new_processor(ledger: PostgresLedger) -> None:
    ledger.write([claim(1), claim(2)], [], [])
    assert ledger.write([], [Move(uid(1), "fallback", 3)], []) == WriteResult((), (), (uid(1),))
    assert set(ledger.claims()) == {claim(1, "fallback", attempts=3), claim(2)}


def test_only_the_owner_moves_a_payment(ledger: PostgresLedger, other: PostgresLedger) -> None:
    ledger.write([claim(1)], [], [])
    assert other.write([], [Move(uid(1), "fallback", 1)], []) == NOTHING
    assert ledger.claims() == (claim(1),)


def test_what_is_unknown_or_settled_does_not_move(ledger: PostgresLedger) -> None:
    charge(ledger, 1)
    assert ledger.write([], [Move(uid(1), "fallback", 1), Move(uid(2), "fallback", 1)], []) == NOTHING
    assert record_of(ledger, 1).processor == "default"


def test_a_settled_payment_belongs_to_nobody(ledger: PostgresLedger) -> None:
    ledger.write([claim(1)], [], [])
    assert ledger.write([], [], [settlement(1, "fallback", NOW_MS + 7, 2)]) == NOTHING
    assert record_of(ledger, 1) == PaymentRecord(
        payment(1), "fallback", None, settlement(1, "fallback", NOW_MS + 7, 2), ()
    )
    assert ledger.claims() == ()


def test_a_settlement_of_an_unknown_payment_is_not_written(ledger: PostgresLedger) -> None:
    ledger.write([], [], [settlement(1)])
    assert ledger.summary(None, None).totals == ()
    ledger.write([claim(1)], [], [])
    assert record_of(ledger, 1).settlement is None


def test_a_second_settlement_is_refused_and_the_first_kept(ledger: PostgresLedger, other: PostgresLedger) -> None:
    charge(ledger, 1)
    for writer in (ledger, other):
        writer.write([], [], [settlement(1, "fallback", NOW_MS + 1, 9)])
    assert record_of(ledger, 1).settlement == settlement(1)
    assert ledger.summary(None, None).totals == (ProcessorTotal("default", 1, 1990),)


def test_two_settlements_in_one_batch_are_one(ledger: PostgresLedger) -> None:
    ledger.write([claim(1)], [], [])
    ledger.write([], [], [settlement(1), settlement(1)])
    assert ledger.summary(None, None).totals == (ProcessorTotal("default", 1, 1990),)


def test_a_settled_payment_is_not_claimed_again(ledger: PostgresLedger, other: PostgresLedger) -> None:
    charge(ledger, 1)
    assert other.write([claim(1)], [], []).assigned == ()
    assert (ledger.claims(), other.claims()) == ((), ())


def test_of_replicas_that_write_the_same_payments_at_once_one_owns_each(
    ledger: PostgresLedger, other: PostgresLedger
) -> None:
    barrier = Barrier(2)

    def write(writer: PostgresLedger, numbers: list[int]) -> list[WriteResult]:
        results = []
        for first in range(0, 1000, 100):
            barrier.wait(DEADLINE_S)
            results.append(writer.write([claim(first + number) for number in numbers], [], []))
        return results

    with ThreadPoolExecutor() as executor:
        forwards = executor.submit(write, ledger, list(range(100)))
        backwards = executor.submit(write, other, list(range(99, -1, -1)))
        pairs = list(zip(forwards.result(DEADLINE_S), backwards.result(DEADLINE_S), strict=True))
    for number, (mine, theirs) in enumerate(pairs):
        everything = {uid(number * 100 + each) for each in range(100)}
        assert sorted([*mine.assigned, *theirs.assigned]) == sorted(everything)
        assert owners(mine) == dict.fromkeys(theirs.assigned, "b")
        assert owners(theirs) == dict.fromkeys(mine.assigned, "a")
    assert len(ledger.claims()) + len(other.claims()) == 1000


def test_of_settlements_written_at_once_one_is_kept(ledger: PostgresLedger, other: PostgresLedger) -> None:
    ledger.write([claim(number) for number in range(100)], [], [])
    barrier = Barrier(2)

    def settle(writer: PostgresLedger, processor: str) -> None:
        barrier.wait(DEADLINE_S)
        writer.write([], [], [settlement(number, processor) for number in range(100)])

    with ThreadPoolExecutor() as executor:
        for future in (executor.submit(settle, ledger, "default"), executor.submit(settle, other, "fallback")):
            future.result(DEADLINE_S)
    assert sum(total.requests for total in ledger.summary(None, None).totals) == 100
    assert ledger.claims() == ()


def test_claims_are_those_of_the_replica_oldest_first(ledger: PostgresLedger, other: PostgresLedger) -> None:
    aged = [Claim(Payment(uid(number), 1, NOW_MS + age), "default") for number, age in ((1, 30), (2, 10), (3, 20))]
    ledger.write(aged, [], [])
    other.write([claim(4)], [], [])
    charge(ledger, 5)
    assert ledger.claims() == (aged[1], aged[2], aged[0])
    assert other.claims() == (claim(4),)


def test_the_latest_are_what_was_charged_last_on_any_replica_oldest_first(
    ledger: PostgresLedger, other: PostgresLedger
) -> None:
    assert ledger.latest(3) == ()
    charge(ledger, 1, NOW_MS + 10)
    charge(ledger, 2, NOW_MS + 40, "fallback")
    charge(other, 3, NOW_MS + 30)
    charge(other, 4, NOW_MS + 20)
    ledger.write([claim(5)], [], [])
    charged = tuple(Payment(uid(number), 1990, NOW_MS + age) for number, age in ((1, 10), (4, 20), (3, 30), (2, 40)))
    assert [ledger.latest(most) for most in (0, 1, 3, 4, 100)] == [(), charged[3:], charged[1:], charged, charged]


def test_other_amounts_are_kept_beside_the_first_and_once(ledger: PostgresLedger) -> None:
    ledger.write([claim(1), claim(2)], [], [])
    offered = [Payment(uid(1), 7, NOW_MS + 2), Payment(uid(1), 5, NOW_MS + 1)]
    for _ in range(2):
        ledger.report_conflicts(offered)
    assert record_of(ledger, 1) == PaymentRecord(payment(1), "default", "a", None, (5, 7))
    assert record_of(ledger, 2).conflicting_amounts_cents == ()


# What is summed up


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "numbers"),
    [
        (None, None, {1, 2, 3}),
        (NOW_MS, NOW_MS + 2, {1, 2, 3}),
        (NOW_MS + 1, NOW_MS + 1, {2}),
        (NOW_MS + 1, None, {2, 3}),
        (None, NOW_MS + 1, {1, 2}),
        (NOW_MS + 3, None, set()),
        (None, NOW_MS - 1, set()),
        (NOW_MS + 2, NOW_MS, set()),
    ],
)
def test_both_bounds_are_inclusive_and_optional(
    ledger: PostgresLedger, from_ms: int | None, to_ms: int | None, numbers: set[int]
) -> None:
    cents = {1: 1, 2: 10, 3: 100}
    ledger.write([claim(number, amount_cents=cents[number]) for number in cents], [], [])
    ledger.write([], [], [settlement(number, requested_at_ms=NOW_MS + number - 1) for number in cents])
    expected = (ProcessorTotal("default", len(numbers), sum(cents[number] for number in numbers)),) if numbers else ()
    assert ledger.summary(from_ms, to_ms).totals == expected


def test_each_processor_is_summed_up_exactly(ledger: PostgresLedger) -> None:
    ledger.write([claim(number, amount_cents=10**14 - number) for number in range(100)], [], [])
    ledger.write([], [], [settlement(number, "even" if number % 2 == 0 else "odd") for number in range(100)])
    assert set(ledger.summary(None, None).totals) == {
        ProcessorTotal("even", 50, 50 * 10**14 - sum(range(0, 100, 2))),
        ProcessorTotal("odd", 50, 50 * 10**14 - sum(range(1, 100, 2))),
    }


def test_what_is_not_settled_is_not_summed_up(ledger: PostgresLedger) -> None:
    ledger.write([claim(1)], [], [])
    assert ledger.summary(None, None).totals == ()


def test_without_replicas_everything_is_final(newcomer: PostgresLedger) -> None:
    assert newcomer.summary(None, None).final_before_ms == INSTANT_MS_MAX


def test_totals_are_final_up_to_the_lowest_watermark_of_those_that_live(
    ledger: PostgresLedger, other: PostgresLedger
) -> None:
    epoch, other_epoch = ledger.register(0, LEASE_S).epoch, other.register(0, LEASE_S).epoch
    assert ledger.summary(None, None).final_before_ms == NOW_MS
    ledger.beat(epoch, LEASE_S, NOW_MS + 500)
    assert ledger.summary(None, None).final_before_ms == NOW_MS
    other.beat(other_epoch, LEASE_S, NOW_MS + 300)
    assert ledger.summary(None, None).final_before_ms == NOW_MS + 300


def test_a_dead_replica_holds_totals_open_while_it_leaves_claims(ledger: PostgresLedger, other: PostgresLedger) -> None:
    other.beat(other.register(0, LEASE_S).epoch, 0, NOW_MS - 500)
    ledger.register(0, LEASE_S)
    assert ledger.summary(None, None).final_before_ms == NOW_MS
    other.write([claim(1)], [], [])
    assert ledger.summary(None, None).final_before_ms == NOW_MS - 500
    ledger.write([], [], [settlement(1)])
    assert ledger.summary(None, None).final_before_ms == NOW_MS


def test_a_retired_replica_holds_nothing_open_but_its_claims(ledger: PostgresLedger) -> None:
    epoch = ledger.register(0, LEASE_S).epoch
    ledger.retire(epoch, NOW_MS + 800)
    assert ledger.summary(None, None).final_before_ms == INSTANT_MS_MAX
    ledger.write([claim(1)], [], [])
    assert ledger.summary(None, None).final_before_ms == NOW_MS + 800


# Who is there


def test_each_registration_under_a_name_is_a_new_epoch(
    newcomer: PostgresLedger, other_newcomer: PostgresLedger
) -> None:
    assert [each.register(0, LEASE_S) for each in (newcomer, newcomer, other_newcomer)] == [
        Registration(1, 0, NOW_MS),
        Registration(2, 0, NOW_MS),
        Registration(1, 0, NOW_MS),
    ]


def test_a_new_registration_keeps_the_watermark_that_was_left(ledger: PostgresLedger) -> None:
    epoch = ledger.register(0, LEASE_S).epoch
    ledger.beat(epoch, LEASE_S, NOW_MS - 250)
    assert ledger.register(0, LEASE_S).watermark_ms == NOW_MS - 250


def test_a_watermark_never_lies_ahead_of_the_clock_of_who_registers(
    database_url: str, newcomer: PostgresLedger
) -> None:
    newcomer.retire(newcomer.register(0, LEASE_S).epoch, INSTANT_MS_MAX)
    with opened(database_url, now_ms=NOW_MS + 9) as successor:
        assert successor.register(0, LEASE_S) == Registration(2, 0, NOW_MS + 9)


def test_a_beat_of_an_earlier_epoch_renews_and_changes_nothing(ledger: PostgresLedger) -> None:
    first = ledger.register(0, LEASE_S).epoch
    assert ledger.beat(first, LEASE_S, NOW_MS) == Beat(renewed=True, generation=0)
    ledger.register(0, LEASE_S)
    assert not ledger.beat(first, LEASE_S, NOW_MS - 1).renewed
    ledger.retire(first, NOW_MS - 2)
    assert ledger.summary(None, None).final_before_ms == NOW_MS


def test_who_is_not_registered_renews_and_writes_nothing(newcomer: PostgresLedger) -> None:
    assert not newcomer.beat(1, LEASE_S, NOW_MS).renewed
    with pytest.raises(LedgerUnavailableError):
        newcomer.write([claim(1)], [], [])
    assert newcomer.payment(uid(1)) is None


def test_a_write_of_an_earlier_registration_is_refused(database_url: str, ledger: PostgresLedger) -> None:
    ledger.write([claim(1)], [], [])
    with opened(database_url) as successor:
        successor.register(0, LEASE_S)
        with pytest.raises(LedgerUnavailableError):
            ledger.write([claim(2)], [], [])
        with pytest.raises(LedgerUnavailableError):
            ledger.write([], [Move(uid(1), "fallback", 1)], [])
        assert (successor.claims(), successor.payment(uid(2))) == ((claim(1),), None)
        assert successor.write([claim(2)], [Move(uid(1), "fallback", 1)], []) == WriteResult((uid(2),), (), (uid(1),))


def test_what_was_charged_is_settled_under_any_registration(database_url: str, ledger: PostgresLedger) -> None:
    ledger.write([claim(1)], [], [])
    with opened(database_url) as successor:
        successor.register(0, LEASE_S)
        assert ledger.write([], [], [settlement(1)]) == NOTHING
        assert (record_of(successor, 1).settlement, successor.claims()) == (settlement(1), ())


def test_who_registers_again_writes_again(database_url: str, ledger: PostgresLedger) -> None:
    with opened(database_url) as successor:
        successor.register(0, LEASE_S)
    ledger.register(0, LEASE_S)
    assert ledger.write([claim(1)], [], []).assigned == (uid(1),)


def test_a_write_that_waits_in_postgres_is_refused_when_a_registration_comes_before_it(
    database_url: str, ledger: PostgresLedger
) -> None:
    ledger.write([claim(1)], [], [])
    with ThreadPoolExecutor() as executor, psycopg.connect(database_url) as registration:
        # As `register` does, but held before its commit.
        registration.execute("UPDATE replica SET epoch = epoch + 1 WHERE name = 'a'")
        write = executor.submit(ledger.write, [claim(2)], [Move(uid(1), "fallback", 1)], [])
        wait_until_blocked(database_url, 1)
        registration.commit()
        assert isinstance(write.exception(DEADLINE_S), LedgerUnavailableError)
    assert (ledger.claims(), ledger.payment(uid(2))) == ((claim(1),), None)


def test_a_write_that_waits_in_postgres_is_written_when_the_registration_fails(
    database_url: str, ledger: PostgresLedger
) -> None:
    with ThreadPoolExecutor() as executor, psycopg.connect(database_url) as registration:
        registration.execute("UPDATE replica SET epoch = epoch + 1 WHERE name = 'a'")
        write = executor.submit(ledger.write, [claim(1)], [], [])
        wait_until_blocked(database_url, 1)
        registration.rollback()
        assert write.result(DEADLINE_S).assigned == (uid(1),)


def test_a_registration_waits_for_a_write_under_way_and_finds_all_of_it(
    database_url: str, ledger: PostgresLedger
) -> None:
    ledger.write([claim(1)], [], [])
    with ThreadPoolExecutor() as executor, psycopg.connect(database_url) as rival, opened(database_url) as successor:
        rival.execute("INSERT INTO payment VALUES (%s, 1990, %s)", (uid(2), NOW_MS))
        write = executor.submit(ledger.write, [claim(2)], [Move(uid(1), "fallback", 1)], [])
        wait_until_blocked(database_url, 1)
        registration = executor.submit(successor.register, 0, LEASE_S)
        wait_until_blocked(database_url, 2)
        rival.rollback()
        assert write.result(DEADLINE_S) == WriteResult((uid(2),), (), (uid(1),))
        assert registration.result(DEADLINE_S).epoch == 2
        assert set(successor.claims()) == {claim(1, "fallback", attempts=1), claim(2)}


def test_the_lease_does_not_wait_for_a_crowd_of_readers(database_url: str, ledger: PostgresLedger) -> None:
    epoch = ledger.register(0, LEASE_S).epoch
    with ThreadPoolExecutor(CONNECTIONS_MAX) as executor, psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE settlement")
        readers = [executor.submit(ledger.summary, None, None) for _ in range(CONNECTIONS_MAX)]
        wait_until_blocked(database_url, CONNECTIONS_MAX)
        with pytest.raises(LedgerUnavailableError):
            ledger.generation()
        assert ledger.beat(epoch, LEASE_S, NOW_MS).renewed
        assert ledger.adopt(100) is None
        blocker.rollback()
        assert [reader.result(DEADLINE_S).totals for reader in readers] == [()] * CONNECTIONS_MAX


# What the dead leave


def test_claims_of_a_replica_whose_lease_ended_are_taken_over(ledger: PostgresLedger, other: PostgresLedger) -> None:
    epoch = other.register(0, LEASE_S).epoch
    other.write([claim(1), claim(2, "fallback"), claim(3)], [], [])
    other.write([], [], [settlement(3)])
    ledger.register(0, LEASE_S)
    other.beat(epoch, 0, NOW_MS - 500)
    adopted = ledger.adopt(100)
    assert adopted is not None
    assert (set(adopted.claims), adopted.oldest_stamp_ms) == ({claim(1), claim(2, "fallback")}, NOW_MS - 500)
    assert (set(ledger.claims()), other.claims()) == ({claim(1), claim(2, "fallback")}, ())
    assert ledger.adopt(100) is None


def test_who_was_taken_for_dead_renews_nothing_when_it_wakes_up(ledger: PostgresLedger, other: PostgresLedger) -> None:
    epoch = other.register(0, 0).epoch
    other.write([claim(1), claim(2)], [], [])
    assert ledger.adopt(1) is not None
    assert not other.beat(epoch, LEASE_S, NOW_MS).renewed


def test_who_was_taken_for_dead_writes_nothing_but_settlements_when_it_wakes_up(
    ledger: PostgresLedger, other: PostgresLedger
) -> None:
    other.register(0, 0)
    other.write([claim(1), claim(2)], [], [])
    assert ledger.adopt(1) is not None
    records = [record_of(ledger, number) for number in (1, 2)]
    with pytest.raises(LedgerUnavailableError):
        other.write([claim(3)], [], [])
    with pytest.raises(LedgerUnavailableError):
        other.write([], [Move(uid(number), "fallback", 1) for number in (1, 2)], [])
    assert [ledger.payment(uid(number)) for number in (1, 2, 3)] == [*records, None]
    assert other.write([], [], [settlement(1), settlement(2)]) == NOTHING
    assert [record_of(ledger, number).settlement for number in (1, 2)] == [settlement(1), settlement(2)]


def test_who_joins_with_what_is_older_than_the_last_purge_writes_nothing(
    newcomer: PostgresLedger, other: PostgresLedger
) -> None:
    newcomer.register(0, LEASE_S)
    generation = newcomer.begin_purge()
    for each in (newcomer, other):
        each.acknowledge_purge(generation)
    assert other.finish_purge(generation)
    assert newcomer.register(0, LEASE_S).generation == generation
    with pytest.raises(LedgerUnavailableError):
        newcomer.write([claim(1)], [], [])
    newcomer.register(generation, LEASE_S)
    assert newcomer.write([claim(1)], [], []).assigned == (uid(1),)


def test_totals_stay_open_for_what_was_taken_over(ledger: PostgresLedger, other: PostgresLedger) -> None:
    other.beat(other.register(0, LEASE_S).epoch, 0, NOW_MS - 500)
    other.write([claim(1)], [], [])
    ledger.register(0, LEASE_S)
    ledger.adopt(100)
    assert ledger.summary(None, None).final_before_ms == NOW_MS - 500


def test_the_living_and_those_who_left_nothing_are_let_be(ledger: PostgresLedger, other: PostgresLedger) -> None:
    other.register(0, LEASE_S)
    other.write([claim(1)], [], [])
    ledger.register(0, 0)
    ledger.write([claim(2)], [], [])
    assert ledger.adopt(100) is None
    assert (ledger.claims(), other.claims()) == ((claim(2),), (claim(1),))


def test_of_those_who_take_over_at_once_each_claim_goes_to_one(
    database_url: str, ledger: PostgresLedger, other: PostgresLedger
) -> None:
    with opened(database_url, "dead") as dead:
        dead.register(0, 0)
        dead.write([claim(number) for number in range(100)], [], [])
    barrier = Barrier(2)

    def adopt_all(adopter: PostgresLedger) -> list[Claim]:
        barrier.wait(DEADLINE_S)
        claims: list[Claim] = []
        while (adopted := adopter.adopt(7)) is not None:
            assert 1 <= len(adopted.claims) <= 7
            claims += adopted.claims
        return claims

    with ThreadPoolExecutor() as executor:
        futures = [executor.submit(adopt_all, adopter) for adopter in (ledger, other)]
        mine, theirs = (future.result(DEADLINE_S) for future in futures)
    assert (len(mine) + len(theirs), set(mine) | set(theirs)) == (100, {claim(number) for number in range(100)})
    assert (set(ledger.claims()), set(other.claims())) == (set(mine), set(theirs))


# Purges


def test_a_purge_is_seen_by_everybody_at_once(ledger: PostgresLedger, other: PostgresLedger) -> None:
    epoch = other.register(0, LEASE_S).epoch
    assert ledger.generation() == 0
    assert ledger.begin_purge() == 1
    assert (ledger.generation(), other.beat(epoch, LEASE_S, NOW_MS)) == (1, Beat(renewed=True, generation=1))
    assert ledger.register(0, LEASE_S).generation == 1


def test_a_purge_waits_until_every_living_replica_holds_nothing_older(
    ledger: PostgresLedger, other: PostgresLedger
) -> None:
    for replica in (ledger, other):
        replica.register(0, LEASE_S)
    charge(ledger, 1)
    ledger.write([claim(2)], [], [])
    ledger.report_conflicts([payment(2, 5)])
    generation = ledger.begin_purge()
    assert not ledger.finish_purge(generation)
    ledger.acknowledge_purge(generation)
    assert not ledger.finish_purge(generation)
    assert ledger.summary(None, None).totals == (ProcessorTotal("default", 1, 1990),)
    other.acknowledge_purge(generation)
    assert ledger.finish_purge(generation)
    assert (ledger.payment(uid(1)), ledger.payment(uid(2)), ledger.claims()) == (None, None, ())
    assert ledger.summary(None, None).totals == ()
    ledger.write([claim(2)], [], [])
    assert record_of(ledger, 2).conflicting_amounts_cents == ()


def test_a_purge_does_not_wait_for_the_dead(newcomer: PostgresLedger, other: PostgresLedger) -> None:
    other.register(0, 0)
    charge(other, 1)
    assert newcomer.finish_purge(newcomer.begin_purge())
    assert newcomer.payment(uid(1)) is None


def test_who_slept_through_a_purge_brings_nothing_back(newcomer: PostgresLedger, other: PostgresLedger) -> None:
    epoch = other.register(0, 0).epoch
    other.write([claim(1)], [], [])
    generation = newcomer.begin_purge()
    assert newcomer.finish_purge(generation)
    assert not other.beat(epoch, LEASE_S, NOW_MS).renewed
    with pytest.raises(LedgerUnavailableError):
        other.write([claim(1)], [Move(uid(1), "fallback", 1)], [settlement(1)])
    assert other.write([], [], [settlement(1)]) == NOTHING
    assert (newcomer.payment(uid(1)), newcomer.summary(None, None).totals) == (None, ())
    other.register(generation, LEASE_S)
    assert other.write([claim(1)], [], []).assigned == (uid(1),)


def test_who_acknowledged_a_purge_goes_on_under_its_registration(ledger: PostgresLedger) -> None:
    epoch = ledger.register(0, LEASE_S).epoch
    generation = ledger.begin_purge()
    ledger.acknowledge_purge(generation)
    assert ledger.finish_purge(generation)
    assert ledger.write([claim(1)], [], []).assigned == (uid(1),)
    assert ledger.beat(epoch, LEASE_S, NOW_MS) == Beat(renewed=True, generation=generation)


def test_a_purge_waits_for_who_returns_with_something_older(
    newcomer: PostgresLedger, other_newcomer: PostgresLedger
) -> None:
    generation = newcomer.begin_purge()
    other_newcomer.register(0, LEASE_S)
    assert not newcomer.finish_purge(generation)
    other_newcomer.register(generation, LEASE_S)
    assert newcomer.finish_purge(generation)


def test_a_finished_purge_empties_nothing_again(newcomer: PostgresLedger, other_newcomer: PostgresLedger) -> None:
    generation = newcomer.begin_purge()
    assert newcomer.finish_purge(generation)
    newcomer.register(generation, LEASE_S)
    charge(newcomer, 1)
    assert other_newcomer.finish_purge(generation)
    assert newcomer.payment(uid(1)) is not None


def test_an_earlier_purge_is_over_with_a_later_one(newcomer: PostgresLedger) -> None:
    first, second = newcomer.begin_purge(), newcomer.begin_purge()
    assert newcomer.finish_purge(second)
    newcomer.register(second, LEASE_S)
    charge(newcomer, 1)
    assert newcomer.finish_purge(first)
    assert newcomer.payment(uid(1)) is not None
    assert newcomer.begin_purge() == 3


# What goes wrong


def end_connections(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("name", ["write", "register", "summary"])
def test_a_lost_connection_is_told_at_most_once(database_url: str, ledger: PostgresLedger, name: str) -> None:
    CALLS[name](ledger)
    end_connections(database_url)
    with suppress(LedgerUnavailableError):
        CALLS[name](ledger)
    CALLS[name](ledger)


def test_a_write_that_was_cut_can_be_written_again(database_url: str, ledger: PostgresLedger) -> None:
    with ThreadPoolExecutor() as executor, psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE payment")
        write = executor.submit(ledger.write, [claim(1)], [], [])
        with psycopg.connect(database_url, autocommit=True) as killer:
            while not write.done():
                killer.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND NOT pid = ANY (%s)",
                    ([killer.info.backend_pid, blocker.info.backend_pid],),
                )
        assert isinstance(write.exception(), LedgerUnavailableError)
    assert ledger.write([claim(1)], [], []).assigned == (uid(1),)


def outcomes_of_all_calls(database_url: str) -> dict[str, type[BaseException] | None]:
    """Each at the same time on a ledger of its own: one has room for one caller that writes and one that leases."""

    def call(name: str) -> None:
        with opened(database_url) as ledger:
            CALLS[name](ledger)

    with ThreadPoolExecutor(len(CALLS)) as executor:
        futures = {name: executor.submit(call, name) for name in CALLS}
        errors = {name: future.exception(DEADLINE_S) for name, future in futures.items()}
    return {name: type(error) if error else None for name, error in errors.items()}


def test_without_migrations_every_method_but_a_ping_says_that_it_is_unavailable(empty_database_url: str) -> None:
    assert outcomes_of_all_calls(empty_database_url) == dict.fromkeys(CALLS, LedgerUnavailableError) | {"ping": None}


@pytest.mark.parametrize("listening", [False, True], ids=["refuses connections", "accepts and stays silent"])
def test_without_a_server_every_method_says_so_in_the_end(listening: bool) -> None:  # noqa: FBT001  # a parameter
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listening:
            server.listen()
        url = f"postgresql://nobody@127.0.0.1:{server.getsockname()[1]}/none"
        assert outcomes_of_all_calls(url) == dict.fromkeys(CALLS, LedgerUnavailableError)


class Proxy:
    """Stands before Postgres, and lets nothing through once it is frozen."""

    def __init__(self, database_url: str) -> None:
        parameters = conninfo_to_dict(database_url)
        self._host, self._port = str(parameters.get("host", "localhost")), int(parameters.get("port") or 5432)
        self._flowing = Event()
        self._flowing.set()
        self._ends = ExitStack()
        self._listener = self._ends.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._sockets = [self._listener]
        self.url = make_conninfo(database_url, host="127.0.0.1", port=str(self._listener.getsockname()[1]))
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()

    def freeze(self) -> None:
        self._flowing.clear()

    def close(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._flowing.set()
        for thread in self._threads:
            thread.join()
        self._ends.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = self._ends.enter_context(self._listener.accept()[0])
                server = self._ends.enter_context(self._connect())
                self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    self._threads.append(Thread(target=self._pump, args=pair))
                    self._threads[-1].start()

    def _connect(self) -> socket.socket:
        if not self._host.startswith("/"):
            return socket.create_connection((self._host, self._port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self._host}/.s.PGSQL.{self._port}")
        return server

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


# As a replica runs it: under gevent. It connects, says so, and calls once more when it is told to.
SILENCED = """
from gevent import monkey
monkey.patch_all()
import sys
from actors.adapters.ledger import PostgresLedger
from actors.errors import LedgerUnavailableError
from tests.actors.adapters.test_ledger import CALLS

call = CALLS[sys.argv[2]]
ledger = PostgresLedger(sys.argv[1], sys.argv[2], lambda: 0)
ledger.open()
ledger.register(0, 60)
call(ledger)
print("connected", flush=True)
sys.stdin.readline()
try:
    call(ledger)
except LedgerUnavailableError as error:
    print("unavailable:", error, flush=True)
"""


def said_of_silence(database_url: str, names: Sequence[str]) -> dict[str, str]:
    """Call these while Postgres has fallen silent, each in a replica of its own, and tell what each replica says."""
    with ExitStack() as ends:
        proxy = ends.enter_context(closing(Proxy(database_url)))
        replicas = []
        for name in names:
            command = [sys.executable, "-c", SILENCED, proxy.url, name]
            replica = subprocess.Popen(  # noqa: S603  # our own script
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
            )
            ends.enter_context(replica)
            ends.callback(replica.kill)
            replicas.append(replica)
        assert [replica.stdout and replica.stdout.readline() for replica in replicas] == ["connected\n"] * len(names)
        proxy.freeze()
        with ThreadPoolExecutor() as executor:
            said = executor.map(lambda replica: replica.communicate("go\n", timeout=DEADLINE_S)[0], replicas)
            return dict(zip(names, said, strict=True))


def test_a_server_that_falls_silent_is_unavailable_in_the_end(database_url: str) -> None:
    said = said_of_silence(database_url, ["write", "beat", "summary"])
    assert said.pop("summary").startswith("unavailable: ")
    assert said == {
        "write": f"unavailable: no answer within {WRITE_S_MAX} s\n",
        "beat": f"unavailable: no answer within {ASK_S_MAX} s\n",
    }


def test_a_ping_does_not_wait_long_for_a_server_that_falls_silent(database_url: str) -> None:
    assert said_of_silence(database_url, ["ping"]) == {"ping": f"unavailable: no answer within {PING_S_MAX} s\n"}
