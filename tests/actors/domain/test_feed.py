"""The latest events of the feed."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.feed import (
    BEGINNING,
    LAST_ID,
    EventKind,
    FeedBounds,
    FeedEvent,
    FeedPage,
    FeedPlace,
    RecentEvents,
)

NUMBERS = st.integers(1, 60)
EVENTS_MAX = 5


def event(number: int, key: int = 1) -> FeedEvent:
    return FeedEvent(FeedPlace(number, UUID(int=key)), EventKind.SETTLED, number)


@given(st.lists(st.tuples(NUMBERS, st.integers(0, 2)), unique=True), st.data())
def test_whoever_asks_in_turn_is_given_every_event_once_and_in_order(
    numbers: list[tuple[int, int]], data: st.DataObject
) -> None:
    events = [event(*each) for each in sorted(numbers)]
    recent = RecentEvents(BEGINNING, events_max=len(events) or 1)
    place = BEGINNING
    seen: list[FeedEvent] = []
    below = 0
    while below <= 61:
        upper = data.draw(st.integers(below + 1, 62))
        recent.extend(each for each in events if below <= each.place.number < upper)
        below = upper
        for _ in range(data.draw(st.integers(0, 3))):
            seen += recent.after(place, data.draw(st.integers(1, 4)))
            place = seen[-1].place if seen else BEGINNING
    while page := recent.after(place, 3):
        seen += page
        place = page[-1].place
    assert seen == events


def test_the_oldest_events_are_dropped_and_it_starts_behind_them() -> None:
    recent = RecentEvents(BEGINNING, EVENTS_MAX)
    recent.extend(map(event, range(1, 9)))
    assert (recent.start, recent.end) == (event(3).place, event(8).place)
    assert recent.after(recent.start, 10) == tuple(map(event, range(4, 9)))


def test_who_has_seen_more_than_it_holds_is_given_nothing() -> None:
    recent = RecentEvents(BEGINNING, EVENTS_MAX)
    recent.extend([event(1)])
    assert recent.after(event(9).place, 10) == ()


def test_no_more_events_are_given_than_were_asked_for_also_behind_a_place_in_the_middle() -> None:
    recent = RecentEvents(BEGINNING, 20)
    recent.extend(map(event, range(1, 11)))
    assert recent.after(event(3).place, 2) == (event(4), event(5))
    assert recent.after(event(3).place, 0) == ()


def test_kinds_have_the_names_that_readers_of_the_feed_know() -> None:
    assert [kind.value for kind in EventKind] == ["settled", "declined", "mismatched", "purged"]


def test_an_event_out_of_its_order_is_refused() -> None:
    recent = RecentEvents(BEGINNING, EVENTS_MAX)
    recent.extend([event(2)])
    for number in (1, 2):
        with pytest.raises(AssertionError, match="out of its order"):
            recent.extend([event(number)])


def test_what_an_event_does_not_have_is_none_and_nothing_is_held_back_where_it_is_not_said() -> None:
    purge = event(1)
    assert (purge.money, purge.processor, purge.requested_at_ms) == (None, None, None)
    assert FeedPage((), purge.place, feed_id=1).behind_s == 0
    assert str(LAST_ID) == "ffffffff-ffff-ffff-ffff-ffffffffffff"


def test_the_beginning_lies_before_every_event_also_before_those_without_a_number() -> None:
    assert FeedPlace(0, UUID(int=0)) > BEGINNING
    assert FeedBounds(1, 2, 3).archived == FeedPlace(-1, UUID(int=0)) < BEGINNING
