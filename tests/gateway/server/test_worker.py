import json
import os
import re
import signal
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.problem_types import ProblemType
from tests.gateway.server.serving import FAST, GUNICORN, HOST, Answer, Server, post, serving


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("fast"), FAST) as server:
        yield server


@pytest.fixture(scope="module")
def own_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("gunicorn"), GUNICORN) as server:
        yield server


def test_a_connection_serves_many_requests(fast: Server) -> None:
    with fast.connect() as client:
        answers = [client.get(f"/tell?n={number}") for number in range(5)]
    assert [f"n={number}" for number in range(5)] == [json.loads(each.body)["QUERY_STRING"] for each in answers]
    assert {"keep-alive"} == {each.headers["connection"] for each in answers}
    assert answers[0].headers["server"] == "gunicorn"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answers[0].headers["date"])


def test_pipelined_requests_are_answered_in_order(fast: Server) -> None:
    bodies = [b"first", b"", b"third\nof two lines"]
    answers = fast.exchange(b"".join(post(body) for body in bodies))
    told = [json.loads(each.body) for each in answers]
    assert bodies == [(each["line"] + each["rest"]).encode() for each in told]


def test_a_request_may_arrive_byte_by_byte_and_the_connection_lives_on(fast: Server) -> None:
    with fast.connect() as client:
        for byte in post(b"dripped"):
            client.send(bytes([byte]))
        assert json.loads(client.answer().body)["line"] == "dripped"
        assert client.get("/tell").headers["connection"] == "keep-alive"


def test_equal_heads_are_each_shown_with_their_own_connection_and_body(fast: Server) -> None:
    with fast.connect() as first, fast.connect() as second:
        for client, body in ((first, b"one"), (second, b"two"), (first, b"new")):
            client.send(post(body))
            shown = json.loads(client.answer().body)
            assert (body.decode(), str(client.sock.getsockname()[1])) == (shown["line"], shown["REMOTE_PORT"])


def test_connection_close_is_granted(fast: Server) -> None:
    with fast.connect() as client:
        assert client.get("/tell", b"Connection: Close\r\n").headers["connection"] == "close"
        assert client.is_ended()


def test_what_comes_behind_the_last_request_does_not_cost_its_answer(fast: Server) -> None:
    with fast.connect() as client:
        client.send(b"GET /tell HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n" + bytes(100_000))
        assert client.answer().status == 200
        assert client.is_ended()


@pytest.mark.parametrize(("fields", "connection"), [(b"", "close"), (b"Connection: keep-alive\r\n", "keep-alive")])
def test_http_1_0_closes_unless_asked_otherwise(fast: Server, fields: bytes, connection: str) -> None:
    with fast.connect() as client:
        answer = client.get("/unmeasured", fields, version="1.0")
        assert (10, connection, b"whole") == (answer.version, answer.headers["connection"], answer.body)


def test_head_is_answered_without_a_body(fast: Server) -> None:
    with fast.connect() as client:
        client.send(b"HEAD /tell HTTP/1.1\r\n" + HOST + b"\r\n")
        answer = client.answer("HEAD")
        assert int(answer.headers["content-length"]) > 0
        assert client.get("/nothing").status == 204


def test_an_answer_without_content_has_no_length(fast: Server) -> None:
    with fast.connect() as client:
        answer = client.get("/nothing")
        assert "content-length" not in answer.headers
        assert "transfer-encoding" not in answer.headers
        assert client.get("/tell").status == 200


def test_a_body_that_is_there_as_a_whole_gets_a_length(fast: Server) -> None:
    with fast.connect() as client:
        answer = client.get("/unmeasured")
    assert (answer.headers["content-length"], answer.body) == ("5", b"whole")


@pytest.mark.parametrize("target", ["/pieces", "/written"])
def test_a_body_in_pieces_is_chunked(fast: Server, target: str) -> None:
    with fast.connect() as client:
        answer = client.get(target)
        assert (answer.headers["transfer-encoding"], answer.body) == ("chunked", b"first,second")
        assert client.get("/tell").status == 200
        answer = client.get(target, version="1.0")
        assert (answer.headers["connection"], answer.body) == ("close", b"first,second")


def test_a_body_cut_short_by_the_app_ends_the_connection(fast: Server) -> None:
    with fast.connect() as client, pytest.raises(HTTPException):
        client.get("/short")


@pytest.mark.parametrize("target", ["/fail", "/leave", "/split"])
def test_an_error_in_the_app_is_a_500_and_the_worker_lives(fast: Server, target: str) -> None:
    with fast.connect() as client:
        worker = json.loads(client.get("/tell").body)["worker"]
        assert client.get(target).status == 500
        assert client.is_ended()
    fast.wait_for_log(rf"'path': '{target}', .*'event': 'a request failed'")
    with fast.connect() as client:
        assert json.loads(client.get("/tell").body)["worker"] == worker


