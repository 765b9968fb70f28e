"""The feed as its consumers read it: they wait together, within bounds, and hold up nobody."""

from contextlib import ExitStack
from threading import Semaphore

import pytest

from actors.domain.feed import BEGINNING, FeedBounds, FeedEvent, FeedPlace
from actors.domain.payment import Settlement
from actors.errors import ForeignPlaceError, GatewayUnavailableError, LedgerUnavailableError, LostPlaceError
from actors.feed import CONSUMERS_MAX, PAGE_MAX, RECENT_EVENTS_MAX, STEP_S, Feed
from ops.simulation.feed import MemoryFeed
from ops.simulation.tables import MemoryTables
from tests.actors.fakes import LAST_PLACE, NOW_MS, VirtualRuntime, payment


class CountedEnds(MemoryFeed):
    """Counts how often it is read."""

    reads = 0
    held_below: int | None = None
    """What a transaction that hangs holds back."""

    def read(self, after: FeedPlace, events_max: int) -> tuple[FeedBounds, tuple[FeedEvent, ...]]:
        self.reads += 1
        bounds, events = super().read(after, events_max)
        if self.held_below is None:
            return bounds, events
        return FeedBounds(bounds.feed_id, self.held_below, bounds.given_below + 1), ()


class Desk:
    """A feed, what it reads from, and its time."""

    def __init__(self) -> None:
        self.tables, self.runtime = MemoryTables(), VirtualRuntime()
        self.ends = CountedEnds(self.tables)
        self.feed = Feed(self.ends, self.runtime, Semaphore)

    def settle(self, *numbers: int) -> None:
        for number in numbers:
            self.tables.settle(Settlement(payment(number), "default", NOW_MS, 1, NOW_MS))

    def read(self, after: FeedPlace | None = BEGINNING, wait_s: float = 0.0, events_max: int = 100) -> list[int]:
        """Read a page, as payments' numbers."""
        with self.feed.consuming():
            events = self.feed.page(after, events_max, wait_s).events
        return [event.place.correlation_id.int for event in events]


def test_what_has_ended_is_told_at_once() -> None:
    desk = Desk()
    desk.settle(1, 2)
    began_s = desk.runtime.now_s()
    assert (desk.read(wait_s=20.0), desk.runtime.now_s()) == ([1, 2], began_s)


def test_whoever_waits_is_told_soon_after_an_end() -> None:
    desk = Desk()
    began_s = desk.runtime.now_s()
    desk.runtime.call_later(7.0, desk.settle, 1)
    assert desk.read(wait_s=20.0) == [1]
    assert desk.runtime.now_s() - began_s <= 7.0 + 2 * STEP_S


def test_nothing_is_told_after_the_time_is_over_and_the_next_place_is_given() -> None:
    desk = Desk()
    began_s = desk.runtime.now_s()
    with desk.feed.consuming():
        page = desk.feed.page(BEGINNING, 100, 3.0)
        assert not page.events
        assert desk.runtime.now_s() - began_s == pytest.approx(3.0)
        desk.settle(1)
        assert desk.read(page.next, wait_s=STEP_S) == [1]


def test_all_who_wait_share_one_look_at_postgres() -> None:
    desk = Desk()
    with desk.feed.consuming():
        places = [desk.feed.page(BEGINNING, 100, 0.0).next for _ in range(30)]
        begun = desk.ends.reads
        for step in range(1, 11):
            desk.runtime.sleep(STEP_S)
            desk.settle(step)
            pages = [desk.feed.page(place, 100, 0.0) for place in places]
            assert [[event.place.correlation_id.int for event in page.events] for page in pages] == [[step]] * 30
            places = [page.next for page in pages]
        assert desk.ends.reads == begun + 10


