import pytest
from pykka._envelope import Envelope

from actors.domain.batching import BatchLimits
from actors.domain.dispatcher import WINDOW_MAX
from actors.domain.payment import Payment
from actors.errors import JournalUnavailableError, MailboxFullError
from actors.intake import DELIVERY_MAX, GROUP_MAX, UNREADABLE_S, IntakeActor
from actors.messages.gossip import Spread
from actors.messages.intake import (
    Accept,
    AcceptAnswer,
    AcceptedByPeers,
    FirstAmountsFound,
    GetAcceptedCents,
    IntakeMessage,
    Recorded,
    TakeOver,
    Want,
)
from actors.messages.router import Route
from tests.actors.fakes import Recorder, VirtualRuntime, deliver, payment
from tests.actors.fakes_journal import MemoryJournal

LIMITS = BatchLimits()
SPACING_S = LIMITS.spacing_s_min
"""Time between two deliveries where payments are few."""


class Intake:
    """An intake that is not started, with what stands around it."""

    def __init__(self, journal: MemoryJournal | None = None, open_max: int = 10_000) -> None:
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
            limits=LIMITS,
        )

    def put(self, message: IntakeMessage) -> None:
        """Let a message arrive while the intake is busy."""
        self.actor.actor_inbox.put(Envelope(message))

    def tell(self, message: IntakeMessage) -> None:
        """Let the intake handle a message."""
        self.put(message)
        deliver(self.actor)

    def accept(self, one: Payment) -> Accept:
        return Accept(one, self.answers.append, self.runtime.now_s() + 5)

    def post(self, *payments: Payment) -> list[AcceptAnswer]:
        """Let these payments arrive while the intake is busy, then let it handle them; give the answers."""
        for one in payments:
            self.put(self.accept(one))
        deliver(self.actor)
        answers, self.answers = self.answers, []
        return answers

    def advance(self, seconds: float) -> None:
        self.runtime.advance(seconds)
        deliver(self.actor)

    def deliveries(self) -> list[Route]:
        """Let deliveries go on until nothing is due any more; give what the router was told."""
        while self.runtime.timers:
            self.advance(SPACING_S)
        return [message for message in self.router.take() if isinstance(message, Route)]

    def delivered(self) -> list[Payment]:
        return [one for route in self.deliveries() for one in route.payments]


def payments(count: int, first: int = 1) -> list[Payment]:
    return [payment(number) for number in range(first, first + count)]


def test_a_payment_is_answered_after_it_stands_in_the_journal() -> None:
    intake = Intake()
    standing: list[tuple[Payment, ...]] = []
    intake.tell(Accept(payment(1), lambda _: standing.extend(intake.journal.appends), intake.runtime.now_s()))
    assert standing == [(payment(1),)]


def test_payments_that_come_meanwhile_share_one_write() -> None:
    intake = Intake()
    assert intake.post(payment(1), payment(2), payment(3)) == [AcceptAnswer.ACCEPTED] * 3
    assert intake.journal.appends == [(payment(1), payment(2), payment(3))]


def test_a_write_has_a_greatest_number_of_payments() -> None:
    intake = Intake()
    intake.post(*payments(2 * GROUP_MAX + 1))
    assert [len(group) for group in intake.journal.appends] == [GROUP_MAX, GROUP_MAX, 1]


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
    intake = Intake()
    intake.journal.broken = True
    assert intake.post(payment(1), payment(1)) == [AcceptAnswer.JOURNAL_UNAVAILABLE] * 2


def test_a_payment_that_could_not_be_made_durable_may_be_posted_again() -> None:
    intake = Intake()
    intake.journal.broken = True
    assert intake.post(payment(1)) == [AcceptAnswer.JOURNAL_UNAVAILABLE]
    assert intake.deliveries() == []
    intake.journal.broken = False
    assert intake.post(payment(1)) == [AcceptAnswer.ACCEPTED]
    assert intake.delivered() == [payment(1)]


def test_beyond_the_bound_payments_are_refused_and_nothing_is_kept() -> None:
    intake = Intake(open_max=2)
    assert intake.post(payment(1), payment(2), payment(3)) == [
        AcceptAnswer.OVERLOADED,
        AcceptAnswer.ACCEPTED,
        AcceptAnswer.ACCEPTED,
    ]
    assert list(intake.journal.kept.values()) == [payment(1), payment(2)]


def test_payments_that_the_router_has_count_against_the_bound_until_postgres_has_them() -> None:
    intake = Intake(open_max=1)
    intake.post(payment(1))
    assert intake.delivered() == [payment(1)]
    assert intake.post(payment(2)) == [AcceptAnswer.OVERLOADED]
    intake.tell(Recorded((payment(1).correlation_id,)))
    assert intake.post(payment(2)) == [AcceptAnswer.ACCEPTED]


