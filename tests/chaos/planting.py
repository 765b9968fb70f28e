"""Ways to plant a bug in a gateway: other parts, or messages that are changed on their way."""

from collections.abc import Callable

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
