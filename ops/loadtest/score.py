"""The event's score, from what was paid, how quickly the gateway answered, and where its summaries differed."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

BONUS_BELOW_MS = 11
BONUS_PER_MS = 0.02
FINE = Decimal("0.35")
"""The share of the profit that any difference costs."""
_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class PaidTotal:
    """What was paid through one processor, and its fee."""

    requests: int
    amount: Decimal
    fee: Decimal
    """The share of each amount that the processor keeps."""


@dataclass(frozen=True, slots=True)
class Score:
    """The score and what it is made of."""

    profit: Decimal
    bonus: Decimal
    """The share of the profit that the latency earns."""
    fine: Decimal
    """The share of the profit that differences cost."""
    lag: int
    """Accepted payments that were not paid by the end; below zero, more was paid than asked for."""

    @property
    def points(self) -> Decimal:
        """The score itself."""
        return self.profit * (1 + self.bonus - self.fine)

    @property
    def rounded_points(self) -> Decimal:
        """The score rounded to hundredths, as it is shown everywhere."""
        return self.points.quantize(_HUNDREDTH, ROUND_HALF_UP)

    @property
    def is_disqualified(self) -> bool:
        """Tell whether more was paid than asked for, which the event does not forgive."""
        return self.lag < 0


def score(paid: Mapping[str, PaidTotal], p99_ms: float, differences: int, accepted: int) -> Score:
    """Score a game.

    Args:
        paid: what was paid, by processor.
        p99_ms: the 99th percentile of the latency of all requests that succeeded.
        differences: the number of differences over all checks.
        accepted: how many payments the gateway was asked for successfully.
    """
    profit = sum((total.amount - total.amount * total.fee for total in paid.values()), Decimal(0))
    lag = accepted - sum(total.requests for total in paid.values())
    return Score(profit, bonus(p99_ms), FINE if differences else Decimal(0), lag)


def bonus(p99_ms: float) -> Decimal:
    """Return the share of the profit that a latency earns, in hundredths, never below zero."""
    # The event computes in binary and then rounds the shortest decimal that stands for it, halves away from zero.
    exact = Decimal(repr((BONUS_BELOW_MS - rounded_ms(p99_ms)) * BONUS_PER_MS))
    return max(exact.quantize(_HUNDREDTH, ROUND_HALF_UP), Decimal(0))


def rounded_ms(latency_ms: float) -> float:
    """Round a latency to hundredths of a millisecond, as the event does before all else."""
    return float(Decimal(repr(latency_ms)).quantize(_HUNDREDTH, ROUND_HALF_UP))


def count_differences(ours: Mapping[str, int], theirs: Mapping[str, int], *, by_processor: bool) -> int:
    """Count by how many payments a summary of the gateway differs from those of the processors in one check.

    Args:
        ours: the number of payments in the gateway's summary, by processor.
        theirs: the number of payments in the processors' own summaries.
        by_processor: whether the differences of the processors are added; if not, one can make up for the other.
    """
    by_name = [ours[name] - theirs[name] for name in theirs]
    return sum(map(abs, by_name)) if by_processor else abs(sum(by_name))
