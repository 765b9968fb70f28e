"""The messages to the persistence actor, and its answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from actors.domain.histogram import HistogramCounts
from actors.domain.payment import Claim, Closing, EndState, Mark, Move, Payment, Settlement
from actors.domain.write_counts import WriteCounts
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
class Record:
    """Commit rows that name no processor for these payments, at once: clients wait for it."""

    payments: tuple[Payment, ...]


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
    """Charges of payments that another charge had settled."""
    closed: Mapping[EndState, int]
    """Payments that ended without a charge."""
    settled: Mapping[str, int] = field(default_factory=dict)
    """Payments whose charge was recorded, by processor; one whose batch was written again counts again."""


@dataclass(frozen=True, slots=True)
class GetWriteStats:
    """A question: what was committed, and how long did it take? Answers `WriteStats`."""


@dataclass(frozen=True, slots=True)
class WriteStats:
    """What persistence has committed since its start."""

    settled: Mapping[tuple[str, str], tuple[int, int]]
    """Payments, and their amounts in minor units, by processor and currency."""
    moved: Mapping[str | None, int]
    """Rows that have changed their processor, by the new one; None where they name no processor any more."""
    commits: HistogramCounts
    """How long commits took."""
    settling: HistogramCounts
    """How long it took from the acceptance of a payment until its settlement was committed."""


def write_stats(counts: WriteCounts) -> WriteStats:
    """Copy what was counted, for whoever asked."""
    settled = {kind: (total.payments, total.amount_minor) for kind, total in counts.settled.items()}
    return WriteStats(settled, dict(counts.moved), counts.commits.counted(), counts.settling.counted())


PersistenceMessage = Write | Record | CommitDue | GetUnwritten | GetIncidents | GetWriteStats | GetTrouble
