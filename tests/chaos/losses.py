"""Orders of events in which processors lie, stay away or differ, and in which Postgres forgets."""

from tests.chaos.model import PROCESSORS
from tests.chaos.test_model import Gateway


def answer_in_front_of_the_processor(gateway: Gateway) -> None:
    """Let something in front of default answer 503 to a charge that is booked at once."""
    _answer_once(gateway, "edge")


def answer_before_it_is_booked(gateway: Gateway) -> None:
    """Let something in front of default answer 503 to a charge that is booked seconds later."""
    _answer_once(gateway, "late edge")


def _answer_once(gateway: Gateway, behaviour: str) -> None:
    """Let default behave so for one charge, and then stay away for a while."""
    _start(gateway)
    gateway.behave("default", behaviour)
    gateway.post(0, 100, again=False)
    while not gateway.model.processors["default"].asked:
        gateway.run_freely(0.01)
    gateway.behave("default", "refuse")
    gateway.run_freely(20.0)
    gateway.teardown()


def lose_default_and_the_replica_that_waited(gateway: Gateway) -> None:
    """Let a replica end that holds a payment while nobody takes any; default never comes back."""
    _start(gateway)
    for processor in PROCESSORS:
        gateway.behave(processor.name, "refuse")
    gateway.post(0, 100, again=False)
    gateway.run_freely(3.0)
    gateway.crash("1", sent=False)
    gateway.lose_a_processor_for_ever("default")
    gateway.behave("fallback", "ok")
    gateway.run_freely(30.0)
    assert [each.processor for each in gateway.model.tables.settlements.values()] == ["fallback"], "not settled"
    gateway.teardown()


def hold_another_amount(gateway: Gateway) -> None:
    """Let default hold the id of a payment with another amount."""
    _start(gateway)
    gateway.behave("default", "other amount")
    gateway.post(0, 100, again=False)
    gateway.run_freely(1.0)
    gateway.teardown()


def forget_a_payment_that_is_settled_then(gateway: Gateway) -> None:
    """Let Postgres forget the row of a payment whose charge is under way."""
    _start(gateway)
    gateway.copy_postgres_or_put_it_back(to_copy=True)
    gateway.post(0, 100, again=False)
    for index in range(1000):
        if gateway.model.replicas["1"].runtime.under_way and gateway.model.tables.claims:
            break
        gateway.pass_time(0.01)
        gateway.handle_messages(index, 1)
    gateway.copy_postgres_or_put_it_back(to_copy=False)
    gateway.teardown()


def forget_a_payment_that_is_held(gateway: Gateway) -> None:
    """Let Postgres forget the row of a payment that waits for a processor, and its replica end after a second."""
    _start(gateway)
    for processor in PROCESSORS:
        gateway.behave(processor.name, "refuse")
    gateway.copy_postgres_or_put_it_back(to_copy=True)
    gateway.post(0, 100, again=False)
    gateway.run_freely(1.0)
    assert len(gateway.model.tables.claims) == 1
    gateway.copy_postgres_or_put_it_back(to_copy=False)
    gateway.run_freely(1.0)
    assert len(gateway.model.tables.claims) == 1, "not durable"
    gateway.crash("1", sent=False)
    gateway.every_accepted_payment_is_durable()
    gateway.teardown()


def post_again_what_was_settled_and_forgotten(gateway: Gateway) -> None:
    """Let Postgres forget a payment that fallback has charged, and its client post it to the replica that has not."""
    _start(gateway)
    gateway.copy_postgres_or_put_it_back(to_copy=True)
    gateway.behave("default", "refuse")
    gateway.post(0, 100, again=False)
    gateway.run_freely(30.0)
    assert [each.processor for each in gateway.model.tables.settlements.values()] == ["fallback"]
    gateway.behave("default", "ok")
    gateway.copy_postgres_or_put_it_back(to_copy=False)
    assert not gateway.model.tables.payments
    gateway.run_freely(12.0)
    gateway.post(1, 100, again=True)
    gateway.run_freely(30.0)
    gateway.no_payment_is_charged_twice()
    assert [each.processor for each in gateway.model.tables.settlements.values()] == ["fallback"], "not settled"
    gateway.teardown()


def take_over_without_what_replica_1_was_told_of(gateway: Gateway) -> None:
    """Let a standby take over that was taken for synchronous and lacks a settlement; its client posts it elsewhere."""
    _lose_what_replica_1_was_told_of(gateway)
    gateway.run_freely(1.0)
    gateway.post(1, 100, again=True)
    gateway.run_freely(60.0)
    gateway.no_payment_is_charged_twice()
    gateway.teardown()


def post_again_before_the_loss_is_noticed(gateway: Gateway) -> None:
    """Let a standby take over that lacks a settlement; its client posts it to a replica that knows nothing of that."""
    _lose_what_replica_1_was_told_of(gateway)
    gateway.post(1, 100, again=True)
    gateway.run_freely(60.0)
    gateway.no_payment_is_charged_twice()
    assert [each.processor for each in gateway.model.tables.settlements.values()] == ["fallback"], "not settled"
    gateway.teardown()


def _lose_what_replica_1_was_told_of(gateway: Gateway) -> None:
    """Let a standby take over that was taken for synchronous, and lacks a payment that fallback has charged."""
    _start(gateway)
    gateway.model.tables.is_synchronous = True
    gateway.run_freely(1.0)
    gateway.behave("default", "refuse")
    gateway.model.loss.copy()
    gateway.post(0, 100, again=False)
    while not gateway.model.tables.settlements:
        gateway.run_freely(0.01)
    gateway.behave("default", "ok")
    gateway.model.loss.forget(gateway.model.is_held, is_told=False)
    assert not gateway.model.tables.payments


def _start(gateway: Gateway) -> None:
    gateway.start()
    gateway.run_freely(1.0)
