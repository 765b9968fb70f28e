import tracemalloc

import pytest

from gateway.server.request_head import HEADS_KNOWN_MAX, HeadParser

HEAD = b"POST /payments?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nX-Trace: c\r\n\r\n"


def test_a_plain_head_becomes_its_part_of_the_environ() -> None:
    head = HeadParser((), 100).parse(HEAD)
    assert head is not None
    assert head.environ == {
        "REQUEST_METHOD": "POST",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "RAW_URI": "/payments?a=b",
        "PATH_INFO": "/payments",
        "QUERY_STRING": "a=b",
        "HTTP_HOST": "a",
        "CONTENT_LENGTH": "4",
        "HTTP_X_TRACE": "c",
    }
    assert (head.method, head.uri, head.query, head.content_length) == ("POST", "/payments?a=b", "a=b", 4)
    assert not head.should_close()


def test_an_equal_head_is_parsed_once() -> None:
    parser = HeadParser((), 100)
    assert parser.parse(bytes(bytearray(HEAD))) is parser.parse(HEAD)


def test_a_bounded_number_of_heads_is_remembered() -> None:
    parser = HeadParser((), 100)
    for number in range(2 * HEADS_KNOWN_MAX):
        parser.parse(b"GET /%d HTTP/1.1\r\n\r\n" % number)
    assert parser.parse.cache_info().currsize == HEADS_KNOWN_MAX


def test_names_of_fields_that_nobody_uses_twice_take_no_memory() -> None:
    parser = HeadParser((), 100)
    heads = [b"GET / HTTP/1.1\r\n%b%d: a\r\n\r\n" % (b"A" * 4000, number) for number in range(1000)]
    tracemalloc.start()
    try:
        for head in heads:
            parser.parse(head)
        assert tracemalloc.get_traced_memory()[0] < 20_000 * HEADS_KNOWN_MAX
    finally:
        tracemalloc.stop()
    assert parser.parse(HEAD) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nX-Left: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: a\r\nB: b\r\nC: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 16385\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
    ],
)
def test_a_head_that_gunicorn_has_to_judge_is_not_parsed(data: bytes) -> None:
    assert HeadParser(("X-LEFT",), 2).parse(data) is None
