"""What persistence is told and asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.domain.payment import Claim, Closing, EndState, Mark, Move, Settlement
from actors.messages.trouble import GetTrouble


@dataclass(frozen=True, slots=True)
class Write:
    """Commit all of it, in batches."""

    claims: tuple[Claim, ...]
    moves: tuple[Move, ...]
    settlements: tuple[Settlement, ...]
    closings: tuple[Closing, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class CommitDue:
    """The actor tells itself: what waits has waited for as long as it may, or a failed batch is due again."""


@dataclass(frozen=True, slots=True)
class GetUnwritten:
    """A question: how many items wait for a commit?"""


@dataclass(frozen=True, slots=True)
class GetIncidents:
    """A question: what has ended, and how? Answers `Incidents`."""


@dataclass(frozen=True, slots=True)
class Incidents:
    """What has ended on this replica, since its start."""

    disputes: int
    """Charges of payments that are settled otherwise."""
    closed: Mapping[EndState, int]
    """Payments that ended without a charge."""
    settled: Mapping[str, int] = field(default_factory=dict)
    """Payments whose charge was recorded, by processor; one whose batch was written again counts again."""


PersistenceMessage = Write | CommitDue | GetUnwritten | GetIncidents | GetTrouble
