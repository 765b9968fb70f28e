"""A payment's way through a processor: limits, delay, failure, insert, and the faults between them."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from http import HTTPStatus

from ops.simulator.connection import Connection, Timers
from ops.simulator.faults import Fate, Fault, FaultPlan, Faults
from ops.simulator.ledger import Ledger, Payment
from ops.simulator.ledger_file import LedgerFile
from ops.simulator.limits import Admission, ConcurrencyLimiter, HealthLimiter
from ops.simulator.wire import encode_health, encode_message

_CHARGED = encode_message("payment charged")
_KNOWN = encode_message("payment already charged")


class Processor:
    """One processor's state, and what it does with it."""

    def __init__(self, fee: Decimal, timers: Timers, ledger_file: LedgerFile | None = None) -> None:
        self.fee = fee
        self.delay_ms = 0
        """How long each payment takes."""
        self.failing = False
        """Whether payments fail, after their delay."""
        self.ledger = Ledger()
        self.injected: Counter[Fault] = Counter()
        self._timers = timers
        self._ledger_file = ledger_file
        self._concurrency: ConcurrencyLimiter[Callable[[], None]] = ConcurrencyLimiter()
        self._health: HealthLimiter[Connection] = HealthLimiter(timers.time())
        self._window_awaited = False
        self._faults = Faults()
        self._plan = FaultPlan(self._faults)
        for payment in ledger_file.load() if ledger_file else ():
            self.ledger.insert(payment)

    @property
    def faults(self) -> Faults:
        """The set of faults that is injected."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        self._plan = FaultPlan(faults)

    def purge(self) -> None:
        """Forget all charges; what is under way is still charged."""
        if self._ledger_file:
            self._ledger_file.purge()
        self.ledger.purge()

    def pay(self, payment: Payment, client: Connection) -> None:
        """Charge a payment, whether or not the client stays for the answer."""
        fate = self._plan.draw()

        def begin() -> None:
            self._begin(payment, fate, client)

        match self._concurrency.enter(begin):
            case Admission.NOW:
                begin()
            case Admission.REFUSED:
                client.answer(HTTPStatus.TOO_MANY_REQUESTS)

    def tell_health(self, client: Connection) -> None:
        """Answer a health call now or in a later window, or refuse it."""
        match self._health.arrive(client, self._timers.time()):
            case Admission.NOW:
                self._answer_health(client)
            case Admission.LATER:
                client.on_lost = lambda: self._health.hang_up(client)
                self._await_window()
            case Admission.REFUSED:
                client.answer(HTTPStatus.TOO_MANY_REQUESTS)

    def _begin(self, payment: Payment, fate: Fate, client: Connection) -> None:
        if fate.delay_ms:
            self.injected[Fault.DELAY] += 1
        delay_ms = self.delay_ms + fate.delay_ms
        if delay_ms:
            self._timers.call_later(delay_ms / 1000, lambda: self._finish(payment, fate, client))
        else:
            self._finish(payment, fate, client)

    def _finish(self, payment: Payment, fate: Fate, client: Connection) -> None:
        try:
            self._settle(payment, fate, client)
        finally:
            # Through the timers: a long queue without delay would nest as deep as it is long.
            if begin := self._concurrency.leave():
                self._timers.call_later(0, begin)

    def _settle(self, payment: Payment, fate: Fate, client: Connection) -> None:
        if self.failing:
            client.answer(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        if fate.fault:
            self.injected[fate.fault] += 1
        if fate.fault is Fault.FAILURE:
            client.answer(HTTPStatus.INTERNAL_SERVER_ERROR)
        elif fate.fault is Fault.LATE_COMMIT:
            self._timers.call_later(self._faults.late_commit_ms / 1000, lambda: self._insert(payment))
            client.drop()
        else:
            self._answer_payment(fate, client, inserted=self._insert(payment))

    def _answer_payment(self, fate: Fate, client: Connection, *, inserted: bool) -> None:
        status, body = (HTTPStatus.OK, _CHARGED) if inserted else (HTTPStatus.UNPROCESSABLE_ENTITY, _KNOWN)
        match fate.fault:
            case Fault.COMMIT_THEN_DROP:
                client.drop()
            case Fault.COMMIT_THEN_HANG:
                client.hang()
            case Fault.GARBAGE:
                client.blurt(fate.garbage)
            case Fault.DRIP:
                client.drip(status, body, self._faults.drip_interval_ms / 1000)
            case _:
                client.answer(status, body)

    def _insert(self, payment: Payment) -> bool:
        if self.ledger.find(payment.correlation_id):
            return False
        if self._ledger_file:
            self._ledger_file.append(payment)
        return self.ledger.insert(payment)

    def _answer_health(self, client: Connection) -> None:
        client.answer(HTTPStatus.OK, encode_health(failing=self.failing, delay_ms=self.delay_ms))

    def _await_window(self) -> None:
        wait_s = self._health.wait_s(self._timers.time())
        if wait_s is not None and not self._window_awaited:
            self._window_awaited = True
            self._timers.call_later(wait_s, self._open_window)

    def _open_window(self) -> None:
        self._window_awaited = False
        if client := self._health.release(self._timers.time()):
            self._answer_health(client)
        self._await_window()
