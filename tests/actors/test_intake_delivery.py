"""What the intake gives the router, and when."""

import pytest

from actors.domain.dispatcher import WINDOW_MAX
from actors.domain.payment import Payment
from actors.errors import JournalUnavailableError
from actors.intake import DELIVERY_MAX, GROUP_MAX, UNREADABLE_S
from actors.messages.gossip import Spread
from actors.messages.intake import (
    AcceptAnswer,
    Recorded,
    TakeOver,
    Want,
)
from actors.messages.router import Route
from tests.actors.fakes import payment
from tests.actors.fakes_journal import MemoryJournal
from tests.actors.intaking import LIMITS, SPACING_S, CountingIntake, Intake, payments


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
    # At 100 payments a second, each written twice, a commit of the wanted size is due every 200 ms: the bound applies.
    late = [len(route.payments) for route in settled_in[-5:-1]]
    assert late == [pytest.approx(LIMITS.spacing_s_max / 0.010, abs=1)] * len(late)


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
    assert intake.gossip.messages == [Spread((payment(1),))]
    intake.journal.broken = False
    intake.advance(UNREADABLE_S / 2)
    assert intake.delivered() == [payment(1)]


def test_payments_of_an_earlier_run_are_delivered_and_known() -> None:
    intake = Intake(MemoryJournal([payment(1), payment(2)]))
    intake.actor.on_start()
    assert intake.delivered() == payments(2)
    assert intake.post(payment(1), payment(2, 1)) == [AcceptAnswer.REPEATED, AcceptAnswer.UNCONFIRMED]


def test_others_have_their_turn_while_a_long_journal_of_an_earlier_run_is_read() -> None:
    journal = MemoryJournal()
    journal.append(payments(3 * GROUP_MAX + 1))
    intake = Intake(journal)
    intake.actor.on_start()
    assert isinstance(intake.actor, CountingIntake)
    assert intake.actor.turns == 3


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


def test_the_router_is_told_which_payments_are_of_an_earlier_run_or_of_another_replicas_journal() -> None:
    journal = MemoryJournal()
    journal.append(payments(2))
    intake = Intake(journal)
    intake.actor.on_start()
    intake.post(payment(3))
    intake.tell(TakeOver((payment(4), payment(5))))
    intake.post(payment(6))
    routes = intake.deliveries()
    assert [one for route in routes for one in route.payments] == payments(6)
    assert {key.int for route in routes for key in route.replayed} == {1, 2, 4, 5}


def test_a_later_rewind_replays_what_this_run_has_accepted() -> None:
    intake = Intake()
    intake.post(payment(1))
    again = Intake(intake.journal)
    again.actor.on_start()
    assert [route.replayed for route in again.deliveries()] == [frozenset({payment(1).correlation_id})]