def test_an_error_midway_cuts_the_answer(fast: Server) -> None:
    with fast.connect() as client, pytest.raises(HTTPException):
        client.get("/fail_midway")


ENVIRONS = {
    "get": b"GET /a/b?c=d&e HTTP/1.1\r\n" + HOST + b"\r\n",
    "no fields": b"GET / HTTP/1.1\r\n\r\n",
    "escapes": b"GET /%C3%A4%2F%zz;x=1:2?%20&?a=/b HTTP/1.1\r\n" + HOST + b"\r\n",
    "empty query": b"DELETE /a? HTTP/1.1\r\n" + HOST + b"\r\n",
    "body": post(b"line\nrest", b"Content-Type: application/json\r\nX-Trace-Id:\t spaced \t\r\nX-Latin: \xe4\r\n"),
    "empty value": post(b"", b"X-Empty:\r\nACCEPT: */*\r\ncookie: a=b; c=d\r\n"),
    "http 1.0": b"GET / HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\n\r\n",
    "options": b"OPTIONS /a HTTP/1.1\r\n" + HOST + b"X-Forwarded-For: 10.0.0.1\r\nPath-Info: /b\r\n\r\n",
}
UNUSUAL = {
    "chunked": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n0\r\n\r\n",
    "expect": post(b"body", b"Expect: 100-continue\r\n"),
    "upgrade": b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "listed options": b"GET / HTTP/1.1\r\n" + HOST + b"Connection: keep-alive, close\r\n\r\n",
    "absolute form": b"GET http://pay.example/a?b HTTP/1.1\r\n" + HOST + b"\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "double slash": b"GET //a/b HTTP/1.1\r\n" + HOST + b"\r\n",
    "fragment": b"GET /a#b?c HTTP/1.1\r\n" + HOST + b"\r\n",
    "repeated field": b"GET / HTTP/1.1\r\n" + HOST + b"Accept: a\r\nAccept: b\r\n\r\n",
    "forwarded scheme": b"GET / HTTP/1.1\r\n" + HOST + b"X-Forwarded-Proto: https\r\n\r\n",
    "odd method": b"PROPFIND / HTTP/1.1\r\n" + HOST + b"\r\n",
    "underscore": b"POST / HTTP/1.1\r\n" + HOST + b"Content_Length: 4\r\nX_A: b\r\n\r\n",
    "odd field name": b"GET / HTTP/1.1\r\n" + HOST + b"X!a: b\r\n\r\n",
    "leading empty line": b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
    "long field": b"GET / HTTP/1.1\r\n" + HOST + b"X-Long: " + b"a" * 5000 + b"\r\n\r\n",
    "padded length": b"POST / HTTP/1.1\r\nContent-Length: 004\r\n\r\nbody",
    "long body": post(b"a" * 20_000),
}
CHANGING = ("REMOTE_PORT", "SERVER_PORT", "worker", "HTTP_CONNECTION")


def told(answers: list[Answer]) -> dict[str, Any]:
    (answer,) = answers
    return {key: value for key, value in json.loads(answer.body).items() if key not in CHANGING}


@pytest.mark.parametrize("request_bytes", [*ENVIRONS.values(), *UNUSUAL.values()], ids=[*ENVIRONS, *UNUSUAL])
def test_the_app_sees_what_gunicorns_own_worker_shows_it(
    fast: Server, own_worker: Server, request_bytes: bytes
) -> None:
    assert told(own_worker.exchange(request_bytes)) == told(fast.exchange(request_bytes))


@pytest.mark.parametrize("request_bytes", ENVIRONS.values(), ids=ENVIRONS.keys())
def test_a_plain_request_leaves_the_connection_open(fast: Server, request_bytes: bytes) -> None:
    with fast.connect() as client:
        client.send(request_bytes)
        assert client.answer().headers["connection"] == "keep-alive"


