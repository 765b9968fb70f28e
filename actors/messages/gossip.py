"""The messages to the gossip actor, and its answers."""

from dataclasses import dataclass
from uuid import UUID

from actors.domain.level import Level
from actors.domain.payment import Payment
from actors.messages.trouble import GetTrouble


@dataclass(frozen=True, slots=True)
class Spread:
    """Tell the other replicas of these payments."""

    accepted: tuple[Payment, ...]
    """Payments that were accepted here."""
    decided: tuple[Payment, ...] = ()
    """Payments whose amounts Postgres has, where other amounts may have been accepted."""


@dataclass(frozen=True, slots=True)
class SpreadDue:
    """The actor tells itself: it is time to tell the other replicas what was gathered, and to hear what they tell."""


@dataclass(frozen=True, slots=True)
class AskPeers:
    """A question to all other replicas: did they accept this id?

    Answers the number under which `GetDenials` asks what they said; None where too many ids are asked for at once.
    """

    correlation_id: UUID


@dataclass(frozen=True, slots=True)
class AnswersDue:
    """The actor tells itself: somebody waits for answers of the other replicas."""


@dataclass(frozen=True, slots=True)
class GetDenials:
    """A question: what have the other replicas answered to an `AskPeers`? Answers `Denials`."""

    number: int


@dataclass(frozen=True, slots=True)
class AskHistory:
    """A question to all other replicas: what have they done with this payment?

    Answers the number under which `GetHistories` asks what they said; None where too many are asked for at once.
    """

    correlation_id: UUID


@dataclass(frozen=True, slots=True)
class GetHistories:
    """A question: what have the other replicas answered to an `AskHistory`? Answers a tuple of `ToldHistory`."""

    number: int


@dataclass(frozen=True, slots=True)
class GetGossipStats:
    """A question: how much waits for the other replicas? Answers `GossipStats`."""


@dataclass(frozen=True, slots=True)
class GossipStats:
    """How much still has to be told to the other replicas, or asked of them."""

    untold: Level
    """Payments that they have not been told of."""
    ids_asked: Level
    """Ids about which they are asked."""
    histories_asked: Level
    """Payments about whose histories they are asked."""


GossipMessage = (
    Spread | SpreadDue | AskPeers | AnswersDue | GetDenials | AskHistory | GetHistories | GetGossipStats | GetTrouble
)
