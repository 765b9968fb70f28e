"""A client's connection: a socket with a deadline, and the part of the WSGI environ that all its requests share."""

import errno
import socket
import time
from dataclasses import dataclass
from math import inf
from typing import Any

from gunicorn.config import Config
from gunicorn.http.wsgi import base_environ

Address = tuple[str, int]
RECV_BYTES = 16 * 1024
LINGER_S = 1.0
LINGER_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ListenerAddress:
    """Stands in for a listener, which may be closed before a connection that it accepted is handled."""

    address: Address

    def getsockname(self) -> Address:
        """Give the address that was listened on."""
        return self.address


class Connection:
    """A client's socket with a deadline, which the worker enforces by a sweep over all connections.

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
        """Give an attribute that only the socket has."""
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
        # Nearly every answer fits into the socket's buffer; gevent's `sendall` would ask for its size first.
        sent = self.sock.send(data)
        if sent < len(data):
            self.sock.sendall(data[sent:])
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
