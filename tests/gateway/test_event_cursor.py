"""Cursors of the feed."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.feed import BEGINNING, FeedPlace
from gateway.event_cursor import read_cursor, write_cursor
from tests.actors.fakes import LAST_PLACE

FEEDS = st.integers(0, 2**31 - 1)
PLACES = st.builds(FeedPlace, st.integers(-1, 2**63 - 1), st.uuids())
CURSOR = write_cursor(7, FeedPlace(1_764_000_000_000_123, UUID(int=1)))


@given(FEEDS, PLACES)
def test_a_cursor_leads_back_to_its_place(feed_id: int, place: FeedPlace) -> None:
    cursor = write_cursor(feed_id, place)
    assert read_cursor(cursor) == (feed_id, place)
    assert len(cursor) == 44
    assert cursor.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("place", [BEGINNING, LAST_PLACE])
def test_the_ends_of_the_feed_have_cursors(place: FeedPlace) -> None:
    assert read_cursor(write_cursor(0, place)) == (0, place)


@given(st.text() | st.text("AQab019-_=", min_size=42, max_size=46))
def test_any_text_is_read_as_it_would_be_written_or_refused(text: str) -> None:
    try:
        feed_id, place = read_cursor(text)
    except ValueError:
        return
    assert write_cursor(feed_id, place) == text


@pytest.mark.parametrize(
    "cursor",
    ["", "now", CURSOR[:-1], CURSOR + "=", CURSOR + "AAAA", CURSOR[1:], f"{CURSOR[:-1]}A", f"B{CURSOR[1:]}", "é" * 44],
)
def test_what_nobody_has_written_is_refused(cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        read_cursor(cursor)


@given(FEEDS, PLACES, st.integers(0, 32), st.integers(1, 255))
def test_one_byte_that_is_wrong_is_noticed(feed_id: int, place: FeedPlace, index: int, change: int) -> None:
    data = bytearray(urlsafe_b64decode(write_cursor(feed_id, place)))
    data[index] ^= change
    with pytest.raises(ValueError, match="cursor"):
        read_cursor(urlsafe_b64encode(bytes(data)).decode())
