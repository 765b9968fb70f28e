"""The charges of one processor, in memory and exact to the cent."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, DecimalException
from uuid import UUID

_CENT = Decimal("0.01")
_EXACT = Context(prec=28, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One charge as it was requested."""

    correlation_id: UUID
    amount_cents: int
    requested_at: datetime
    """The instant that the request gave, in UTC and to the microsecond."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Number and sum of the charges in a window."""

    total_requests: int
    total_cents: int


class Ledger:
    """The charges, to be found by id and summed up by instant."""

    def __init__(self) -> None:
        self._payments: dict[UUID, LedgerEntry] = {}
        # Two parallel lists in the order of instants: a window costs two binary searches and the sum of one slice.
        self._instants: list[datetime] = []
        self._cents: list[int] = []

    def __len__(self) -> int:
        """Return the number of charges."""
        return len(self._payments)

    def __iter__(self) -> Iterator[LedgerEntry]:
        """Iterate over the charges in the order of their insertion."""
        return iter(self._payments.values())

    def find(self, correlation_id: UUID) -> LedgerEntry | None:
        """Return the charge with this id, or None."""
        return self._payments.get(correlation_id)

    def insert(self, payment: LedgerEntry) -> bool:
        """Add a charge; return False and change nothing where its id is known already."""
        if payment.correlation_id in self._payments:
            return False
        self._payments[payment.correlation_id] = payment
        place = bisect_right(self._instants, payment.requested_at)
        self._instants.insert(place, payment.requested_at)
        self._cents.insert(place, payment.amount_cents)
        return True

    def summary(self, since: datetime | None, until: datetime | None) -> Summary:
        """Sum up the charges of a window with inclusive bounds; where a bound is None, sum up all charges."""
        if since is None or until is None:
            return Summary(len(self._cents), sum(self._cents))
        window = self._cents[bisect_left(self._instants, since) : bisect_right(self._instants, until)]
        return Summary(len(window), sum(window))

    def purge(self) -> None:
        """Delete all charges."""
        self._payments.clear()
        self._instants.clear()
        self._cents.clear()


def cents_of(amount: Decimal) -> int:
    """Round an amount to whole cents, half to even.

    Raises:
        ValueError: the amount is not finite, or has more than 28 digits.
    """
    try:
        return int(amount.quantize(_CENT, context=_EXACT).scaleb(2, context=_EXACT))
    except (DecimalException, ValueError) as error:
        raise ValueError("amount is no number of at most 28 digits") from error


def amount_of(cents: int) -> Decimal:
    """Convert whole cents to an amount with two decimals."""
    return Decimal(f"{cents}E-2")


def fee_of(cents: int, fee: Decimal) -> Decimal:
    """Compute the fee on a total, rounded to the cent, half to even."""
    return amount_of(cents_of(amount_of(cents) * fee))
