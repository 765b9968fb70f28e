"""The charges of one processor, in memory and exact to the minor unit."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, DecimalException
from uuid import UUID

_CODES_BY_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
DECIMALS = {code: decimals for decimals, codes in _CODES_BY_DECIMALS.items() for code in codes.split()}
"""The number of decimals of each currency that does not have two."""
_EXACT = Context(prec=28, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One charge as it was requested."""

    correlation_id: UUID
    amount_minor: int
    requested_at: datetime
    """The instant that the request gave, in UTC and to the microsecond."""
    currency: str = ""
    """Alphabetic code of ISO 4217; empty where the request gave none, so that it is the processor's default."""
    booked_at_ms: int = field(default=0, compare=False)
    """Wall clock at which it was booked, milliseconds since the epoch; 0 where that is not known any more."""
    answered: bool = field(default=False, compare=False)
    """Whether the request was answered after it was booked; if not, only a look-up can find the charge."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Number and sum of the charges in a window, in one currency."""

    total_requests: int
    total_minor: int


class Ledger:
    """The charges, to be found by id and summed up by instant."""

    def __init__(self) -> None:
        self._payments: dict[UUID, LedgerEntry] = {}
        # For each currency two parallel lists in the order of instants: a window costs two binary searches and the sum
        # of one slice.
        self._instants: dict[str, list[datetime]] = defaultdict(list)
        self._amounts: dict[str, list[int]] = defaultdict(list)

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
        instants = self._instants[payment.currency]
        place = bisect_right(instants, payment.requested_at)
        instants.insert(place, payment.requested_at)
        self._amounts[payment.currency].insert(place, payment.amount_minor)
        return True

    def summaries(self, since: datetime | None, until: datetime | None) -> dict[str, Summary]:
        """Sum up the charges of a window by currency; its bounds are inclusive, and where one is None, all count.

        The default currency always is there, the others where something was charged.
        """
        sums = {code: self._summary(code, since, until) for code in ("", *sorted(self._instants))}
        return {code: found for code, found in sums.items() if not code or found.total_requests}

    def _summary(self, currency: str, since: datetime | None, until: datetime | None) -> Summary:
        instants, amounts = self._instants.get(currency, []), self._amounts.get(currency, [])
        if since is not None and until is not None:
            amounts = amounts[bisect_left(instants, since) : bisect_right(instants, until)]
        return Summary(len(amounts), sum(amounts))

    def purge(self) -> None:
        """Delete all charges."""
        self._payments.clear()
        self._instants.clear()
        self._amounts.clear()


def minor_of(amount: Decimal, currency: str = "") -> int:
    """Round an amount to whole minor units of its currency, half to even.

    Raises:
        ValueError: the amount is not finite, or has more than 28 digits.
    """
    try:
        decimals = DECIMALS.get(currency, 2)
        unit = Decimal(1).scaleb(-decimals)
        return int(amount.quantize(unit, context=_EXACT).scaleb(decimals, context=_EXACT))
    except (DecimalException, ValueError) as error:
        raise ValueError("amount is no number of at most 28 digits") from error


def amount_of(minor: int, currency: str = "") -> Decimal:
    """Convert whole minor units to an amount with the decimals of its currency."""
    return Decimal(f"{minor}E-{DECIMALS.get(currency, 2)}")


def fee_of(minor: int, fee: Decimal, currency: str = "") -> Decimal:
    """Compute the fee on a total, rounded to the minor unit, half to even."""
    return amount_of(minor_of(amount_of(minor, currency) * fee, currency), currency)