@pytest.mark.parametrize("request_bytes", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_an_unusual_request_is_the_last_of_its_connection(fast: Server, request_bytes: bytes) -> None:
    with fast.connect() as client:
        assert client.get("/tell").status == 200
        client.send(request_bytes)
        assert client.answer().headers["connection"] == "close"
        assert client.is_ended()


REFUSED = {
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
    "equal lengths": b"POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
    "list of lengths": b"POST / HTTP/1.1\r\nContent-Length: 4, 4\r\n\r\nbody",
    "signed length": b"POST / HTTP/1.1\r\nContent-Length: +4\r\n\r\nbody",
    "hexadecimal length": b"POST / HTTP/1.1\r\nContent-Length: 0x4\r\n\r\nbody",
    "length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks in 1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks twice": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "unknown expectation": post(b"body", b"Expect: more\r\n"),
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare LF between fields": b"GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n",
    "bare CR": b"GET / HTTP/1.1\r\nHost: a\rX-A: b\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n",
    "NUL in the target": b"GET /\x00 HTTP/1.1\r\n\r\n",
    "folded field": b"GET / HTTP/1.1\r\nX-A: b\r\n c\r\n\r\n",
    "space before the colon": b"POST / HTTP/1.1\r\nContent-Length : 4\r\n\r\nbody",
    "no colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\n: a\r\n\r\n",
    "asterisk without options": b"GET * HTTP/1.1\r\n\r\n",
    "authority form": b"GET a:80 HTTP/1.1\r\n\r\n",
    "raw bytes in the target": b"GET /\xe4 HTTP/1.1\r\n\r\n",
    "lower-case method": b"get / HTTP/1.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "odd version": b"GET / HTTP/1.10\r\n\r\n",
    "long line": b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n",
    "long field": b"GET / HTTP/1.1\r\nX-A: " + b"a" * 9000 + b"\r\n\r\n",
    "many fields": b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(101)) + b"\r\n",
}


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED.keys())
def test_what_gunicorns_own_worker_refuses_is_refused_alike(
    fast: Server, own_worker: Server, request_bytes: bytes
) -> None:
    follower = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    expected = [answer.status for answer in own_worker.exchange(request_bytes + follower)]
    assert len(expected) == 1
    assert expected[0] >= 400
    answers = fast.exchange(request_bytes + follower)
    assert expected == [as_gunicorn(answer) for answer in answers]
    problem = json.loads(answers[0].body)
    assert answers[0].headers["content-type"] == "application/problem+json"
    assert problem["type"] in {kind.uri for kind in ProblemType}
    assert problem["status"] == answers[0].status
    assert problem["title"]
    assert problem["detail"]


def as_gunicorn(answer: Answer) -> int:
    """The status, except that gunicorn answers 400 to every version that it does not speak."""
    return 400 if answer.status == 505 else answer.status


def test_a_body_that_is_compressed_besides_is_not_passed_on(fast: Server) -> None:
    request = b"POST /tell HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    answers = fast.exchange(request)
    assert [(answer.status, json.loads(answer.body)["type"]) for answer in answers] == [
        (501, ProblemType.NOT_IMPLEMENTED.uri)
    ]


LINES = [
    *(b"Host: a", b"Content-Type: a", b"TE: trailers", b"Upgrade: h2c", b"Expect: 100-continue", b""),
    *(b"Content-Length: 4", b"Content-Length: 0", b"content-length:7", b"Content-Length: 4 ", b"Content-Length:"),
    *(b"Content-Length: 4,4", b"Content-Length: -1", b"Content-Length: \xb2", b"Connection: Content-Length"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding: \x0bchunked"),
    *(b"transfer-encoding: identity", b"Connection: close", b"Connection: keep-alive, close"),
    *(b" folded", b"X: \x7f", b"X: \xff", b"X-\xff: a", b"X: a\rb", b"X_A: b"),
]
TARGETS = [b"/", b"/a?b", b"//a", b"/a b", b"/a\tb", b"*", b"http://a/", b"a:1", b"/#", b"/%00", b""]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/1.1 ", b"http/1.1", b"HTTP/2.0", b"HTTP/1.", b""]
ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n"])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"get", b"G\xc9T", b"M-SEARCH", b"\r\nGET"]))
    start = b" ".join([method, draw(st.sampled_from(TARGETS)), draw(st.sampled_from(VERSIONS))])
    lines = [start, *draw(st.lists(st.sampled_from(LINES), max_size=4)), b""]
    body = draw(st.sampled_from([b"", b"body", b"0\r\n\r\n", b"GET /b HTTP/1.1\r\n\r\n"]))
    return b"".join(line + draw(ENDS) for line in lines) + body


@settings(max_examples=300, deadline=None)
@given(data=st.lists(messages(), min_size=1, max_size=2).map(b"".join))
def test_whatever_comes_the_answers_begin_as_those_of_gunicorns_own_worker(
    fast: Server, own_worker: Server, data: bytes
) -> None:
    expected = [(answer.status, visible(answer)) for answer in without_head(own_worker, data)]
    actual = [(as_gunicorn(answer), visible(answer)) for answer in without_head(fast, data)]
    assert expected[: len(actual)] == actual
    # A request cut off by the client's end gets no answer here; gunicorn's own worker shows the app its beginning.
    assert actual or not expected or expected[0][0] < 400


def without_head(server: Server, data: bytes) -> list[Answer]:
    return server.exchange(data.replace(b"HEAD", b"PUT"))


def visible(answer: Answer) -> dict[str, Any]:
    return told([answer]) if answer.status == 200 else {}


def test_a_body_too_large_is_refused_unread_and_the_connection_ends(fast: Server) -> None:
    with fast.connect() as client:
        client.send(post(b"a" * 100_000, target=b"/refuse"))
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert client.is_ended()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("hasty"), "worker_app.HastyWorker") as server:
        yield server


