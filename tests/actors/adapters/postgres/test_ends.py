"""A payment that no processor charges ends, outside of all that is driven; what goes on may be marked for readers."""

import psycopg
import pytest

from actors.domain.payment import EndState, Mark, Move
from actors.domain.records import KnownPayment, PaymentRecord
from actors.errors import LedgerUnavailableError
from tests.actors.adapters.postgres.storage import (
    MANY,
    NOTHING,
    OpenStorage,
    ReplicaStorage,
    charge,
    claim,
    ended,
    on_postgres,
    record_of,
    register_anew,
    settlement,
    uid,
)
from tests.actors.fakes import NOW_MS, READING, both, payment


@pytest.mark.parametrize("state", EndState)
def test_a_closed_payment_belongs_to_nobody_and_tells_how_it_ended(mine: ReplicaStorage, state: EndState) -> None:
    mine.payments.write([claim(1), claim(2)], [], [])
    for _ in range(2):
        assert mine.payments.write([], [], [], [ended(1, state)]) == NOTHING
    assert record_of(mine, 1) == PaymentRecord(payment(1), "fallback", None, None, (), ended(1, state))
    assert mine.leases.claims(MANY) == (claim(2),)
    assert mine.payments.summary(None, None).totals == ()


def test_a_closed_payment_that_is_offered_again_is_known_and_driven_by_nobody(
    mine: ReplicaStorage, other: ReplicaStorage
) -> None:
    mine.payments.write([claim(1)], [], [])
    mine.payments.write([], [], [], [ended(1)])
    for writer in (mine, other):
        result = writer.payments.write([claim(1)], [], [])
        assert (result.claimed, result.known) == ((), (KnownPayment(payment(1), None, None, 0, 0, None),))
    assert (mine.leases.claims(MANY), other.leases.claims(MANY)) == ((), ())


def test_a_closing_brings_back_a_payment_that_postgres_has_lost(mine: ReplicaStorage) -> None:
    mine.payments.write([], [], [], [ended(1)])
    assert (record_of(mine, 1).payment, record_of(mine, 1).closing) == (payment(1), ended(1))


def test_a_settled_payment_is_not_closed(mine: ReplicaStorage) -> None:
    charge(mine, 1)
    mine.payments.write([], [], [], [ended(1)])
    assert (record_of(mine, 1).settlement, record_of(mine, 1).closing) == (settlement(1), None)


def test_a_closed_payment_holds_no_total_open(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    other_epoch = other.leases.register(0, READING).epoch
    other.payments.write([claim(1)], [], [])
    other.leases.retire(other_epoch, both(NOW_MS - 500))
    mine.leases.register(0, READING)
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS - 500
    other.payments.write([], [], [], [ended(1)])
    assert mine.payments.summary(None, None).final_before_ms == NOW_MS


def test_readers_are_told_what_the_owner_has_marked(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    mine.payments.write([claim(1), claim(2)], [], [], [], [Mark(uid(1), "stranded", NOW_MS)])
    for state in ("unknown", "stranded", None):
        mine.payments.write([], [], [], [], [Mark(uid(1), state, NOW_MS)])
        assert [record_of(other, number).marked for number in (1, 2)] == [state, None]


def test_only_the_owner_marks_what_it_drives(mine: ReplicaStorage, other: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    charge(mine, 2)
    other.payments.write([], [], [], [], [Mark(uid(number), "unknown", NOW_MS) for number in (1, 2, 3)])
    assert [record_of(mine, number).marked for number in (1, 2)] == [None, None]
    assert mine.payments.payment(uid(3)) is None


def test_a_move_ends_a_mark(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    mine.payments.write([], [], [], [], [Mark(uid(1), "unknown", NOW_MS)])
    mine.payments.write([], [Move(uid(1), "fallback", 1, moves=1)], [])
    assert record_of(mine, 1).marked is None


def test_a_mark_that_comes_with_a_move_is_kept(mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    mine.payments.write([], [Move(uid(1), "fallback", 1, moves=1)], [], [], [Mark(uid(1), "unknown", NOW_MS)])
    assert (record_of(mine, 1).processor, record_of(mine, 1).marked) == ("fallback", "unknown")


@on_postgres
def test_a_mark_is_kept_with_the_time_since_which_it_holds(database_url: str, mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1), claim(2)], [], [])
    mine.payments.write([], [], [], [], [Mark(uid(1), "unknown", NOW_MS + 3), Mark(uid(2), "unknown", NOW_MS)])
    mine.payments.write([], [], [], [], [Mark(uid(2), None, NOW_MS + 9)])
    with psycopg.connect(database_url) as connection:
        marks = connection.execute("SELECT state, state_since_ms FROM claim ORDER BY correlation_id").fetchall()
    assert marks == [("unknown", NOW_MS + 3), (None, None)]


def test_ends_and_marks_of_an_earlier_registration_are_refused(open_storage: OpenStorage, mine: ReplicaStorage) -> None:
    mine.payments.write([claim(1)], [], [])
    open_storage("a").leases.register(0, READING)
    for closings, marks in (([ended(1)], []), ([], [Mark(uid(1), "unknown", NOW_MS)])):
        with pytest.raises(LedgerUnavailableError):
            mine.payments.write([], [], [], closings, marks)
    assert record_of(mine, 1) == PaymentRecord(payment(1), "default", "a", None, ())


def test_a_purge_empties_what_was_closed_too(mine: ReplicaStorage) -> None:
    mine.payments.write([], [], [], [ended(1)])
    mine.payments.report_conflicts([payment(1, 5)])
    purge = mine.purge.begin_purge(NOW_MS)
    mine.purge.acknowledge_purge(purge.generation)
    assert mine.purge.finish_purge(purge)
    register_anew(mine, purge)
    assert mine.payments.write([claim(1)], [], []).claimed == (uid(1),)
    assert record_of(mine, 1) == PaymentRecord(payment(1), "default", "a", None, ())


@on_postgres
def test_a_purge_empties_disputes(database_url: str, mine: ReplicaStorage) -> None:
    charge(mine, 1)
    assert mine.payments.write([], [], [settlement(1, "fallback")]).disputed == (uid(1),)
    purge = mine.purge.begin_purge(NOW_MS)
    mine.purge.acknowledge_purge(purge.generation)
    assert mine.purge.finish_purge(purge)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM dispute").fetchone() == (0,)
