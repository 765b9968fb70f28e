"""Connections to Redis by addresses that are known already."""

import socket
import time
from typing import Any

import redis

from actors.adapters.host_addresses import HostDirectory, ServerAddress

TIMEOUT_S = 0.1
"""The time limit for connecting, and for each answer."""


class LocatedConnection(redis.Connection):
    """A connection to an address of its host that is known already: redis-py's own would look the host up each time."""

    def __init__(self, *, hosts: HostDirectory, **kwargs: Any) -> None:  # noqa: ANN401  # redis-py's own
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]  # redis-py's own
        self._addresses = hosts.of(self.host, self.port)

    def _connect(self) -> socket.socket:
        """Open a socket within `TIMEOUT_S`; redis-py translates the errors."""
        deadline_s = time.monotonic() + TIMEOUT_S
        first_error = None
        for address in self._addresses.get(deadline_s):
            try:
                return self._connect_to(address, deadline_s)
            except OSError as error:
                first_error = first_error or error
        raise first_error or OSError("the host has no address")

    def _connect_to(self, address: ServerAddress, deadline_s: float) -> socket.socket:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("not connected in time")
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(left_s)
            sock.connect(address.socket_address)
            sock.settimeout(self.socket_timeout)
        except BaseException:
            sock.close()
            raise
        return sock


class LocatedTlsConnection(redis.SSLConnection, LocatedConnection):
    """A `LocatedConnection` with TLS. The certificate has to fit the name of the host, not its address."""
