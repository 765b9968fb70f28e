"""The status line says only what is told."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from ops.stack.ports import reserve_ports
from ops.stack.process import ProcessState
from ops.stack.status_line import ask_status, describe

RUNNING = dict.fromkeys((1, 2, 3), ProcessState.RUNNING)
STATUS: dict[str, Any] = {
    "story": {"tone": "warn", "text": "default is down for 4.2 s: 468 wait for it, fallback in 6.8 s"},
    "waiting": {"held": 468, "pausing": 2},
    "processors": {"default": {"breaker": {"state": "open"}}, "fallback": {"breaker": {"state": "closed"}}},
    "history": {"accepted": [None, 80, 90, 91, 92, 12, None]},
}


def test_it_tells_the_story_the_rate_what_waits_replicas_and_breakers() -> None:
    states = {**RUNNING, 2: ProcessState.KILLED}
    assert describe(STATUS, states) == (
        "default is down for 4.2 s: 468 wait for it, fallback in 6.8 s | 91/s, 470 waiting | 2 of 3 replicas | "
        "default open, fallback closed"
    )


def test_a_rate_that_is_not_known_is_told_as_such() -> None:
    assert "| ?/s, 470 waiting |" in describe({**STATUS, "history": {"accepted": [None, 3]}}, RUNNING)


def test_a_breaker_that_no_replica_tells_of_is_told_as_such() -> None:
    processors = {"default": {"breaker": {"state": None}}}
    assert describe({**STATUS, "processors": processors}, RUNNING).endswith("| default ?")


def test_a_replica_that_starts_does_not_count_and_a_gateway_that_is_silent_is_told_as_such() -> None:
    assert describe(None, {**RUNNING, 1: ProcessState.STARTING}) == "2 of 3 replicas | none tells its status"


@pytest.fixture
def serve() -> Iterator[Callable[[int, bytes], tuple[int, list[str]]]]:
    servers: list[HTTPServer] = []

    def start(status: int, body: bytes) -> tuple[int, list[str]]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever).start()
        return server.server_port, asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_status_is_asked_with_little_history(serve: Callable[[int, bytes], tuple[int, list[str]]]) -> None:
    port, asked = serve(200, json.dumps(STATUS).encode())
    assert ask_status(port, 1764144000) == STATUS
    assert asked == ["/status?after=1764144000"]


@pytest.mark.parametrize(("status", "body"), [(404, b"{}"), (503, b"{}"), (200, b"{"), (200, b"[]")])
def test_what_is_no_status_counts_as_none(
    serve: Callable[[int, bytes], tuple[int, list[str]]], status: int, body: bytes
) -> None:
    assert ask_status(serve(status, body)[0], 0) is None


def test_a_gateway_that_is_gone_tells_nothing() -> None:
    assert ask_status(reserve_ports(1)[0], 0) is None
