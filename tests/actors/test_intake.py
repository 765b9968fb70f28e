from pykka._envelope import Envelope

from actors.domain.messages import (
    Accept,
    AcceptAnswer,
    Accepted,
    Backlog,
    Committed,
    Driven,
    Known,
    Route,
    Settled,
    TakeOver,
)
from actors.domain.payment import Payment
from actors.intake import IntakeActor
from tests.actors.fakes import MemoryJournal, Recorder, VirtualRuntime, deliver, payment


class Intake:
    """An intake that is not started, with what stands around it."""

    def __init__(self, journal: MemoryJournal | None = None, open_max: int = 100) -> None:
        self.journal = journal or MemoryJournal()
        self.router, self.gossip = Recorder(), Recorder()
        self.runtime = VirtualRuntime()
        self.answers: list[AcceptAnswer] = []
        self.actor = IntakeActor(
            journal=self.journal,
            router=self.router,
            gossip=self.gossip,
            recent_max=1000,
            runtime=self.runtime,
            open_max=open_max,
        )

    def post(self, *payments: Payment) -> list[AcceptAnswer]:
        """Let these payments arrive while the intake is busy, then let it handle them; give the answers."""
        for one in payments:
            self.actor.actor_inbox.put(Envelope(Accept(one, self.answers.append, self.runtime.now_s() + 5)))
        deliver(self.actor)
        answers, self.answers = self.answers, []
        return answers


def test_a_payment_is_answered_after_it_stands_in_the_journal() -> None:
    intake = Intake()
    standing: list[tuple[Payment, ...]] = []
    intake.actor.on_receive(
        Accept(payment(1), lambda _: standing.extend(intake.journal.appends), intake.runtime.now_s())
    )
    assert standing == [(payment(1),)]


def test_payments_that_come_meanwhile_share_one_write() -> None:
    intake = Intake()
    assert intake.post(payment(1), payment(2), payment(3)) == [AcceptAnswer.ACCEPTED] * 3
    assert intake.journal.appends == [(payment(1), payment(2), payment(3))]


def test_accepted_payments_are_handed_to_the_router() -> None:
    intake = Intake()
    intake.post(payment(1), payment(2))
    assert intake.router.messages == [Route((payment(1), payment(2)))]


def test_a_repeated_post_is_accepted_and_kept_once() -> None:
    intake = Intake()
    intake.post(payment(1))
    assert intake.post(payment(1)) == [AcceptAnswer.REPEATED]
    assert intake.journal.appends == [(payment(1),)]


def test_the_same_id_with_another_amount_is_a_conflict_and_not_kept() -> None:
    intake = Intake()
    intake.post(payment(1, 1990))
    assert intake.post(payment(1, 2000)) == [AcceptAnswer.CONFLICT]
    assert intake.journal.appends == [(payment(1, 1990),)]


def test_a_repeated_post_is_not_answered_before_the_first_is_durable() -> None:
    journal = MemoryJournal()
    journal.broken = True
    intake = Intake(journal)
    assert intake.post(payment(1), payment(1)) == [AcceptAnswer.JOURNAL_UNAVAILABLE] * 2


def test_a_payment_that_could_not_be_made_durable_may_be_posted_again() -> None:
    intake = Intake()
    intake.journal.broken = True
    assert intake.post(payment(1)) == [AcceptAnswer.JOURNAL_UNAVAILABLE]
    assert intake.router.messages == []
    intake.journal.broken = False
    assert intake.post(payment(1)) == [AcceptAnswer.ACCEPTED]


def test_beyond_the_bound_payments_are_refused_and_nothing_is_kept() -> None:
    intake = Intake(open_max=2)
    assert intake.post(payment(1), payment(2), payment(3)) == [
        AcceptAnswer.OVERLOADED,
        AcceptAnswer.ACCEPTED,
        AcceptAnswer.ACCEPTED,
    ]
    assert list(intake.journal.kept.values()) == [payment(1), payment(2)]


def test_a_settled_payment_makes_room_for_another() -> None:
    intake = Intake(open_max=1)
    intake.post(payment(1))
    intake.actor.on_receive(Settled((payment(1).correlation_id,)))
    assert intake.post(payment(2)) == [AcceptAnswer.ACCEPTED]


