"""Charges payments as a processor does: limit, delay, failure, booking, and injected faults in between."""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from http import HTTPStatus
from time import time_ns
from typing import Protocol
from uuid import UUID

from ops.simulator.connection import Timers
from ops.simulator.faults import Fault, Faults, Injection, InjectionPlan
from ops.simulator.ledger import Ledger, LedgerEntry
from ops.simulator.ledger_file import LedgerFile
from ops.simulator.limits import Admission, ConcurrencyLimiter, HealthLimiter
from ops.simulator.wire import encode_health, encode_message

_CHARGED = encode_message("payment charged")
_KNOWN = encode_message("payment already charged")
_DECLINED = encode_message("payment declined")
_EDGE = encode_message("answered in front of the processor")
_BEFORE = timedelta(days=1)
"""How long before a payment a charge of another amount was made under its id."""


class Client(Hashable, Protocol):
    """The sender of a request, and the ways to answer it. Each request is ended with one of these calls."""

    on_lost: Callable[[], None] | None
    """Called when the client leaves before the current request is answered."""

    def answer(self, status: int, body: bytes = b"", /) -> None:
        """Answer the request."""

    def drip(self, status: int, body: bytes, interval_s: float, /) -> None:
        """Answer the request one byte at a time."""

    def send_garbage(self, garbage: bytes, /) -> None:
        """Send bytes that are no HTTP answer, and close the connection."""

    def drop(self) -> None:
        """Close without answering the request."""

    def hang(self) -> None:
        """Never answer, but keep the connection open until the client leaves."""


