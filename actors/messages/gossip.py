"""What gossip is told and asked."""

from dataclasses import dataclass
from uuid import UUID

from actors.domain.level import Level
from actors.domain.payment import Payment
from actors.messages.trouble import GetTrouble


@dataclass(frozen=True, slots=True)
class Spread:
    """Tell the other replicas of these payments."""

    accepted: tuple[Payment, ...]
    """Those that were accepted here."""
    decided: tuple[Payment, ...] = ()
    """Those whose amounts Postgres has, where others may have been accepted."""


@dataclass(frozen=True, slots=True)
class SpreadDue:
    """The actor tells itself: what was gathered is to be told, and what others told to be heard."""


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
class AskWay:
    """A question to all other replicas: what have they done with this payment?

    Answers the number under which `GetWays` asks what they said; None where too many are asked for at once.
    """

    correlation_id: UUID


@dataclass(frozen=True, slots=True)
class GetWays:
    """A question: what have the other replicas answered to an `AskWay`? Answers a tuple of `ToldWay`."""

    number: int


@dataclass(frozen=True, slots=True)
class GetGossipStats:
    """A question: how much waits for the other replicas? Answers `GossipStats`."""


@dataclass(frozen=True, slots=True)
class GossipStats:
    """How much waits for the other replicas."""

    untold: Level
    """Payments that they have not been told of."""
    ids_asked: Level
    """Ids that they are asked for."""
    ways_asked: Level
    """Payments whose ways they are asked for."""


GossipMessage = Spread | SpreadDue | AskPeers | AnswersDue | GetDenials | AskWay | GetWays | GetGossipStats | GetTrouble
