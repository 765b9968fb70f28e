"""The simulator's own payment processors in virtual time, and the ways to them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from actors.domain.money import BRL
from actors.domain.outcome import Outcome, outcome_of_answer
from actors.domain.payment import Payment
from actors.domain.records import LookUpAnswer, LookUpResult, ProcessorHealth
from ops.simulation.clock import Reply, SimulatedRuntime
from ops.simulator.ledger import LedgerEntry
from ops.simulator.processor import PaymentProcessor

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HEALTH_S_MAX = 2.0
"""How long the answer of a health endpoint is waited for."""
HTTP_OK = 200


class SimulatedCall:
    """Fulfils `ops.simulator`'s `Client`: one request of a simulated replica."""

    def __init__(self, runtime: SimulatedRuntime) -> None:
        self.on_lost: Callable[[], None] | None = None
        self._reply = Reply[tuple[int, bytes]](runtime)

    def answer(self, status: int, body: bytes = b"") -> None:
        self._reply.give((status, body))

    def drip(self, status: int, body: bytes, interval_s: float) -> None:
        """Leave the client waiting: it gives up before all bytes have come."""

    def send_garbage(self, garbage: bytes) -> None:  # noqa: ARG002  # the replica makes no more of it than of nothing
        self._reply.give(None)

    def drop(self) -> None:
        self._reply.give(None)

    def hang(self) -> None:
        """Leave the client waiting."""

    def wait(self, timeout_s: float) -> tuple[int, bytes] | None:
        """Wait for the status and the body; None where there is no valid answer in time."""
        return self._reply.wait(timeout_s)


class SimulatedClient:
    """Fulfils `actors.ports.ProcessorClient`: the way from one replica to one simulated processor."""

    def __init__(
        self, processor: PaymentProcessor, runtime: SimulatedRuntime, *, timeout_s: float, network_s: float
    ) -> None:
        """`timeout_s` bounds a whole call, `network_s` is the time of its way; with 0 a request takes no time."""
        self._processor = processor
        self._runtime = runtime
        self._timeout_s = timeout_s
        self._network_s = network_s

    def charge(self, payment: Payment, requested_at_ms: int) -> Outcome:
        self._travel()
        if self._processor.faults.refuse:
            return Outcome.REFUSED
        call = SimulatedCall(self._runtime)
        requested_at = EPOCH + timedelta(milliseconds=requested_at_ms)
        self._processor.pay(_entry(payment, requested_at), call)
        answer = call.wait(self._timeout_s)
        return Outcome.UNKNOWN if answer is None else outcome_of_answer(*answer)

    def look_up(self, payment: Payment) -> LookUpAnswer:
        self._travel()
        if self._processor.faults.refuse:
            return LookUpAnswer(LookUpResult.NO_ANSWER)
        entry = self._processor.ledger.find(payment.correlation_id)
        if entry is None:
            return LookUpAnswer(LookUpResult.MISSING)
        if entry != _entry(payment, entry.requested_at):
            return LookUpAnswer(LookUpResult.MISMATCHED)
        return LookUpAnswer(LookUpResult.CHARGED, stamp_ms(entry))

    def knock(self) -> bool:
        self._travel()
        return not self._processor.faults.refuse

    def answers_health(self) -> bool:
        self._travel()
        answer = _ask_for_health(self._processor, self._runtime)
        return not self._processor.faults.refuse and answer is not None and answer[0] == HTTP_OK

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _travel(self) -> None:
        if self._network_s:
            self._runtime.sleep(self._network_s)


class SimulatedProbe:
    """Fulfils `actors.ports.HealthProbe`: the way from one replica to all processors' health endpoints."""

    def __init__(self, processors: Mapping[str, PaymentProcessor], runtime: SimulatedRuntime) -> None:
        self._processors = processors
        self._runtime = runtime

    def ask(self, processor: str) -> ProcessorHealth | None:
        asked_at_ms = self._runtime.now_ms()
        simulated = self._processors[processor]
        if simulated.faults.refuse:
            return None
        answer = _ask_for_health(simulated, self._runtime)
        if answer is None or answer[0] != HTTP_OK:
            return None
        health = msgspec.json.decode(answer[1])
        return ProcessorHealth(processor, health["failing"], health["minResponseTime"], asked_at_ms)

    def close(self) -> None:
        """Do nothing: there is no connection."""


def _ask_for_health(processor: PaymentProcessor, runtime: SimulatedRuntime) -> tuple[int, bytes] | None:
    call = SimulatedCall(runtime)
    processor.answer_health(call)
    answer = call.wait(HEALTH_S_MAX)
    if answer is None and call.on_lost is not None:
        call.on_lost()  # Otherwise it would be answered in the place of a call that still waits.
    return answer


def _entry(payment: Payment, requested_at: datetime) -> LedgerEntry:
    """Describe a charge as the processor books it, to which the default currency is not named."""
    currency = "" if payment.currency == BRL else payment.currency
    return LedgerEntry(payment.correlation_id, payment.amount_minor, requested_at, currency)


def stamp_ms(entry: LedgerEntry) -> int:
    """Tell the instant that a charge bears, milliseconds since the epoch."""
    return (entry.requested_at - EPOCH) // timedelta(milliseconds=1)
