"""Each request is one line of the log, whichever path it takes, where that is wanted."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.server.serving import FAST, HOST, post, serving

LOGGER = 'logger_class = "gateway.server.gunicorn_log.GatewayLogger"\n'


def told(folder: Path, requests: list[bytes]) -> list[dict[str, Any]]:
    """Send these, each on a connection of its own, and give the lines about them."""
    with serving(folder, FAST, more=LOGGER) as server:
        for request in requests:
            server.exchange(request)
        server.exchange(b"GET /tell HTTP/1.1\r\n%bX-Request-ID: end\r\n\r\n" % HOST)
        server.stop()
        found = [json.loads(line) for line in server.logged.splitlines()]
    return [each for each in found if each["logger"] == "gateway.access"]


REQUESTS = {
    "plain": post(b"12345", target=b"/tell?token=secret"),
    "on the gunicorn path": b"POST /tell?a=b HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % HOST,
    "failing": b"GET /fail?a=b HTTP/1.1\r\n%b\r\n" % HOST,
    "refused": b"GET /tell HTTP/9.9\r\n%b\r\n" % HOST,
}


def test_every_request_is_a_line_without_its_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCESS_LOG", "1")
    lines = told(tmp_path, list(REQUESTS.values()))
    assert [(each["method"], each["path"], each["status"]) for each in lines] == [
        ("POST", "/tell", 200),
        ("POST", "/tell", 200),
        ("GET", "/fail", 500),
        ("-", "-", 505),
        ("GET", "/tell", 200),
    ]
    assert [each.get("request_id") for each in lines] == [None, None, None, None, "end"]
    assert {each["remote"] for each in lines} == {"127.0.0.1"}
    assert all(each["bytes"] > 0 and each["duration_ms"] >= 0 for each in lines)


def test_by_default_no_request_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCESS_LOG", raising=False)
    assert told(tmp_path, list(REQUESTS.values())) == []
