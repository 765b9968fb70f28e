"""Answers what was charged where, and how far a payment is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from actors.domain.money import BRL, Money
from actors.domain.processors import EVENT_NAMES
from actors.domain.records import LedgerSummary, PaymentRecord, ProcessorTotal
from actors.domain.work import Driven
from actors.errors import GatewayUnavailableError, LedgerUnavailableError
from actors.known_here import known_here
from actors.peer_questions import PeerQuestions
from actors.ports import PaymentStore, Recipient, Runtime

FIRST_LOOK_S_MAX = 0.3
"""How long Postgres has to answer for a payment before memory does, here or on the other replicas."""
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

    def __init__(  # noqa: PLR0913  # its neighbours one by one
        self,
        *,
        payments: PaymentStore,
        intake: Recipient,
        router: Recipient,
        gossip: Recipient,
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
        self._peers = PeerQuestions(gossip, runtime)
        self._replica = replica
        self._names = dict.fromkeys((*EVENT_NAMES, *processors))
        self._currency = currency
        self._runtime = runtime
        self._turns = turns

    def payment(self, correlation_id: UUID) -> PaymentStatus | None:
        """Tell how far a payment is; None where certainly nobody has accepted it.

        Where Postgres does not answer soon, it is as far as this replica remembers. What is known neither here nor in
        Postgres the other replicas are asked for.

        Raises:
            LedgerUnavailableError: Postgres does not answer, and no replica that can be asked knows the payment.
            GatewayUnavailableError: a replica that cannot be asked now may have accepted it.
        """
        try:
            remembered = self._remembered(correlation_id)
        except GatewayUnavailableError:
            remembered = None
        try:
            record = self._payments.payment(correlation_id, FIRST_LOOK_S_MAX)
        except LedgerUnavailableError:
            record = None
        if record is not None:
            driven = remembered.driven if remembered is not None and record.owner == self._replica else None
            return PaymentStatus(correlation_id, record.payment.money, record, driven)
        return remembered or self._asked_for(correlation_id)

    def _asked_for(self, correlation_id: UUID) -> PaymentStatus | None:
        """Find a payment with the other replicas, then here, then in Postgres.

        A payment goes on along this order alone, so that it cannot be missed on its way.
        """
        deniers = self._peers.deniers(correlation_id)
        remembered = self._remembered(correlation_id)
        if remembered is not None:
            return remembered
        absence = self._payments.absence(correlation_id)
        record = self._payments.payment(correlation_id) if absence.recorded else None
        if record is not None:
            return PaymentStatus(correlation_id, record.payment.money, record)
        self._peers.check_complete(deniers, absence.others)
        return None

    def _remembered(self, correlation_id: UUID) -> PaymentStatus | None:
        known = known_here(self._intake, self._router, (correlation_id,)).get(correlation_id)
        return None if known is None else PaymentStatus(correlation_id, known.money, driven=known.driven)

    def summary(self, from_ms: int | None, to_ms: int | None) -> WindowSummary:
        """Add up the charges stamped within the bounds, both inclusive, each optional.

        Waits up to `SUMMARY_S_MAX` for charges that are under way with such a stamp, on all replicas.

        Raises:
            LedgerUnavailableError: Postgres does not answer.
            GatewayUnavailableError: too many ask at once.
        """
        now_ms = self._runtime.now_ms()
        ended_ms = now_ms if to_ms is None else min(to_ms, now_ms)
        deadline_s = self._runtime.now_s() + SUMMARY_S_MAX
        while True:
            totals = self._totals(from_ms, to_ms)
            final = totals.final_before_ms > ended_ms
            if final or self._runtime.now_s() >= deadline_s:
                return self._by_name(totals, final=final)
            self._runtime.sleep(SUMMARY_STEP_S)

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
