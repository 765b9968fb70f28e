"""Tells what has ended, event by event, to consumers that may wait for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from actors.domain.feed import END, FeedBounds, FeedPage, FeedPlace, RecentEvents, place_before
from actors.domain.level import Level
from actors.errors import ForeignPlaceError, GatewayUnavailableError, LedgerUnavailableError, LostPlaceError
from actors.ports import FeedStore, Runtime
from actors.summaries import Turns

CONSUMERS_MAX = 64
"""How many may read the feed of one replica at once; one more is refused."""
STEP_S = 0.25
"""Time between two looks at what is new. All that wait share them; while nobody waits there are none."""
PAGE_MAX = 500
"""Events that are read from Postgres at once."""
RECENT_MAX = 2_000
"""Events that are kept for those that wait; who is further behind reads Postgres."""
TURN_S_MAX = 1.0
"""How long one waits for the readings of others. One at a time asks Postgres, so that others find free connections."""


class Feed:
    """Reads the feed for all consumers of a replica. It holds no connection while they wait."""

    def __init__(self, store: FeedStore, runtime: Runtime, make_turns: Callable[[int], Turns]) -> None:
        """`make_turns` makes a semaphore that so many may hold at once."""
        self._store = store
        self._runtime = runtime
        self._turns = make_turns(1)
        self.consumers = 0
        """How many read now."""
        self.has_ended = False
        """Whether nobody is to wait any more."""
        self._feed_id: int | None = None
        self._recent: RecentEvents | None = None
        """None while nobody has seen all."""
        self._looked_s = float("-inf")
        """When the latest look at what is new began."""
        self._held_below: int | None = None
        self._held_since_s: float | None = None
        """Since when the same number bounds what is complete, though later ones were given; None where none does."""

    @contextmanager
    def consuming(self) -> Iterator[None]:
        """Count a consumer.

        Raises:
            GatewayUnavailableError: too many read at once, or the replica is about to end.
        """
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def enter(self) -> None:
        """Count a consumer until it leaves; raises as `consuming` does."""
        if self.has_ended:
            raise GatewayUnavailableError("the gateway is stopping")
        if self.consumers >= CONSUMERS_MAX:
            raise GatewayUnavailableError("too many read the feed at once")
        self.consumers += 1

    def leave(self) -> None:
        """Count a consumer no more."""
        self.consumers -= 1
        if not self.consumers:
            self._recent = self._held_since_s = self._held_below = None

    def end(self) -> None:
        """Let nobody wait any more; this may be called in a signal handler."""
        self.has_ended = True

    @property
    def level(self) -> Level:
        """How many read now."""
        return Level(self.consumers, CONSUMERS_MAX)

    @property
    def behind_s(self) -> float:
        """How long a transaction, of whatever database of that server, has held back what can be read."""
        return 0.0 if self._held_since_s is None else self._runtime.now_s() - self._held_since_s

    def newest(self) -> FeedPage:
        """Give the place behind all that can be read now.

        Raises:
            LedgerUnavailableError: Postgres does not answer.
            GatewayUnavailableError: others who read take too long.
        """
        with self._reading():
            bounds, _, _ = self._store.read(END, 1)
        self._note(bounds)
        return FeedPage((), place_before(bounds.complete_below), bounds.feed_id, self.behind_s)

    def page(self, after: FeedPlace, events_max: int, wait_s: float, feed_id: int | None = None) -> FeedPage:
        """Give the first events behind a place, waiting for one where there is none, also while Postgres is away.

        `feed_id` is that of the feed in which the place is, where it was given to a client.

        Raises:
            ForeignPlaceError: it is another feed.
            LostPlaceError: the feed has not reached this place yet, and so cannot have given it.
            LedgerUnavailableError: Postgres does not answer, or did not when the time was over.
            GatewayUnavailableError: the same of others who read and take too long.
        """
        until_s = self._runtime.now_s() + wait_s
        while True:
            try:
                page = self._look(after, events_max, feed_id)
            except (LedgerUnavailableError, GatewayUnavailableError):
                if self.has_ended or self._runtime.now_s() >= until_s:
                    raise
            else:
                if page.events or self.has_ended or self._runtime.now_s() >= until_s:
                    return page
                after = page.next
            self._runtime.sleep(min(STEP_S, max(0.0, until_s - self._runtime.now_s())))

    def _look(self, after: FeedPlace, events_max: int, feed_id: int | None) -> FeedPage:
        recent = self._recent
        if recent is not None and self._feed_id is not None and recent.start <= after:
            if after > recent.end or self._runtime.now_s() - self._looked_s >= STEP_S:
                self._refresh(recent, after)
            self._check_feed(feed_id, self._feed_id)
            if recent.start <= after:
                events, place = recent.after(after, events_max)
                return FeedPage(events, place, self._feed_id, self.behind_s)
        with self._reading():
            bounds, events, place = self._store.read(after, min(events_max, PAGE_MAX))
        self._note(bounds)
        self._check_feed(feed_id, bounds.feed_id)
        self._check_place(after, bounds)
        if not events and self._recent is None:
            self._recent = RecentEvents(place, RECENT_MAX)
            self._looked_s = self._runtime.now_s()
        return FeedPage(events, place, bounds.feed_id, self.behind_s)

    def _refresh(self, recent: RecentEvents, after: FeedPlace) -> None:
        """Read what is new, also for all others who wait."""
        self._looked_s = self._runtime.now_s()
        with self._reading():
            events_read = PAGE_MAX
            while events_read == PAGE_MAX:
                bounds, events, place = self._store.read(recent.end, PAGE_MAX)
                self._note(bounds)
                recent.extend(events, place)
                self._check_place(after, bounds)
                events_read = len(events)

    def _note(self, bounds: FeedBounds) -> None:
        self._feed_id = bounds.feed_id
        if bounds.complete_below >= bounds.given_below:
            self._held_since_s = None
        elif self._held_since_s is None or bounds.complete_below != self._held_below:
            self._held_since_s = self._runtime.now_s()
        self._held_below = bounds.complete_below

    @staticmethod
    def _check_place(place: FeedPlace, bounds: FeedBounds) -> None:
        if place.number >= bounds.given_below:
            raise LostPlaceError("the feed has not reached this place")

    @staticmethod
    def _check_feed(given: int | None, actual: int) -> None:
        if given is not None and given != actual:
            raise ForeignPlaceError("a place in another feed")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=TURN_S_MAX):
            raise GatewayUnavailableError("too many read the feed at once")
        try:
            yield
        finally:
            self._turns.release()
