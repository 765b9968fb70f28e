"""Single orders of events that a search finds too seldom."""

from uuid import UUID

from actors.domain.money import Money
from tests.chaos.model import PROCESSORS, WINDOW_MAX
from tests.chaos.summaries import ask_while_a_charge_is_under_way
from tests.chaos.test_model import Gateway


def test_what_the_window_has_no_room_for_waits_in_the_journal() -> None:
    gateway = Gateway()
    gateway.start()
    for processor in PROCESSORS:
        gateway.behave(processor.name, "refuse")
    gateway.run_freely(1.0)
    for number in range(3 * WINDOW_MAX):
        gateway.post(0, 100 + number, again=False, other=False)
    gateway.run_freely(1.0)
    assert gateway.model.journals["1"].waiting == 2 * WINDOW_MAX
    gateway.teardown()
    assert gateway.model.journals["1"].held == 0


def test_an_id_with_two_amounts_is_charged_with_one_and_reported_with_the_other() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.run_freely(1.0)
    gateway.post(0, 100, again=False, other=False)
    gateway.post(1, 200, again=True, other=True)
    gateway.teardown()
    (charged,) = gateway.model.tables.payments.values()
    conflicts = gateway.model.tables.conflicts[charged.correlation_id]
    assert {charged.money, *conflicts} == {Money(100, "BRL"), Money(200, "BRL")}


def test_a_row_is_adopted_beside_a_payment_of_another_amount() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.run_freely(1.0)
    for processor in PROCESSORS:
        gateway.behave(processor.name, "refuse")
    gateway.post(1, 50, again=False, other=False)
    gateway.run_freely(0.3)  # The second replica's breakers open, so that it holds what comes now.
    gateway.behave("default", "late")
    gateway.post(0, 100, again=False, other=False)
    gateway.post(1, 200, again=True, other=True)
    gateway.run_freely(0.1)
    gateway.crash("1", sent=True)
    gateway.behave("default", "refuse")
    gateway.run_freely(12.0)
    adopted = gateway.model.tables.claims[UUID(int=2)]
    assert (adopted.owner, adopted.claim.payment.amount_minor) == ("2", 100)
    gateway.teardown()
    assert Money(200, "BRL") in gateway.model.tables.conflicts[UUID(int=2)]


def test_a_payment_that_was_not_found_before_a_pause_and_booked_during_it_is_not_charged_again_after_it() -> None:
    gateway = Gateway()
    gateway.start()
    gateway.run_freely(1.0)
    gateway.crash("2", sent=False)
    for processor in PROCESSORS:
        gateway.behave(processor.name, "late")
    gateway.post(0, 100, again=False, other=False)
    gateway.run_freely(1.0)
    gateway.stall_or_go_on("1")
    gateway.run_freely(12.0)
    gateway.teardown()
    assert [len(list(processor.ledger)) for processor in gateway.model.processors.values()] == [1, 0]


def test_a_charge_that_is_booked_after_the_question_is_not_counted_and_the_summary_is_not_final() -> None:
    gateway = Gateway()
    ask_while_a_charge_is_under_way(gateway)
    gateway.teardown()
