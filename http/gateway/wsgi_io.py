"""What the worker's fast way is made of: a connection, a parser of plain request heads, a response sent in one piece.

Everything here decides by positive lists. A head that is not plainly fine is left to gunicorn's own parser, so its
strictness decides what is refused and with which status.
"""

import errno
import io
import re
import socket
import time
from collections.abc import Iterable
from math import inf
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools
from gunicorn import util
from gunicorn.http.wsgi import Response

RECV_BYTES = 16 * 1024
HEAD_BYTES_MAX = 8190
"""Longer heads take the stock way, which knows the configured limits."""
BODY_BYTES_MAX = 16 * 1024
"""Longer bodies take the stock way, which hands them to the app unread."""
LINGER_S = 1.0
LINGER_BYTES_MAX = 1024 * 1024

_REQUEST_LINE = rb"(?:GET|POST|HEAD|PUT|DELETE|OPTIONS|PATCH) /(?!/)[\x21\x22\x24-\x7e]* HTTP/1\.[01]\r\n"
_FIELD = rb"[A-Za-z0-9-]+:[\t\x20-\x7e\x80-\xff]*\r\n"
PLAIN_HEAD = re.compile(rb"%b(?:%b)*\r\n" % (_REQUEST_LINE, _FIELD))
PLAIN_HEAD_BEGUN = re.compile(rb"(?:%b(?:%b)*)?[^\n]*" % (_REQUEST_LINE, _FIELD))
_PLAIN_LENGTH = re.compile(rb"0|[1-9][0-9]{0,4}")
_FIELD_NAMES_MAX = 512
_STOCK = ""
"""Stands for the environ key of a field that sends its request the stock way."""


class Connection:
    """A client's socket with a deadline, which a sweep over all connections enforces.

    It stands in for the socket everywhere, gunicorn included: `recv` gives what was put back by `unread` first.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadline = inf
        """Monotonic instant at which the connection is shut down; infinite while the app has the request."""
        self.idle = False
        """Whether it waits for the first byte of a request."""
        self.served = False
        """Whether it has been given an answer."""
        self._unread = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # as any as the socket's own attributes
        """Give what only the socket has."""
        return getattr(self.sock, name)

    def unread(self, data: bytes) -> None:
        """Put bytes of a request that has begun back, to be received again."""
        self._unread = data

    def recv(self, size: int, *flags: int) -> bytes:
        """Receive the rest of a request that has begun.

        Raises:
            ConnectionResetError: the client ended, so that half a body never passes for a whole one.
        """
        if self._unread:
            again, self._unread = self._unread[:size], self._unread[size:]
            return again
        data: bytes = self.sock.recv(size, *flags)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "the client ended in the middle of a request")
        return data

    def sendall(self, data: bytes, timeout_s: float = 10.0) -> None:
        """Send all of it; a client that does not read is shut down after `timeout_s`."""
        deadline, self.deadline = self.deadline, time.monotonic() + timeout_s
        self.sock.sendall(data)
        self.deadline = deadline

    def shut(self, how: int) -> None:
        """Shut one or both directions down, which wakes whoever waits; harmless when the client has gone."""
        try:
            self.sock.shutdown(how)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EBADF):
                raise

    def close(self) -> None:
        """Close once the client has closed or `LINGER_S` are over.

        Closing at once would reset a client that is still sending, before it has read the answer.
        """
        self.deadline = time.monotonic() + LINGER_S
        left = LINGER_BYTES_MAX
        try:
            self.shut(socket.SHUT_WR)
            while left > 0 and (data := self.sock.recv(RECV_BYTES)):
                left -= len(data)
        except OSError:
            pass
        finally:
            self.sock.close()


class PlainRequest:
    """A request of the fast way, with the attributes that gunicorn's response and error handling ask for."""

    __slots__ = ("body", "close", "content_length", "environ", "method", "query", "uri", "version")

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.body: io.BytesIO | None = None
        self.content_length = 0
        self.method = self.uri = self.query = ""
        self.version = (1, 1)
        self.close = False

    def should_close(self) -> bool:
        """Whether the client wants the connection closed after the answer."""
        return self.close


