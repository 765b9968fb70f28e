"""Ways to plant a bug in a gateway, in other parts or in messages that are changed on their way, and to find it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from actors.domain.outcome import Outcome
from actors.messages.router import ChargesEnded
from actors.ports import PaymentStore
from actors.settings import Settings
from actors.system import Parts
from ops.simulation.clock import SimulatedRuntime
from ops.simulation.replica import Mailbox, SimulatedReplica
from tests.chaos.model import Model
from tests.chaos.test_model import Gateway

ChangeMessage = Callable[[object, SimulatedReplica], object]
"""Gives the message that arrives in the place of one that was sent."""


class MiddlemansMailbox(Mailbox):
    """A mailbox whose messages are changed on their way."""

    def __init__(self, name: str, replica: SimulatedReplica, change: ChangeMessage) -> None:
        super().__init__(name)
        self._replica = replica
        self._change = change

    def tell(self, message: object) -> None:
        super().tell(self._change(message, self._replica))


def with_changed_messages(change: ChangeMessage) -> type[Gateway]:
    """Make a gateway whose messages are changed on their way."""

    class ChangedModel(Model):
        def make_mailbox(self, replica: SimulatedReplica, name: str) -> Mailbox:
            return MiddlemansMailbox(name, replica, change)

    class Changed(Gateway):
        model_class = ChangedModel

    return Changed


def with_changed_parts(change: Callable[[Parts], Parts]) -> type[Gateway]:
    """Make a gateway with other parts."""

    class ChangedModel(Model):
        def make_parts(self, settings: Settings, runtime: SimulatedRuntime) -> Parts:
            return change(super().make_parts(settings, runtime))

    class Changed(Gateway):
        model_class = ChangedModel

    return Changed


def with_outcome(message: object, before: Outcome, after: Outcome) -> object:
    """Change what the router is told of the ends of charges."""
    if not isinstance(message, ChargesEnded):
        return message
    return ChargesEnded(tuple(replace(end, outcome=after) if end.outcome is before else end for end in message.ends))


class PassedPayments:
    """A store that leaves all calls to another one."""

    def __init__(self, payments: PaymentStore) -> None:
        self._payments = payments
        self.write, self.report_conflicts, self.latest = payments.write, payments.report_conflicts, payments.latest
        self.payment, self.watermarks, self.summary = payments.payment, payments.watermarks, payments.summary
        self.forget_registration, self.absence = payments.forget_registration, payments.absence
        self.in_state, self.may_lack_answers = payments.in_state, payments.may_lack_answers


def find_by_search(gateway: type[Gateway], promise: str, seed_of_search: int = 1) -> None:
    """Check that some order of events breaks one of these promises. Another seed may find it sooner.

    The orders also depend on which modules are imported. A bug that they mostly miss gets a fixed order of its own.
    """
    with pytest.raises(AssertionError, match=promise):
        run_state_machine_as_test(
            seed(seed_of_search)(gateway),
            settings=settings(
                max_examples=1000,
                stateful_step_count=60,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )


def find_by_one_order(gateway: type[Gateway], order: Callable[[Gateway], None], promise: str) -> None:
    """Check that this order of events breaks one of these promises, and none without the bug."""
    with pytest.raises(AssertionError, match=promise):
        order(gateway())
    order(Gateway())
