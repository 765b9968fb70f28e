"""One HTTP/1.1 connection, which stays open from call to call."""

import errno
import os
import re
import select
import socket
import time
from typing import NamedTuple

import gevent
from gevent.hub import Waiter
from gevent.monkey import get_original
from gevent.socket import wait_write
from httptools import HttpResponseParser

from actors.adapters.host_addresses import ServerAddress

ANSWER_BYTES_MAX = 64 * 1024
"""Longest answer that is accepted, with its head and any interim answers."""
RECV_BYTES = 16 * 1024

# Without gevent's wrappers around every call: the connection waits by itself.
_Socket: type[socket.socket] = get_original("socket", "socket")
_poll = get_original("select", "poll")

_READABLE = 1
"""The event of the loop's watchers."""
_FIRST_FINAL_STATUS = 200
_LENGTH_FIELD = re.compile(rb"\r\n(?:content-length|transfer-encoding):", re.IGNORECASE)


class Answer(NamedTuple):
    """A complete answer to a request."""

    status: int
    body: bytes


class CallDeadlineError(Exception):
    """The deadline for a whole call has passed. Unlike `gevent.Timeout` this is an `Exception`, as any other error."""


class UnsentError(Exception):
    """Not a single byte of a request was sent."""


class AnswerError(Exception):
    """What a server sent is not one complete, well-formed answer."""


def connect(address: ServerAddress, deadline_s: float) -> "HttpConnection":
    """Open a connection until `deadline_s`, an instant of the monotonic clock.

    Raises:
        OSError: it was refused or failed; nothing was sent.
        CallDeadlineError: the deadline has passed; nothing was sent.
    """
    sock = _Socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        error = sock.connect_ex(address.socket_address)
        if error == errno.EINPROGRESS:
            wait_write(sock.fileno(), max(0.0, deadline_s - time.monotonic()), CallDeadlineError("not connected"))
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))  # noqa: TRY301  # it closes the socket as well
    except BaseException:
        sock.close()
        raise
    return HttpConnection(sock)


class HttpConnection:
    """Sends a request with one system call and reads its answer, usually with one as well.

    Its watcher stays with the event loop from call to call: to register it anew would cost a system call each time.
    """

    def __init__(self, sock: socket.socket) -> None:
        """`sock` is connected and does not block."""
        self.reusable = True
        """Whether another call may be made: the last one is answered, and the server keeps the connection."""
        self._sock = sock
        self._poll = _poll()
        self._poll.register(sock, select.POLLIN)
        self._loop = gevent.get_hub().loop
        self._waiter: Waiter[None] | None = None
        """Wakes the call under way when there is something to read."""
        self._parser = HttpResponseParser(self)
        self._status = 0
        """Status of the final answer once that is complete; 0 before."""
        self._server_keeps = False
        """Whether the server keeps the connection after the answer."""
        self._head_is_complete = False
        self._body = b""
        # It does not keep the loop running: a call under way has a timer, which does.
        self._watcher = self._loop.io(sock.fileno(), _READABLE, ref=False)
        self._watcher.start(self._on_readable)

    def is_quiet(self) -> bool:
        """Tell whether an idle connection can be used: the server neither closed it nor sent what nobody asked for."""
        return self.reusable and not self._poll.poll(0)

    def exchange(self, request: bytes, deadline_s: float) -> Answer:
        """Send a request, and wait for the answer until `deadline_s`, an instant of the monotonic clock.

        Raises:
            AnswerError: the answer is cut, malformed or too long, or there are two.
            UnsentError: the deadline had passed before.
            OSError: the connection broke.
            CallDeadlineError: the deadline has passed.
            httptools.HttpParserError: the answer is malformed.
        """
        self.reusable = False
        self._status, self._server_keeps, self._head_is_complete, self._body = 0, False, False, b""
        timer = self._loop.timer(max(0.0, deadline_s - time.monotonic()))
        timer.start(self._on_deadline)
        try:
            if time.monotonic() >= deadline_s:
                # The process stood still meanwhile: what is sent now might come after others have given the call up.
                raise UnsentError("too late")  # the timer is closed as well
            # The socket's buffer is empty between calls, and holds many times a request.
            if self._sock.send(request) != len(request):
                raise BlockingIOError(errno.EAGAIN, "the request was not taken as a whole")
            self._receive()
        finally:
            self._waiter = None
            timer.close()
        self.reusable = self._server_keeps
        return Answer(self._status, self._body)

    def close(self) -> None:
        """Close the connection; may be called again."""
        self.reusable = False
        self._watcher.close()
        self._sock.close()

    def _receive(self) -> None:
        head, size = b"", 0
        while not self._status:
            waiter: Waiter[None] = Waiter()
            self._waiter = waiter
            waiter.get()
            try:
                data = self._sock.recv(RECV_BYTES)
            except BlockingIOError:  # The event loop may announce data that is not there.
                continue
            size += len(data)
            if size > ANSWER_BYTES_MAX:
                raise AnswerError("the answer is too long")
            if not self._head_is_complete:
                head += data
            if data:
                self._parser.feed_data(data)
            elif self._head_is_complete and not _LENGTH_FIELD.search(head):
                self._status = self._parser.get_status_code()  # The end of the connection ends such an answer.
            else:
                raise AnswerError("the answer is cut")

    def _on_readable(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None:
            self.close()  # Nobody asked: it is the server's end of the connection, or must not pass for an answer.
        else:
            waiter.switch(None)

    def _on_deadline(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.throw(CallDeadlineError("no answer"))

    # The parser calls these.

    def on_message_begin(self) -> None:
        """Refuse a second answer to one request: its status would replace the first."""
        if self._status:
            raise AnswerError("a second answer to one request")

    def on_headers_complete(self) -> None:
        """Note that the head is whole."""
        self._head_is_complete = True

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._body += data

    def on_message_complete(self) -> None:
        """Note the final status; after an interim answer the final one is yet to come."""
        self._head_is_complete = False
        status = self._parser.get_status_code()
        if status >= _FIRST_FINAL_STATUS:
            self._status = status
            self._server_keeps = self._parser.should_keep_alive()
