from uuid import UUID

from actors.domain.payment import Claim
from actors.messages.intake import FirstAmountsFound, Recorded, RowsCommitted, RowsDelayed
from actors.messages.persistence import Record
from actors.persistence import COMMIT_BACKOFF, RECORDS_MAX
from ops.simulation.tables import MemoryTables
from tests.actors.fakes import payment
from tests.actors.persisting import Persistence, claims, ids, settlement, store_of, written


def record(*numbers: int, amount_minor: int = 1990) -> Record:
    return Record(tuple(payment(number, amount_minor) for number in numbers))


def committed(
    unnamed: tuple[UUID, ...] = (), known: tuple[UUID, ...] = (), refused: tuple[UUID, ...] = ()
) -> RowsCommitted:
    return RowsCommitted(unnamed, known, refused)


def test_rows_that_clients_wait_for_are_committed_at_once_and_name_nobody() -> None:
    persistence = Persistence().busy()
    persistence.tell(record(1, 2))
    assert persistence.rows == {UUID(int=1): ("1", None), UUID(int=2): ("1", None)}
    assert persistence.intake.messages == [committed(unnamed=ids(1, 2))]


def test_the_router_does_not_hear_of_them_as_claimed() -> None:
    persistence = Persistence().busy()
    persistence.write(claims(3))
    persistence.tell(record(1))
    assert persistence.router.messages == [written(claimed=ids(3))]
    assert persistence.intake.messages == [committed(unnamed=ids(1)), Recorded(ids(3))]


def test_what_waits_for_company_goes_with_them() -> None:
    persistence = Persistence().busy()
    persistence.write(settlements=(settlement(9),))
    persistence.tell(record(1))
    assert persistence.store.writes == [(1, 0, 1)]


def test_many_do_not_keep_the_rest_waiting() -> None:
    persistence = Persistence().busy()
    persistence.write(claims(*range(1000, 1050)))
    persistence.tell(record(*range(1, 2 * RECORDS_MAX + 1)))
    assert persistence.store.writes == [(RECORDS_MAX + 50, 0, 0), (RECORDS_MAX, 0, 0)]


def test_a_claim_of_the_same_payment_waits_for_the_next_batch() -> None:
    persistence = Persistence().busy()
    persistence.write(claims(1))
    persistence.tell(record(1))
    assert persistence.rows == {UUID(int=1): ("1", None)}
    assert written(claimed=ids(1)) not in persistence.router.messages, "nobody is named, so nothing may be sent"
    persistence.advance(0.01)
    (adopted,) = (each.claims for each in persistence.router.messages if hasattr(each, "claims"))
    assert adopted == (Claim(payment(1), None),)


def test_rows_that_were_there_are_told_apart() -> None:
    tables = MemoryTables()
    store_of("2", tables).write([Claim(payment(1), "default"), Claim(payment(2, 5), "default")], [], [])
    persistence = Persistence(tables)
    persistence.tell(record(1, 2, 3))
    assert persistence.intake.messages == [
        FirstAmountsFound((payment(2, 5),), is_news=True),
        committed(unnamed=ids(3), known=ids(1), refused=ids(2)),
    ]
    assert [money.minor for money in persistence.refused(2)] == [1990]
    assert persistence.router.messages == [written()]


def test_the_first_failure_is_tried_again_before_anybody_is_told() -> None:
    persistence = Persistence()
    persistence.store.failures = 1
    persistence.tell(record(1))
    assert persistence.intake.messages == []
    persistence.advance(COMMIT_BACKOFF.pause_s(1))
    assert persistence.intake.messages == [committed(unnamed=ids(1))]


def test_failures_in_a_row_are_told_and_the_rows_are_committed_in_the_end() -> None:
    persistence = Persistence()
    persistence.store.failures = 2
    persistence.tell(record(1))
    persistence.advance(COMMIT_BACKOFF.pause_s(1))
    assert persistence.intake.messages == [RowsDelayed()]
    persistence.tell(record(2))
    persistence.advance(COMMIT_BACKOFF.pause_s(2))
    assert persistence.intake.messages == [RowsDelayed(), committed(unnamed=ids(1, 2))]


def test_rows_of_a_commit_whose_answer_was_lost_are_still_its_own() -> None:
    persistence = Persistence()
    persistence.store.lost_answers = 1
    persistence.tell(record(1))
    persistence.advance(COMMIT_BACKOFF.pause_s(1))
    assert persistence.intake.messages == [committed(unnamed=ids(1))]