def test_who_is_far_behind_reads_what_is_not_kept_and_then_joins_the_others() -> None:
    desk = Desk()
    count = RECENT_EVENTS_MAX + 2 * PAGE_MAX
    with desk.feed.consuming():
        behind = newest = desk.feed.page(BEGINNING, 100, 0.0).next
        desk.settle(*range(1, count + 1))
        desk.runtime.sleep(STEP_S)
        # The first look takes in all of it, and keeps the end of it.
        assert len(desk.feed.page(newest, PAGE_MAX, 0.0).events) == PAGE_MAX
        seen: list[int] = []
        while events := desk.feed.page(behind, 300, 0.0).events:
            seen += [event.place.correlation_id.int for event in events]
            behind = events[-1].place
    assert seen == list(range(1, count + 1))


def test_a_place_of_another_replica_may_be_ahead_of_the_last_look() -> None:
    desk = Desk()
    with desk.feed.consuming():
        desk.feed.page(BEGINNING, 100, 0.0)
        desk.settle(1, 2)
        assert desk.read(FeedPlace(1, payment(1).correlation_id)) == [2]
        assert desk.read() == [1, 2]


def test_a_place_that_was_never_reached_is_refused_whether_or_not_others_wait() -> None:
    desk = Desk()
    with pytest.raises(LostPlaceError):
        desk.read(FeedPlace(9, payment(1).correlation_id), wait_s=20.0)
    with desk.feed.consuming():
        desk.feed.page(BEGINNING, 100, 0.0)
        with pytest.raises(LostPlaceError):
            desk.read(LAST_PLACE, wait_s=20.0)


def test_a_forged_place_costs_those_who_wait_nothing() -> None:
    desk = Desk()
    with desk.feed.consuming():
        desk.feed.page(BEGINNING, 100, 0.0)
        desk.settle(1)
        desk.runtime.sleep(STEP_S)
        assert desk.read() == [1]
        with pytest.raises(LostPlaceError):
            desk.read(LAST_PLACE)
        reads = desk.ends.reads
        assert desk.read() == [1]
        assert desk.ends.reads == reads
        desk.settle(2)
        desk.runtime.sleep(STEP_S)
        with pytest.raises(LostPlaceError):
            desk.read(LAST_PLACE)
        assert desk.read() == [1, 2]


def test_a_place_of_another_feed_is_refused() -> None:
    desk = Desk()
    for _ in range(2):
        with pytest.raises(ForeignPlaceError):
            desk.feed.page(BEGINNING, 100, 20.0, feed_id=7)
        desk.feed.page(BEGINNING, 100, 0.0, feed_id=0)


def test_there_is_a_place_for_so_many_and_one_more_is_refused() -> None:
    desk = Desk()
    with ExitStack() as places:
        for _ in range(CONSUMERS_MAX - 1):
            places.enter_context(desk.feed.consuming())
        with desk.feed.consuming(), pytest.raises(GatewayUnavailableError, match="too many"):
            desk.read()
        assert desk.read() == []


def test_an_outage_of_postgres_is_waited_out() -> None:
    desk = Desk()
    desk.settle(1)
    desk.ends.failures = 3
    assert desk.read(wait_s=20.0) == [1]
    desk.ends.failures = 1
    with pytest.raises(LedgerUnavailableError):
        desk.read()
    desk.ends.failures = 1000
    began_s = desk.runtime.now_s()
    with pytest.raises(LedgerUnavailableError):
        desk.read(wait_s=2.0)
    assert desk.runtime.now_s() - began_s == pytest.approx(2.0)


def test_nobody_waits_for_a_replica_that_is_about_to_end() -> None:
    desk = Desk()
    began_s = desk.runtime.now_s()
    desk.runtime.call_later(3.0, desk.feed.end)
    assert desk.read(wait_s=20.0) == []
    assert desk.runtime.now_s() - began_s <= 3.0 + STEP_S
    with pytest.raises(GatewayUnavailableError, match="stopping"):
        desk.read()


