"""A client's HTTP/1.1 connection with keep-alive and pipelining, and with all the wrong answers of faults."""

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
    """The clock and the timers of an event loop."""

    def time(self) -> float:
        """Return the monotonic time in seconds."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> object:
        """Call `callback` after `delay` seconds."""


@dataclass(frozen=True, slots=True)
class Request:
    """A parsed HTTP request."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    """Headers by their names in lower case."""
    body: bytes
    keep_alive: bool


class ClientConnection(asyncio.Protocol):
    """Passes the requests of a client to a handler one by one, each after the one before it was answered.

    The handler ends each request with one call of `answer`, `drip`, `send_garbage`, `drop` or `hang`. These methods do
    nothing once the client has left.
    """

    def __init__(
        self,
        handle: Callable[[Request, "ClientConnection"], None],
        connections: set["ClientConnection"],
        timers: Timers,
    ) -> None:
        self.on_lost: Callable[[], None] | None = None
        """Called when the client leaves before the current request is answered."""
        self._handle = handle
        self._connections = connections
        self._timers = timers
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._ignoring_input = False
        self._paused = False
        self._serving = False
        # None stands for bytes that are no valid request.
        self._pending: deque[Request | None] = deque()
        self._current: Request | None = None
        self._unparsed_bytes = 0
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body = b""

    def answer(self, status: int, body: bytes = b"", content_type: str = JSON) -> None:
        """Answer the current request."""
        if request := self._end_request():
            self._write(_response(status, body, content_type, keep_alive=request.keep_alive))
            if not request.keep_alive:
                self._close()
            self._serve()

    def drip(self, status: int, body: bytes, interval_s: float) -> None:
        """Answer the current request one byte at a time."""
        if self._current:
            response = _response(status, body, JSON, keep_alive=self._current.keep_alive)
            self._drip(memoryview(response), interval_s)

    def send_garbage(self, garbage: bytes) -> None:
        """Send bytes that are no HTTP answer, and close the connection."""
        if self._end_request():
            self._write(garbage)
            self._close()

    def drop(self) -> None:
        """Close without answering the current request; earlier answers are still sent."""
        self._end_request()
        self._close()

    def abort(self) -> None:
        """End the connection at once; what is not sent yet is lost."""
        self._end_request()
        if self._transport:
            self._transport.abort()

    def hang(self) -> None:
        """Never answer again, but keep the connection open until the client leaves."""
        self._end_request()
        self._stop_reading_requests()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a new connection; the event loop calls this."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Clean up after the connection has ended; the event loop calls this."""
        self._transport = None
        self._connections.discard(self)
        self._pending.clear()
        if self.on_lost:
            self.on_lost()
        self._end_request()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes and handle complete requests; the event loop calls this."""
        if self._ignoring_input:
            return
        self._unparsed_bytes += len(data)
        try:
            self._parser.feed_data(data)
            broken = self._unparsed_bytes > REQUEST_BYTES_MAX
        except httptools.HttpParserError:
            broken = True
        if broken:
            self._ignoring_input = True
            self._pending.append(None)
        self._serve()
        if len(self._pending) > PIPELINED_MAX and self._transport:
            self._paused = True
            self._transport.pause_reading()

    def on_message_begin(self) -> None:
        """Start a new request; the parser calls this."""
        self._url = b""
        self._headers = {}
        self._body = b""

    def on_url(self, url: bytes) -> None:
        """Add a piece of the URL; the parser calls this."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; the parser calls this."""
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """Add a piece of the body; the parser calls this."""
        self._body += body

    def on_message_complete(self) -> None:
        """Queue a complete request; the parser calls this."""
        self._unparsed_bytes = 0
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode("latin-1")
        keep_alive = self._parser.should_keep_alive()
        self._pending.append(Request(method, path, query, self._headers, self._body, keep_alive))

    def _serve(self) -> None:
        # This is a loop, because handling a request inside the answer to the one before would nest without limit.
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
        self._ignoring_input = True
        self._pending.clear()
        # A paused transport would not notice that the client leaves.
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
