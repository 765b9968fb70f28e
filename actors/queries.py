"""Answers what was charged where, and how far a payment is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from actors.domain.money import BRL, Money
from actors.domain.processors import EVENT_NAMES
from actors.domain.records import LedgerSummary, PaymentRecord, ProcessorTotal
from actors.domain.work import Driven
from actors.errors import GatewayUnavailableError
from actors.messages.intake import GetAcceptedMoney
from actors.messages.router import GetDriven
from actors.ports import PaymentStore, Recipient, Runtime

ASK_S_MAX = 1.0
SUMMARY_S_MAX = 1.0
"""How long a summary waits for charges stamped within its window."""
SUMMARY_STEP_S = 0.05


@dataclass(frozen=True, slots=True)
class WindowSummary:
    """Totals of a window by processor; both names of the event are always there."""

    totals: dict[str, ProcessorTotal]
    """Of the charges in the default currency."""
    final: bool
    """False where charges stamped within the window may still be missing."""
    others: dict[str, dict[str, ProcessorTotal]] = field(default_factory=dict)
    """Of the charges in other currencies, by their codes; only those that were charged in the window."""


@dataclass(frozen=True, slots=True)
class PaymentStatus:
    """A payment and how far it is."""

    correlation_id: UUID
    money: Money
    record: PaymentRecord | None = None
    """What Postgres knows; None where it has no row yet."""
    driven: Driven | None = None
    """What the router knows, where this replica drives it."""


class Turns(Protocol):
    """A semaphore."""

    def acquire(self, *, timeout: float) -> bool:
        """Wait for a turn; tell whether it came."""

    def release(self) -> object:
        """End one's turn."""


class PaymentQueries:
    """Answers questions about payments that were accepted, on whichever replica."""

    def __init__(
        self,
        *,
        payments: PaymentStore,
        intake: Recipient,
        router: Recipient,
        replica: str,
        processors: Sequence[str],
        currency: str = BRL,
        runtime: Runtime,
        turns: Turns,
    ) -> None:
        """Build the queries.

        `processors` are the names that a summary shows beside the event's two, and `currency` the one that it shows
        first; `turns` lets few in at once.
        """
        self._payments = payments
        self._intake = intake
        self._router = router
        self._replica = replica
        self._names = dict.fromkeys((*EVENT_NAMES, *processors))
        self._currency = currency
        self._runtime = runtime
        self._turns = turns

    def payment(self, correlation_id: UUID) -> PaymentStatus | None:
        """Tell how far a payment is; None where neither Postgres nor this replica's memory has it.

        Raises:
            LedgerUnavailableError: Postgres does not answer.
        """
        record = self._payments.payment(correlation_id)
        if record is not None:
            ours = record.owner == self._replica
            driven: Driven | None = self._ask(self._router, GetDriven(correlation_id)) if ours else None
            return PaymentStatus(correlation_id, record.payment.money, record, driven)
        driven = self._ask(self._router, GetDriven(correlation_id))
        if driven is not None:
            return PaymentStatus(correlation_id, driven.payment.money, driven=driven)
        money: Money | None = self._ask(self._intake, GetAcceptedMoney(correlation_id))
        return None if money is None else PaymentStatus(correlation_id, money)

    def summary(self, from_ms: int | None, to_ms: int | None) -> WindowSummary:
        """Add up the charges stamped within the bounds, both inclusive, each optional.

        Waits up to `SUMMARY_S_MAX` for charges that are under way with such a stamp, on all replicas.

        Raises:
            LedgerUnavailableError: Postgres does not answer.
            GatewayUnavailableError: too many ask at once.
        """
        # Not by this replica's clock where the window has an end: others may still stamp charges up to it.
        ended_ms = self._runtime.now_ms() if to_ms is None else to_ms
        deadline_s = self._runtime.now_s() + SUMMARY_S_MAX
        while True:
            totals = self._totals(from_ms, to_ms)
            final = totals.final_before_ms > ended_ms
            if final or self._runtime.now_s() >= deadline_s:
                return self._by_name(totals, final=final)
            self._runtime.sleep(SUMMARY_STEP_S)

    @staticmethod
    def _ask(recipient: Recipient, question: object) -> Any:  # noqa: ANN401  # as in the protocol
        try:
            return recipient.ask(question, ASK_S_MAX)
        except GatewayUnavailableError:
            return None

    def _totals(self, from_ms: int | None, to_ms: int | None) -> LedgerSummary:
        if not self._turns.acquire(timeout=SUMMARY_S_MAX):
            raise GatewayUnavailableError("too many ask for a summary at once")
        try:
            return self._payments.summary(from_ms, to_ms)
        finally:
            self._turns.release()

    def _by_name(self, totals: LedgerSummary, *, final: bool) -> WindowSummary:
        by_currency: dict[str, dict[str, ProcessorTotal]] = {}
        for code in sorted({self._currency, *(total.amount.currency for total in totals.totals)}):
            by_currency[code] = {name: ProcessorTotal(name, 0, Money(0, code)) for name in self._names}
        for total in totals.totals:
            by_currency[total.amount.currency][total.processor] = total
        return WindowSummary(by_currency.pop(self._currency), final, by_currency)
