"""What persistence makes of payments that end: settled, settled twice or closed; and of what readers are told."""

import logging
from uuid import UUID

import pytest

from actors.domain.payment import EndState, Mark, Move
from actors.messages.intake import FirstAmountsFound
from actors.messages.persistence import Incidents
from actors.messages.router import Written
from ops.simulation.stores import MemoryLeases
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import NOW_MS, READING, payment
from tests.actors.persisting import Persistence, claims, closing, ids, settlement, store_of, written
from tests.lines import lines


def mark(number: int, state: str | None = "unknown") -> Mark:
    return Mark(UUID(int=number), state, NOW_MS)


def incidents(disputes: int = 0, declined: int = 0, **settled: int) -> Incidents:
    return Incidents(disputes, {EndState.DECLINED: declined, EndState.MISMATCHED: 0}, settled)


def test_the_router_learns_of_closings_after_the_commit() -> None:
    persistence = Persistence()
    persistence.write(claims(1, 2))
    persistence.router.take()
    persistence.write(settlements=(settlement(1),), closings=(closing(2),))
    persistence.advance(0.010)
    assert persistence.router.messages == [written(settled=ids(1), closed=ids(2))]
    assert (persistence.rows, persistence.incidents()) == ({}, incidents(declined=1, default=1))


def test_a_closed_payment_that_is_offered_again_is_rejected() -> None:
    persistence = Persistence()
    persistence.write(closings=(closing(1),))
    persistence.router.take()
    persistence.write(claims(1))
    persistence.advance(0.010)
    assert persistence.router.messages == [Written((), (payment(1),), (), (), ())]
    assert not any(isinstance(each, FirstAmountsFound) for each in persistence.intake.messages)


def test_closings_share_the_bound_of_a_batch() -> None:
    persistence = Persistence().busy()
    persistence.write(claims(*range(100)), closings=tuple(closing(number) for number in range(200, 230)))
    assert persistence.store.writes == [(70, 0, 0)]
    persistence.advance(0.010)
    assert persistence.store.writes == [(70, 0, 0), (30, 0, 0)]


def test_a_second_charge_is_an_error_in_the_log_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    persistence = Persistence()
    persistence.write(claims(1, 2))
    persistence.write(settlements=(settlement(1), settlement(2)))
    persistence.advance(0.010)
    assert persistence.incidents() == incidents(disputes=0, default=2)
    persistence.write(settlements=(settlement(1, "fallback"), settlement(2)))
    persistence.advance(0.010)
    assert persistence.incidents() == incidents(disputes=1, default=3)
    event = "a payment was charged more than once: the table dispute has the other charge"
    assert lines(caplog, "correlation_id") == [(event, UUID(int=1))]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert persistence.router.take()[-1] == written(settled=ids(1, 2))


def test_a_replica_that_others_have_taken_over_from_still_tells_of_second_charges() -> None:
    tables = MemoryTables()
    store_of("2", tables).write((), (), (settlement(1, "fallback"),))
    persistence = Persistence(tables)
    MemoryLeases(tables, MemoryFence("1")).register(0, READING)
    persistence.write(settlements=(settlement(1), settlement(2)))
    assert persistence.incidents() == incidents(disputes=1)
    assert (persistence.unwritten(), persistence.router.messages) == (2, [])
    assert tables.settlements.keys() == {UUID(int=1)}


def test_a_mark_is_written_for_readers() -> None:
    persistence = Persistence()
    persistence.write(claims(1, 2))
    persistence.write(marks=(mark(1), mark(2, "stranded")))
    persistence.advance(0.010)
    assert (persistence.marked(1), persistence.marked(2), persistence.unwritten()) == ("unknown", "stranded", 0)


def test_of_marks_that_wait_the_latest_is_written() -> None:
    persistence = Persistence()
    persistence.write(claims(1))
    persistence.write(marks=(mark(1),))
    persistence.write(marks=(mark(1, None),))
    assert persistence.unwritten() == 1
    persistence.advance(0.010)
    assert persistence.marked(1) is None


def test_a_move_ends_a_mark_that_waits() -> None:
    persistence = Persistence()
    persistence.write(claims(1))
    persistence.write(marks=(mark(1),))
    persistence.write(moves=(Move(UUID(int=1), "fallback", attempts=1, moves=1),))
    persistence.advance(0.010)
    assert (persistence.rows, persistence.marked(1)) == ({UUID(int=1): ("1", "fallback")}, None)


def test_a_mark_that_comes_after_a_move_is_written_with_it() -> None:
    persistence = Persistence()
    persistence.write(claims(1))
    persistence.write(moves=(Move(UUID(int=1), "fallback", attempts=1, moves=1),))
    persistence.write(marks=(mark(1),))
    persistence.advance(0.010)
    assert (persistence.rows, persistence.marked(1)) == ({UUID(int=1): ("1", "fallback")}, "unknown")


def test_marks_are_written_after_all_else_that_a_batch_has_room_for() -> None:
    persistence = Persistence().busy()
    persistence.write(claims(1))
    persistence.advance(0.010)
    persistence.write(claims(*range(2, 101)), marks=(mark(1), mark(2)))
    assert (persistence.marked(1), persistence.marked(2), persistence.unwritten()) == ("unknown", None, 1)
