"""A listener that closes beside another one of its port fails no client."""

import errno
import socket
from contextlib import ExitStack

import gevent.socket
import pytest
from gevent.pool import Pool
from gevent.server import StreamServer

from gateway.server.listening import start_server, stop_servers
from tests.gateway.server.serving import DEADLINE_S, kernel_filters_sockets

CLIENTS = 20


@pytest.mark.skipif(not kernel_filters_sockets(), reason="the kernel allows this account no socket filter")
def test_clients_that_connect_while_a_listener_closes_find_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as opened:
        port, closing = serve(opened)
        _, other = serve(opened, port)
        clients: list[socket.socket] = []
        close = closing.close

        def connect_and_close() -> None:
            clients.extend(connect(opened, port) for _ in range(CLIENTS))
            close()

        monkeypatch.setattr(closing, "close", connect_and_close)
        stop_servers([closing])
        assert [read(client) for client in clients] == [b"answer"] * CLIENTS
        other.stop()


def test_clients_that_wait_to_be_accepted_are_served_before_a_listener_closes() -> None:
    with ExitStack() as opened:
        port, server = serve(opened)
        clients = [connect(opened, port) for _ in range(CLIENTS)]
        stop_servers([server])
        assert [read(client) for client in clients] == [b"answer"] * CLIENTS


def serve(opened: ExitStack, port: int = 0) -> tuple[int, StreamServer]:
    listener = opened.enter_context(gevent.socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(CLIENTS)
    server = start_server(listener, lambda _, client, __: client.sendall(b"answer"), Pool(CLIENTS))
    return listener.getsockname()[1], server


def connect(opened: ExitStack, port: int) -> socket.socket:
    """Begin to connect; the kernel does the rest."""
    client = opened.enter_context(socket.socket())
    client.settimeout(0)
    assert client.connect_ex(("127.0.0.1", port)) in (0, errno.EINPROGRESS)
    return client


def read(client: socket.socket) -> bytes:
    gevent.socket.wait_write(client.fileno(), DEADLINE_S)
    gevent.socket.wait_read(client.fileno(), DEADLINE_S)
    return client.recv(100)
