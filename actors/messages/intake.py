"""The messages to the intake actor, and its answers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from uuid import UUID

from actors.domain.first_amounts import Verdict
from actors.domain.level import Level
from actors.domain.money import Money
from actors.domain.payment import Payment


class AcceptAnswer(Enum):
    """What a client is told of the payment that it posted."""

    ACCEPTED = "accepted"
    """It is durable now."""
    REPEATED = "repeated"
    """It was accepted before, with the same amount and currency."""
    CONFLICT = "conflict"
    """Its id was accepted before with another amount or currency; this one is not kept."""
    UNCONFIRMED = "unconfirmed"
    """Another amount was accepted here under its id, and Postgres may know better; this one is not kept."""
    CONTESTED = "contested"
    """Other amounts were accepted elsewhere under its id, and Postgres has to tell the first; nothing was kept."""
    OVERLOADED = "overloaded"
    """The journal holds as many payments as it may; nothing was kept."""
    JOURNAL_UNAVAILABLE = "journal unavailable"
    """It could not be made durable; nothing was kept."""
    JOURNALLED = "journalled"
    """It is durable in the journal alone, where it should be in Postgres, which does not answer."""
    LEDGER_UNAVAILABLE = "ledger unavailable"
    """Its row cannot be committed now; nothing was kept."""
    IN_DOUBT = "in doubt"
    """Its row was not committed in time, as far as is known: it may be kept, and then it is charged once."""


ANSWERS = {
    Verdict.REPEATED: AcceptAnswer.REPEATED,
    Verdict.REFUSED: AcceptAnswer.CONFLICT,
    Verdict.UNCONFIRMED: AcceptAnswer.UNCONFIRMED,
    Verdict.CONTESTED: AcceptAnswer.CONTESTED,
}
"""What is answered to a payment that is not new."""


@dataclass(frozen=True, slots=True)
class Accept:
    """Make this payment durable, then answer."""

    payment: Payment
    reply: Callable[[AcceptAnswer], None]
    wanted_until_s: float
    """Monotonic time after which nobody waits for the answer: the payment is not kept then."""


@dataclass(frozen=True, slots=True)
class GetTakeOverRoom:
    """A question: how many payments of other replicas' journals is there room for?"""


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Make these payments of another replica's journal durable here. Answers whether they are."""

    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class Want:
    """Give the router as many more payments, as soon as there are some."""

    payments: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """Postgres has rows for these ids; the journal need not keep them."""

    correlation_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class RowsCommitted:
    """Postgres has rows for payments whose clients are answered only after that."""

    unnamed: tuple[UUID, ...]
    """Payments whose rows were written now: they belong to this replica, and name no processor."""
    known: tuple[UUID, ...]
    """Payments that had a row with the same amount, whoever drives it."""
    refused: tuple[UUID, ...]
    """Payments that had a row with another amount, which came first."""


@dataclass(frozen=True, slots=True)
class RowsDelayed:
    """Rows that clients wait for could not be committed; they are tried again and again."""


@dataclass(frozen=True, slots=True)
class RowsDoubted:
    """Postgres may have forgotten rows: no payment that waits here counts as having one. Answers once that is noted."""


@dataclass(frozen=True, slots=True)
class LeaseHeld:
    """This replica has a lease until `until_s`, so that its rows can be committed."""

    until_s: float
    """Monotonic time."""


@dataclass(frozen=True, slots=True)
class RowsOverdue:
    """The actor tells itself: some clients may have waited for a commit for as long as they should."""


@dataclass(frozen=True, slots=True)
class FirstAmountsFound:
    """Postgres tells which amounts came first under these ids, whatever was believed before."""

    payments: tuple[Payment, ...]
    is_news: bool = False
    """Whether the other replicas may believe otherwise, so that they are told."""


@dataclass(frozen=True, slots=True)
class AcceptedByPeers:
    """Other replicas say that they accepted these."""

    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class DecidedByPeers:
    """Other replicas say that Postgres has these amounts under these ids."""

    payments: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class DeliveryDue:
    """The actor tells itself: the payments that were gathered for the router are due."""


@dataclass(frozen=True, slots=True)
class FindAccepted:
    """A question: with which amounts were these ids accepted, as far as this replica remembers? Answers `Found`."""

    correlation_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What the intake remembers of some ids."""

    money: Mapping[UUID, Money]
    """Amounts by the ids that are remembered."""
    remembers_waiting: bool
    """Whether all payments that wait in the journal are remembered, so that an id that is not does not wait there."""


@dataclass(frozen=True, slots=True)
class GetWaiting:
    """A question: how many payments wait in the journal for the router?"""


@dataclass(frozen=True, slots=True)
class GetIntakeStats:
    """A question: how full are the journal and the memory of ids? Answers `IntakeStats`."""


@dataclass(frozen=True, slots=True)
class IntakeStats:
    """How full the journal and the memory of ids are."""

    journal: Level
    """Payments that the journal holds."""
    accepted_ids: Level
    """Ids that were accepted here or decided by Postgres, as far as they are remembered."""
    heard_ids: Level
    """Ids that other replicas told of."""
    taken_over: int
    """Payments of other replicas' journals that were made durable here, since the start."""


TOLD_AT_ONCE_MAX = 250
"""The most payments in one message that only tells of them, so that handling it takes about a millisecond at most."""


def in_chunks(payments: Iterable[Payment]) -> Iterator[tuple[Payment, ...]]:
    """Split payments into chunks for messages that only tell of them."""
    rest = iter(payments)
    while chunk := tuple(islice(rest, TOLD_AT_ONCE_MAX)):
        yield chunk


IntakeMessage = (
    Accept
    | GetTakeOverRoom
    | TakeOver
    | Want
    | Recorded
    | FirstAmountsFound
    | AcceptedByPeers
    | DecidedByPeers
    | RowsCommitted
    | RowsDelayed
    | RowsOverdue
    | RowsDoubted
    | LeaseHeld
    | DeliveryDue
    | FindAccepted
    | GetWaiting
    | GetIntakeStats
)
