"""What persistence is told and asked."""

from dataclasses import dataclass

from actors.domain.payment import Claim, Move, Settlement
from actors.messages.trouble import GetTrouble


@dataclass(frozen=True, slots=True)
class Write:
    """Commit all of it, in batches."""

    claims: tuple[Claim, ...]
    moves: tuple[Move, ...]
    settlements: tuple[Settlement, ...]


@dataclass(frozen=True, slots=True)
class CommitDue:
    """The actor tells itself: what waits has waited for as long as it may, or a failed batch is due again."""


@dataclass(frozen=True, slots=True)
class GetUnwritten:
    """A question: how many items wait for a commit?"""


PersistenceMessage = Write | CommitDue | GetUnwritten | GetTrouble
