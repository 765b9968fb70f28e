"""Only a complete, well-formed answer counts, whatever a server sends."""

import socket
import time
from functools import partial

import gevent
import pytest

from actors.adapters.http_connection import ANSWER_BYTES_MAX, HttpConnection, UnsentError
from actors.domain.outcome import Outcome
from tests.actors.adapters.servers import (
    PAYMENT,
    STAMP_MS,
    Behaviour,
    answer,
    calling,
    closing_after,
    outcomes,
    resetting,
    saying,
    serving,
)

WITHOUT_LENGTH = [b"HTTP/1.0 200 OK\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}"]
"""Answers that the end of their connection ends."""


def in_pieces(data: bytes, size: int = 1) -> Behaviour:
    """Let the other side read each piece before the next is sent."""

    def say(connection: socket.socket) -> bool:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), size):
            connection.sendall(data[start : start + size])
            gevent.sleep(0)
        return True

    return say


def test_after_the_deadline_nothing_is_sent() -> None:
    # As where the process stood still while the connection was made.
    own, other = socket.socketpair()
    own.setblocking(False)  # noqa: FBT003  # the method's only argument
    with own, other:
        connection = HttpConnection(own)
        with pytest.raises(UnsentError):
            connection.exchange(b"POST", time.monotonic())
        connection.close()
        assert other.recv(100) == b""


@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints\r\nLink: </x>"])
def test_an_interim_answer_is_not_the_answer(interim: bytes) -> None:
    said = b"HTTP/1.1 %b\r\n\r\n" % interim + answer(422)
    assert outcomes(saying(said), in_pieces(said), charges=2) == [Outcome.ALREADY_CHARGED] * 2


def test_an_answer_that_comes_in_pieces_counts() -> None:
    assert outcomes(in_pieces(answer(200)), in_pieces(answer(422), 7), charges=2) == [
        Outcome.SETTLED,
        Outcome.ALREADY_CHARGED,
    ]


def test_an_answer_whose_connection_is_to_be_closed_counts_and_the_connection_is_not_used_again() -> None:
    with serving(saying(answer(200, head=b"Connection: close\r\n"))) as server, calling(server.url) as client:
        assert [client.charge(PAYMENT, STAMP_MS) for _ in range(2)] == [Outcome.SETTLED] * 2
        assert server.connections == 2


@pytest.mark.parametrize("said", WITHOUT_LENGTH)
def test_an_answer_without_a_length_is_whole_when_its_connection_ends_in_order(said: bytes) -> None:
    assert outcomes(closing_after(said), partial(resetting, said=said), charges=2) == [Outcome.SETTLED, Outcome.UNKNOWN]


@pytest.mark.parametrize("said", [*WITHOUT_LENGTH, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"])
def test_a_head_that_is_cut_proves_nothing_even_where_no_length_is_needed(said: bytes) -> None:
    script = [closing_after(said[:cut]) for cut in range(said.rindex(b"\r\n\r\n") + 4)]
    assert outcomes(*script, charges=len(script)) == [Outcome.UNKNOWN] * len(script)


def test_an_answer_in_chunks_counts_when_it_is_whole() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert outcomes(saying(head + b"2\r\n{}\r\n0\r\n\r\n")) == [Outcome.SETTLED]
    assert outcomes(closing_after(head + b"2\r\n{}\r\n")) == [Outcome.UNKNOWN]


@pytest.mark.parametrize("status", [200, 422, 404, 500])
def test_an_answer_that_is_cut_at_any_byte_proves_nothing(status: int) -> None:
    whole = answer(status)
    script = [closing_after(whole[:cut]) for cut in range(len(whole))]
    assert outcomes(*script, charges=len(script)) == [Outcome.UNKNOWN] * len(script)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 100,
        b"garbage\r\n\r\n",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + answer(200),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
        b"POST /payments HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_garbage_proves_nothing(garbage: bytes) -> None:
    assert outcomes(closing_after(garbage)) == [Outcome.UNKNOWN]


@pytest.mark.parametrize("more", [b"x", b"HTTP/1.1", b"\0", answer(200), answer(500)])
def test_what_follows_an_answer_takes_its_proof_away_and_reaches_no_other_call(more: bytes) -> None:
    seen = outcomes(saying(answer(200) + more), saying(answer(422)), charges=2)
    assert seen == [Outcome.UNKNOWN, Outcome.ALREADY_CHARGED]


def test_the_longest_answer_counts_and_a_longer_one_proves_nothing() -> None:
    def of_length(length: int) -> bytes:
        head = len(answer(200, b"x" * 10_000)) - 10_000
        return answer(200, b"x" * (length - head))

    assert len(of_length(ANSWER_BYTES_MAX)) == ANSWER_BYTES_MAX
    script = [saying(of_length(ANSWER_BYTES_MAX)), closing_after(of_length(ANSWER_BYTES_MAX + 1))]
    assert outcomes(*script, charges=2) == [Outcome.SETTLED, Outcome.UNKNOWN]


def test_an_endless_answer_ends() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    assert outcomes(flood, flood, saying(answer(200)), charges=3) == [Outcome.UNKNOWN] * 2 + [Outcome.SETTLED]
