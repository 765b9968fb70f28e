"""The latest events of the feed."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from actors.domain.feed import BEGINNING, EventKind, FeedEvent, FeedPlace, RecentEvents, place_before

NUMBERS = st.integers(1, 60)
EVENTS_MAX = 5


def event(number: int, key: int = 1) -> FeedEvent:
    return FeedEvent(FeedPlace(number, UUID(int=key)), EventKind.SETTLED, number)


def test_the_place_before_a_number_is_behind_all_lower_ones() -> None:
    assert event(6, 2**128 - 1).place <= place_before(7) < event(7, 0).place


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
        recent.extend([each for each in events if below <= each.place.number < upper], place_before(upper))
        below = upper
        for _ in range(data.draw(st.integers(0, 3))):
            given_now, place = recent.after(place, data.draw(st.integers(1, 4)))
            seen += given_now
    while page := recent.after(place, 3)[0]:
        seen += page
        place = page[-1].place
    assert seen == events


def test_the_oldest_events_are_dropped_and_it_starts_behind_them() -> None:
    recent = RecentEvents(BEGINNING, EVENTS_MAX)
    recent.extend(map(event, range(1, 9)), place_before(20))
    assert recent.start == event(3).place
    events, place = recent.after(recent.start, 10)
    assert ([each.place.number for each in events], place) == ([4, 5, 6, 7, 8], place_before(20))


def test_who_has_seen_more_than_it_holds_stays_where_he_is() -> None:
    recent = RecentEvents(BEGINNING, EVENTS_MAX)
    recent.extend([event(1)], place_before(4))
    assert recent.after(place_before(9), 10) == ((), place_before(9))
