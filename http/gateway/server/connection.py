"""A client's connection: a socket with a deadline, and the part of the WSGI environ that all its requests share."""

import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from math import inf
from typing import Any

from gunicorn.config import Config
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.http.wsgi import base_environ

from gateway.server.refusals import refusal

Address = tuple[str, int]
RECV_BYTES = 16 * 1024
UNFINISHED_HEAD_BYTES_MAX = 48 * 1024
"""The most bytes that may come of one request before its head is whole; of a plain request, the most in all."""
TAKE_S_MAX = 10.0
"""How long a client may take over an answer, or over a piece of it where it has several."""
LINGER_S = 1.0
LINGER_BYTES_MAX = 1024 * 1024
_DROP_AT_CLOSE = struct.pack("ii", 1, 0)
"""The option with which a close resets the connection, and frees what was not sent."""


@dataclass(frozen=True, slots=True)
class ListenerAddress:
    """Stands in for a listener, which may be closed before a connection that it accepted is handled."""

    address: Address

    def getsockname(self) -> Address:
        """Give the address that was listened on."""
        return self.address


class Phase(Enum):
    """What a connection waits for."""

    IDLE = "idle"
    """It waits for the first byte of a request."""
    RECEIVING = "receiving"
    """It waits for the rest of a request."""
    ANSWERING = "answering"
    """It waits for the application."""
    SENDING = "sending"
    """It waits for its client to take the answer."""
    CLOSING = "closing"
    """It waits for its client to close, too."""


class Connection:
    """A client's socket with a deadline, which the worker enforces by a sweep over all connections.

    It stands in for the socket everywhere, gunicorn included: `recv` gives what was put back by `unread` first.
    """

    def __init__(
        self,
        sock: socket.socket,
        received: Callable[["Connection", int], None],
        untaken: Callable[["Connection", int], None],
    ) -> None:
        """`received` is called with the number of further bytes that have come of a request that was not whole.

        `untaken` is called with the size of an answer that its client has not taken as a whole yet, and with 0 after.
        """
        self.sock = sock
        self.phase = Phase.IDLE
        self.deadline = inf
        """Monotonic instant at which the connection is cut; infinite while the app has the request."""
        self.is_served = False
        """Whether it has been given an answer."""
        self.is_cut = False
        self.unfinished_bytes = 0
        """How many bytes have come of a request that is not whole."""
        self._received = received
        self._untaken = untaken
        self._unread = b""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # as any as the socket's own attributes
        """Give an attribute that only the socket has."""
        return getattr(self.sock, name)

    def unread(self, data: bytes) -> None:
        """Put bytes of a request that has begun back, to be received again."""
        self._unread = data

    def recv(self, size: int, *flags: int) -> bytes:
        """Receive the rest of a request that has begun.

        Raises:
            ConnectionResetError: the client ended, or was cut, so that half a body never passes for a whole one.
            LimitRequestHeaders: the head is too long; bodies are bounded by their readers.
        """
        if self._unread:
            again, self._unread = self._unread[:size], self._unread[size:]
            return again
        phase, self.phase = self.phase, Phase.RECEIVING
        with self._end_if_cut():
            data: bytes = self.sock.recv(size, *flags)
        self._received(self, len(data))
        self.phase = phase
        if phase is Phase.RECEIVING and self.unfinished_bytes > UNFINISHED_HEAD_BYTES_MAX:
            raise LimitRequestHeaders(f"the head is longer than {UNFINISHED_HEAD_BYTES_MAX} bytes")
        if not data or self.is_cut:
            raise ConnectionResetError(errno.ECONNRESET, "the connection ended in the middle of a request")
        return data

    def sendall(self, data: bytes, behind: int = 0) -> None:
        """Send all of it; who does not read is cut after `TAKE_S_MAX`, or after `LINGER_S` where it has to go.

        A client that has to go was cut while it was idle, and its request had already arrived. `behind` more bytes of
        the same answer are in memory meanwhile.
        """
        deadline, self.deadline = self.deadline, time.monotonic() + (LINGER_S if self.is_cut else TAKE_S_MAX)
        phase, self.phase = self.phase, Phase.SENDING
        with self._end_if_cut():
            # Nearly every answer fits into the socket's buffer. Where that is full, gevent would wait at once.
            try:
                sent = os.write(self.sock.fileno(), data)
            except BlockingIOError:
                sent = 0
            if sent < len(data):
                # What was sent stays in memory with the rest.
                self._untaken(self, len(data) + behind)
                self.sock.sendall(memoryview(data)[sent:])
                self._untaken(self, 0)
        self.phase = phase
        self.deadline = deadline

    def send(self, data: bytes) -> int:
        """Send all of it, as gunicorn expects of `100 Continue`; gives its length."""
        self.sendall(data)
        return len(data)

    def has_left(self) -> bool:
        """Tell at once whether the client has closed, or half closed; unread data from before hides that."""
        timeout = self.sock.gettimeout()
        # gevent waits for data, whatever the flags, unless there is no time for it.
        self.sock.settimeout(0.0)
        try:
            return not self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.sock.settimeout(timeout)

    def cut(self) -> None:
        """End the connection for want of time or room, which wakes greenlets that wait for it.

        What has already arrived on an idle connection is still answered. Half a request is answered with 408. What a
        client does not take is dropped: by itself the kernel would keep it for minutes after the close.
        """
        self.is_cut = True
        if self.phase is Phase.IDLE:
            self.shut(socket.SHUT_RD)
            return
        if self.phase is Phase.SENDING:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_AT_CLOSE)
        if self.phase is Phase.RECEIVING:
            # Not by gevent, which would wait where the client does not read.
            with contextlib.suppress(OSError):
                os.write(self.sock.fileno(), refusal(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time"))
        self.shut(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def _end_if_cut(self) -> Iterator[None]:
        """Let greenlets that wait for the client know of a cut; gevent's own error would be logged at length.

        Raises:
            ConnectionResetError: the connection was cut meanwhile.
        """
        try:
            yield
        except OSError as error:
            if not self.is_cut:
                raise
            raise ConnectionResetError(errno.ECONNRESET, "the connection was cut") from error

    def shut(self, how: int) -> None:
        """Shut one or both directions down, which wakes greenlets that wait; harmless when the client has gone."""
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
        self.phase = Phase.CLOSING
        left = LINGER_BYTES_MAX
        try:
            self.shut(socket.SHUT_WR)
            while left > 0 and (data := self.sock.recv(RECV_BYTES)):
                left -= len(data)
        except OSError:
            pass
        finally:
            self.sock.close()


def connection_environ(
    cfg: Config, listener: ListenerAddress | socket.socket, connection: Connection, client: Address
) -> dict[str, Any]:
    """Build the entries that the environ of every plain request of a connection has."""
    environ: dict[str, Any] = base_environ(cfg)
    host, port = listener.getsockname()[:2]
    environ.update(
        {
            "wsgi.multithread": True,
            "wsgi.url_scheme": "http",
            "gunicorn.socket": connection,
            "REMOTE_ADDR": client[0],
            "REMOTE_PORT": str(client[1]),
            "SCRIPT_NAME": "",
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
        }
    )
    return environ
