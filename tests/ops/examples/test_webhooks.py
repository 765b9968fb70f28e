"""The example that posts what ended to a receiver."""

import hashlib
import hmac
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from ops.examples import webhooks

SECRET = "for the test alone"
EVENTS = [{"type": "settled", "cursor": f"c{number}", "amount": 19.9} for number in range(6)]
DEADLINE_S = 30.0


class Site(ThreadingHTTPServer):
    """A feed of a few events, two on a page, and a receiver that refuses what it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), SiteHandler)
        self.received: queue.Queue[tuple[dict[str, object], str, bytes]] = queue.Queue()
        self.refusals = 0
        self.asked: list[str] = []
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take(self) -> dict[str, object]:
        event, signature, body = self.received.get(timeout=DEADLINE_S)
        fields = dict(field.split("=") for field in signature.split(","))
        expected = hmac.new(SECRET.encode(), f"{fields['t']}.".encode() + body, hashlib.sha256).hexdigest()
        assert hmac.compare_digest(expected, fields["v1"])
        return event


class SiteHandler(BaseHTTPRequestHandler):
    """Answers as the gateway and the receiver do."""

    server: Site

    def do_GET(self) -> None:
        after = parse_qs(urlsplit(self.path).query).get("after", [""])[0]
        self.server.asked.append(after)
        if after and not after.startswith("c"):
            self._answer(400, {"detail": "after: must be a cursor"})
            return
        begin = int(after[1:]) + 1 if after else 0
        events = EVENTS[begin : begin + 2]
        if not events:
            self.server.ended.wait(DEADLINE_S)
        self._answer(200, {"events": events, "next": events[-1]["cursor"] if events else after})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.refusals:
            self.server.refusals -= 1
            self._answer(500, {})
            return
        self.server.received.put((json.loads(body), self.headers["Fiel-Signature"], body))
        self._answer(200, {})

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.ended.set()
        server.shutdown()


@contextmanager
def delivering(site: Site, cursor_file: Path) -> Iterator[None]:
    command = [sys.executable, webhooks.__file__, site.url, f"{site.url}/hook", str(cursor_file)]
    with subprocess.Popen(command, env={**os.environ, "WEBHOOK_SECRET": SECRET}) as process:  # noqa: S603  # our own
        try:
            yield
        finally:
            process.kill()


def test_every_event_is_delivered_in_order_with_a_signature_however_often_it_is_killed(
    site: Site, tmp_path: Path
) -> None:
    delivered = []
    with delivering(site, tmp_path / "cursor"):
        delivered += [site.take(), site.take(), site.take()]
    site.refusals = 1
    with delivering(site, tmp_path / "cursor"):
        while len(delivered) < len(EVENTS) or delivered[-1] != EVENTS[-1]:
            delivered.append(site.take())
    # What the receiver had kept when it was killed may be posted twice.
    once = [event for number, event in enumerate(delivered) if event not in delivered[:number]]
    assert once == EVENTS
    assert site.asked[0] == ""
    assert all(each.startswith("c") for each in site.asked[1:])


def test_a_cursor_that_the_gateway_refuses_ends_it_with_the_reason(site: Site, tmp_path: Path) -> None:
    (tmp_path / "cursor").write_text("x\n")
    command = [sys.executable, webhooks.__file__, site.url, f"{site.url}/hook", str(tmp_path / "cursor")]
    done = subprocess.run(  # noqa: S603  # our own
        command, check=False, capture_output=True, text=True, env={**os.environ, "WEBHOOK_SECRET": SECRET}
    )
    assert (done.returncode, "must be a cursor" in done.stderr) == (1, True)
    assert site.asked == ["x"]
