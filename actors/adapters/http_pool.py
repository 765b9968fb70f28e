"""A bounded number of connections to one server, shared by many calls."""

import time

from gevent.lock import BoundedSemaphore

from actors.adapters.host_addresses import HostAddresses
from actors.adapters.http_connection import Answer, CallDeadlineError, HttpConnection, connect


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
            ConnectionRefusedError: nobody listens; nothing was sent.
            socket.gaierror: the host has no address; nothing was sent.
            Exception: there is no complete, well-formed answer; the request may have arrived.
        """
        deadline_s = time.monotonic() + self._timeout_s
        if not self._turns.acquire(timeout=self._timeout_s):
            raise CallDeadlineError("no free connection")
        try:
            connection = self._idle_connection() or self._connect(deadline_s)
            try:
                return connection.exchange(request, deadline_s)
            finally:
                if connection.reusable and not self._closed:
                    self._idle.append(connection)
                else:
                    connection.close()
        finally:
            self._turns.release()

    def close(self) -> None:
        """Close the idle connections; those of calls under way are closed at their end."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

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
