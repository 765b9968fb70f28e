"""Sorts the payments whose claims found that their ids had a row in Postgres already."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.domain.payment import Claim, Payment
from actors.domain.records import KnownPayment


@dataclass(slots=True)
class KnownRows:
    """The payments whose ids had a row, by what the row means."""

    ours: list[KnownPayment] = field(default_factory=list)
    """Rows of this replica, from before an interruption: it may have sent their payments."""
    first: list[Payment] = field(default_factory=list)
    """Payments as their rows have them, where the claims had another amount."""
    conflicts: list[Payment] = field(default_factory=list)
    """The claimed payments with another amount, in the order of `first`."""
    rejected: list[Payment] = field(default_factory=list)
    """All claimed payments that this replica may not charge."""


def sort_out(claims: Sequence[Claim], known: Sequence[KnownPayment], replica: str) -> KnownRows:
    """Sort claims whose ids had a row: this replica's own, another replica's, or one with another amount."""
    claimed = {claim.payment.correlation_id: claim.payment for claim in claims}
    found = KnownRows()
    for row in known:
        payment = claimed[row.payment.correlation_id]
        if payment.money != row.payment.money:
            found.conflicts.append(payment)
            found.first.append(row.payment)
        elif row.owner == replica:
            found.ours.append(row)
            continue
        found.rejected.append(payment)
    return found
