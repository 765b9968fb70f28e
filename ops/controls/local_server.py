"""Asks other servers of the stack, which listen on loopback ports of this machine."""

from actors.adapters.host_addresses import HostAddresses
from actors.adapters.http_connection import Answer
from actors.adapters.http_pool import HttpPool

ANSWER_S_MAX = 2.0
"""How long one question may take."""
CONNECTIONS_MAX = 4
HOST = "127.0.0.1"


class ServerAwayError(Exception):
    """A server of the stack did not answer; the message says which and why."""


class LocalServer:
    """Asks one server, over connections that are kept."""

    def __init__(self, name: str, port: int, fields: str = "") -> None:
        """Make no connection yet.

        Args:
            name: what error messages call the server.
            port: where it listens on the loopback address.
            fields: header fields of every request, each with its line end.
        """
        self._name = name
        self._fields = f" HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Type: application/json\r\n{fields}Content-Length: "
        self._pool = HttpPool(HostAddresses(HOST, port), ANSWER_S_MAX, CONNECTIONS_MAX)

    def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Send one request, and return its answer whatever its status is.

        Raises:
            ServerAwayError: there is none.
        """
        request = f"{method} {path}{self._fields}{len(body)}\r\n\r\n".encode() + body
        try:
            return self._pool.call(request)
        except Exception as error:  # the pool names no other kind
            raise ServerAwayError(f"{self._name} does not answer: {error!r}") from error
