"""The feed of ended payments in Postgres, in an order that never skips an end whose transaction commits late."""

from uuid import UUID

from psycopg.rows import class_row, dict_row, kwargs_row, scalar_row

from actors.adapters.postgres.connections import Connections
from actors.adapters.postgres.queries import QUERIES
from actors.adapters.postgres.session import GeventConnection
from actors.domain.feed import BEGINNING, PURGE_ID, EventKind, FeedBounds, FeedEvent, FeedPlace
from actors.domain.money import Money
from actors.errors import LedgerUnavailableError


class PostgresFeed:
    """Fulfils `actors.ports.FeedStore`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def read(self, after: FeedPlace, events_max: int) -> tuple[FeedBounds, tuple[FeedEvent, ...]]:
        """Read events behind a place."""
        with self._connections.reader.use() as connection:
            bounds = _bounds(connection)
            if after.number >= bounds.complete_below:
                return bounds, ()
            # This snapshot is later than that of the bounds, so that it has every event below them.
            parameters = {
                "after_number": after.number,
                "after_id": after.correlation_id,
                "below": bounds.complete_below,
                "purge_id": PURGE_ID,
                "events_max": events_max,
            }
            cursor = connection.cursor(row_factory=kwargs_row(_event))
            return bounds, tuple(cursor.execute(QUERIES["feed"], parameters))

    def newest(self) -> tuple[FeedBounds, FeedPlace]:
        """Read the place of the last event that can be read."""
        with self._connections.reader.use() as connection:
            bounds = _bounds(connection)
            parameters = {"below": bounds.complete_below, "purge_id": PURGE_ID}
            cursor = connection.cursor(row_factory=class_row(FeedPlace))
            return bounds, cursor.execute(QUERIES["newest_end"], parameters).fetchone() or BEGINNING


def renumber_feed(connection: GeventConnection, *, anyway: bool) -> None:
    """Begin the numbers of the feed anew if they are of another history of the database than the present, or `anyway`.

    It is called before each registration. Without one nothing is written to a Postgres that has changed.
    """
    cursor = connection.cursor(row_factory=scalar_row)
    if cursor.execute(QUERIES["is_feed_noted"]).fetchone() and not anyway:
        return
    with connection.transaction():
        # Locks are taken in the order of a purge. Another replica may have renumbered meanwhile.
        cursor.execute(QUERIES["lock_purges"])
        if anyway or not cursor.execute(QUERIES["is_feed_noted"]).fetchone():
            cursor.execute(QUERIES["lock_replicas"])
            cursor.execute(QUERIES["renumber_feed"])


def _bounds(connection: GeventConnection) -> FeedBounds:
    row = connection.cursor(row_factory=dict_row).execute(QUERIES["feed_bounds"]).fetchone()
    if row is None or not row.pop("is_noted"):
        raise LedgerUnavailableError("no replica has registered in this Postgres since its history changed")
    archived = FeedPlace(row.pop("archived_number"), row.pop("archived_id"))
    return FeedBounds(**row, archived=archived)


def _event(  # columns
    *,
    number: int,
    correlation_id: UUID,
    kind: str,
    amount_minor: int | None,
    currency: str | None,
    processor: str | None,
    requested_at_ms: int | None,
    at_ms: int,
) -> FeedEvent:
    money = None if amount_minor is None or currency is None else Money(amount_minor, currency)
    return FeedEvent(FeedPlace(number, correlation_id), EventKind(kind), at_ms, money, processor, requested_at_ms)
