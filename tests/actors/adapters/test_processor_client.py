"""Whatever a processor does to a call: the payment is sent once, the call ends, and only proof counts as proof."""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial

import gevent
import msgspec
import pytest
from gevent.event import Event
from gevent.server import StreamServer
from gevent.socket import wait_read

from actors.adapters.http_connection import ANSWER_BYTES_MAX
from actors.adapters.processor_client import HttpProcessorClient
from actors.domain.outcome import Outcome
from actors.ports import LookUpAnswer
from tests.actors.fakes import payment

STAMP_MS = 1_752_582_896_700
"""2025-07-15T12:34:56.700Z"""
PAYMENT = payment(7)
AMPLE_S = 30.0
SHORT_S = 0.2
"""For calls that their deadline is to cut."""
DRIP_S = 0.01

Behaviour = Callable[[socket.socket], object]
"""What a server does once it has read a request; the connection is kept where the answer is True."""


class Server:
    """Answers request after request by a script, the last behaviour again and again, and keeps what it was sent."""

    def __init__(self, *script: Behaviour) -> None:
        self._script = list(script)
        self.requests: list[bytes] = []
        self.connections = 0
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.stop()

    def _serve(self, connection: socket.socket, _address: object) -> None:
        self.connections += 1
        with connection, suppress(OSError):
            while (request := read_request(connection)) is not None:
                self.requests.append(request)
                behaviour = self._script.pop(0) if len(self._script) > 1 else self._script[0]
                if not behaviour(connection):
                    return


def read_request(connection: socket.socket) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += (more := connection.recv(65536))
        if not more:
            return None
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    while length and len(body) < int(length[1]):
        body += (more := connection.recv(65536))
        if not more:
            return None
    return head + b"\r\n\r\n" + body


