"""The feed of ended payments and purges: its events, the places between them, and the latest events in memory."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from uuid import UUID

from actors.domain.money import Money

PURGE_ID = UUID(int=0)
"""The id in the place of a purge, where that of an ended payment has the payment's id."""
LAST_ID = UUID(int=2**128 - 1)


class EventKind(Enum):
    """What an event tells of."""

    SETTLED = "settled"
    """A payment was charged."""
    DECLINED = "declined"
    """A payment ended without a charge: every processor that takes its currency has declined it."""
    MISMATCHED = "mismatched"
    """A payment ended without a charge: a processor holds its id with another amount."""
    PURGED = "purged"
    """Payments that were accepted until the event's instant were forgotten."""


@dataclass(frozen=True, slots=True, order=True)
class FeedPlace:
    """A place in the feed: after the event that has, or had, this number and id."""

    number: int
    """The number of the transaction that wrote the event; it rises over all histories of the database."""
    correlation_id: UUID
    """The id of the payment, by which the events of one transaction are ordered."""


BEGINNING = FeedPlace(-1, LAST_ID)
"""The place before all events. Events from before transactions were numbered have the number 0."""


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """The end of a payment, or a purge."""

    place: FeedPlace
    kind: EventKind
    at_ms: int
    """When the processor had answered, the end was decided, or the purge was asked for, in ms since the epoch."""
    money: Money | None = None
    """The amount of the payment; None for a purge, as all fields below."""
    processor: str | None = None
    """The processor that charged it, or whose answer ended it."""
    requested_at_ms: int | None = None
    """The instant under which it was charged; None where it was not."""


@dataclass(frozen=True, slots=True)
class FeedBounds:
    """How far the feed can be read."""

    feed_id: int
    """The id of this gateway's feed."""
    complete_below: int
    """No event with a number below this will be added any more."""
    given_below: int
    """No event has this number or a greater one yet."""
    archived: FeedPlace = FeedPlace(-1, PURGE_ID)
    """Events up to here may be archived; before all others where none are."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Events that follow each other, and where the next ones are."""

    events: tuple[FeedEvent, ...]
    next: FeedPlace
    """The place behind the last event, or where the reading began. It never lies behind a number without an event:
    after a crash, Postgres may give such a number to an event."""
    feed_id: int
    behind_s: float = 0.0
    """How long an open transaction has held back later events; 0 where none does."""


class RecentEvents:
    """The latest events, without a gap from one place on; the oldest are dropped where there are too many."""

    def __init__(self, start: FeedPlace, events_max: int) -> None:
        self._events: deque[FeedEvent] = deque()
        self._events_max = events_max
        self.start = start
        """All events between this place and `end` are held."""
        self.end = start
        """The place of the latest event."""

    def extend(self, events: Iterable[FeedEvent]) -> None:
        """Add the events that follow `end`."""
        for event in events:
            assert self.end < event.place, "an event out of its order"
            self._events.append(event)
            self.end = event.place
        while len(self._events) > self._events_max:
            self.start = self._events.popleft().place

    def after(self, place: FeedPlace, events_max: int) -> tuple[FeedEvent, ...]:
        """Give the first events behind a place, which is not before `start`."""
        assert place >= self.start, "what is asked for was dropped"
        # Most readers have seen nearly all events, so that counting from the end is faster.
        unseen = 0
        for event in reversed(self._events):
            if event.place <= place:
                break
            unseen += 1
        first = len(self._events) - unseen
        return tuple(islice(self._events, first, first + events_max))
