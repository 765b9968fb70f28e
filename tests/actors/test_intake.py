from collections import Counter

import pytest

from actors.domain.dispatcher import WINDOW_MAX
from actors.domain.money import Money
from actors.domain.payment import Payment
from actors.errors import MailboxFullError
from actors.intake import GROUP_MAX
from actors.messages.gossip import Spread
from actors.messages.intake import (
    Accept,
    AcceptAnswer,
    AcceptedByPeers,
    DecidedByPeers,
    FindAccepted,
    FirstAmountsFound,
    Found,
    GetTakeOverRoom,
    Recorded,
    TakeOver,
    Want,
)
from actors.messages.router import Route
from tests.actors.fakes import deliver, payment
from tests.actors.intaking import SPACING_S, Intake, payments


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


def test_the_same_id_with_another_amount_is_not_kept() -> None:
    intake = Intake()
    intake.post(payment(1, 1990))
    assert intake.post(payment(1, 2000)) == [AcceptAnswer.UNCONFIRMED]
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
    assert intake.post(payment(1), payment(1, 5)) == [AcceptAnswer.REPEATED, AcceptAnswer.UNCONFIRMED]


def test_the_journal_may_forget_what_postgres_has() -> None:
    intake = Intake()
    intake.post(payment(1), payment(2))
    intake.deliveries()
    intake.tell(Recorded((payment(1).correlation_id,)))
    assert list(intake.journal.kept.values()) == [payment(2)]


def test_an_id_is_refused_with_its_amount_in_another_currency() -> None:
    intake = Intake()
    assert intake.post(*(payment(1, 1990, currency) for currency in ("BRL", "JPY", "BRL"))) == [
        AcceptAnswer.ACCEPTED,
        AcceptAnswer.UNCONFIRMED,
        AcceptAnswer.REPEATED,
    ]
    assert intake.money(1) == Money(1990, "BRL")


def test_a_currency_that_another_replica_told_of_is_kept_to() -> None:
    intake = Intake()
    intake.tell(AcceptedByPeers((payment(1, 1990, "KWD"),)))
    assert intake.post(payment(1, 1990)) == [AcceptAnswer.CONTESTED]
    assert intake.money(1) == Money(1990, "KWD")


def test_a_payment_whose_client_has_given_up_is_not_kept() -> None:
    intake = Intake()
    intake.put(intake.accept(payment(1)))
    intake.advance(5.1)
    assert (intake.answers, intake.journal.appends) == ([], [])


def test_a_question_does_not_hold_back_the_answers_to_those_who_came_before_it() -> None:
    intake = Intake()
    intake.put(intake.accept(payment(1)))
    intake.put(FindAccepted((payment(1).correlation_id,)))
    deliver(intake.actor)
    assert intake.answers == [AcceptAnswer.ACCEPTED]


@pytest.mark.parametrize("message", ["post", "question"])
def test_a_full_mailbox_refuses_clients_but_never_what_belongs_to_accepted_payments(message: str) -> None:
    intake = Intake()
    refused = intake.accept(payment(1)) if message == "post" else FindAccepted((payment(1).correlation_id,))
    for _ in range(intake.actor.INBOX_MAX):
        intake.put(refused)
    with pytest.raises(MailboxFullError):
        intake.put(refused)
    intake.put(Recorded(()))
    intake.put(Want(1))


def test_payments_of_another_journal_are_durable_here_before_it_is_told_so() -> None:
    intake = Intake()
    assert intake.actor.on_receive(TakeOver((payment(1),))) is True
    assert intake.journal.appends == [(payment(1),)]
    assert intake.deliveries() == [Route((payment(1),), behind=0, replayed=frozenset({payment(1).correlation_id}))]


def test_payments_of_another_journal_are_known_here_unless_others_came_first_under_their_ids() -> None:
    intake = Intake()
    intake.post(payment(1, 100))
    intake.actor.on_receive(TakeOver((payment(1, 200), payment(2, 300))))
    assert intake.money(1) == Money(100, "BRL")
    assert intake.post(payment(1, 100), payment(2, 1)) == [AcceptAnswer.CONTESTED, AcceptAnswer.UNCONFIRMED]