def answer(status: int, body: bytes = b"{}", head: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d Said\r\n%sContent-Length: %d\r\n\r\n%s" % (status, head, len(body), body)


def saying(data: bytes) -> Behaviour:
    """Say it and keep the connection."""

    def say(connection: socket.socket) -> bool:
        connection.sendall(data)
        return True

    return say


def closing_after(data: bytes) -> Behaviour:
    return lambda connection: connection.sendall(data)


def resetting(connection: socket.socket, said: bytes = b"") -> None:
    connection.sendall(said)
    with suppress(TimeoutError):
        wait_read(connection.fileno(), DRIP_S, TimeoutError())  # Meanwhile the other side reads what was said.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def dripping(data: bytes) -> Behaviour:
    """Say it, then a byte at a time until the other side hangs up."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(data)
        while True:
            with suppress(TimeoutError):
                wait_read(connection.fileno(), DRIP_S, TimeoutError())
                return
            connection.sendall(b"x")

    return drip


def silent(connection: socket.socket) -> None:
    connection.recv(1)


@contextmanager
def serving(*script: Behaviour) -> Iterator[Server]:
    with closing(Server(*script)) as server:
        yield server


@contextmanager
def calling(url: str, timeout_s: float = AMPLE_S, charges_max: int = 4) -> Iterator[HttpProcessorClient]:
    with closing(HttpProcessorClient(url, timeout_s, charges_max, look_ups_max=16)) as client:
        yield client


def outcomes(*script: Behaviour, timeout_s: float = AMPLE_S, charges: int = 1) -> list[Outcome]:
    """What becomes of charges by one client with a single connection; each is sent once."""
    with serving(*script) as server, calling(server.url, timeout_s, charges_max=1) as client:
        seen = [client.charge(PAYMENT, STAMP_MS) for _ in range(charges)]
        assert len(server.requests) == charges
    return seen


def looked_up(body: bytes, status: int = 200) -> LookUpAnswer:
    with serving(saying(answer(status, body))) as server, calling(server.url) as client:
        return client.look_up(PAYMENT)


# What is sent


def test_a_charge_is_the_json_of_the_contract() -> None:
    with serving(saying(answer(200))) as server, calling(server.url) as client:
        client.charge(PAYMENT, STAMP_MS)
        client.charge(payment(7, 10**14), STAMP_MS - 700)
        client.charge(payment(7, 1), STAMP_MS)
    heads, bodies = zip(*(request.split(b"\r\n\r\n") for request in server.requests), strict=True)
    assert all(head.startswith(b"POST /payments HTTP/1.1\r\n") for head in heads)
    assert all(b"\r\ncontent-type: application/json\r\n" in head.lower() + b"\r\n" for head in heads)
    beginning = b'{"correlationId":"00000000-0000-0000-0000-000000000007","amount":'
    assert bodies == (
        beginning + b'19.90,"requestedAt":"2025-07-15T12:34:56.700Z"}',
        beginning + b'1000000000000.00,"requestedAt":"2025-07-15T12:34:56.000Z"}',
        beginning + b'0.01,"requestedAt":"2025-07-15T12:34:56.700Z"}',
    )


def test_a_look_up_asks_for_the_id() -> None:
    with serving(saying(answer(404))) as server, calling(server.url) as client:
        client.look_up(PAYMENT)
    assert server.requests[0].startswith(b"GET /payments/00000000-0000-0000-0000-000000000007 HTTP/1.1\r\n")


def test_a_connection_is_used_again() -> None:
    with serving(saying(answer(200))) as server, calling(server.url) as client:
        assert [client.charge(PAYMENT, STAMP_MS) for _ in range(5)] == [Outcome.SETTLED] * 5
    assert server.connections == 1


# What an answer means


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.SETTLED),
        (422, Outcome.ALREADY_CHARGED),
        *((status, Outcome.REFUSED) for status in (400, 401, 403, 404, 405, 413, 415)),
        (429, Outcome.OVERLOADED),
        *((status, Outcome.FAILED) for status in (500, 503)),
        *((status, Outcome.UNKNOWN) for status in (502, 504)),
        *((status, Outcome.UNKNOWN) for status in (201, 202, 206, 300, 399, 600, 999)),
    ],
)
def test_a_status_means_what_the_table_says(status: int, outcome: Outcome) -> None:
    assert outcomes(saying(answer(status)), charges=2) == [outcome] * 2


def test_a_failure_with_an_empty_body_is_a_failure() -> None:
    assert outcomes(saying(answer(500, b""))) == [Outcome.FAILED]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_not_followed(status: int) -> None:
    with serving(saying(answer(200))) as elsewhere:
        head = b"Location: %s/payments\r\n" % elsewhere.url.encode()
        assert outcomes(saying(answer(status, b"", head))) == [Outcome.UNKNOWN]
        assert elsewhere.connections == 0


def test_an_interim_answer_is_not_the_answer() -> None:
    seen = outcomes(closing_after(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(422)))
    assert set(seen) <= {Outcome.ALREADY_CHARGED, Outcome.UNKNOWN}


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
    ],
)
def test_garbage_proves_nothing(garbage: bytes) -> None:
    assert outcomes(closing_after(garbage)) == [Outcome.UNKNOWN]


def test_two_answers_to_one_request_prove_nothing_against_a_charge() -> None:
    seen = outcomes(closing_after(answer(200) + answer(500)))
    assert set(seen) <= {Outcome.SETTLED, Outcome.UNKNOWN}


def test_a_huge_answer_proves_nothing() -> None:
    assert outcomes(closing_after(answer(200, b"x" * (ANSWER_BYTES_MAX + 1)))) == [Outcome.UNKNOWN]


def test_an_endless_answer_ends() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    assert outcomes(flood, flood, saying(answer(200)), charges=3) == [Outcome.UNKNOWN] * 2 + [Outcome.SETTLED]


# Sent once, whatever happens


def test_a_request_that_is_not_even_read_is_sent_once() -> None:
    class Rude(Server):
        def _serve(self, connection: socket.socket, _address: object) -> None:
            self.connections += 1
            connection.close()

    with closing(Rude()) as server, calling(server.url) as client:
        assert client.charge(PAYMENT, STAMP_MS) is Outcome.UNKNOWN
        assert server.connections == 1


def test_a_connection_that_is_reset_proves_nothing_and_is_not_tried_again() -> None:
    script: list[Behaviour] = [
        resetting,
        partial(resetting, said=answer(200)[:20]),
        partial(resetting, said=answer(200)[:-1]),
    ]
    assert outcomes(*script, charges=3) == [Outcome.UNKNOWN] * 3


def test_a_connection_that_was_closed_while_it_waited_is_replaced_before_anything_is_sent() -> None:
    gone = Event()

    def answer_and_go(connection: socket.socket) -> None:
        connection.sendall(answer(200))
        connection.close()
        gone.set()

    with serving(answer_and_go) as server, calling(server.url) as client:
        for _ in range(3):
            assert client.charge(PAYMENT, STAMP_MS) is Outcome.SETTLED
            assert gone.wait(AMPLE_S)
            gone.clear()
        assert (len(server.requests), server.connections) == (3, 3)


@pytest.mark.parametrize(
    "behaviour",
    [silent, dripping(b"HTTP/1.1 200 OK\r\nX-Long: "), dripping(answer(200, b"x" * 10**6)[:100])],
    ids=["silent", "drips its head", "drips its body"],
)
def test_the_deadline_cuts_a_call_and_frees_its_connection(behaviour: Behaviour) -> None:
    with (
        serving(behaviour, behaviour, saying(answer(200))) as server,
        calling(server.url, SHORT_S, charges_max=1) as client,
    ):
        assert [client.charge(PAYMENT, STAMP_MS) for _ in range(2)] == [Outcome.UNKNOWN] * 2
        # On a busy machine the next ones may be cut as well, before they are answered.
        assert any(client.charge(PAYMENT, STAMP_MS) is Outcome.SETTLED for _ in range(100))


def test_a_call_that_finds_no_free_connection_ends_as_well() -> None:
    with serving(silent) as server, calling(server.url, SHORT_S, charges_max=1) as client:
        calls = [gevent.spawn(client.charge, PAYMENT, STAMP_MS) for _ in range(5)]
        gevent.joinall(calls, AMPLE_S)
        assert [call.value for call in calls] == [Outcome.UNKNOWN] * 5


def test_look_ups_do_not_wait_for_charges() -> None:
    held = Event()

    def hold(connection: socket.socket) -> None:
        held.set()
        connection.recv(1)

    with serving(hold, saying(answer(404))) as server, calling(server.url, charges_max=1) as client:
        charge = gevent.spawn(client.charge, PAYMENT, STAMP_MS)
        assert held.wait(AMPLE_S)
        assert client.look_up(PAYMENT) == LookUpAnswer(answered=True)
        charge.kill()


@contextmanager
def refused_url() -> Iterator[str]:
    """A port that stays bound, and that nobody listens on."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unheard.getsockname()[1]}"


def test_a_refused_connection_is_certainly_no_charge() -> None:
    with refused_url() as url, calling(url) as client:
        assert client.charge(PAYMENT, STAMP_MS) is Outcome.REFUSED
        assert client.look_up(PAYMENT) == LookUpAnswer(answered=False)


def test_a_host_without_an_address_is_certainly_no_charge() -> None:
    with calling("http://processor.invalid:8080") as client:
        assert client.charge(PAYMENT, STAMP_MS) is Outcome.REFUSED
        assert client.look_up(PAYMENT) == LookUpAnswer(answered=False)


# What a look-up tells


def booked(requested_at: object, correlation_id: object = PAYMENT.correlation_id, amount: object = 19.9) -> bytes:
    return msgspec.json.encode({"correlationId": correlation_id, "amount": amount, "requestedAt": requested_at})


@pytest.mark.parametrize(
    ("requested_at", "requested_at_ms"),
    [
        ("2025-07-15T12:34:56.7", STAMP_MS),
        ("2025-07-15T12:34:56.70", STAMP_MS),
        ("2025-07-15T12:34:56.701", STAMP_MS + 1),
        ("2025-07-15T12:34:56", STAMP_MS - 700),
        ("2025-07-15T12:34", STAMP_MS - 56_700),
        ("2025-07-15T12:34:56.700Z", STAMP_MS),
    ],
)
def test_an_instant_without_zone_and_trailing_zeros_is_utc(requested_at: str, requested_at_ms: int) -> None:
    assert looked_up(booked(requested_at)) == LookUpAnswer(answered=True, requested_at_ms=requested_at_ms)


def test_only_a_404_says_that_a_payment_is_missing() -> None:
    answers = {status: looked_up(b"", status) for status in (404, 200, 202, 301, 400, 410, 422, 429, 500, 503)}
    assert answers == {status: LookUpAnswer(answered=status == 404) for status in answers}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"not json",
        booked("2025-07-15T12:34:56.7")[:-1],
        booked("soon"),
        booked("2025-07-15"),
        booked(None),
        booked(STAMP_MS),
        booked("2025-07-15T12:34:56.7", correlation_id=payment(8).correlation_id),
        booked("2025-07-15T12:34:56.7", correlation_id="seven"),
    ],
)
def test_an_answer_that_makes_no_sense_is_none(body: bytes) -> None:
    assert looked_up(body) == LookUpAnswer(answered=False)


@pytest.mark.parametrize("behaviour", [silent, resetting, closing_after(b""), closing_after(answer(404)[:-1])])
def test_a_look_up_that_gets_no_whole_answer_ends_without_one(behaviour: Behaviour) -> None:
    with serving(behaviour) as server, calling(server.url, SHORT_S) as client:
        assert client.look_up(PAYMENT) == LookUpAnswer(answered=False)
