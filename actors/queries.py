"""Answers which processor has charged what, and how far a payment is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from actors.domain.history_questions import ToldHistory
from actors.domain.money import BRL, Money
from actors.domain.records import PaymentRecord, PaymentState, Position, ProcessorTotal
from actors.domain.work import Driven
from actors.errors import GatewayUnavailableError, LedgerUnavailableError
from actors.feed import Feed
from actors.known_here import known_here
from actors.payment_histories import PaymentHistories
from actors.peer_questions import PeerQuestions
from actors.ports import FeedStore, PaymentStore, Recipient, Runtime
from actors.summaries import Readers, Summaries, Turns, WindowSummary

FIRST_LOOK_S_MAX = 0.3
"""How long Postgres has to answer for a payment before memory does, here or on the other replicas."""


@dataclass(frozen=True, slots=True)
class PaymentStatus:
    """A payment and how far it is."""

    correlation_id: UUID
    money: Money
    record: PaymentRecord | None = None
    """What Postgres knows; None where it has no row yet."""
    driven: Driven | None = None
    """What the router knows, where this replica drives it."""


class PaymentQueries:
    """Answers questions about payments that were accepted, on whichever replica."""

    def __init__(  # noqa: PLR0913  # its neighbours one by one
        self,
        *,
        payments: PaymentStore,
        ends: FeedStore,
        intake: Recipient,
        router: Recipient,
        gossip: Recipient,
        lease: Recipient,
        replica: str,
        processors: Sequence[str],
        currency: str = BRL,
        runtime: Runtime,
        make_turns: Callable[[int], Turns],
    ) -> None:
        """Build the queries.

        `processors` are the names that a summary shows beside the event's two, and `currency` the one that it shows
        first; `make_turns` makes a semaphore that the given number of readers may hold at once.
        """
        self._payments = payments
        self._intake = intake
        self._router = router
        self._peers = PeerQuestions(gossip, runtime)
        self._histories = PaymentHistories(router, gossip, lease, runtime)
        self._replica = replica
        self.readers = Readers(make_turns)
        self.feed = Feed(ends, runtime, make_turns)
        """The feed of ended payments."""
        self._summaries = Summaries(
            payments=payments, readers=self.readers, runtime=runtime, processors=processors, currency=currency
        )

    def payment(self, correlation_id: UUID) -> PaymentStatus | None:
        """Tell how far a payment is; None where certainly no replica has accepted it.

        If Postgres does not answer soon, this is what the replica remembers. The other replicas are asked for a payment
        that neither this one nor Postgres knows.

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

    def histories(self, correlation_id: UUID) -> tuple[ToldHistory, ...]:
        """Ask every replica what it has done with a payment, as far as it remembers; what is not told soon is missing.

        Raises:
            GatewayUnavailableError: this replica does not answer, or too many ask at once.
        """
        return self._histories.ask(correlation_id)

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

    def payments(self, state: PaymentState, after: Position, payments_max: int) -> tuple[PaymentStatus, ...]:
        """Read the payments in one state that stand behind a position, the oldest first, as Postgres knows them.

        Raises:
            LedgerUnavailableError: Postgres does not answer.
            GatewayUnavailableError: too many ask at once.
        """
        with self.readers.asking():
            records = self.readers.in_turn(lambda: self._payments.in_state(state, after, payments_max))
        return tuple(PaymentStatus(each.payment.correlation_id, each.payment.money, each) for each in records)

    def recorded(self) -> tuple[ProcessorTotal, ...]:
        """Add up all charges that are recorded, waiting for none.

        Raises:
            LedgerUnavailableError: Postgres does not answer.
            GatewayUnavailableError: too many ask at once.
        """
        with self.readers.asking():
            return self.readers.in_turn(lambda: self._payments.summary(None, None)).totals

    def summary(self, from_ms: int | None, to_ms: int | None) -> WindowSummary:
        """Add up the charges stamped within the bounds, both inclusive, each optional.

        If the window has ended, the charges count that a processor had answered by now, on any replica: this waits
        until they are committed, or no charge with such a stamp is missing. A window that reaches up to the present has
        no such moment: this waits for what is under way, and counts all that is committed.

        Raises:
            LedgerUnavailableError: Postgres does not answer.
            GatewayUnavailableError: too many ask at once.
        """
        with self.readers.asking():
            return self._summaries.read(from_ms, to_ms)
