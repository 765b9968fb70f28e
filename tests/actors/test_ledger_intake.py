from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from actors.domain.payment import Payment
from actors.intake import IntakeActor
from actors.ledger_intake import ROWS_S_MAX, LedgerIntakeActor
from actors.messages.intake import (
    Accept,
    AcceptAnswer,
    FirstAmountsFound,
    LeaseHeld,
    RowsCommitted,
    RowsDelayed,
    RowsDoubted,
)
from actors.messages.persistence import Record
from tests.actors.fakes import Recorder, payment
from tests.actors.fakes_journal import MemoryJournal
from tests.actors.intaking import Intake

ACCEPTED, REPEATED, IN_DOUBT = AcceptAnswer.ACCEPTED, AcceptAnswer.REPEATED, AcceptAnswer.IN_DOUBT
JOURNALLED, UNAVAILABLE = AcceptAnswer.JOURNALLED, AcceptAnswer.LEDGER_UNAVAILABLE


class SyncedJournal(MemoryJournal):
    """A journal that remembers which appends were synced at once."""

    def __init__(self, kept: Sequence[Payment] = ()) -> None:
        super().__init__(kept)
        self.log: list[str] = []

    def append(self, payments: Sequence[Payment], *, synced: bool = True) -> None:
        super().append(payments, synced=synced)
        self.log.append("synced append" if synced else "append")

    def sync(self) -> None:
        super().sync()
        self.log.append("sync")


class LedgerIntake(Intake):
    """An intake whose persistence a test plays, with a lease."""

    def __init__(self, *, takes_over: bool = False, leased: bool = True, **parts: Any) -> None:  # noqa: ANN401  # those of `Intake`
        self.persistence = Recorder()
        self.takes_over = takes_over
        self.synced = SyncedJournal(parts.pop("kept", ()))
        super().__init__(self.synced, **parts)
        if leased:
            self.tell(LeaseHeld(self.runtime.now_s() + 3600))

    def make_actor(self, **parts: Any) -> IntakeActor:  # noqa: ANN401  # those of `IntakeActor`
        return LedgerIntakeActor(persistence=self.persistence, journal_takes_over=self.takes_over, **parts)

    def accept(self, one: Payment) -> Accept:
        # The answer may come long after the post.
        def reply(answer: AcceptAnswer) -> None:
            self.answers.append(answer)

        return Accept(one, reply, self.runtime.now_s() + 5)

    def asked(self) -> list[tuple[int, ...]]:
        """Give the numbers of the payments whose rows were asked for, by group."""
        groups = [each for each in self.persistence.take() if isinstance(each, Record)]
        return [tuple(one.correlation_id.int for one in group.payments) for group in groups]

    def commit(self, *numbers: int, known: tuple[int, ...] = (), refused: tuple[int, ...] = ()) -> list[AcceptAnswer]:
        """Let rows be committed; give what was answered."""
        self.tell(RowsCommitted(ids(*numbers), ids(*known), ids(*refused)))
        return self.take_answers()

    def take_answers(self) -> list[AcceptAnswer]:
        answers, self.answers = self.answers, []
        return answers


def ids(*numbers: int) -> tuple[UUID, ...]:
    return tuple(UUID(int=number) for number in numbers)


def test_a_group_is_answered_after_the_commit_of_its_rows() -> None:
    intake = LedgerIntake()
    assert intake.post(payment(1), payment(2)) == []
    assert (intake.asked(), intake.synced.log) == ([(1, 2)], ["append"])
    assert intake.commit(1) == [ACCEPTED]
    assert intake.commit(2) == [ACCEPTED]


def test_what_comes_while_a_commit_is_under_way_is_the_next_group() -> None:
    intake = LedgerIntake()
    intake.post(payment(1))
    intake.post(payment(2))
    assert intake.asked() == [(1,), (2,)]