class HeadParser:
    """Turns a plain request head into a request with its environ; one serves a whole worker, as it never switches."""

    def __init__(self, stock_fields: Iterable[str], fields_max: int) -> None:
        """Take the upper-case names of fields that are left to gunicorn, and how many fields a head may have."""
        self._keys = {name.encode(): _STOCK for name in stock_fields}
        self._keys[b"CONTENT-TYPE"] = "CONTENT_TYPE"
        self._keys[b"CONTENT-LENGTH"] = "CONTENT_LENGTH"
        self._fields_max = fields_max
        self._request = PlainRequest({})
        self._plain = False
        self._fields = 0

    def parse(self, head: bytes, environ: dict[str, Any]) -> PlainRequest | None:
        """Read a whole head into `environ` (the connection's, copied); nothing when gunicorn has to judge it."""
        if PLAIN_HEAD.fullmatch(head) is None:
            return None
        self._request = request = PlainRequest(environ)
        self._plain = True
        self._fields = 0
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return None
        if not self._plain or self._fields > self._fields_max:
            return None
        environ["REQUEST_METHOD"] = request.method = parser.get_method().decode()
        if parser.get_http_version() == "1.0":
            request.version = (1, 0)
            request.close = environ.get("HTTP_CONNECTION", "").lower() != "keep-alive"
            environ["SERVER_PROTOCOL"] = "HTTP/1.0"
        return request

    def on_url(self, url: bytes) -> None:
        """Take the target, which the gate has found to be in origin form."""
        request = self._request
        environ = request.environ
        request.uri = uri = url.decode("ascii")
        path, _, request.query = uri.partition("?")
        environ["RAW_URI"] = uri
        environ["QUERY_STRING"] = request.query
        environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field; one that is repeated or has a meaning of its own sends the request the stock way."""
        key = self._keys.get(name)
        if key is None:
            key = self._learn(name)
        environ = self._request.environ
        if key is _STOCK or key in environ:
            self._plain = False
            return
        self._fields += 1
        environ[key] = text = value.decode("latin-1").strip(" \t")
        if key == "CONTENT_LENGTH":
            self._take_length(value)
        elif key == "HTTP_CONNECTION":
            self._take_connection(text.lower())

    def _learn(self, name: bytes) -> str:
        upper = name.upper()
        key = self._keys.get(upper)
        if key is None:
            key = "HTTP_" + upper.decode("ascii").replace("-", "_")
        if len(self._keys) < _FIELD_NAMES_MAX:
            self._keys[name] = key
        return key

    def _take_length(self, value: bytes) -> None:
        length = int(value) if _PLAIN_LENGTH.fullmatch(value) else BODY_BYTES_MAX + 1
        self._request.content_length = length
        self._plain = self._plain and length <= BODY_BYTES_MAX

    def _take_connection(self, option: str) -> None:
        self._request.close = option == "close"
        self._plain = self._plain and option in ("close", "keep-alive")


class PlainResponse(Response):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's response with its rules, except that the head waits for the first piece of the body."""

    response_length: int | None
    _second = 0
    _date = ""

    def send(self, body: Iterable[bytes]) -> None:
        """Send what the app returned; a body that is there as a whole goes out at once, with its length."""
        if isinstance(body, list | tuple):
            whole = b"".join(body)
            if self.response_length is None and not self.headers_sent and not self._omits_body:
                self.response_length = len(whole)
                self.headers.append(("Content-Length", str(len(whole))))
                self.chunked = False
            body = (whole,)
        for piece in body:
            self.write(piece)
        self.close()

    def send_headers(self) -> None:
        """Leave the head to the first piece of the body, or to `close`."""

    def close(self) -> None:
        """End the body, and send the head if nothing has been sent yet; a body cut short ends the connection."""
        if self.response_length is not None and self.sent < self.response_length and not self._omits_body:
            self.force_close()
        tail = b"0\r\n\r\n" if self.chunked else b""
        if not self.headers_sent:
            self._send(self._head() + tail)
        elif tail:
            self._send(tail)

    def _emit_body(self, data: bytes) -> None:
        if not data:
            return
        if self.chunked:
            data = b"%X\r\n%b\r\n" % (len(data), data)
        self._send(data if self.headers_sent else self._head() + data)

    def _send(self, data: bytes) -> None:
        self.headers_sent = True
        self.sock.sendall(data)

    def _head(self) -> bytes:
        if self.status is None:
            raise AssertionError("the app returned without having called start_response")
        connection = "close" if self.should_close() else "keep-alive"
        framing = "Transfer-Encoding: chunked\r\n" if self.chunked else ""
        major, minor = self.req.version
        fields = "".join([f"{name}: {value}\r\n" for name, value in self.headers])
        return (
            f"HTTP/{major}.{minor} {self.status}\r\nServer: {self.version}\r\nDate: {self._now()}\r\n"
            f"Connection: {connection}\r\n{framing}{fields}\r\n"
        ).encode("latin-1")

    @classmethod
    def _now(cls) -> str:
        """Give the date, formatted once a second."""
        second = int(time.time())
        if second != cls._second:
            cls._second, cls._date = second, util.http_date(second)
        return cls._date
