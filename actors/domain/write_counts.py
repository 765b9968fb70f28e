"""Counts what persistence has committed: payments that ended, what was charged, and how long it took."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from actors.domain.histogram import Histogram
from actors.domain.payment import Closing, EndState, Move, Settlement
from actors.domain.records import WriteResult

COMMIT_BOUNDS_S = (0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0)
"""A commit takes a few milliseconds; one of half a second holds up all that follow, and after 5 s it is given up."""
SETTLING_BOUNDS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0, 3600.0)
"""A payment is settled within a quarter of a second where its processor works, and after an outage where it does not.
"""


@dataclass(slots=True)
class SettledTotal:
    """What was charged by one processor in one currency."""

    payments: int = 0
    amount_minor: int = 0


class WriteCounts:
    """Counts since the start of the actor. What is written again counts again, except for disputed settlements."""

    def __init__(self) -> None:
        self.disputes = 0
        """Charges of payments that another charge had settled."""
        self.closed = Counter(dict.fromkeys(EndState, 0))
        """Payments that ended without a charge."""
        self.settled: dict[tuple[str, str], SettledTotal] = {}
        """What was charged, by processor and currency."""
        self.moved: Counter[str | None] = Counter()
        """Rows that have changed their processor, by the new one; None where they name no processor any more."""
        self.commits = Histogram(*COMMIT_BOUNDS_S)
        """How long commits took."""
        self.settling = Histogram(*SETTLING_BOUNDS_S)
        """How long it took from the acceptance of a payment until its settlement was committed."""

    def settled_by_processor(self) -> Mapping[str, int]:
        """Count the payments that were charged, by processor."""
        counts: Counter[str] = Counter()
        for (processor, _), total in self.settled.items():
            counts[processor] += total.payments
        return dict(counts)

    def committed(
        self,
        settlements: Sequence[Settlement],
        closings: Sequence[Closing],
        moves: Sequence[Move],
        result: WriteResult,
        took_s: float,
        now_ms: int,
    ) -> None:
        """Count a batch that was committed at `now_ms`, without moves that did not apply and disputed settlements."""
        self.commits.observe(took_s)
        for settlement in settlements:
            payment = settlement.payment
            if result.disputed and payment.correlation_id in result.disputed:
                continue
            kind = settlement.processor, payment.currency
            total = self.settled.get(kind)
            if total is None:
                total = self.settled[kind] = SettledTotal()
            total.payments += 1
            total.amount_minor += payment.amount_minor
            # Clocks of two replicas may differ where a payment was taken over.
            self.settling.observe(max(0.0, (now_ms - payment.accepted_at_ms) / 1000))
        for closing in closings:
            self.closed[closing.state] += 1
        for move in moves:
            if move.correlation_id in result.moved:
                self.moved[move.processor] += 1
