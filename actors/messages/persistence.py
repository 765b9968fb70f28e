"""What persistence is told and asked."""

from dataclasses import dataclass

from actors.domain.payment import Claim, Closing, Mark, Move, Settlement


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
class GetDisputes:
    """A question: how many charges of payments that are settled otherwise has this replica found since its start?"""


PersistenceMessage = Write | CommitDue | GetUnwritten | GetDisputes