def test_payments_are_given_to_the_router_once_they_have_rows() -> None:
    intake = LedgerIntake()
    intake.post(payment(1), payment(2))
    assert intake.delivered() == []
    intake.commit(1)
    (route,) = (each for each in intake.deliveries() if each.payments)
    assert (route.payments, route.have_rows, route.behind) == ((payment(1),), True, 1)
    assert intake.journal.held == 1, "Postgres has it: the journal need not keep it"


def test_a_payment_whose_row_another_replica_drives_is_given_without_one() -> None:
    intake = LedgerIntake()
    intake.post(payment(1), payment(2), payment(3))
    assert intake.commit(1, 3, known=(2,)) == [ACCEPTED] * 3
    routes = [each for each in intake.deliveries() if each.payments]
    assert [(each.payments, each.have_rows) for each in routes] == [
        ((payment(1),), True),
        ((payment(2),), False),
        ((payment(3),), True),
    ]


def test_a_repeated_post_waits_for_the_same_commit() -> None:
    intake = LedgerIntake()
    assert intake.post(payment(1), payment(1)) == []
    assert intake.post(payment(1)) == []
    assert intake.asked() == [(1,)]
    assert intake.commit(1) == [ACCEPTED, REPEATED, REPEATED]
    assert intake.post(payment(1)) == [REPEATED]
    assert intake.asked() == []


def test_a_repeated_post_of_an_earlier_run_is_not_answered_before_postgres_has_its_row() -> None:
    intake = LedgerIntake(kept=(payment(1),))
    intake.actor.on_start()
    assert intake.post(payment(1)) == []
    assert intake.asked() == [(1,)]
    assert intake.commit(known=(1,)) == [ACCEPTED]


def test_another_amount_than_that_of_the_row_is_refused() -> None:
    intake = LedgerIntake()
    intake.post(payment(1, 200))
    intake.tell(FirstAmountsFound((payment(1, 100),)))
    assert intake.commit(refused=(1,)) == [AcceptAnswer.CONFLICT]
    assert intake.post(payment(1, 200), payment(1, 100)) == [AcceptAnswer.CONFLICT, REPEATED]


def test_without_a_lease_nothing_is_kept() -> None:
    intake = LedgerIntake(leased=False)
    assert intake.post(payment(1), payment(1)) == [UNAVAILABLE, UNAVAILABLE]
    assert (intake.asked(), intake.synced.log) == ([], [])
    intake.tell(LeaseHeld(intake.runtime.now_s() + 5))
    assert intake.post(payment(1)) == []
    assert intake.commit(1) == [ACCEPTED]
    intake.advance(5)
    assert intake.post(payment(2)) == [UNAVAILABLE]


def test_while_commits_fail_who_waits_is_in_doubt_and_who_comes_is_refused() -> None:
    intake = LedgerIntake()
    intake.post(payment(1))
    intake.tell(RowsDelayed())
    assert intake.take_answers() == [IN_DOUBT]
    assert intake.post(payment(2), payment(2)) == [UNAVAILABLE, UNAVAILABLE]
    assert intake.post(payment(1)) == [IN_DOUBT], "its row may be committed"
    assert intake.synced.log == ["append"]
    assert intake.commit(1) == []
    assert intake.post(payment(1)) == [REPEATED]
    assert intake.post(payment(2)) == []


def test_a_commit_that_takes_long_counts_as_one_that_fails() -> None:
    intake = LedgerIntake()
    intake.post(payment(1))
    intake.advance(ROWS_S_MAX / 2)
    intake.post(payment(2))
    intake.advance(ROWS_S_MAX / 2)
    assert intake.take_answers() == [IN_DOUBT, IN_DOUBT]
    assert intake.post(payment(3)) == [UNAVAILABLE]
    intake.commit(1, 2)
    assert intake.post(payment(3)) == []


def test_commits_that_take_less_long_are_waited_for() -> None:
    intake = LedgerIntake()
    for number in range(10):
        intake.post(payment(number))
        intake.advance(ROWS_S_MAX * 0.9)
        assert intake.commit(number) == [ACCEPTED]


