"""Accepts the connections of listeners."""

import socket
from collections.abc import Callable, Iterable
from functools import partial

from gevent.pool import Pool
from gevent.server import StreamServer

from gateway.server.connection import Address, ListenerAddress
from gateway.server.succession import SUCCESSION

_SOCKET_BUFFER_BYTES = 32 * 1024
"""What the kernel is asked to keep for one client in each direction; it would grow to megabytes otherwise."""


def start_server(
    listener: socket.socket, handle: Callable[[ListenerAddress, socket.socket, Address], None], pool: Pool
) -> StreamServer:
    """Let `handle` serve each connection, in a greenlet of the pool."""
    listener.setblocking(True)  # noqa: FBT003  # the name of the method says it
    for direction in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        listener.setsockopt(socket.SOL_SOCKET, direction, _SOCKET_BUFFER_BYTES)
    server = StreamServer(listener, handle=partial(handle, ListenerAddress(listener.getsockname()[:2])), spawn=pool)
    server.start()
    return server


def stop_servers(servers: Iterable[StreamServer]) -> None:
    """Accept the connections that wait, and close the listeners; a worker that is replaced waits for the new one."""
    SUCCESSION.wait()
    for server in servers:
        # Closing the listener would reset the connections that wait to be accepted.
        server.stop_accepting()
        while not server.full() and (accepted := server.do_read()):
            server.do_handle(*accepted)
        server.close()
