"""Sorts out what rows mean that stood in Postgres already when their payments were to be claimed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.domain.payment import Claim, Payment
from actors.domain.records import KnownPayment


@dataclass(slots=True)
class KnownRows:
    """What was found of payments whose ids had a row."""

    ours: list[KnownPayment] = field(default_factory=list)
    """Rows of this replica, from before an interruption: it may have sent them."""
    first: list[Payment] = field(default_factory=list)
    """Payments of the rows that have another amount."""
    conflicts: list[Payment] = field(default_factory=list)
    """What was offered instead, each beside the one that came first."""
    rejected: list[Payment] = field(default_factory=list)
    """All offered payments that are not this replica's to charge."""


def sort_out(claims: Sequence[Claim], known: Sequence[KnownPayment], replica: str) -> KnownRows:
    """Decide about ids that had a row: ours from before an interruption, somebody else's, or another amount."""
    offered = {claim.payment.correlation_id: claim.payment for claim in claims}
    found = KnownRows()
    for row in known:
        payment = offered[row.payment.correlation_id]
        if payment.money != row.payment.money:
            found.conflicts.append(payment)
            found.first.append(row.payment)
        elif row.owner == replica:
            found.ours.append(row)
            continue
        found.rejected.append(payment)
    return found
