"""What a processor's health endpoint answers is read where it makes sense, and is nothing where it does not."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from actors.adapters.health_probe import HttpHealthProbe
from actors.adapters.host_addresses import HostDirectory
from actors.domain.processors import Processor
from actors.domain.records import ProcessorHealth

NOW_MS = 1_752_582_896_700


class Server(ThreadingHTTPServer):
    """Answers everything alike, and keeps the paths that it was asked for."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body = status, body
        self.paths: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # the library's name
        self.server.paths.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(status: int, body: bytes) -> Iterator[Server]:
    with Server(status, body) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def asked(url: str, name: str = "default") -> ProcessorHealth | None:
    with closing(
        HttpHealthProbe([Processor("default", url, Decimal("0.05"))], lambda: NOW_MS, HostDirectory())
    ) as probe:
        return probe.ask(name)


@pytest.mark.parametrize(
    ("body", "failing", "response_time_ms_min"),
    [
        (b'{"failing":false,"minResponseTime":0}', False, 0),
        (b'{"failing":true,"minResponseTime":1500,"more":[]}', True, 1500),
    ],
)
def test_an_answer_is_read_and_stamped_with_the_instant_of_the_question(
    body: bytes,
    failing: bool,  # noqa: FBT001  # a column of the table
    response_time_ms_min: int,
) -> None:
    with serving(200, body) as server:
        assert asked(server.url) == ProcessorHealth("default", failing, response_time_ms_min, NOW_MS)
    assert server.paths == ["/payments/service-health"]


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_any_other_status_is_no_answer(status: int) -> None:
    with serving(status, b'{"failing":false,"minResponseTime":0}') as server:
        assert asked(server.url) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"null",
        b"7",
        b"[]",
        b"{}",
        b'{"failing":false}',
        b'{"minResponseTime":0}',
        b'{"failing":"false","minResponseTime":0}',
        b'{"failing":null,"minResponseTime":0}',
        b'{"failing":false,"minResponseTime":"quick"}',
        b'{"failing":false,"minResponseTime":null}',
        b'{"failing":false,"minResponseTime":NaN}',
        b'{"failing":false,"minResponseTime":1e999}',
        b'{"failing":false,"minResponseTime":-1}',
        b'{"failing":false,"minResponseTime":0',
        b"\xff\xfe\x00",
    ],
    ids=repr,
)
def test_an_answer_that_makes_no_sense_is_none(body: bytes) -> None:
    with serving(200, body) as server:
        assert asked(server.url) is None


def test_nobody_there_is_no_answer() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        assert asked(f"http://127.0.0.1:{unheard.getsockname()[1]}") is None


def test_a_processor_that_accepts_and_stays_silent_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert asked(f"http://127.0.0.1:{silent.getsockname()[1]}") is None