STALLED = {
    "head": b"GET / HTTP/1.1\r\nHost: a",
    "body": b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf",
    "long body": b"POST / HTTP/1.1\r\nContent-Length: 90000\r\n\r\nhalf",
    "odd head": b"BREW / HTTP/1.1\r\nHost: a",
}


@pytest.mark.parametrize("request_bytes", STALLED.values(), ids=STALLED.keys())
def test_a_client_that_stalls_is_cut_off(hasty: Server, request_bytes: bytes) -> None:
    with hasty.connect() as client:
        client.send(request_bytes)
        (answer,) = client.answers()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert json.loads(answer.body)["title"] == "Request timeout"
    with hasty.connect() as client:
        assert client.get("/tell").status == 200


def test_a_stop_ends_idle_connections_and_finishes_the_request_under_way(tmp_path: Path) -> None:
    entered, entered_w = os.pipe()
    release_r, release = os.pipe()
    try:
        with (
            serving(tmp_path, FAST, (entered_w, release_r)) as server,
            server.connect() as idle,
            server.connect() as busy,
        ):
            assert idle.get("/tell").status == 200
            busy.send(b"GET /hold HTTP/1.1\r\n\r\n")
            os.read(entered, 1)
            server.process.terminate()
            assert idle.is_ended()
            assert server.process.poll() is None
            os.write(release, b"r")
            answer = busy.answer()
            assert (answer.headers["connection"], answer.body) == ("close", b"held")
            assert busy.is_ended()
            assert server.stop() == 0
    finally:
        for fd in (entered, entered_w, release_r, release):
            os.close(fd)


@pytest.mark.parametrize("fields", [b"", b"TE: gzip\r\n"], ids=["fast path", "gunicorn's path"])
def test_an_answer_to_a_whole_request_may_take_longer_than_a_request(tmp_path: Path, fields: bytes) -> None:
    (entered, entered_w), (release_r, release) = os.pipe(), os.pipe()
    try:
        with (
            serving(tmp_path, "worker_app.HastyWorker", hold_fds=(entered_w, release_r)) as server,
            server.connect() as patient,
            server.connect() as slow,
        ):
            patient.send(b"GET /hold HTTP/1.1\r\n%b%b\r\n" % (HOST, fields))
            os.read(entered, 1)
            slow.send(STALLED["body"])
            assert slow.answer().status == 408
            os.write(release, b"r")
            assert patient.answer().body == b"held"
    finally:
        for fd in (entered, entered_w, release_r, release):
            os.close(fd)


def test_a_stop_serves_the_connections_that_wait_to_be_accepted(tmp_path: Path) -> None:
    # More than gevent accepts at once; the worker is halted so that it finds them together with the signal.
    waiting = 150
    with serving(tmp_path, FAST) as server:
        with server.connect() as client:
            worker = json.loads(client.get("/tell").body)["worker"]
        os.kill(worker, signal.SIGSTOP)
        clients = [server.connect() for _ in range(waiting)]
        try:
            for client in clients:
                client.send(b"GET /tell HTTP/1.1\r\n\r\n")
            server.process.terminate()
            server.wait_for_log("Handling signal: term")
            os.kill(worker, signal.SIGTERM)
            os.kill(worker, signal.SIGCONT)
            assert [client.answer().status for client in clients] == [200] * waiting
        finally:
            for client in clients:
                client.__exit__()
        assert server.stop() == 0


def test_a_worker_that_is_asked_for_more_than_the_fast_path_does_is_gunicorns_own(tmp_path: Path) -> None:
    log = tmp_path / "access"
    with serving(tmp_path, FAST, more=f'accesslog = "{log}"\n') as server:
        (answer,) = server.exchange(post(b"line"))
        assert (answer.status, json.loads(answer.body)["line"]) == (200, "line")
        assert server.stop() == 0
    assert '"POST /tell HTTP/1.1" 200' in log.read_text()


def test_a_worker_that_has_answered_as_many_requests_as_it_may_makes_room_for_another(tmp_path: Path) -> None:
    with serving(tmp_path, FAST, more="max_requests = 1\n") as server:
        with server.connect() as client:
            first = client.get("/pid")
            assert first.headers["connection"] == "close"
            assert client.is_ended()
        server.wait_for_log("Autorestarting worker")
        pid = first.body
        while pid == first.body:
            # It answers clients that come before it has stopped listening.
            with server.connect() as client:
                pid = client.get("/pid").body
