"""`ops/resolve`."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from ops.resolution import main, present_user

ID = "4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3"
AT = "2025-07-15T12:34:56.789Z"


class Replica(HTTPServer):
    """Answers as a replica would, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.answer = 200, {"correlationId": ID, "resolution": "applied"}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.authorizations: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Replica

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, json.loads(body)))
        self.server.authorizations.append(self.headers["Authorization"])
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as in the base
        """Print nothing."""


@pytest.fixture
def replica() -> Iterator[Replica]:
    with Replica() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_charge_that_was_found_is_told(replica: Replica, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([ID, "--charged-by", "default", "--at", AT, "--by", "ana", "--url", replica.url]) == 0
    body = {"chargedBy": "default", "requestedAt": AT, "by": "ana"}
    assert replica.asked == [(f"/payments/{ID}/resolution", body)]
    assert capsys.readouterr().out == f"Applied: {ID} was charged by default at {AT} (applied).\n"


@pytest.mark.parametrize("is_variable", [False, True])
def test_the_token_is_sent_where_there_is_one(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, *, is_variable: bool
) -> None:
    monkeypatch.delenv("ADMIN_TOKEN", raising=False)
    assert main([ID, "--not-charged", "--url", replica.url]) == 0
    if is_variable:
        monkeypatch.setenv("ADMIN_TOKEN", "a-long-enough-token")
    given = [] if is_variable else ["--token", "a-long-enough-token"]
    assert main([ID, "--not-charged", "--url", replica.url, *given]) == 0
    assert replica.authorizations == [None, "Bearer a-long-enough-token"]


def test_that_nobody_charged_it_is_told(replica: Replica) -> None:
    assert main([ID, "--not-charged", "--by", "ana", "--url", replica.url]) == 0
    assert replica.asked == [(f"/payments/{ID}/resolution", {"chargedBy": None, "by": "ana"})]


def test_who_has_no_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)
    assert present_user() == "user 4000000"


def test_why_it_is_refused_is_shown(replica: Replica, capsys: pytest.CaptureFixture[str]) -> None:
    replica.status, replica.answer = 409, {"title": "May settle by itself", "detail": "ask again later"}
    assert main([ID, "--not-charged", "--url", replica.url]) == 1
    assert capsys.readouterr().out == f"Refused: {ID}: May settle by itself: ask again later\n"


def test_what_scripts_read_is_one_line_of_json(replica: Replica, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([ID, "--not-charged", "--url", replica.url, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {name: told[name] for name in ("id", "status", "resolution")} == {
        "id": ID,
        "status": 200,
        "resolution": "applied",
    }


def test_a_replica_that_does_not_answer_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([ID, "--not-charged", "--url", "http://127.0.0.1:1"]) == 3
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert shown.err.startswith("ops/resolve: http://127.0.0.1:1: ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [ID],
        ["7", "--not-charged"],
        [ID, "--charged-by", "default"],
        [ID, "--not-charged", "--at", AT],
        [ID, "--not-charged", "--url", "localhost:19999"],
        [ID, "--not-charged", "--charged-by", "default", "--at", AT],
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