def test_the_journal_takes_over_where_it_may() -> None:
    intake = LedgerIntake(takes_over=True)
    intake.post(payment(1))
    intake.tell(RowsDelayed())
    assert (intake.take_answers(), intake.synced.log) == ([JOURNALLED], ["append", "sync"])
    assert intake.post(payment(2), payment(2)) == [JOURNALLED, JOURNALLED]
    assert intake.asked() == [(1,)]
    assert intake.synced.log == ["append", "sync", "synced append"]
    intake.commit(1)
    routes = [each for each in intake.deliveries() if each.payments]
    assert [(each.payments, each.have_rows) for each in routes] == [((payment(1),), True), ((payment(2),), False)]
    assert intake.post(payment(3)) == []
    assert (intake.asked(), intake.commit(3)) == ([(3,)], [ACCEPTED])


def test_what_an_earlier_run_may_not_have_synced_is_written_once_more_when_the_journal_takes_over() -> None:
    intake = LedgerIntake(takes_over=True, leased=False, kept=(payment(1),))
    intake.actor.on_start()
    assert intake.post(payment(1)) == [JOURNALLED]
    assert intake.synced.log == ["synced append"]


def test_a_journal_that_cannot_take_over_promises_nothing() -> None:
    intake = LedgerIntake(takes_over=True)
    intake.post(payment(1))
    intake.journal.broken = True
    intake.tell(RowsDelayed())
    assert intake.take_answers() == [IN_DOUBT]
    assert intake.post(payment(2)) == [AcceptAnswer.JOURNAL_UNAVAILABLE]


@pytest.mark.parametrize("takes_over", [False, True])
def test_a_repeated_post_does_not_exceed_the_journals_bound(takes_over: bool) -> None:  # noqa: FBT001  # a parameter
    intake = LedgerIntake(takes_over=takes_over, open_max=1, kept=(payment(1),))
    intake.actor.on_start()
    assert intake.post(payment(1), payment(2)) == [AcceptAnswer.OVERLOADED, IN_DOUBT]
    assert intake.synced.log == []


def test_who_waits_at_a_stop_is_in_doubt() -> None:
    intake = LedgerIntake()
    intake.post(payment(1))
    intake.actor.on_stop()
    assert intake.take_answers() == [IN_DOUBT]


def test_a_group_that_cannot_be_written_has_no_rows() -> None:
    intake = LedgerIntake()
    intake.journal.broken = True
    assert intake.post(payment(1), payment(1)) == [AcceptAnswer.JOURNAL_UNAVAILABLE] * 2
    assert intake.asked() == []
    intake.journal.broken = False
    assert intake.post(payment(1)) == []


def test_a_repeated_post_that_cannot_be_written_once_more_is_in_doubt_and_stays_known() -> None:
    intake = LedgerIntake(kept=(payment(1, 100),))
    intake.actor.on_start()
    intake.journal.broken = True
    answers = intake.post(payment(1, 100), payment(2), payment(2))
    assert answers == [AcceptAnswer.JOURNAL_UNAVAILABLE, IN_DOUBT, AcceptAnswer.JOURNAL_UNAVAILABLE]
    assert intake.money(1) is not None, "it stands in the journal, and will be charged"
    intake.journal.broken = False
    assert intake.post(payment(1, 200)) == [AcceptAnswer.UNCONFIRMED]


def test_once_postgres_may_have_forgotten_rows_payments_stay_in_the_journal_until_they_are_claimed() -> None:
    intake = LedgerIntake()
    intake.post(payment(1), payment(2))
    intake.commit(1)
    intake.tell(RowsDoubted())
    intake.commit(2)
    routes = [each for each in intake.deliveries() if each.payments]
    assert [(each.payments, each.have_rows) for each in routes] == [((payment(1), payment(2)), False)]
    assert intake.journal.held == 2
