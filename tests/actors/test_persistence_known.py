"""What persistence makes of rows that were there before."""

from collections.abc import Sequence
from uuid import UUID

from actors.domain.money import Money
from actors.domain.payment import Claim, Move, Payment
from actors.errors import LedgerUnavailableError
from actors.messages.intake import FirstAmountsFound, Recorded
from actors.messages.router import Adopt, Written
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulation.tables import MemoryTables
from tests.actors.fakes import NOW_MS, READING, both, payment
from tests.actors.persisting import Persistence, claims, ids, settlement, store_of, written


def test_a_payment_whose_row_another_replica_has_is_rejected() -> None:
    tables = MemoryTables()
    store_of("2", tables).write(claims(1), (), ())
    persistence = Persistence(tables)
    persistence.write(claims(1, 2))
    persistence.advance(0.010)
    assert persistence.router.messages == [Written(ids(2), (payment(1),), (), (), ())]
    assert persistence.intake.messages == [Recorded(ids(1, 2))]


def test_a_payment_that_is_settled_already_is_rejected() -> None:
    persistence = Persistence()
    persistence.store.write(claims(1), (), ())
    persistence.store.write((), (), (settlement(1),))
    persistence.write(claims(1))
    persistence.advance(0.010)
    assert persistence.router.messages == [Written((), (payment(1),), (), (), ())]
    assert persistence.refused(1) == ()


def after_a_restart() -> Persistence:
    """Make the persistence of a replica whose earlier run has left rows 1, 2 and 3, of which 2 moved and 3 is free."""
    persistence = Persistence()
    persistence.write(claims(1, 2, 3))
    moves = (Move(UUID(int=2), "fallback", attempts=4, moves=3), Move(UUID(int=3), None, attempts=0, moves=1))
    persistence.write(moves=moves)
    persistence.advance(0.010)
    persistence.store.forget_registration()
    leases = MemoryLeases(persistence.store.tables, persistence.store.fence)
    leases.beat(leases.register(0, READING).epoch, both(NOW_MS - 40), READING)
    persistence.router.take()
    return persistence


def test_rows_of_an_earlier_run_are_driven_as_they_are_and_their_charges_are_no_older_than_the_watermark() -> None:
    persistence = after_a_restart()
    persistence.write(claims(1, 2, 3, 4))
    persistence.advance(0.010)
    rows = (
        Claim(payment(1), "default"),
        Claim(payment(2), "fallback", attempts=4, moves=3),
        Claim(payment(3), None, moves=1),
    )
    assert persistence.router.messages == [Adopt(rows, oldest_stamp_ms=NOW_MS - 40), written(claimed=ids(4))]


def test_nothing_is_written_under_the_registration_of_an_earlier_run() -> None:
    persistence = Persistence()
    persistence.write(claims(1))
    persistence.router.take()
    persistence.actor.on_start()
    persistence.write(claims(1))
    persistence.advance(0.010)
    assert (persistence.unwritten(), persistence.router.messages) == (1, [])
    MemoryLeases(persistence.store.tables, persistence.store.fence).register(0, READING)
    persistence.advance(1.0)
    assert persistence.router.messages == [Adopt(claims(1), oldest_stamp_ms=NOW_MS), written()]


def test_another_amount_under_a_known_id_is_reported_and_never_charged() -> None:
    persistence = Persistence()
    persistence.store.write(claims(1), (), ())
    persistence.write(claims(1, amount_minor=5))
    persistence.advance(0.010)
    assert persistence.router.messages == [Written((), (payment(1, 5),), (), (), ())]
    assert FirstAmountsFound((payment(1),), is_news=True) in persistence.intake.messages
    assert persistence.refused(1) == (Money(5, "BRL"),)
    assert persistence.store.tables.payments[UUID(int=1)].amount_minor == 1990


def test_another_currency_under_a_known_id_is_reported_and_never_charged() -> None:
    persistence = Persistence()
    persistence.store.write(claims(1), (), ())
    yen = payment(1, 1990, "JPY")
    persistence.write((Claim(yen, "default"),))
    persistence.advance(0.010)
    assert persistence.router.messages == [Written((), (yen,), (), (), ())]
    assert persistence.refused(1) == (Money(1990, "JPY"),)


class RefusesReports(MemoryPayments):
    """Answers everything but reports of conflicts."""

    def report_conflicts(self, payments: Sequence[Payment]) -> None:
        raise LedgerUnavailableError(f"planted: {len(payments)} are not reported")


def test_another_amount_that_cannot_be_reported_is_rejected_all_the_same() -> None:
    tables = MemoryTables()
    persistence = Persistence(store=RefusesReports(tables, store_of("1", tables).fence))
    persistence.store.write(claims(1), (), ())
    persistence.write(claims(1, amount_minor=5))
    persistence.advance(0.010)
    assert persistence.router.messages == [Written((), (payment(1, 5),), (), (), ())]
    assert persistence.refused(1) == ()


def test_an_id_stands_once_in_a_batch_so_that_a_second_amount_is_found_out() -> None:
    persistence = Persistence()
    persistence.write((*claims(1, 2), *claims(1, amount_minor=5)))
    persistence.advance(0.010)
    persistence.advance(0.010)
    assert persistence.store.writes == [(2, 0, 0), (1, 0, 0)]
    assert persistence.refused(1) == (Money(5, "BRL"),)


def test_an_id_that_waits_behind_its_first_claim_keeps_its_place_before_later_ones() -> None:
    persistence = Persistence()
    persistence.write((*claims(1), *claims(1, amount_minor=5), *claims(*range(2, 151))))
    assert persistence.store.writes == [(100, 0, 0)]
    persistence.advance(0.010)
    assert persistence.store.writes == [(100, 0, 0), (51, 0, 0)]
    assert list(persistence.rows) == list(ids(*range(1, 151)))


def test_a_move_of_a_row_that_others_have_taken_is_given_up() -> None:
    tables = MemoryTables()
    store_of("2", tables).write(claims(1), (), ())
    persistence = Persistence(tables)
    persistence.write(moves=(Move(UUID(int=1), "fallback", attempts=1, moves=1),))
    persistence.advance(0.010)
    assert persistence.router.messages == [Written((), (), (), ids(1), ())]
    assert persistence.rows == {UUID(int=1): ("2", "default")}
