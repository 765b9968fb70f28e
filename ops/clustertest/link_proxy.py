"""A proxy that makes links of its host slow: `python -m ops.clustertest.link_proxy --port P --state FILE`.

Connections are redirected to it by iptables; the kernel tells where each was meant to go. FILE holds, for addresses of
other hosts, a delay in milliseconds or "stalled", and may be replaced at any time.
"""

import argparse
import contextlib
import json
import struct
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import gevent
from gevent import socket
from gevent.queue import Full, Queue
from gevent.server import StreamServer

from ops.clustertest.links import PROXY_MARK, STALLED

SO_ORIGINAL_DST = 80
SO_MARK = 36
CHUNK_BYTES = 65536
CHUNKS_MAX = 64
"""Pieces that are under way in one direction of a connection; for more, the sender waits."""
CONNECT_S_MAX = 5
LOOK_S = 0.05
"""How often the file is looked at."""


class Delays:
    """The content of the file, read anew when it was replaced."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._version = 0
        self._delays: Mapping[str, int | str] = {}

    def look(self) -> None:
        """Read the file if it was replaced."""
        with contextlib.suppress(OSError, ValueError):
            version = self._file.stat().st_mtime_ns
            if version != self._version:
                self._delays = json.loads(self._file.read_text())
                self._version = version

    def of(self, address: str) -> float | None:
        """Return the delay in seconds of what goes to or comes from an address; None where it is stalled."""
        delay = self._delays.get(address, 0)
        return None if delay == STALLED else int(delay) / 1000


class LinkProxy:
    """Passes connections on, with the delays of the moment."""

    def __init__(
        self,
        delays: Delays,
        find_destination: "Callable[[socket.socket], tuple[str, int]] | None" = None,
        connect: "Callable[[str, int], socket.socket] | None" = None,
    ) -> None:
        """The connections are those that the kernel has redirected, unless it is told otherwise."""
        self._delays = delays
        self._find_destination = find_destination or original_destination
        self._connect = connect or connect_marked

    def serve(self, client: socket.socket, _address: object) -> None:
        """Pass one connection on until both sides have closed it, or one has failed."""
        address, port = self._find_destination(client)
        try:
            server = self._connect(address, port)
        except OSError:
            client.close()
            return
        try:
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            gevent.joinall(
                [
                    gevent.spawn(self._pass_on, client, server, address),
                    gevent.spawn(self._pass_on, server, client, address),
                ]
            )
        finally:
            client.close()
            server.close()

    def _pass_on(self, source: socket.socket, target: socket.socket, address: str) -> None:
        """Read without end; what was read is written by another greenlet when it is due."""
        under_way: Queue[tuple[float, bytes]] = Queue(maxsize=CHUNKS_MAX)
        writer = gevent.spawn(self._write, under_way, target, address)
        data = b"?"
        while data and not writer.dead:
            try:
                data = source.recv(CHUNK_BYTES)
            except OSError:
                data = b""
            with contextlib.suppress(Full):
                # If the writer has failed meanwhile, room is never made.
                while not writer.dead:
                    under_way.put((time.monotonic(), data), timeout=1)
                    break
        writer.join()

    def _write(self, under_way: "Queue[tuple[float, bytes]]", target: socket.socket, address: str) -> None:
        with contextlib.suppress(OSError):
            while True:
                read_at_s, data = under_way.get()
                self._wait(read_at_s, address)
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)

    def _wait(self, read_at_s: float, address: str) -> None:
        while True:
            delay_s = self._delays.of(address)
            left_s = LOOK_S if delay_s is None else read_at_s + delay_s - time.monotonic()
            if left_s <= 0:
                return
            gevent.sleep(min(left_s, LOOK_S))


def original_destination(client: socket.socket) -> tuple[str, int]:
    """Return where a redirected connection was meant to go."""
    port, packed = struct.unpack("!2xH4s8x", client.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16))
    return socket.inet_ntoa(packed), port


def connect_marked(address: str, port: int) -> socket.socket:
    """Connect such that the connection is not redirected to the proxy itself.

    Raises:
        OSError: nobody accepts the connection.
    """
    server = socket.socket()
    try:
        server.setsockopt(socket.SOL_SOCKET, SO_MARK, int(PROXY_MARK, 16))
        server.settimeout(CONNECT_S_MAX)
        server.connect((address, port))
        server.settimeout(None)
    except OSError:
        server.close()
        raise
    return server


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m ops.clustertest.link_proxy", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    given = parser.parse_args()
    delays = Delays(given.state)
    proxy = LinkProxy(delays)
    server = StreamServer(("127.0.0.1", given.port), proxy.serve)
    server.start()
    while True:
        delays.look()
        gevent.sleep(LOOK_S)


if __name__ == "__main__":
    sys.exit(main())