def test_a_full_journal_still_answers_who_posts_again() -> None:
    intake = Intake(open_max=1)
    intake.post(payment(1))
    assert intake.post(payment(1), payment(1, 5)) == [AcceptAnswer.REPEATED, AcceptAnswer.CONFLICT]


def test_the_journal_may_forget_what_postgres_has() -> None:
    intake = Intake()
    intake.post(payment(1), payment(2))
    intake.deliveries()
    intake.tell(Recorded((payment(1).correlation_id,)))
    assert list(intake.journal.kept.values()) == [payment(2)]


def test_a_payment_whose_client_has_given_up_is_not_kept() -> None:
    intake = Intake()
    intake.put(intake.accept(payment(1)))
    intake.advance(5.1)
    assert (intake.answers, intake.journal.appends) == ([], [])


def test_a_question_does_not_hold_back_the_answers_to_those_who_came_before_it() -> None:
    intake = Intake()
    intake.put(intake.accept(payment(1)))
    intake.put(GetAcceptedCents(payment(1).correlation_id))
    deliver(intake.actor)
    assert intake.answers == [AcceptAnswer.ACCEPTED]


@pytest.mark.parametrize("message", ["post", "question"])
def test_a_full_mailbox_refuses_clients_but_never_what_belongs_to_accepted_payments(message: str) -> None:
    intake = Intake()
    refused = intake.accept(payment(1)) if message == "post" else GetAcceptedCents(payment(1).correlation_id)
    for _ in range(intake.actor.INBOX_MAX):
        intake.put(refused)
    with pytest.raises(MailboxFullError):
        intake.put(refused)
    intake.put(Recorded(()))
    intake.put(Want(1))


# What the router is given.


def test_the_first_payment_after_a_pause_is_delivered_at_once() -> None:
    intake = Intake()
    intake.post(payment(1))
    intake.advance(0.0)
    assert intake.router.messages == [Route((payment(1),), behind=0)]


def test_the_payments_that_follow_are_gathered_for_ten_milliseconds() -> None:
    intake = Intake()
    intake.post(payment(1))
    intake.advance(0.0)
    intake.router.take()
    intake.post(payment(2))
    intake.advance(SPACING_S / 2)
    intake.post(payment(3))
    assert intake.router.messages == []
    intake.advance(SPACING_S / 2)
    assert intake.router.messages == [Route((payment(2), payment(3)), behind=0)]


def test_where_payments_are_many_deliveries_keep_step_with_the_commits_that_follow() -> None:
    intake = Intake()
    for number in range(200):
        intake.post(payment(number))
        intake.advance(0.010)
    settled_in = intake.deliveries()
    assert sum(len(route.payments) for route in settled_in) == 200
    # At 100 payments a second, each written twice, a commit of the wanted size is due every 100 ms: the bound applies.
    late = settled_in[-10:-1]
    assert [len(route.payments) for route in late] == [round(LIMITS.spacing_s_max / 0.010)] * len(late)


def test_a_delivery_has_a_greatest_number_of_payments_and_tells_how_many_wait_behind_it() -> None:
    intake = Intake()
    intake.post(*payments(2 * DELIVERY_MAX + 1))
    assert [(len(route.payments), route.behind) for route in intake.deliveries()] == [
        (DELIVERY_MAX, DELIVERY_MAX + 1),
        (DELIVERY_MAX, 1),
        (1, 0),
    ]


def test_the_router_is_given_a_window_of_payments_and_the_rest_waits_on_the_disk_in_order() -> None:
    intake = Intake()
    posted = payments(WINDOW_MAX + 30)
    intake.post(*posted)
    assert intake.delivered() == posted[:WINDOW_MAX]
    assert intake.journal.waiting == 30
    intake.tell(Want(20))
    assert intake.delivered() == posted[WINDOW_MAX : WINDOW_MAX + 20]
    intake.tell(Want(20))
    assert intake.delivered() == posted[WINDOW_MAX + 20 :]


def test_the_router_hears_how_many_wait_though_it_wants_none() -> None:
    intake = Intake()
    intake.post(*payments(WINDOW_MAX))
    intake.deliveries()
    intake.post(payment(9001), payment(9002))
    assert intake.deliveries() == [Route((), behind=2)]


def test_wishes_of_the_router_are_kept_until_there_are_payments() -> None:
    intake = Intake()
    intake.post(*payments(WINDOW_MAX))
    intake.deliveries()
    intake.tell(Want(2))
    intake.tell(Want(1))
    assert intake.deliveries() == []
    intake.post(*payments(4, first=9001))
    assert intake.deliveries() == [Route(tuple(payments(3, first=9001)), behind=1)]


class UnreadableJournal(MemoryJournal):
    """A journal that cannot be read while it is broken."""

    def take(self, payments_max: int) -> list[Payment]:
        if self.broken:
            raise JournalUnavailableError("planted")
        return super().take(payments_max)