def test_the_journal_may_forget_what_postgres_has() -> None:
    intake = Intake()
    intake.post(payment(1), payment(2))
    assert intake.actor.on_receive(Backlog()) == 2
    intake.actor.on_receive(Committed((payment(1).correlation_id,)))
    assert list(intake.journal.kept.values()) == [payment(2)]
    assert intake.actor.on_receive(Backlog()) == 1


def test_what_an_earlier_run_left_is_driven_again_and_known() -> None:
    intake = Intake(MemoryJournal([payment(1), payment(2)]))
    intake.actor.on_start()
    assert intake.router.messages == [Route((payment(1), payment(2)))]
    assert intake.post(payment(1), payment(2, 1)) == [AcceptAnswer.REPEATED, AcceptAnswer.CONFLICT]


def test_payments_of_another_journal_are_durable_here_before_it_is_told_so() -> None:
    intake = Intake()
    assert intake.actor.on_receive(TakeOver((payment(1),))) is True
    assert intake.journal.appends == [(payment(1),)]
    assert intake.router.messages == [Route((payment(1),))]


def test_payments_of_another_journal_stay_there_while_this_one_can_not_be_written() -> None:
    intake = Intake()
    intake.journal.broken = True
    assert intake.actor.on_receive(TakeOver((payment(1),))) is False
    assert intake.router.messages == []


def test_what_is_accepted_here_is_told_to_the_other_replicas() -> None:
    intake = Intake()
    intake.post(payment(1), payment(2))
    intake.post(payment(1))
    assert intake.gossip.messages == [Accepted((payment(1), payment(2)))]


def test_what_another_replica_accepted_is_known_here_but_does_not_replace_what_came_first() -> None:
    intake = Intake()
    intake.post(payment(1, 100))
    intake.actor.on_receive(Known((payment(1, 200), payment(2, 300)), certain=False))
    assert intake.post(payment(1, 100), payment(2, 1)) == [AcceptAnswer.REPEATED, AcceptAnswer.CONFLICT]


def test_what_is_only_heard_of_is_made_durable_here_too() -> None:
    intake = Intake()
    intake.actor.on_receive(Known((payment(1),), certain=False))
    assert intake.post(payment(1)) == [AcceptAnswer.ACCEPTED]
    assert intake.journal.appends == [(payment(1),)]


def test_a_question_does_not_hold_back_the_answers_to_those_who_came_before_it() -> None:
    intake = Intake()
    intake.actor.actor_inbox.put(Envelope(Accept(payment(1), intake.answers.append, intake.runtime.now_s() + 5)))
    intake.actor.actor_inbox.put(Envelope(Backlog()))
    deliver(intake.actor)
    assert intake.answers == [AcceptAnswer.ACCEPTED]


def test_what_postgres_has_under_an_id_came_first_whatever_was_accepted_here() -> None:
    intake = Intake()
    intake.post(payment(1, 200))
    intake.actor.on_receive(Known((payment(1, 100),), certain=True))
    assert intake.post(payment(1, 200), payment(1, 100)) == [AcceptAnswer.CONFLICT, AcceptAnswer.REPEATED]


def test_a_payment_whose_client_has_given_up_is_not_kept() -> None:
    intake = Intake()
    intake.actor.actor_inbox.put(Envelope(Accept(payment(1), intake.answers.append, intake.runtime.now_s() + 5)))
    intake.runtime.advance(5.1)
    deliver(intake.actor)
    assert (intake.answers, intake.journal.appends) == ([], [])


def test_payments_that_are_taken_up_from_postgres_count_against_the_bound() -> None:
    intake = Intake(open_max=1)
    intake.actor.on_receive(Driven((payment(9).correlation_id,)))
    assert intake.post(payment(1)) == [AcceptAnswer.OVERLOADED]


def test_at_its_end_those_who_wait_for_the_next_write_are_answered() -> None:
    intake = Intake()
    intake.actor.actor_inbox.put(Envelope(Backlog()))
    intake.actor.on_receive(Accept(payment(1), intake.answers.append, intake.runtime.now_s()))
    assert intake.answers == []
    intake.actor.on_stop()
    assert (intake.answers, intake.journal.appends) == ([AcceptAnswer.ACCEPTED], [(payment(1),)])
