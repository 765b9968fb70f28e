"""What the dispatcher wants to be done, and what it tells of a payment."""

from dataclasses import dataclass, field
from uuid import UUID

from actors.domain.lifecycle import State
from actors.domain.payment import Claim, Closing, Mark, Move, Payment, Settlement
from actors.domain.routing import Choice


@dataclass(frozen=True, slots=True)
class AdoptionRoom:
    """How many more payments from rows a replica may drive."""

    count: int
    full: frozenset[str] = frozenset()
    """Processors whose share is used up: no more rows that name them may be taken up now."""


@dataclass(slots=True)
class Work:
    """What the dispatcher wants to be done now."""

    claims: list[Claim] = field(default_factory=list)
    """Rows to be written."""
    moves: list[Move] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    """Marks that rows bear from now on, for their readers."""
    charges: dict[str, list[Payment]] = field(default_factory=dict)
    """Payments to be charged, by processor."""
    look_ups: dict[str, list[Payment]] = field(default_factory=dict)
    """Payments to be looked up, by processor."""
    recorded: list[UUID] = field(default_factory=list)
    """Ids of payments that came from the journal although their rows are committed."""
    wanted: int = 0
    """How many more payments of the journal are wanted."""
    choices: list[Choice] = field(default_factory=list)
    """The choices for payments that every processor takes, without repetitions, for the log."""
    rechecks_dropped: int = 0
    """How many ended payments are not looked up again although they may be charged late, for the log."""


@dataclass(frozen=True, slots=True)
class Driven:
    """The progress of a payment that this replica drives."""

    payment: Payment
    state: State
    processor: str | None
    attempts: int
    pinned: bool
