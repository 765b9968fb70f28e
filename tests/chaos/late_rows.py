"""An order of events in which a row arrives long after it was read."""

from collections.abc import Callable
from uuid import UUID

from actors.messages.lease import Leave
from tests.chaos.test_model import Gateway

FIRST = UUID(int=1)
MOVES_AFTER_S = 9.0
"""How long default is asked for a payment that it may have charged before it moves, after a restart."""
STEPS_MAX = 1000


def read_a_row_before_its_payment_moves_and_tell_it_after_the_settlement(gateway: Gateway) -> None:
    """Let a replica join again while a row that it drives moves, and Postgres take long to give it the rows.

    It has to join again because it does not hear which rows another replica has left to it.
    """
    gateway.start()
    gateway.run_freely(1.0)
    model = gateway.model
    gateway.behave("default", "declines")
    for index in (0, 1):
        gateway.post(index, 100, again=False)
    for index in range(STEPS_MAX):
        if len(model.tables.claims) == 2:
            break
        gateway.pass_time(0.01)
        gateway.handle_messages(index, 1)
    gateway.crash("1", sent=False)
    gateway.restart("1")
    gateway.run_freely(MOVES_AFTER_S - 1)
    model.leases["1"].lost_answers = 1
    model.replicas["2"].system.lease.tell(Leave())
    gateway.run_freely(0.05)
    gateway.crash("2", sent=False)
    _run_until(gateway, lambda: not model.leases["1"].lost_answers)
    assert model.tables.claims[FIRST].claim.processor == "default"
    gateway.delay_rows("1", 2.0)
    _run_until(gateway, lambda: FIRST in model.tables.settlements)
    assert model.tables.settlements[FIRST].processor == "fallback"
    assert model.replicas["1"].mailboxes["lease"].is_handling, "its row has to be on its way"
    gateway.behave("default", "ok")
    gateway.teardown()


def _run_until(gateway: Gateway, has_come: Callable[[], bool]) -> None:
    for _ in range(STEPS_MAX):
        if has_come():
            return
        gateway.run_freely(0.01)
    raise AssertionError("it has not come so far")
