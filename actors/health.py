"""Health: asks the processors how they are, once for the whole fleet, and shares what all replicas know of them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from actors.actor import Actor
from actors.domain.breaker import BreakerState
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
from actors.domain.quorum import Opinion, Order, latest_order, peer_recovered, quorum_found_down
from actors.errors import HealthUnavailableError
from actors.ports import HealthBoard, HealthProbe, PollLease, ProcessorHealth, Recipient, Runtime

logger = logging.getLogger(__name__)

READ_S = 0.25
HURRY_S = 0.1
"""The period while a breaker is not closed: news of a recovery should spread at once."""
POLL_S = 5.0
"""A processor answers one call in this time; the next two would hang."""
HOLD_S = 1.0
"""A call is made when its lease has been on the board for so long: then every replica that reads the board knows of the
call, and the lease may be evicted."""
HOLD_S_MAX = 1.3
"""Later it is not made any more."""
DEAF_S = 0.8
"""Who has not read the board for longer may have missed a lease."""
LEASE_S = POLL_S + (HOLD_S_MAX - HOLD_S) + 0.1
"""From one lease to the next: however long each is held, and Redis takes to answer, the calls are `POLL_S` apart."""
PROBE_S = 0.3
"""All replicas together send one probe in this time to a processor that is down: four in any second at most."""
PROBE_OWN_S = 1.05
"""One replica sends one in this time: then three keep to the budget also without Redis, or when it forgets."""


@dataclass(slots=True)
class _View:
    """What this replica knows of one processor."""

    breaker: BreakerChanged
    order: Order | None = None
    told_asked_at_ms: int | None = None
    """Of the answer that was passed on last."""
    told_through_at_s: float | None = None
    """Which change of the own breaker `GotThrough` was told after: once for each, since the next one outdates it."""
    poll_due_s: float = 0.0
    """Its health endpoint is not asked before, as far as the leases go that this replica has seen."""
    lease: tuple[str, float] | None = None
    """Token of the own lease that is held now, and since when."""
    polling: bool = False
    probed_at_s: float | None = None


class HealthActor(Actor):
    """Owns the view that replicas share. Never on a payment's way; without Redis each replica goes by its own calls."""

    REFUSED_WHEN_FULL = (ForceBreaker,)

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
        self._read_at_s = -inf

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
        began_s = self._runtime.now_s()
        own = {name: self._opinion(name) for name in self._processors}
        try:
            shared = self._board.exchange(list(own.values()))
            self._listened(began_s)
            leases = {lease.processor: lease for lease in shared.polls}
            for answer in shared.answers:
                self._take_in(answer)
            for name, opinion in own.items():
                self._compare(opinion, [each for each in shared.opinions if each.processor == name])
                self._poll_where_due(name, leases.get(name), began_s)
            self._note(available=True)
        except HealthUnavailableError as error:
            self._note(available=False, reason=str(error))

    def _listened(self, began_s: float) -> None:
        """Note that the board was read. Who has (again) begun to waits as if a lease had just been taken."""
        now_s = self._runtime.now_s()
        if now_s - self._read_at_s > DEAF_S:
            for view in self._views.values():
                view.poll_due_s = now_s + LEASE_S
        self._read_at_s = began_s

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
        # Not compared by time: it may come from a replica with another clock.
        if view is None or answer.asked_at_ms == view.told_asked_at_ms:
            return
        view.told_asked_at_ms = answer.asked_at_ms
        asked_s_ago = max(0.0, (self._runtime.now_ms() - answer.asked_at_ms) / 1000)
        self._processors[answer.processor].tell(
            HealthReported(answer.processor, answer.failing, answer.response_time_ms_min, asked_s_ago)
        )

    def _compare(self, own: Opinion, others: list[Opinion]) -> None:
        view, processor = self._views[own.processor], self._processors[own.processor]
        order = latest_order([own, *others])
        if order is not None and order != view.order:
            view.order = order
            processor.tell(ForceBreaker(own.processor, order.state))
        changed_at_s = view.breaker.changed_at_s
        if quorum_found_down(own, others):
            processor.tell(FoundDown())
        elif changed_at_s != view.told_through_at_s and peer_recovered(own, others):
            view.told_through_at_s = changed_at_s
            processor.tell(GotThrough())

    def _poll_where_due(self, name: str, lease: PollLease | None, read_at_s: float) -> None:
        """Take the lease, hold it for a while, then ask: any replica that goes on reading has seen it by then."""
        view, now_s = self._views[name], self._runtime.now_s()
        if lease is not None:
            view.poll_due_s = max(view.poll_due_s, now_s + lease.ends_s_in)
        if view.lease is not None:
            token, taken_at_s = view.lease
            if lease is None or lease.token != token:
                view.lease = None  # It was evicted, and others may not know of it.
            elif read_at_s - taken_at_s >= HOLD_S:
                view.lease, view.polling = None, True
                self._runtime.spawn(self._poll, name, taken_at_s)
        elif not view.polling and now_s >= view.poll_due_s:
            taken = self._board.may_poll(name, LEASE_S)
            view.lease = None if taken is None else (taken, now_s)

    def _poll(self, name: str, taken_at_s: float) -> None:
        try:
            # The process may have stood still meanwhile.
            in_time = self._runtime.now_s() - taken_at_s <= HOLD_S_MAX
            answer = self._probe.ask(name) if in_time else None
            if answer is not None:
                self._board.publish(answer)
        except HealthUnavailableError as error:
            logger.debug("the health of %s is not shared: %s", name, error)
        finally:
            self.tell_self(Polled(name))

    def _may_probe(self, name: str) -> bool:
        view, now_s = self._views[name], self._runtime.now_s()
        if view.probed_at_s is not None and now_s - view.probed_at_s < PROBE_OWN_S:
            return False
        try:
            granted = self._board.may_probe(name, PROBE_S)
        except HealthUnavailableError:
            granted = True
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