class PaymentProcessor:
    """One processor: its ledger, its settings and the faults that it injects."""

    def __init__(
        self,
        fee: Decimal,
        timers: Timers,
        ledger_file: LedgerFile | None = None,
        now_ms: Callable[[], int] = lambda: time_ns() // 1_000_000,
    ) -> None:
        """`now_ms` is the wall clock by which charges are booked."""
        self.fee = fee
        self.delay_ms = 0
        """How long each charge takes, in milliseconds."""
        self.failing = False
        """Whether charges fail, after their delay."""
        self.ledger = Ledger()
        self.calls = 0
        """How many charges were asked for."""
        self.asked: dict[UUID, Fault | None] = {}
        """The ids of the payments that were asked for, each with the fault that was injected because of its id."""
        self.to_be_booked: list[LedgerEntry] = []
        """Payments that will be booked some time after their clients were left without an answer."""
        self.injected: Counter[Fault] = Counter()
        self._timers = timers
        self._now_ms = now_ms
        self._left: set[UUID] = set()
        """Payments whose clients have left before they were charged."""
        self._ledger_file = ledger_file
        self._concurrency: ConcurrencyLimiter[Callable[[], None]] = ConcurrencyLimiter()
        self._health: HealthLimiter[Client] = HealthLimiter(timers.time())
        self._window_awaited = False
        self._faults = Faults()
        self._plan = InjectionPlan(self._faults)
        for payment in ledger_file.load() if ledger_file else ():
            self.ledger.insert(payment)

    @property
    def faults(self) -> Faults:
        """The faults that are injected at present."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        self._plan = InjectionPlan(faults)

    def purge(self) -> None:
        """Delete all charges; payments that are being charged at the moment are still booked afterwards."""
        if self._ledger_file:
            self._ledger_file.purge()
        self.ledger.purge()
        self.asked.clear()

    def pay(self, payment: LedgerEntry, client: Client) -> None:
        """Charge a payment and answer the client; the charge is made even if the client leaves."""
        self.calls += 1
        self.asked.setdefault(payment.correlation_id, None)
        injection = self._plan.draw()
        client.on_lost = lambda: self._left.add(payment.correlation_id)

        def begin() -> None:
            self._begin(payment, injection, client)

        match self._concurrency.enter(begin):
            case Admission.NOW:
                begin()
            case Admission.REFUSED:
                client.answer(HTTPStatus.TOO_MANY_REQUESTS)

    def answer_health(self, client: Client) -> None:
        """Answer a call to `service-health` now or in a later window, or refuse it."""
        match self._health.arrive(client, self._timers.time()):
            case Admission.NOW:
                self._send_health(client)
            case Admission.LATER:
                client.on_lost = lambda: self._health.cancel(client)
                self._await_window()
            case Admission.REFUSED:
                client.answer(HTTPStatus.TOO_MANY_REQUESTS)

    def _begin(self, payment: LedgerEntry, injection: Injection, client: Client) -> None:
        if injection.delay_ms:
            self.injected[Fault.DELAY] += 1
        delay_ms = self.delay_ms + injection.delay_ms
        if delay_ms:
            self._timers.call_later(delay_ms / 1000, lambda: self._finish(payment, injection, client))
        else:
            self._finish(payment, injection, client)

    def _finish(self, payment: LedgerEntry, injection: Injection, client: Client) -> None:
        try:
            self._settle(payment, injection, client)
        finally:
            # The timers start the next charge, because a direct call would nest once for each waiting payment.
            if begin := self._concurrency.leave():
                self._timers.call_later(0, begin)

    def _settle(self, payment: LedgerEntry, injection: Injection, client: Client) -> None:
        if self.failing:
            client.answer(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        if injection.fault:
            self.injected[injection.fault] += 1
        match injection.fault:
            case Fault.FAILURE:
                client.answer(HTTPStatus.INTERNAL_SERVER_ERROR)
            case Fault.LATE_COMMIT:
                self._book_later(payment)
                client.drop()
            case Fault.LATE_EDGE:
                self._book_later(payment)
                client.answer(self._faults.edge_status, _EDGE)
            case fault:
                answered = fault is None and payment.correlation_id not in self._left
                self._answer_payment(injection, client, *self._book(payment, answered=answered))
        self._left.discard(payment.correlation_id)

    def _answer_payment(self, injection: Injection, client: Client, status: int, body: bytes) -> None:
        match injection.fault:
            case Fault.COMMIT_THEN_DROP:
                client.drop()
            case Fault.COMMIT_THEN_HANG:
                client.hang()
            case Fault.GARBAGE:
                client.send_garbage(injection.garbage)
            case Fault.DRIP:
                client.drip(status, body, self._faults.drip_interval_ms / 1000)
            case Fault.EDGE:
                client.answer(self._faults.edge_status, _EDGE)
            case _:
                client.answer(status, body)

    def _book(self, payment: LedgerEntry, *, answered: bool = False) -> tuple[int, bytes]:
        """Book a payment, unless its id is known or causes a fault; return the answer that says so."""
        known = self.ledger.find(payment.correlation_id) is not None
        fault = None if known else self._plan.fault_of_id(payment.correlation_id)
        if fault:
            self.injected[fault] += 1
            self.asked[payment.correlation_id] = fault
        match fault:
            case Fault.DECLINE:
                return self._faults.decline_status, _DECLINED
            case Fault.FALSE_DUPLICATE:
                return HTTPStatus.UNPROCESSABLE_ENTITY, _KNOWN
            case Fault.OTHER_AMOUNT:
                amount_minor, requested_at = payment.amount_minor + 1, payment.requested_at - _BEFORE
                self._insert(replace(payment, amount_minor=amount_minor, requested_at=requested_at))
                return HTTPStatus.UNPROCESSABLE_ENTITY, _KNOWN
        if self._insert(payment, answered=answered):
            return HTTPStatus.OK, _CHARGED
        return HTTPStatus.UNPROCESSABLE_ENTITY, _KNOWN

    def _book_later(self, payment: LedgerEntry) -> None:
        def book() -> None:
            self.to_be_booked.remove(payment)
            self._book(payment)

        self.to_be_booked.append(payment)
        self._timers.call_later(self._faults.late_commit_ms / 1000, book)

    def _insert(self, payment: LedgerEntry, *, answered: bool = False) -> bool:
        if self.ledger.find(payment.correlation_id):
            return False
        if self._ledger_file:
            self._ledger_file.append(payment)
        return self.ledger.insert(replace(payment, booked_at_ms=self._now_ms(), answered=answered))

    def _send_health(self, client: Client) -> None:
        client.answer(HTTPStatus.OK, encode_health(failing=self.failing, delay_ms=self.delay_ms))

    def _await_window(self) -> None:
        wait_s = self._health.wait_s(self._timers.time())
        if wait_s is not None and not self._window_awaited:
            self._window_awaited = True
            self._timers.call_later(wait_s, self._open_window)

    def _open_window(self) -> None:
        self._window_awaited = False
        if client := self._health.release(self._timers.time()):
            self._send_health(client)
        self._await_window()