def test_payments_of_another_journal_stay_there_while_this_one_can_not_be_written() -> None:
    intake = Intake()
    intake.journal.broken = True
    assert intake.actor.on_receive(TakeOver((payment(1),))) is False
    assert intake.deliveries() == []


def test_payments_of_another_journal_are_taken_over_beyond_the_bound_since_they_are_accepted() -> None:
    intake = Intake(open_max=1)
    intake.post(payment(1))
    assert intake.actor.on_receive(TakeOver((payment(2),))) is True


def test_half_of_the_journal_may_be_taken_up_by_what_others_have_left_and_the_rest_is_for_new_payments() -> None:
    intake = Intake(open_max=10)
    assert intake.actor.on_receive(GetTakeOverRoom()) == 5
    intake.actor.on_receive(TakeOver(tuple(payments(5))))
    assert intake.actor.on_receive(GetTakeOverRoom()) == 0
    new = [payment(number) for number in range(100, 106)]
    assert Counter(intake.post(*new)) == {AcceptAnswer.ACCEPTED: 5, AcceptAnswer.OVERLOADED: 1}


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


def test_what_another_replica_accepted_is_known_here_and_two_amounts_are_contested_until_postgres_decides() -> None:
    intake = Intake()
    intake.post(payment(1, 100))
    intake.tell(AcceptedByPeers((payment(1, 200), payment(2, 300))))
    assert intake.post(payment(1, 100), payment(1, 200), payment(2, 1)) == [
        AcceptAnswer.CONTESTED,
        AcceptAnswer.CONTESTED,
        AcceptAnswer.CONTESTED,
    ]
    intake.tell(FirstAmountsFound((payment(1, 200),)))
    assert intake.post(payment(1, 100), payment(1, 200)) == [AcceptAnswer.CONFLICT, AcceptAnswer.REPEATED]


def test_what_another_replica_found_in_postgres_is_believed_and_made_durable_here_too() -> None:
    intake = Intake()
    intake.post(payment(1, 100))
    intake.tell(DecidedByPeers((payment(1, 200),)))
    assert intake.post(payment(1, 100), payment(1, 200)) == [AcceptAnswer.CONFLICT, AcceptAnswer.ACCEPTED]
    assert intake.journal.appends[-1] == (payment(1, 200),)


@pytest.mark.parametrize("is_news", [True, False])
def test_what_postgres_decided_is_told_to_the_others_where_it_is_news(is_news: bool) -> None:  # noqa: FBT001
    intake = Intake()
    intake.tell(FirstAmountsFound((payment(1, 100),), is_news=is_news))
    assert intake.gossip.messages == ([Spread((), (payment(1, 100),))] if is_news else [])


def test_it_says_when_it_may_have_forgotten_what_waits_in_the_journal() -> None:
    intake = Intake(recent_max=3)

    def remembers_all() -> bool:
        found = intake.actor.on_receive(FindAccepted(()))
        assert isinstance(found, Found)
        return found.remembers_waiting

    intake.post(payment(1), payment(2))
    assert remembers_all()
    intake.tell(FirstAmountsFound((payment(8), payment(9))))
    assert not remembers_all()
    assert intake.money(1) is None
    intake.deliveries()
    assert remembers_all()
    intake.tell(FirstAmountsFound((payment(7),)))
    intake.post(payment(3), payment(4))
    assert remembers_all()
    intake.post(payment(5))
    assert not remembers_all()


def test_it_denies_no_id_while_a_segment_of_its_journal_cannot_be_read() -> None:
    intake = Intake()
    intake.journal.unread_segments = 1
    assert intake.actor.on_receive(FindAccepted(())) == Found({}, remembers_waiting=False)


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
    assert [intake.money(number) for number in (1, 2, 3)] == [Money(100, "BRL"), Money(300, "BRL"), None]


def test_a_repeated_post_is_not_told_that_nothing_is_kept_when_the_group_beside_it_cannot_be_written() -> None:
    intake = Intake()
    assert intake.post(payment(1)) == [AcceptAnswer.ACCEPTED]
    intake.journal.broken = True
    answers = intake.post(payment(2), payment(1), payment(2))
    assert sorted(each.value for each in answers) == ["journal unavailable", "journal unavailable", "repeated"]
