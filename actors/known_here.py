"""Finds what this replica knows of payments that may have no row in Postgres yet."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from actors.domain.money import Money
from actors.domain.work import Driven
from actors.errors import GatewayUnavailableError
from actors.messages.intake import FindAccepted, Found
from actors.messages.router import GetDriven
from actors.ports import Recipient

ASK_S_MAX = 1.0


@dataclass(frozen=True, slots=True)
class KnownHere:
    """What a replica knows of a payment from its own actors."""

    money: Money
    driven: Driven | None = None
    """What the router knows, where it drives the payment."""


def known_here(intake: Recipient, router: Recipient, correlation_ids: Collection[UUID]) -> dict[UUID, KnownHere]:
    """Find the ids that were accepted or heard of here, wherever their payments are on their way.

    The intake is asked before the router: a payment goes from one to the other, and so cannot be missed. An id that is
    missing in the answer has a row in Postgres, or was not accepted here.

    Raises:
        GatewayUnavailableError: an actor does not answer, or some of what was accepted may have been forgotten.
    """
    found: Found = intake.ask(FindAccepted(tuple(correlation_ids)), ASK_S_MAX)
    known = {}
    for correlation_id in correlation_ids:
        driven: Driven | None = router.ask(GetDriven(correlation_id), ASK_S_MAX)
        if driven is not None:
            known[correlation_id] = KnownHere(driven.payment.money, driven)
        elif correlation_id in found.money:
            known[correlation_id] = KnownHere(found.money[correlation_id])
    if len(known) < len(set(correlation_ids)) and not found.remembers_waiting:
        raise GatewayUnavailableError("more payments wait than this replica remembers")
    return known
