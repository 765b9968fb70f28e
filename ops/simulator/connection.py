"""One client's HTTP/1.1 connection: keep-alive, pipelining, and the ways of answering badly."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol, cast

import httptools

REQUEST_BYTES_MAX = 64 * 1024
PIPELINED_MAX = 64
JSON = "application/json"


class Timers(Protocol):
    """The clock and the alarm of an event loop."""

    def time(self) -> float:
        """Tell the monotonic time in seconds."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> object:
        """Call back in `delay` seconds."""


@dataclass(frozen=True, slots=True)
class Request:
    """One parsed request."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    """By lower-case name."""
    body: bytes
    keep_alive: bool


class Connection(asyncio.Protocol):
    """Hands requests on one by one, the next when the one before is answered.

    Each request is ended once, by `answer`, `drip`, `blurt`, `drop` or `hang`; they do nothing once the client is gone.
    """

    def __init__(
        self, handle: Callable[[Request, "Connection"], None], connections: set["Connection"], timers: Timers
    ) -> None:
        self.on_lost: Callable[[], None] | None = None
        """Called when the client leaves before the request at hand is answered."""
        self._handle = handle
        self._connections = connections
        self._timers = timers
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._deaf = False
        self._paused = False
        self._serving = False
        # None stands for what is no request.
        self._pending: deque[Request | None] = deque()
        self._current: Request | None = None
        self._unparsed_bytes = 0
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body = b""

    def answer(self, status: int, body: bytes = b"", content_type: str = JSON) -> None:
        """Answer the request at hand."""
        if request := self._end_request():
            self._write(_response(status, body, content_type, keep_alive=request.keep_alive))
            if not request.keep_alive:
                self._close()
            self._serve()

    def drip(self, status: int, body: bytes, interval_s: float) -> None:
        """Answer the request at hand one byte at a time."""
        if self._current:
            response = _response(status, body, JSON, keep_alive=self._current.keep_alive)
            self._drip(memoryview(response), interval_s)

    def blurt(self, garbage: bytes) -> None:
        """Answer the request at hand with bytes that are no answer, and close."""
        if self._end_request():
            self._write(garbage)
            self._close()

    def drop(self) -> None:
        """Close without an answer to what is at hand; what was answered before still goes out."""
        self._end_request()
        self._close()

    def abort(self) -> None:
        """End the connection at once, and with it what is not yet sent."""
        self._end_request()
        if self._transport:
            self._transport.abort()

    def hang(self) -> None:
        """Never answer again; the connection stays until the client leaves."""
        self._end_request()
        self._stop_reading_requests()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the event loop calls this."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """End; the event loop calls this."""
        self._transport = None
        self._connections.discard(self)
        self._pending.clear()
        if self.on_lost:
            self.on_lost()
        self._end_request()

    def data_received(self, data: bytes) -> None:
        """Parse what came and serve what is complete; the event loop calls this."""
        if self._deaf:
            return
        self._unparsed_bytes += len(data)
        try:
            self._parser.feed_data(data)
            broken = self._unparsed_bytes > REQUEST_BYTES_MAX
        except httptools.HttpParserError:
            broken = True
        if broken:
            self._deaf = True
            self._pending.append(None)
        self._serve()
        if len(self._pending) > PIPELINED_MAX and self._transport:
            self._paused = True
            self._transport.pause_reading()

    def on_message_begin(self) -> None:
        """Begin a request; the parser calls this."""
        self._url = b""
        self._headers = {}
        self._body = b""

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target; the parser calls this."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; the parser calls this."""
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; the parser calls this."""
        self._body += body

    def on_message_complete(self) -> None:
        """Put a request in line; the parser calls this."""
        self._unparsed_bytes = 0
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode("latin-1")
        keep_alive = self._parser.should_keep_alive()
        self._pending.append(Request(method, path, query, self._headers, self._body, keep_alive))

    def _serve(self) -> None:
        # A loop, where an answer given at once would otherwise nest one request in the other.
        if self._serving:
            return
        self._serving = True
        while self._pending and not self._current:
            self._current = self._pending.popleft()
            if self._current:
                self._handle(self._current, self)
            else:
                self._write(_response(HTTPStatus.BAD_REQUEST, b"", JSON, keep_alive=False))
                self._close()
        self._serving = False
        if self._paused and self._transport and len(self._pending) <= PIPELINED_MAX:
            self._paused = False
            self._transport.resume_reading()

    def _end_request(self) -> Request | None:
        request, self._current = self._current, None
        self.on_lost = None
        return request

    def _drip(self, rest: memoryview, interval_s: float) -> None:
        if not self._current:
            return
        self._write(bytes(rest[:1]))
        if len(rest) > 1:
            self._timers.call_later(interval_s, lambda: self._drip(rest[1:], interval_s))
            return
        keep_alive = self._current.keep_alive
        self._end_request()
        if not keep_alive:
            self._close()
        self._serve()

    def _write(self, content: bytes) -> None:
        if self._transport:
            self._transport.write(content)

    def _close(self) -> None:
        self._stop_reading_requests()
        if self._transport:
            self._transport.close()

    def _stop_reading_requests(self) -> None:
        self._deaf = True
        self._pending.clear()
        # A paused transport doesn't notice that its client leaves.
        if self._paused and self._transport:
            self._paused = False
            self._transport.resume_reading()


def _status_line(status: HTTPStatus) -> bytes:
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()


_STATUS_LINES = {int(status): _status_line(status) for status in HTTPStatus}


def _response(status: int, body: bytes, content_type: str, *, keep_alive: bool) -> bytes:
    head = _STATUS_LINES[status]
    if not keep_alive:
        head += b"Connection: close\r\n"
    if body:
        head += f"Content-Type: {content_type}\r\n".encode()
    if status != HTTPStatus.NO_CONTENT:
        head += b"Content-Length: %d\r\n" % len(body)
    return head + b"\r\n" + body
