"""`GET /payments/events`: ended payments, one event after another, for which clients may wait."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol

import falcon

from actors.domain.feed import BEGINNING, FeedPage, FeedPlace
from actors.errors import ArchivedError, ForeignPlaceError, LostPlaceError
from gateway.event_cursor import read_cursor, write_cursor
from gateway.media import JSON, MSGPACK, preferred, to_json, write_body
from gateway.payment_answer import PaymentEvent, PaymentEvents, describe_event
from gateway.problem_types import ProblemType
from gateway.problems import UNAVAILABLE_ERRORS, InvalidFieldError
from gateway.query import query_value, whole_number

LIMIT_MAX = 500
LIMIT_DEFAULT = 100
WAIT_S_MAX = 25
STREAMED_MAX = 100
"""The most events that a stream reads at once: while its client does not take them, they are in memory."""
HEARTBEAT_S = 15.0
"""Longest silence of a stream."""
RETRY_MS = 1000
"""How long after the end of its stream a client is to connect again."""
SERVER_SENT = "text/event-stream"
NEWEST = ("now", "latest")
"""Values of `after` that stand for the place behind all events."""


class EventFeed(Protocol):
    """What the resource needs of the feed; `actors.feed.Feed` fulfils it."""

    @property
    def has_ended(self) -> bool:
        """Whether the replica is about to end, so that nobody waits any more."""

    def consuming(self) -> AbstractContextManager[None]:
        """Count a consumer; refuse it where there are too many."""

    def page(
        self,
        after: FeedPlace | None,
        events_max: int,
        wait_s: float,
        feed_id: int | None = None,
        has_left: Callable[[], bool] = ...,
    ) -> FeedPage:
        """Give the first events behind a place, or behind all, waiting for one where there is none."""


class EventsResource:
    """Answers the events of the feed."""

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the events behind `after`, or stream them to a client that wants server-sent events.

        Without events the answer waits up to `wait` seconds for one.
        """
        limit = whole_number(req, "limit", LIMIT_DEFAULT, (1, LIMIT_MAX))
        wait_s = whole_number(req, "wait", WAIT_S_MAX, (0, WAIT_S_MAX))
        field, after = "after", query_value(req, "after")
        is_stream = preferred(req, (JSON, MSGPACK, SERVER_SENT)) == SERVER_SENT
        if is_stream:
            limit = min(limit, STREAMED_MAX)
            if last := req.get_header("Last-Event-ID"):
                field, after = "Last-Event-ID", last
        resp.cache_control = ["no-store"]
        has_left = _departure(req)
        is_head = req.method == "HEAD"
        with ExitStack() as seat:
            seat.enter_context(self._feed.consuming())
            page = self._page(field, after, limit, 0 if is_head or is_stream else wait_s, has_left)
            if not is_stream:
                write_body(req, resp, _describe_page(page))
            elif is_head:
                # Without a length, as the stream has none.
                _write_stream(resp, iter(()))
            else:
                _write_stream(resp, _EventStream(self._feed, page, limit, has_left, seat.pop_all()))

    def _page(self, field: str, after: str | None, limit: int, wait_s: float, has_left: Callable[[], bool]) -> FeedPage:
        try:
            if after is None or after in NEWEST:
                return self._feed.page(BEGINNING if after is None else None, limit, wait_s, has_left=has_left)
            feed_id, place = read_cursor(after)
            return self._feed.page(place, limit, wait_s, feed_id, has_left)
        except (ValueError, ForeignPlaceError):
            detail = "must be a cursor from an earlier answer of this gateway, or now"
            raise InvalidFieldError(field, detail) from None
        except LostPlaceError:
            detail = "this cursor comes from a history that Postgres has lost; begin without a cursor, or at now"
            raise InvalidFieldError(field, detail, ProblemType.LOST_PLACE) from None
        except ArchivedError:
            detail = "events after this cursor are archived; begin at now"
            raise InvalidFieldError(field, detail, ProblemType.ARCHIVED) from None


class _EventStream:
    """The body of a stream: events as they come, and a comment where none has for a while."""

    def __init__(
        self, feed: EventFeed, page: FeedPage, limit: int, has_left: Callable[[], bool], seat: ExitStack
    ) -> None:
        """`seat` counts the consumer until the end of the stream."""
        self._feed = feed
        self._has_left = has_left
        self._pieces = self._stream(page, limit)
        self._seat = seat

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        """Count the consumer no more; also called where nothing was streamed."""
        self._pieces.close()
        self._seat.close()

    def _stream(self, page: FeedPage, limit: int) -> Generator[bytes]:
        # An id without data is remembered by the client, and tells it of no event.
        begin = b"" if page.events else b"id: %b\n\n" % write_cursor(page.feed_id, page.next).encode()
        yield b"retry: %d\n\n%b" % (RETRY_MS, begin)
        while True:
            if page.events:
                yield b"".join(map(_server_sent, _describe_page(page)["events"]))
            elif self._feed.has_ended or self._has_left():
                return
            else:
                yield b": behind by %d ms\n\n" % round(page.behind_s * 1000)
            try:
                page = self._feed.page(page.next, limit, HEARTBEAT_S, has_left=self._has_left)
            except UNAVAILABLE_ERRORS:
                page = FeedPage((), page.next, page.feed_id)
            except (LostPlaceError, ArchivedError):
                # The client is told why when it connects again.
                return


def _write_stream(resp: falcon.Response, stream: Iterable[bytes]) -> None:
    resp.content_type = SERVER_SENT
    resp.set_header("Vary", "Accept")
    resp.set_header("X-Accel-Buffering", "no")
    resp.stream = stream


def _departure(req: falcon.Request) -> Callable[[], bool]:
    """Give a function that tells whether the client has left; only connections of the gateway's worker know that."""
    has_left: Callable[[], bool] | None = getattr(req.env.get("gunicorn.socket"), "has_left", None)
    return has_left or (lambda: False)


def _describe_page(page: FeedPage) -> PaymentEvents:
    return {
        "events": [describe_event(event, page.feed_id) for event in page.events],
        "next": write_cursor(page.feed_id, page.next),
        "behindMs": round(page.behind_s * 1000),
    }


def _server_sent(event: PaymentEvent) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event["cursor"].encode(), event["type"].encode(), to_json(event))
