"""Tells what has ended, event by event, to consumers that may wait for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from actors.domain.feed import FeedBounds, FeedEvent, FeedPage, FeedPlace, RecentEvents
from actors.domain.level import Level
from actors.errors import (
    ArchivedError,
    ForeignPlaceError,
    GatewayUnavailableError,
    LedgerUnavailableError,
    LostPlaceError,
)
from actors.ports import FeedStore, Runtime
from actors.summaries import Turns

CONSUMERS_MAX = 64
"""How many may read the feed of one replica at once; one more is refused."""
STEP_S = 0.25
"""Time between two reads of new events, which all that wait share; while nobody waits nothing is read."""
PAGE_MAX = 500
"""Events that are read from Postgres at once."""
RECENT_EVENTS_MAX = 2_000
"""Events that are kept for those that wait; a consumer that is further behind reads from Postgres."""
TURN_S_MAX = 1.0
"""How long a read waits for others to end. Only one at a time asks Postgres, so that the connection is soon free."""


class Feed:
    """Reads the feed for all consumers of a replica. It holds no connection while they wait."""

    def __init__(self, store: FeedStore, runtime: Runtime, make_turns: Callable[[int], Turns]) -> None:
        """`make_turns` makes a semaphore that the given number of readers may hold at once."""
        self._store = store
        self._runtime = runtime
        self._turns = make_turns(1)
        self.consumers = 0
        """How many consumers read now."""
        self.has_ended = False
        """Whether the replica is about to end, so that nobody waits any more."""
        self._feed_id: int | None = None
        self._recent: RecentEvents | None = None
        """The latest events; None until a consumer has seen all events."""
        self._looked_s = float("-inf")
        """When the latest read of new events began."""
        self._held_below: int | None = None
        self._held_since_s: float | None = None
        """Since when the same number has bounded what is complete, though later ones were given; else None."""

    @contextmanager
    def consuming(self) -> Iterator[None]:
        """Count a consumer.

        Raises:
            GatewayUnavailableError: too many read at once, or the replica is about to end.
        """
        if self.has_ended:
            raise GatewayUnavailableError("the gateway is stopping")
        if self.consumers >= CONSUMERS_MAX:
            raise GatewayUnavailableError("too many clients read the feed at once")
        self.consumers += 1
        try:
            yield
        finally:
            self.consumers -= 1
            if not self.consumers:
                self._recent = self._held_since_s = self._held_below = None

    def end(self) -> None:
        """Let nobody wait any more; this may be called in a signal handler."""
        self.has_ended = True

    @property
    def level(self) -> Level:
        """How many consumers read now."""
        return Level(self.consumers, CONSUMERS_MAX)

    @property
    def behind_s(self) -> float:
        """How long an open transaction, in any database of the server, has held back new events."""
        return 0.0 if self._held_since_s is None else self._runtime.now_s() - self._held_since_s

    def page(
        self,
        after: FeedPlace | None,
        events_max: int,
        wait_s: float,
        feed_id: int | None = None,
        has_left: Callable[[], bool] = lambda: False,
    ) -> FeedPage:
        """Give the first events behind a place, waiting for one where there is none, also while Postgres is away.

        `after` is None for the place behind all that can be read now. `feed_id` is that of the feed in which the place
        is, where it was given to a client. `has_left` tells whether the consumer waits no more.

        Raises:
            ForeignPlaceError: it is another feed.
            LostPlaceError: the feed has not reached this place yet, and so cannot have given it.
            ArchivedError: events behind it are archived.
            LedgerUnavailableError: Postgres did not answer when the time was over.
            GatewayUnavailableError: the reads of others still took too long when the time was over.
        """
        until_s = self._runtime.now_s() + wait_s

        def is_over() -> bool:
            return self.has_ended or self._runtime.now_s() >= until_s or has_left()

        while True:
            try:
                page = self._look(after, events_max, feed_id)
            except (LedgerUnavailableError, GatewayUnavailableError):
                if is_over():
                    raise
            else:
                if page.events or is_over():
                    return page
                after = page.next
            self._runtime.sleep(min(STEP_S, max(0.0, until_s - self._runtime.now_s())))

    def _look(self, after: FeedPlace | None, events_max: int, feed_id: int | None) -> FeedPage:
        if after is None:
            with self._reading():
                bounds, newest = self._store.newest()
                self._note(bounds)
            return self._page((), newest, bounds.feed_id)
        recent = self._recent
        if recent is not None and recent.start <= after and self._is_due(after):
            self._refresh(recent, after, feed_id)
            recent = self._recent
        if recent is not None and recent.start <= after and self._feed_id is not None:
            self._check_feed(feed_id, self._feed_id)
            return self._page(recent.after(after, events_max), after, self._feed_id)
        with self._reading():
            bounds, events = self._store.read(after, min(events_max, PAGE_MAX))
            self._note(bounds)
        self._check_feed(feed_id, bounds.feed_id)
        self._check_place(after, bounds)
        if not events and self._recent is None:
            self._recent = RecentEvents(after, RECENT_EVENTS_MAX)
            self._looked_s = self._runtime.now_s()
        return self._page(events, after, bounds.feed_id)

    def _is_due(self, after: FeedPlace) -> bool:
        """Tell whether the latest read is too old, or has not reached a place that another replica has given."""
        has_reached = self._held_below is not None and after.number < self._held_below
        return not has_reached or self._runtime.now_s() - self._looked_s >= STEP_S

    def _refresh(self, recent: RecentEvents, after: FeedPlace, feed_id: int | None) -> None:
        """Read new events for all that wait."""
        self._looked_s = self._runtime.now_s()
        with self._reading():
            events_read = PAGE_MAX
            while events_read == PAGE_MAX:
                bounds, events = self._store.read(recent.end, PAGE_MAX)
                self._note(bounds)
                if self._recent is not None:
                    # Before the place is judged: one that is refused must not cost the others this look.
                    recent.extend(events)
                self._check_feed(feed_id, bounds.feed_id)
                self._check_place(after, bounds)
                if self._recent is None:
                    return
                events_read = len(events)

    def _page(self, events: tuple[FeedEvent, ...], after: FeedPlace, feed_id: int) -> FeedPage:
        return FeedPage(events, events[-1].place if events else after, feed_id, self.behind_s)

    def _note(self, bounds: FeedBounds) -> None:
        self._feed_id = bounds.feed_id
        if self._recent is not None and self._recent.end.number >= bounds.given_below:
            # They are of a history that Postgres has lost.
            self._recent = None
        if bounds.complete_below >= bounds.given_below:
            self._held_since_s = None
        elif self._held_since_s is None or bounds.complete_below != self._held_below:
            self._held_since_s = self._runtime.now_s()
        self._held_below = bounds.complete_below

    def _check_place(self, place: FeedPlace, bounds: FeedBounds) -> None:
        if place.number >= bounds.given_below:
            raise LostPlaceError("the feed has not reached this place")
        if place < bounds.archived:
            raise ArchivedError("events behind this place are archived")

    @staticmethod
    def _check_feed(given: int | None, actual: int) -> None:
        if given is not None and given != actual:
            raise ForeignPlaceError("a place in another feed")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=TURN_S_MAX):
            raise GatewayUnavailableError("another reading of the feed takes too long")
        try:
            yield
        finally:
            self._turns.release()
