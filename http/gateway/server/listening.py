"""Accepts the connections of listeners."""

import ctypes
import socket
import struct
from collections.abc import Callable, Sequence
from functools import partial

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer

from gateway.server.connection import Address, ListenerAddress
from gateway.server.succession import SUCCESSION

_SOCKET_BUFFER_BYTES = 32 * 1024
"""What the kernel is asked to keep for one client in each direction; it would grow to megabytes otherwise."""
_UNREACHABLE_MS = 30_000
"""After this time without an acknowledgement of what was sent to a client, the kernel ends the connection: by itself it
would try for a quarter of an hour, in which a client that is gone keeps its place."""
_SO_ATTACH_FILTER = 26
"""Linux's `SO_ATTACH_FILTER`, which Python does not name; see its `Documentation/networking/filter.rst`."""
_TCP_FLAGS_AT, _SYN, _ACK = 13, 0x02, 0x10
_NEW_CONNECTION_FILTER = (
    # Each: operation, lines to skip if true, lines to skip if false, operand.
    (0x30, 0, 0, _TCP_FLAGS_AT),  # load one byte
    (0x54, 0, 0, _SYN | _ACK),  # and
    (0x15, 0, 1, _SYN),  # jump if equal
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # pass
)
_HANDSHAKE_S = 0.002
"""How long a handshake in one data centre takes at most."""


def start_server(
    listener: socket.socket, handle: Callable[[ListenerAddress, socket.socket, Address], None], pool: Pool
) -> StreamServer:
    """Let `handle` serve each connection, in a greenlet of the pool."""
    listener.setblocking(True)  # noqa: FBT003  # the name of the method says it
    bound(listener)
    server = StreamServer(listener, handle=partial(handle, ListenerAddress(listener.getsockname()[:2])), spawn=pool)
    server.start()
    return server


def bound(sock: socket.socket) -> None:
    """Bound what the kernel keeps for a connection, and for how long it tries to reach a client that is gone.

    A connection has the options of its listener, except where it was made before that had them: gunicorn's master
    listens while the worker begins.
    """
    for direction in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, direction, _SOCKET_BUFFER_BYTES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREACHABLE_MS)


def stop_servers(servers: Sequence[StreamServer]) -> None:
    """Accept the connections that wait, and close the listeners; a worker that is replaced waits for the new one.

    A listener that only this process holds resets on close what it has not accepted. So no more connections are let in
    before: the client's kernel tries again, and then finds another listener of the port, if there is one. Where the
    kernel allows no filter, a client that connects at that very instant is reset, and so is one whose handshake takes
    longer than `_HANDSHAKE_S`, or that waits because the worker is full.
    """
    SUCCESSION.wait()
    for server in servers:
        server.stop_accepting()
        if server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
            # Others are shared with gunicorn's master, which goes on listening.
            drop_new_connections(server.socket)
    gevent.sleep(_HANDSHAKE_S)
    for server in servers:
        while not server.full() and (accepted := server.do_read()):
            server.do_handle(*accepted)
        server.close()


def drop_new_connections(listener: socket.socket) -> bool:
    """Let the kernel drop what would begin a connection, and nothing else; returns whether the kernel allows it."""
    lines = b"".join(struct.pack("HBBI", *line) for line in _NEW_CONNECTION_FILTER)
    program = ctypes.create_string_buffer(lines, len(lines))
    described = struct.pack("HP", len(_NEW_CONNECTION_FILTER), ctypes.addressof(program))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)
    except OSError:
        return False
    return True