def test_a_reading_that_hangs_keeps_others_waiting_for_a_bounded_time() -> None:
    class NoTurns:
        def acquire(self, *, timeout: float) -> bool:
            return timeout < 0

        def release(self) -> None:
            raise AssertionError("nobody had a turn")

    feed = Feed(MemoryFeed(), VirtualRuntime(), lambda _: NoTurns())
    with pytest.raises(GatewayUnavailableError, match="takes too long"):
        feed.page(BEGINNING, 100, 0.0)


def test_it_is_told_how_long_a_transaction_has_held_the_feed_back() -> None:
    desk = Desk()
    desk.settle(1)
    with desk.feed.consuming():
        place = desk.feed.page(BEGINNING, 100, 0.0).next
        assert desk.feed.behind_s == 0.0
        desk.ends.held_below = 2
        assert desk.feed.page(place, 100, 4.0).behind_s == pytest.approx(4.0, abs=2 * STEP_S)
        desk.ends.held_below = None
        assert desk.feed.page(place, 100, 1.0).behind_s == 0.0


def test_the_newest_place_is_behind_all_that_has_ended() -> None:
    desk = Desk()
    desk.settle(1)
    with desk.feed.consuming():
        place = desk.feed.page(None, 100, 0.0).next
    desk.settle(2)
    assert desk.read(place) == [2]
    desk.runtime.call_later(3.0, desk.settle, 3)
    assert desk.read(None, wait_s=20.0) == [3]
    assert Desk().feed.page(None, 100, 0.0).next == BEGINNING


def test_from_now_on_an_outage_of_postgres_is_waited_out_too() -> None:
    desk = Desk()
    desk.settle(1)
    desk.ends.failures = 3
    desk.runtime.call_later(5.0, desk.settle, 2)
    assert desk.read(None, wait_s=20.0) == [2]


def test_a_place_is_that_of_an_event_though_later_numbers_were_given_without_one() -> None:
    desk = Desk()
    desk.settle(1)
    last = FeedPlace(1, payment(1).correlation_id)
    with desk.feed.consuming():
        for after in (BEGINNING, last, None, last):
            desk.tables.next_number()
            assert desk.feed.page(after, 100, 2 * STEP_S).next == last


def test_numbers_that_a_crash_takes_back_and_that_are_given_again_are_not_skipped() -> None:
    desk = Desk()
    desk.settle(1)
    with desk.feed.consuming():
        place = desk.feed.page(BEGINNING, 100, 0.0).next
        for _ in range(9):
            desk.tables.next_number()
        place = desk.feed.page(place, 100, 1.0).next
        desk.tables.last_number = 1
        desk.runtime.sleep(STEP_S)
        assert desk.feed.page(place, 100, 0.0).next == place
        desk.settle(2)
        assert desk.read(place, wait_s=STEP_S) == [2]


def test_what_was_kept_of_a_history_that_is_lost_is_forgotten() -> None:
    desk = Desk()
    desk.settle(1)
    with desk.feed.consuming():
        first = desk.feed.page(BEGINNING, 100, 0.0).next
        desk.feed.page(first, 100, 0.0)
        desk.settle(2, 3)
        desk.runtime.sleep(STEP_S)
        second, third = (event.place for event in desk.feed.page(first, 100, 0.0).events)
        for key in (second.correlation_id, third.correlation_id):
            del desk.tables.settlements[key], desk.tables.end_numbers[key]
        desk.tables.last_number = 2
        desk.runtime.sleep(STEP_S)
        # Nobody who is refused was told of the loss by others, or keeps them from what replaces it.
        assert desk.read(second) == []
        with pytest.raises(LostPlaceError):
            desk.read(third)
        desk.settle(4)
        assert desk.read(first) == [4]


def test_who_has_left_is_waited_for_no_more() -> None:
    desk = Desk()
    began_s = desk.runtime.now_s()
    with desk.feed.consuming():
        page = desk.feed.page(BEGINNING, 100, 20.0, has_left=lambda: desk.runtime.now_s() > began_s + 3.0)
    assert (page.events, page.next) == ((), BEGINNING)
    assert desk.runtime.now_s() - began_s <= 3.0 + 2 * STEP_S
