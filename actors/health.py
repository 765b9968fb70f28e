"""Health: asks the processors how they are, once for the whole fleet, and shares the answers over Redis."""

import logging
from collections.abc import Mapping

from actors.actor import Actor
from actors.domain.messages import HealthReported, Tick
from actors.errors import HealthUnavailableError
from actors.ports import HealthBoard, HealthProbe, Recipient, Runtime

logger = logging.getLogger(__name__)

READ_S = 0.5
POLL_S = 5.0
"""A processor answers one call in this time; the next two would hang."""


class HealthActor(Actor):
    """Owns the view that replicas share. Never on a payment's way; without Redis it knows nothing."""

    def __init__(
        self, *, processors: Mapping[str, Recipient], board: HealthBoard, probe: HealthProbe, runtime: Runtime
    ) -> None:
        """`processors` leads from each processor's name to its actor."""
        super().__init__()
        self._processors = processors
        self._board = board
        self._probe = probe
        self._runtime = runtime
        self._asked_at_ms = dict.fromkeys(processors, 0)
        self._available = True

    def on_start(self) -> None:
        """Begin at once."""
        self.tell_self(Tick())

    def on_receive(self, message: object) -> object:
        """Handle one message of `actors.domain.messages`."""
        if isinstance(message, Tick):
            try:
                for name in self._processors:
                    self._refresh(name)
                self._note(available=True)
            except HealthUnavailableError as error:
                self._note(available=False, reason=str(error))
            self._runtime.call_later(READ_S, self.tell_self, Tick())
        return None

    def _refresh(self, name: str) -> None:
        if self._board.may_poll(name, POLL_S):
            answer = self._probe.ask(name)
            if answer is not None:
                self._board.publish(answer)
        health = self._board.read(name)
        if health is not None and health.asked_at_ms != self._asked_at_ms[name]:
            self._asked_at_ms[name] = health.asked_at_ms
            self._processors[name].tell(HealthReported(name, health.failing, health.response_time_ms_min))

    def _note(self, *, available: bool, reason: str = "") -> None:
        if available != self._available:
            self._available = available
            logger.warning("shared health is %s", "back" if available else f"gone: {reason}")
