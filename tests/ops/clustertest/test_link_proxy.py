"""A slow link passes everything on in its order, and a stalled one nothing until it is healed."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import gevent
import pytest
from gevent import socket
from gevent.server import StreamServer

from ops.clustertest.link_proxy import Delays, LinkProxy
from ops.clustertest.links import STALLED

AMPLE_S = 30.0
HOST = "127.0.0.1"


class Link:
    """A server that sends back what it gets, behind a proxy."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.delays = Delays(state)
        self._server = StreamServer((HOST, 0), self._echo)
        self._server.start()
        port = self._server.server_port
        assert port is not None
        proxy = LinkProxy(self.delays, lambda _: (HOST, port), lambda *to: socket.create_connection(to, AMPLE_S))
        self._proxy = StreamServer((HOST, 0), proxy.serve)
        self._proxy.start()
        self._version = 0

    def disturb(self, delay: int | str | None) -> None:
        self._state.write_text(json.dumps({} if delay is None else {HOST: delay}))
        # Two files that are written within one tick of the clock would look alike.
        self._version += 1
        os.utime(self._state, ns=(self._version, self._version))
        self.delays.look()

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self._proxy.server_port), AMPLE_S)

    def close(self) -> None:
        self._proxy.stop()
        self._server.stop()

    @staticmethod
    def _echo(client: socket.socket, _address: object) -> None:
        while data := client.recv(65536):
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    with closing(Link(tmp_path / "links.json")) as link:
        yield link


def everything(client: socket.socket) -> bytes:
    found = b""
    while data := client.recv(65536):
        found += data
    return found


@pytest.mark.parametrize("delay", [None, 20])
def test_all_bytes_and_the_end_arrive_in_order(link: Link, delay: int | None) -> None:
    link.disturb(delay)
    sent = b"".join(number.to_bytes(4, "big") for number in range(100_000))
    with link.connect() as client:
        reader = gevent.spawn(everything, client)
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        assert reader.get(timeout=AMPLE_S) == sent


def test_what_goes_over_a_slow_link_takes_its_delay_both_ways(link: Link) -> None:
    link.disturb(100)
    with link.connect() as client:
        began = gevent.get_hub().loop.now()
        client.sendall(b"?")
        assert client.recv(1) == b"?"
        gevent.get_hub().loop.update_now()
        assert gevent.get_hub().loop.now() - began >= 0.2


def test_a_stalled_link_stays_open_and_passes_on_what_was_sent_once_it_is_healed(link: Link) -> None:
    link.disturb(STALLED)
    with link.connect() as client:
        client.sendall(b"late")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(4)
        link.disturb(None)
        client.settimeout(AMPLE_S)
        assert client.recv(4) == b"late"
