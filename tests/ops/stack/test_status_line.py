"""The status line is drawn over itself, below all other lines, and says only what is told."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from ops.stack.ports import reserve_ports
from ops.stack.process import ProcessState
from ops.stack.status_line import StatusLine, ask_status, describe

RUNNING = dict.fromkeys((1, 2, 3), ProcessState.RUNNING)
STATUS: dict[str, Any] = {
    "story": {"tone": "warn", "text": "default is down for 4.2 s: 468 wait for it, fallback in 6.8 s"},
    "waiting": {"held": 468, "pausing": 2},
    "processors": {"default": {"breaker": {"state": "open"}}, "fallback": {"breaker": {"state": "closed"}}},
    "history": {"accepted": [None, 80, 90, 91, 92, 12, None]},
}


class Terminal:
    """A terminal of some width, as far as lines and `\\r` need one."""

    def __init__(self, columns: int = 200) -> None:
        self.columns = columns
        self.shown = ""
        """The last line as it is seen."""
        self.above: list[str] = []
        """The lines before it."""
        self._column = 0

    def write(self, text: str) -> None:
        for character in text:
            if character in "\r\n":
                self._column = 0
                if character == "\n":
                    self.above.append(self.shown.rstrip())
                    self.shown = ""
            else:
                self.shown = self.shown[: self._column].ljust(self._column) + character + self.shown[self._column + 1 :]
                self._column += 1


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def line(terminal: Terminal) -> StatusLine:
    return StatusLine(terminal.write, lambda: terminal.columns)


def test_a_shorter_text_leaves_nothing_of_a_longer_one(terminal: Terminal, line: StatusLine) -> None:
    line.draw("default is down")
    line.draw("all well")
    assert terminal.shown.rstrip() == "all well"


def test_a_text_never_reaches_the_last_column_where_a_terminal_would_break_it(
    terminal: Terminal, line: StatusLine
) -> None:
    terminal.columns = 10
    line.draw("0123456789abc")
    assert terminal.shown == "012345678"


def test_what_would_move_the_cursor_is_not_written(terminal: Terminal, line: StatusLine) -> None:
    line.draw("a\r\n\x1b[2Jb")
    assert terminal.shown == "a???[2Jb"


def test_other_lines_are_printed_above_it(terminal: Terminal, line: StatusLine) -> None:
    line.say("first")
    line.draw("all well")
    line.say("replica-1 ended")
    assert terminal.above == ["first", "replica-1 ended"]
    assert terminal.shown == "all well"


def test_what_the_terminal_echoes_behind_it_goes_with_it(terminal: Terminal, line: StatusLine) -> None:
    line.draw("all well")
    terminal.write("^C")
    line.say("stopping")
    assert terminal.above == ["stopping"]


def test_once_it_has_ended_it_is_drawn_no_more(terminal: Terminal, line: StatusLine) -> None:
    line.draw("all well")
    line.end()
    line.draw("all well")
    line.say("stopping")
    assert terminal.shown.strip() == ""


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
