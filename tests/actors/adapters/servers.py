"""Servers that answer by a script, and what becomes of charges that are sent to them."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from gevent.server import StreamServer
from gevent.socket import wait_read

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.processor_client import HttpProcessorClient
from actors.domain.outcome import Outcome
from tests.actors.fakes import payment

STAMP_MS = 1_752_582_896_700
"""2025-07-15T12:34:56.700Z"""
PAYMENT = payment(7)
AMPLE_S = 30.0
SHORT_S = 0.2
"""For calls that their deadline is to cut."""
DRIP_S = 0.01

Behaviour = Callable[[socket.socket], object]
"""What a server does once it has read a request; the connection is kept where the answer is True."""


class Server:
    """Answers request after request by a script, the last behaviour again and again, and keeps what it was sent."""

    def __init__(self, *script: Behaviour) -> None:
        self._script = list(script)
        self.requests: list[bytes] = []
        self.connections = 0
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.stop()

    def _serve(self, connection: socket.socket, _address: object) -> None:
        self.connections += 1
        with connection, suppress(OSError):
            while (request := read_request(connection)) is not None:
                self.requests.append(request)
                behaviour = self._script.pop(0) if len(self._script) > 1 else self._script[0]
                if not behaviour(connection):
                    return


def read_request(connection: socket.socket) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += (more := connection.recv(65536))
        if not more:
            return None
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    while length and len(body) < int(length[1]):
        body += (more := connection.recv(65536))
        if not more:
            return None
    return head + b"\r\n\r\n" + body


def answer(status: int, body: bytes = b"{}", head: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d Said\r\n%sContent-Length: %d\r\n\r\n%s" % (status, head, len(body), body)


def saying(data: bytes) -> Behaviour:
    """Say it and keep the connection."""

    def say(connection: socket.socket) -> bool:
        connection.sendall(data)
        return True

    return say


def closing_after(data: bytes) -> Behaviour:
    return lambda connection: connection.sendall(data)


def resetting(connection: socket.socket, said: bytes = b"") -> None:
    connection.sendall(said)
    with suppress(TimeoutError):
        wait_read(connection.fileno(), DRIP_S, TimeoutError())  # Meanwhile the other side reads what was said.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def dripping(data: bytes) -> Behaviour:
    """Say it, then a byte at a time until the other side hangs up."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(data)
        while True:
            with suppress(TimeoutError):
                wait_read(connection.fileno(), DRIP_S, TimeoutError())
                return
            connection.sendall(b"x")

    return drip


def silent(connection: socket.socket) -> None:
    connection.recv(1)


@contextmanager
def serving(*script: Behaviour) -> Iterator[Server]:
    with closing(Server(*script)) as server:
        yield server


@contextmanager
def calling(
    url: str, timeout_s: float = AMPLE_S, charges_max: int = 4, default_currency: str = "BRL"
) -> Iterator[HttpProcessorClient]:
    with closing(HttpProcessorClient(url, HostDirectory(), timeout_s, charges_max, 16, default_currency)) as client:
        yield client


def outcomes(*script: Behaviour, timeout_s: float = AMPLE_S, charges: int = 1) -> list[Outcome]:
    """What becomes of charges by one client with a single connection; each is sent once."""
    with serving(*script) as server, calling(server.url, timeout_s, charges_max=1) as client:
        seen = [client.charge(PAYMENT, STAMP_MS) for _ in range(charges)]
        assert len(server.requests) == charges
    return seen
