"""Health: asks the processors how they are, once for the whole fleet, and shares what all replicas know of them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from actors.actor import Actor
from actors.domain.breaker import BreakerState
from actors.domain.fleet import Opinion, Order, another_got_through, is_down_for_all, latest_order
from actors.domain.messages import (
    BreakerChanged,
    ForceBreaker,
    FoundDown,
    GotThrough,
    HealthReported,
    Polled,
    ProbeAnswered,
    ProbeWanted,
    Tick,
)
from actors.errors import HealthUnavailableError
from actors.ports import HealthBoard, HealthProbe, ProcessorHealth, Recipient, Runtime

logger = logging.getLogger(__name__)

READ_S = 0.25
HURRY_S = 0.1
"""The period while a breaker is not closed: news of a recovery should spread at once."""
POLL_S = 5.0
"""A processor answers one call in this time; the next two would hang."""
PROBE_S = 0.3
"""All replicas together send one probe in this time to a processor that is down: three a second, and never four."""
PROBE_ALONE_S = 3 * PROBE_S
"""The same for one replica that has no Redis: a third of the budget."""


@dataclass(slots=True)
class _View:
    """What this replica knows of one processor."""

    breaker: BreakerChanged
    order: Order | None = None
    asked_at_ms: int = 0
    """When its health endpoint was last asked, by whomever, as far as known."""
    told_asked_at_ms: int = 0
    """Of the answer that was passed on last."""
    polling: bool = False
    probed_at_s: float | None = None


class HealthActor(Actor):
    """Owns the view that replicas share. Never on a payment's way; without Redis each replica goes by its own calls."""

    def __init__(
        self,
        *,
        processors: Mapping[str, Recipient],
        board: HealthBoard,
        probe: HealthProbe,
        runtime: Runtime,
        replica: str,
    ) -> None:
        """`processors` leads from each processor's name to its actor."""
        super().__init__()
        self._processors = processors
        self._board = board
        self._probe = probe
        self._runtime = runtime
        self._replica = replica
        self._views = {
            name: _View(BreakerChanged(name, BreakerState.CLOSED, down=False, changed_at_s=None)) for name in processors
        }
        self._available = True

    def on_start(self) -> None:
        """Begin at once."""
        self.tell_self(Tick())

    def on_receive(self, message: object) -> object:
        """Handle one message of `actors.domain.messages`."""
        match message:
            case Tick():
                self._exchange()
                all_closed = all(view.breaker.state.is_closed for view in self._views.values())
                self._runtime.call_later(READ_S if all_closed else HURRY_S, self.tell_self, Tick())
            case BreakerChanged(processor):
                self._views[processor].breaker = message
                # At once, since others may be waiting for just this.
                self._exchange()
            case ProbeWanted(processor):
                self._processors[processor].tell(ProbeAnswered(self._may_probe(processor)))
            case Polled(processor):
                self._views[processor].polling = False
            case ForceBreaker(processor, state):
                return self._force(processor, state)
        return None

    def _exchange(self) -> None:
        try:
            shared = self._board.exchange([self._opinion(name) for name in self._processors])
            for answer in shared.answers:
                self._take_in(answer)
            for name in self._processors:
                self._compare(name, [opinion for opinion in shared.opinions if opinion.processor == name])
                self._poll_where_due(name)
            self._note(available=True)
        except HealthUnavailableError as error:
            self._note(available=False, reason=str(error))

    def _opinion(self, name: str) -> Opinion:
        view = self._views[name]
        changed_at_s = view.breaker.changed_at_s
        return Opinion(
            self._replica,
            name,
            down=view.breaker.down,
            closed=view.breaker.state.is_closed,
            changed_s_ago=None if changed_at_s is None else self._runtime.now_s() - changed_at_s,
            order=view.order,
        )

    def _take_in(self, answer: ProcessorHealth) -> None:
        view = self._views.get(answer.processor)
        if view is None or answer.asked_at_ms <= view.told_asked_at_ms:
            return
        view.told_asked_at_ms = answer.asked_at_ms
        view.asked_at_ms = max(view.asked_at_ms, answer.asked_at_ms)
        asked_s_ago = max(0.0, (self._runtime.now_ms() - answer.asked_at_ms) / 1000)
        self._processors[answer.processor].tell(
            HealthReported(answer.processor, answer.failing, answer.response_time_ms_min, asked_s_ago)
        )

    def _compare(self, name: str, others: list[Opinion]) -> None:
        view, processor, own = self._views[name], self._processors[name], self._opinion(name)
        order = latest_order([own, *others])
        if order is not None and order != view.order:
            view.order = order
            processor.tell(ForceBreaker(name, order.state))
        if own.closed and is_down_for_all(own, others):
            processor.tell(FoundDown())
        elif another_got_through(own, others):
            processor.tell(GotThrough())

    def _poll_where_due(self, name: str) -> None:
        view, now_ms = self._views[name], self._runtime.now_ms()
        # The lease may be evicted before its time: what is known here then keeps the period.
        if not view.polling and now_ms - view.asked_at_ms >= POLL_S * 1000 and self._board.may_poll(name, POLL_S):
            view.polling, view.asked_at_ms = True, now_ms
            self._runtime.spawn(self._poll, name)

    def _poll(self, name: str) -> None:
        try:
            answer = self._probe.ask(name)
            if answer is not None:
                self._board.publish(answer)
        except HealthUnavailableError as error:
            logger.debug("the health of %s is not shared: %s", name, error)
        finally:
            self.tell_self(Polled(name))

    def _may_probe(self, name: str) -> bool:
        view, now_s = self._views[name], self._runtime.now_s()
        try:
            granted = self._board.may_probe(name, PROBE_S)
        except HealthUnavailableError:
            granted = view.probed_at_s is None or now_s - view.probed_at_s >= PROBE_ALONE_S
        if granted:
            view.probed_at_s = now_s
        return granted

    def _force(self, name: str, state: BreakerState | None) -> bool:
        view = self._views.get(name)
        if view is None:
            return False
        known_ms = 0 if view.order is None else view.order.given_at_ms
        view.order = Order(state, max(self._runtime.now_ms(), known_ms + 1))
        self._processors[name].tell(ForceBreaker(name, state))
        self._exchange()
        return True

    def _note(self, *, available: bool, reason: str = "") -> None:
        if available != self._available:
            self._available = available
            logger.warning("shared health is %s", "back" if available else f"gone: {reason}")
