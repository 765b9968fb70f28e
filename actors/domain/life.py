"""A payment's life from *assigned* to *settled*: what each outcome means for what comes next.

`assigned to P → sent to P → settled by P`. While it is unknown whether P charged it, the payment is pinned to P.
"""

from dataclasses import dataclass
from enum import Enum

from actors.domain.outcome import Outcome
from actors.domain.payment import Payment


class Next(Enum):
    """What is to be done with a payment."""

    SETTLE = "settle"
    """Record the charge."""
    LOOK_UP = "look up"
    """Ask its processor for it."""
    RETRY = "retry"
    """After a pause, send it to the same processor again."""
    REROUTE = "reroute"
    """After a pause, let the router choose; it may go to any processor."""


@dataclass(slots=True)
class Life:
    """One payment that is committed and not yet settled."""

    payment: Payment
    processor: str
    """The only one that may have been charged; Postgres says the same."""
    attempts: int = 0
    """How many times it was sent."""
    failures_in_row: int = 0
    """Attempts and look-ups since the last success; pauses grow with it."""
    failures_here: int = 0
    """Attempts in a row that failed on this processor, outages aside."""
    unknown_since_s: float | None = None
    """Monotonic time of the last attempt whose outcome is unknown; while set, the payment is pinned."""
    pinned_since_s: float | None = None
    """Monotonic time since when it is pinned."""
    oldest_stamp_ms: int | None = None
    """The oldest `requestedAt` under which it may have been charged; None while it was surely not."""

    @property
    def pinned(self) -> bool:
        """Whether only its own processor may see it."""
        return self.unknown_since_s is not None

    def adopted(self, now_s: float, oldest_stamp_ms: int) -> None:
        """Take over a payment of which only its row is known: its processor may have been charged."""
        self._pin(now_s)
        self.oldest_stamp_ms = oldest_stamp_ms

    def moved(self, processor: str) -> None:
        """Give a payment that is certainly not charged to another processor."""
        self.processor = processor
        self.failures_here = 0

    def sent(self, requested_at_ms: int) -> None:
        """Note an attempt that was made under this stamp."""
        self.attempts += 1
        if self.oldest_stamp_ms is None or requested_at_ms < self.oldest_stamp_ms:
            self.oldest_stamp_ms = requested_at_ms

    def ended(self, outcome: Outcome, now_s: float) -> Next:
        """Decide after an attempt."""
        match outcome:
            case Outcome.SETTLED:
                return Next.SETTLE
            case Outcome.ALREADY_CHARGED:
                # It stays pinned until the processor has told the instant.
                self._pin(now_s)
                return Next.LOOK_UP
            case Outcome.UNKNOWN:
                self._pin(now_s)
                self._count_failure()
                return Next.RETRY
            case Outcome.REFUSED | Outcome.OVERLOADED | Outcome.FAILED:
                self._count_failure()
                return Next.RETRY if self.pinned else self._freed()

    def looked_up(self, *, missing: bool, now_s: float, horizon_s: float) -> Next:
        """Decide after a look-up that found nothing (`missing`) or got no answer.

        `horizon_s` is how long after an attempt the processor may still book it; a 404 proves nothing before that.
        """
        self.failures_in_row += 1
        if missing and self.unknown_since_s is not None and now_s - self.unknown_since_s >= horizon_s:
            return self._freed()
        return Next.RETRY

    def _count_failure(self) -> None:
        self.failures_in_row += 1
        self.failures_here += 1

    def _pin(self, now_s: float) -> None:
        self.unknown_since_s = now_s
        if self.pinned_since_s is None:
            self.pinned_since_s = now_s

    def _freed(self) -> Next:
        self.unknown_since_s = self.pinned_since_s = None
        self.oldest_stamp_ms = None
        return Next.REROUTE
