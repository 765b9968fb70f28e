"""The response of the fast path: gunicorn's rules, and one send for the head and a body that is whole and not large."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.http.wsgi import HEADER_VALUE_RE, Response

_PLAIN_STATUSES = {
    f"{status.value} {status.phrase}": status.value
    for status in HTTPStatus
    if status >= HTTPStatus.OK and status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
}
"""Status lines of answers that have a body, with their codes."""
_PLAIN_FIELDS = frozenset(
    {"cache-control", "content-length", "content-type", "location", "retry-after", "vary", "x-request-id"}
)
"""Names of fields that go to the client as they are; gunicorn checks all others."""
_HTTP_1_0 = (1, 0)
_COPIED_BYTES_MAX = 16 * 1024
"""A body up to this size is copied behind its head, to be sent with it at once."""


class PlainResponse(Response):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's response, except that the head waits for the first piece of the body."""

    status: str | None
    headers_sent: bool
    response_length: int | None
    closes = False
    """Whether the head has told the client that the connection ends."""

    def start_response(
        self,
        status: str,
        headers: Sequence[tuple[str, str]],
        exc_info: Any = None,  # noqa: ANN401  # as in PEP 3333
    ) -> Callable[[bytes], None]:
        """Take status and fields; gives the `write` of PEP 3333."""
        code = _PLAIN_STATUSES.get(status)
        if code is None or exc_info or self.status is not None or self.req.method == "HEAD":
            write: Callable[[bytes], None] = super().start_response(status, headers, exc_info)
            return write
        self.status, self.status_code = status, code
        self.process_headers(headers)
        self.chunked = self.response_length is None and self.req.version > _HTTP_1_0
        return self.write  # type: ignore[no-any-return]  # gunicorn ships no types

    def process_headers(self, headers: Sequence[tuple[str, str]]) -> None:
        """Take the fields; if one is not plain, gunicorn checks all of them."""
        fields = dict(headers)
        plain = len(fields) == len(headers) and fields.keys() <= _PLAIN_FIELDS
        # All values are checked as one text: a control character is found in whichever it is.
        if not plain or HEADER_VALUE_RE.fullmatch("".join(fields.values())) is None:
            super().process_headers(headers)
            return
        length = fields.get("content-length")
        if length == "0":
            # WSGI's validator wants a type of every answer; what is empty has none.
            headers = [field for field in headers if field[0] != "content-type"]
        self.headers.extend(headers)
        if length is not None:
            self.response_length = int(length)

    def send(self, body: Iterable[bytes]) -> None:
        """Send what the app returned; a whole body has a length, and goes out with the head unless it is large."""
        if isinstance(body, list | tuple):
            whole = b"".join(body)
            if not (self.headers_sent or self._omits_body):
                if self.response_length is None:
                    self.response_length = len(whole)
                    self.headers.append(("Content-Length", str(len(whole))))
                    self.chunked = False
                if self.response_length == len(whole):
                    head = self._head()
                    if len(whole) <= _COPIED_BYTES_MAX:
                        self._send(head + whole)
                    else:
                        self.headers_sent = True
                        self.sock.sendall(head, behind=len(whole))
                        self._send(whole)
                    return
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
        # What gunicorn says is only asked for where the client cannot tell the end of the body.
        delimited = self.response_length is not None or self.chunked
        self.closes = self.must_close or self.req.close or (not delimited and self.should_close())
        connection = "close" if self.closes else "keep-alive"
        framing = "Transfer-Encoding: chunked\r\n" if self.chunked else ""
        protocol = "HTTP/1.1" if self.req.version > _HTTP_1_0 else "HTTP/1.0"
        fields = "".join([f"{name}: {value}\r\n" for name, value in self.headers])
        return (
            f"{protocol} {self.status}\r\nServer: {self.version}\r\nDate: {_date(int(time.time()))}\r\n"
            f"Connection: {connection}\r\n{framing}{fields}\r\n"
        ).encode("latin-1")


@lru_cache(1)
def _date(second: int) -> str:
    """Format the date, once a second."""
    date: str = util.http_date(second)
    return date
