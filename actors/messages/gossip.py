"""What gossip is told and asked."""

from dataclasses import dataclass

from actors.domain.payment import Payment
from actors.messages.trouble import GetTrouble


@dataclass(frozen=True, slots=True)
class Spread:
    """Tell the other replicas that these were accepted here."""

    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class SpreadDue:
    """The actor tells itself: what was gathered is to be told, and what others told to be heard."""


GossipMessage = Spread | SpreadDue | GetTrouble
