"""What persistence is told and asked."""

from collections.abc import Mapping
from dataclasses import dataclass

from actors.domain.payment import Claim, Closing, EndState, Mark, Move, Settlement


@dataclass(frozen=True, slots=True)
class Write:
    """Commit all of it, in batches."""

    claims: tuple[Claim, ...]
    moves: tuple[Move, ...]
    settlements: tuple[Settlement, ...]
    closings: tuple[Closing, ...] = ()
    marks: tuple[Mark, ...] = ()
    """Of payments that the same message neither moves nor settles nor closes: each of these ends an earlier mark."""


@dataclass(frozen=True, slots=True)
class CommitDue:
    """The actor tells itself: what waits has waited for as long as it may, or a failed batch is due again."""


@dataclass(frozen=True, slots=True)
class GetUnwritten:
    """A question: how many items wait for a commit?"""


@dataclass(frozen=True, slots=True)
class GetIncidents:
    """A question: what has ended that an operator has to know of? Answers `Incidents`."""


@dataclass(frozen=True, slots=True)
class Incidents:
    """What has ended on this replica, since its start, that an operator has to know of."""

    disputes: int
    """Charges of payments that are settled otherwise."""
    closed: Mapping[EndState, int]
    """Payments that ended without a charge."""


PersistenceMessage = Write | CommitDue | GetUnwritten | GetIncidents
