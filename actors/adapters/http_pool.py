"""A bounded number of connections to one server, shared by many calls."""

import time
from urllib.parse import urlsplit

from gevent.lock import BoundedSemaphore

from actors.adapters.host_addresses import HostAddresses, HostDirectory
from actors.adapters.http_connection import Answer, HttpConnection, UnsentError, connect

HTTP_PORT = 80


def host_of_url(hosts: HostDirectory, url: str) -> HostAddresses:
    """Give the addresses of the host of an `http` URL."""
    parts = urlsplit(url)
    return hosts.of(parts.hostname or "", parts.port or HTTP_PORT)


class HttpPool:
    """Makes calls over connections that are used again. A request is sent once: after an error it may have arrived."""

    def __init__(self, addresses: HostAddresses, timeout_s: float, connections_max: int) -> None:
        """`timeout_s` is the time for a whole call. A call waits while `connections_max` others are under way."""
        self._addresses = addresses
        self._timeout_s = timeout_s
        self._turns = BoundedSemaphore(connections_max)
        self._idle: list[HttpConnection] = []
        """Connections without a call; the one used last is used next, so that those not needed age."""
        self._closed = False

    def call(self, request: bytes) -> Answer:
        """Send a request once, and wait for its answer.

        Raises:
            UnsentError: no connection was there in time.
            Exception: there is no complete, well-formed answer; the request may have arrived.
        """
        deadline_s = time.monotonic() + self._timeout_s
        if not self._turns.acquire(timeout=self._timeout_s):
            raise UnsentError("no free connection")
        try:
            connection = self._connection(deadline_s)
            try:
                return connection.exchange(request, deadline_s)
            finally:
                if connection.reusable and not self._closed:
                    self._idle.append(connection)
                else:
                    connection.close()
        finally:
            self._turns.release()

    def open_one(self, timeout_s: float) -> None:
        """Make sure that a connection is open, and keep it for the next call.

        Raises:
            UnsentError: the server accepted none within `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        if not self._turns.acquire(timeout=timeout_s):
            raise UnsentError("no free connection")
        try:
            connection = self._connection(deadline_s)
            if self._closed:
                connection.close()
            else:
                self._idle.append(connection)
        finally:
            self._turns.release()

    def close(self) -> None:
        """Close the idle connections; those of calls under way are closed at their end."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _connection(self, deadline_s: float) -> HttpConnection:
        connection = self._idle_connection()
        if connection is not None:
            return connection
        try:
            return self._connect(deadline_s)
        except Exception as error:
            raise UnsentError(f"no connection: {error!r}") from error

    def _idle_connection(self) -> HttpConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_quiet():
                return connection
            connection.close()
        return None

    def _connect(self, deadline_s: float) -> HttpConnection:
        first_error = None
        for address in self._addresses.get(deadline_s):
            try:
                return connect(address, deadline_s)
            except OSError as error:
                first_error = first_error or error
        raise first_error or OSError("the host has no address")