def test_payments_that_cannot_be_read_from_the_disk_are_delivered_later() -> None:
    intake = Intake(UnreadableJournal())
    intake.post(payment(1))
    intake.journal.broken = True
    intake.advance(UNREADABLE_S / 2)
    assert intake.router.messages == []
    intake.journal.broken = False
    intake.advance(UNREADABLE_S / 2)
    assert intake.delivered() == [payment(1)]


# What an earlier run left.


def test_payments_of_an_earlier_run_are_delivered_and_known() -> None:
    intake = Intake(MemoryJournal([payment(1), payment(2)]))
    intake.actor.on_start()
    assert intake.deliveries() == [Route((payment(1), payment(2)), behind=0)]
    assert intake.post(payment(1), payment(2, 1)) == [AcceptAnswer.REPEATED, AcceptAnswer.CONFLICT]


def test_payments_that_the_router_of_an_earlier_run_had_taken_are_delivered_again_before_later_ones() -> None:
    before = Intake()
    before.post(payment(1), payment(2), payment(3))
    before.deliveries()
    before.tell(Recorded((payment(2).correlation_id,)))
    before.post(payment(4))
    after = Intake(before.journal)
    after.actor.on_start()
    assert after.delivered() == [payment(1), payment(3), payment(4)]


def test_an_earlier_run_that_left_more_than_a_window_is_delivered_as_the_router_wants_it() -> None:
    left = payments(WINDOW_MAX + DELIVERY_MAX)
    intake = Intake(MemoryJournal(left))
    intake.actor.on_start()
    assert intake.delivered() == left[:WINDOW_MAX]


def test_an_empty_journal_needs_no_delivery() -> None:
    intake = Intake()
    intake.actor.on_start()
    assert intake.runtime.timers == []


# What the journals of others hold.


def test_payments_of_another_journal_are_durable_here_before_it_is_told_so() -> None:
    intake = Intake()
    assert intake.actor.on_receive(TakeOver((payment(1),))) is True
    assert intake.journal.appends == [(payment(1),)]
    assert intake.deliveries() == [Route((payment(1),), behind=0)]


def test_payments_of_another_journal_stay_there_while_this_one_can_not_be_written() -> None:
    intake = Intake()
    intake.journal.broken = True
    assert intake.actor.on_receive(TakeOver((payment(1),))) is False
    assert intake.deliveries() == []


def test_payments_of_another_journal_are_taken_over_beyond_the_bound_since_they_are_accepted() -> None:
    intake = Intake(open_max=1)
    intake.post(payment(1))
    assert intake.actor.on_receive(TakeOver((payment(2),))) is True


# What other replicas and Postgres know.


def test_accepted_payments_are_told_to_the_other_replicas_once() -> None:
    intake = Intake()
    intake.post(payment(1), payment(2))
    intake.post(payment(1))
    assert intake.gossip.messages == []
    intake.advance(SPACING_S)
    intake.post(payment(2))
    intake.deliveries()
    assert intake.gossip.messages == [Spread((payment(1), payment(2)))]


def test_payments_are_told_to_the_other_replicas_though_the_router_wants_none() -> None:
    intake = Intake()
    intake.post(*payments(WINDOW_MAX))
    intake.deliveries()
    intake.gossip.take()
    intake.post(payment(9001))
    intake.deliveries()
    assert intake.gossip.messages == [Spread((payment(9001),))]


def test_payments_that_could_not_be_made_durable_are_told_to_nobody() -> None:
    intake = Intake()
    intake.journal.broken = True
    intake.post(payment(1))
    intake.advance(SPACING_S)
    assert intake.gossip.messages == []


def test_what_another_replica_accepted_is_known_here_but_does_not_replace_what_came_first() -> None:
    intake = Intake()
    intake.post(payment(1, 100))
    intake.tell(AcceptedByPeers((payment(1, 200), payment(2, 300))))
    assert intake.post(payment(1, 100), payment(2, 1)) == [AcceptAnswer.REPEATED, AcceptAnswer.CONFLICT]


def test_what_is_only_heard_of_is_made_durable_here_too() -> None:
    intake = Intake()
    intake.tell(AcceptedByPeers((payment(1),)))
    assert intake.post(payment(1)) == [AcceptAnswer.ACCEPTED]
    assert intake.journal.appends == [(payment(1),)]


def test_what_postgres_has_under_an_id_came_first_whatever_was_accepted_here() -> None:
    intake = Intake()
    intake.post(payment(1, 200))
    intake.tell(FirstAmountsFound((payment(1, 100),)))
    assert intake.post(payment(1, 200), payment(1, 100)) == [AcceptAnswer.CONFLICT, AcceptAnswer.REPEATED]


def test_it_tells_the_amount_that_it_accepted_or_heard_of_under_an_id() -> None:
    intake = Intake()
    intake.post(payment(1, 100))
    intake.tell(AcceptedByPeers((payment(1, 200), payment(2, 300))))
    told = [intake.actor.on_receive(GetAcceptedCents(payment(number).correlation_id)) for number in (1, 2, 3)]
    assert told == [100, 300, None]
