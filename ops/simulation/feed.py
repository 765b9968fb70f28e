"""The feed of ended payments in memory."""

from uuid import UUID

from actors.domain.feed import BEGINNING, PURGE_ID, EventKind, FeedBounds, FeedEvent, FeedPlace
from ops.simulation.stores import MemoryStore


class MemoryFeed(MemoryStore):
    """Fulfils `actors.ports.FeedStore`: nothing commits late in memory."""

    def read(self, after: FeedPlace, events_max: int) -> tuple[FeedBounds, tuple[FeedEvent, ...]]:
        self._answer()
        behind = (event for event in self._events() if event.place > after)
        return self._bounds(), tuple(sorted(behind, key=lambda event: event.place)[:events_max])

    def newest(self) -> tuple[FeedBounds, FeedPlace]:
        self._answer()
        return self._bounds(), max((event.place for event in self._events()), default=BEGINNING)

    def _bounds(self) -> FeedBounds:
        below = self.tables.last_number + 1
        return FeedBounds(feed_id=0, complete_below=below, given_below=below)

    def _events(self) -> list[FeedEvent]:
        tables = self.tables
        events = [event for key, number in tables.end_numbers.items() if (event := self._event(key, number))]
        if tables.purge_number is not None:
            events.append(FeedEvent(FeedPlace(tables.purge_number, PURGE_ID), EventKind.PURGED, tables.purged_at_ms))
        return events

    def _event(self, key: UUID, number: int) -> FeedEvent | None:
        """Make the event of a payment; None where it is open again, or forgotten."""
        place = FeedPlace(number, key)
        if (charge := self.tables.settlements.get(key)) is not None:
            at_ms = charge.answered_at_ms or charge.requested_at_ms
            money = charge.payment.money
            return FeedEvent(place, EventKind.SETTLED, at_ms, money, charge.processor, charge.requested_at_ms)
        if (closing := self.tables.closings.get(key)) is not None:
            kind = EventKind(closing.state.value)
            return FeedEvent(place, kind, closing.closed_at_ms, closing.payment.money, closing.processor)
        return None
