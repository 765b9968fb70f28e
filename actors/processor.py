"""One payment processor as the gateway sees it: its breaker, its charges under way, its pace."""

import logging
from collections import deque
from uuid import UUID

from actors.actor import Actor
from actors.domain.breaker import Breaker, BreakerState
from actors.domain.messages import (
    AvailabilityChanged,
    Charge,
    ChargeEnded,
    Drain,
    HealthReported,
    LeaseRenewed,
    LookedUp,
    LookUp,
    OldestStamp,
    Returned,
    Tick,
)
from actors.domain.outcome import Outcome
from actors.domain.payment import Payment
from actors.ports import ProcessorClient, Recipient, Runtime

logger = logging.getLogger(__name__)


LOOK_UPS_MAX = 16
"""Look-ups under way at once."""


class ProcessorActor(Actor):
    """Charges payments on one processor, as many at a time as its pace allows, while its breaker and the lease do."""

    def __init__(
        self,
        *,
        name: str,
        client: ProcessorClient,
        breaker: Breaker,
        router: Recipient,
        runtime: Runtime,
        in_flight_max: int,
    ) -> None:
        super().__init__()
        self._name = name
        self._client = client
        self._breaker = breaker
        self._router = router
        self._runtime = runtime
        self._in_flight_max = in_flight_max
        self._waiting: deque[Payment] = deque()
        self._in_flight: dict[UUID, tuple[Payment, int]] = {}
        """Payment and stamp by id."""
        self._to_look_up: deque[Payment] = deque()
        self._looking_up = 0
        self._lease_until_s = 0.0
        self._draining = False
        self._announced = BreakerState.CLOSED

    def on_receive(self, message: object) -> object:
        """Handle one message of `actors.domain.messages`."""
        match message:
            case Charge(payment):
                self._waiting.append(payment)
            case ChargeEnded():
                self._ended(message)
            case LookUp(payment):
                self._to_look_up.append(payment)
            case LookedUp():
                self._looking_up -= 1
                self._router.tell(message)
            case HealthReported(failing=failing) if failing:
                self._breaker.failed(self._runtime.now_s())
            case LeaseRenewed(until_s):
                self._lease_until_s = until_s
            case Drain():
                self._draining = True
            case OldestStamp():
                return min((stamp for _, stamp in self._in_flight.values()), default=None)
            case Tick():
                pass  # The cool-down is over: the breaker tells below.
        self._announce_availability()
        self._send_waiting()
        self._look_up_waiting()
        return None

    def _send_waiting(self) -> None:
        now_s = self._runtime.now_s()
        while self._waiting:
            if self._draining or self._breaker.permits(now_s) == 0:
                self._router.tell(Returned(self._name, tuple(self._waiting)))
                self._waiting.clear()
                return
            if len(self._in_flight) >= self._in_flight_max:
                return
            # Asked before each: after a pause of the whole process the rows may belong to others.
            if self._runtime.now_s() >= self._lease_until_s:
                return
            self._breaker.started(now_s)
            payment = self._waiting.popleft()
            requested_at_ms = self._runtime.now_ms()
            self._in_flight[payment.correlation_id] = (payment, requested_at_ms)
            self._runtime.spawn(self._charge, payment, requested_at_ms)

    def _charge(self, payment: Payment, requested_at_ms: int) -> None:
        # Asked again, as late as possible: the process may have stood still since the actor decided.
        leased = self._runtime.now_s() < self._lease_until_s
        outcome = self._client.charge(payment, requested_at_ms) if leased else Outcome.REFUSED
        self.tell_self(ChargeEnded(payment.correlation_id, outcome, requested_at_ms))

    def _ended(self, message: ChargeEnded) -> None:
        now_s = self._runtime.now_s()
        if message.outcome.is_success:
            self._breaker.succeeded(now_s)
        else:
            self._breaker.failed(now_s)
        payment, _ = self._in_flight.pop(message.correlation_id)
        self._router.tell(message)
        if message.outcome is Outcome.ALREADY_CHARGED:
            self._to_look_up.appendleft(payment)

    def _look_up_waiting(self) -> None:
        while self._to_look_up and self._looking_up < LOOK_UPS_MAX and not self._draining:
            self._looking_up += 1
            self._runtime.spawn(self._look_up, self._to_look_up.popleft())

    def _look_up(self, payment: Payment) -> None:
        answer = self._client.look_up(payment)
        self.tell_self(LookedUp(payment.correlation_id, answer.requested_at_ms, answer.answered))

    def _announce_availability(self) -> None:
        now_s = self._runtime.now_s()
        state = BreakerState.OPEN if self._draining else self._breaker.state(now_s)
        if state is self._announced:
            return
        if not self._draining:
            logger.info("breaker of %s: %s -> %s", self._name, self._announced.value, state.value)
        self._announced = state
        permits = 0 if state is BreakerState.OPEN else self._breaker.permits(now_s)
        self._router.tell(AvailabilityChanged(self._name, state, permits))
        if state is BreakerState.OPEN and not self._draining:
            self._runtime.call_later(self._breaker.retry_at_s - now_s, self.tell_self, Tick())
