from collections.abc import Callable

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import InvalidResponseHeader, InvalidResponseHeaderName

from gateway.server.request_head import HeadParser, PlainHead
from gateway.server.response import PlainResponse

JSON = ("content-type", "application/json")


class Sink:
    """Keeps each piece that is sent."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.pieces.append(data)


def head(method: bytes = b"GET", fields: bytes = b"") -> PlainHead:
    parsed = HeadParser((), 100).parse(b"%b / HTTP/1.1\r\n%b\r\n" % (method, fields))
    assert parsed is not None
    return parsed


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def respond(sink: Sink) -> Callable[..., PlainResponse]:
    return lambda request=None: PlainResponse(request or head(), sink, Config())


def test_head_and_body_go_out_in_one_piece(sink: Sink, respond: Callable[..., PlainResponse]) -> None:
    response = respond()
    response.start_response("202 Accepted", [JSON, ("content-length", "2")])
    response.send([b"o", b"k"])
    (piece,) = sink.pieces
    assert piece.startswith(b"HTTP/1.1 202 Accepted\r\nServer: gunicorn\r\nDate: ")
    assert piece.endswith(b"Connection: keep-alive\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\nok")
    assert not response.closes


def test_the_client_that_wants_the_connection_closed_is_told_so(
    sink: Sink, respond: Callable[..., PlainResponse]
) -> None:
    response = respond(head(fields=b"Connection: close\r\n"))
    response.start_response("200 OK", [])
    response.send([b"ok"])
    assert b"\r\nConnection: close\r\n" in sink.pieces[0]
    assert response.closes


@pytest.mark.parametrize("name", ["content-type", "x-other"])
@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\nb", "\0", "\u20ac"])
def test_a_value_with_a_control_character_is_refused(
    respond: Callable[..., PlainResponse], name: str, value: str
) -> None:
    with pytest.raises(InvalidResponseHeader):
        respond().start_response("200 OK", [JSON, (name, value)] if name == "x-other" else [(name, value)])


def test_an_odd_name_is_refused(respond: Callable[..., PlainResponse]) -> None:
    with pytest.raises(InvalidResponseHeaderName):
        respond().start_response("200 OK", [("content type", "a")])


def test_what_belongs_to_the_connection_is_not_the_apps_to_say(
    sink: Sink, respond: Callable[..., PlainResponse]
) -> None:
    response = respond()
    response.start_response("200 OK", [("Connection", "close"), ("Transfer-Encoding", "gzip"), ("X-Other", "a")])
    response.send([b"ok"])
    assert sink.pieces[0].endswith(b"\r\nConnection: keep-alive\r\nX-Other: a\r\nContent-Length: 2\r\n\r\nok")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_without_content_sends_no_body(
    sink: Sink, respond: Callable[..., PlainResponse], status: str
) -> None:
    response = respond()
    response.start_response(status, [])
    response.send([b"dropped"])
    assert sink.pieces[0].endswith(b"\r\nConnection: keep-alive\r\n\r\n")


def test_a_second_start_needs_an_error_to_tell_of(respond: Callable[..., PlainResponse]) -> None:
    response = respond()
    response.start_response("200 OK", [])
    with pytest.raises(AssertionError):
        response.start_response("200 OK", [])


def test_an_empty_answer_has_no_type(sink: Sink, respond: Callable[..., PlainResponse]) -> None:
    response = respond()
    response.start_response("202 Accepted", [JSON, ("location", "/a"), ("content-length", "0")])
    response.send([b""])
    assert sink.pieces[0].endswith(b"\r\nConnection: keep-alive\r\nlocation: /a\r\ncontent-length: 0\r\n\r\n")
