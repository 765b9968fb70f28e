"""A processor is told what the contract says, and what it answers means what the table says."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import gevent
import msgspec
import pytest
from gevent.event import Event

from actors.domain.outcome import Outcome
from actors.domain.records import LookUpAnswer, LookUpResult
from tests.actors.adapters.servers import (
    AMPLE_S,
    PAYMENT,
    SHORT_S,
    STAMP_MS,
    Behaviour,
    answer,
    calling,
    closing_after,
    outcomes,
    resetting,
    saying,
    serving,
    silent,
)
from tests.actors.fakes import payment

MISSING, NO_ANSWER = LookUpAnswer(LookUpResult.MISSING), LookUpAnswer(LookUpResult.NO_ANSWER)


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


def test_a_charge_names_the_currency_only_where_it_is_not_the_default() -> None:
    with serving(saying(answer(200))) as server:
        for default in ("BRL", "JPY"):
            with calling(server.url, default_currency=default) as client:
                for code in ("BRL", "JPY", "KWD"):
                    client.charge(payment(7, 1234, code), STAMP_MS)
    bodies = [request.split(b"\r\n\r\n")[1].decode() for request in server.requests]
    head = '{"correlationId":"00000000-0000-0000-0000-000000000007","amount":'
    at = ',"requestedAt":"2025-07-15T12:34:56.700Z"'
    assert bodies == [
        f"{head}12.34{at}}}",
        f'{head}1234{at},"currency":"JPY"}}',
        f'{head}1.234{at},"currency":"KWD"}}',
        f'{head}12.34{at},"currency":"BRL"}}',
        f"{head}1234{at}}}",
        f'{head}1.234{at},"currency":"KWD"}}',
    ]


@pytest.mark.parametrize(
    ("code", "told", "is_it"),
    [
        ("KWD", '"amount":1.234,"currency":"KWD"', True),
        ("KWD", '"amount":1.234000,"currency":"KWD"', True),
        ("KWD", '"amount":1.234', False),
        ("KWD", '"amount":1.234,"currency":"JPY"', False),
        ("KWD", '"amount":1234,"currency":"KWD"', False),
        ("BRL", '"amount":12.34', True),
        ("BRL", '"amount":12.34,"currency":null', True),
        ("BRL", '"amount":12.34,"currency":"BRL"', True),
        ("BRL", '"amount":12.34,"currency":"USD"', False),
    ],
)
def test_a_look_up_tells_whether_it_was_charged_in_another_currency(code: str, told: str, is_it: bool) -> None:  # noqa: FBT001
    body = f'{{"correlationId":"{UUID(int=7)}",{told},"requestedAt":"2025-07-15T12:34:56.7"}}'.encode()
    with serving(saying(answer(200, body))) as server, calling(server.url) as client:
        found = client.look_up(payment(7, 1234, code))
    assert found == (LookUpAnswer(LookUpResult.CHARGED, STAMP_MS) if is_it else LookUpAnswer(LookUpResult.MISMATCHED))


def test_a_look_up_asks_for_the_id() -> None:
    with serving(saying(answer(404))) as server, calling(server.url) as client:
        client.look_up(PAYMENT)
    assert server.requests[0].startswith(b"GET /payments/00000000-0000-0000-0000-000000000007 HTTP/1.1\r\n")


def test_charges_and_look_ups_bear_further_fields_where_there_are_some() -> None:
    with serving(saying(answer(404))) as server, calling(server.url) as client:
        client.more_fields = lambda: "traceparent: 00-1-2-01\r\n"
        client.charge(PAYMENT, STAMP_MS)
        client.look_up(PAYMENT)
    assert [request.count(b"\r\ntraceparent: 00-1-2-01\r\n") for request in server.requests] == [1, 1]


# What an answer means


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.SETTLED),
        (422, Outcome.ALREADY_CHARGED),
        *((status, Outcome.DECLINED) for status in (400, 402, 409, 413, 415)),
        *((status, Outcome.MISCONFIGURED) for status in (401, 403, 404, 405)),
        (429, Outcome.OVERLOADED),
        *((status, Outcome.UNKNOWN) for status in (500, 501, 502, 503, 504)),
        *((status, Outcome.UNKNOWN) for status in (201, 202, 206, 300, 399, 600, 999)),
    ],
)
def test_a_status_means_what_the_table_says(status: int, outcome: Outcome) -> None:
    assert outcomes(saying(answer(status)), charges=2) == [outcome] * 2


def test_a_failure_with_an_empty_body_is_the_processors_own() -> None:
    assert outcomes(saying(answer(500, b""))) == [Outcome.FAILED]
    assert outcomes(saying(answer(503, b""))) == [Outcome.UNKNOWN]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_not_followed(status: int) -> None:
    with serving(saying(answer(200))) as elsewhere:
        head = b"Location: %s/payments\r\n" % elsewhere.url.encode()
        assert outcomes(saying(answer(status, b"", head))) == [Outcome.UNKNOWN]
        assert elsewhere.connections == 0


@pytest.mark.parametrize(
    ("status", "body", "is_processor"),
    [
        (200, b'{"failing":true,"minResponseTime":100}', True),
        (200, b'{"message":"not found"}', False),
        (200, b"<html>", False),
        (404, b'{"message":"not found"}', False),
        (429, b"", False),
    ],
)
def test_whoever_answers_as_a_health_endpoint_does_is_a_processor(
    status: int, body: bytes, *, is_processor: bool
) -> None:
    with serving(saying(answer(status, body))) as server, calling(server.url) as client:
        assert client.answers_health() is is_processor
    assert server.requests[0].startswith(b"GET /payments/service-health HTTP/1.1\r\n")


def test_where_nobody_answers_there_is_no_processor() -> None:
    with serving(resetting) as server, calling(server.url) as client:
        assert not client.answers_health()


def test_look_ups_do_not_wait_for_charges() -> None:
    held = Event()

    def hold(connection: socket.socket) -> None:
        held.set()
        connection.recv(1)

    with serving(hold, saying(answer(404))) as server, calling(server.url, charges_max=1) as client:
        charge = gevent.spawn(client.charge, PAYMENT, STAMP_MS)
        assert held.wait(AMPLE_S)
        assert client.look_up(PAYMENT) == MISSING
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
        assert client.look_up(PAYMENT) == NO_ANSWER
        assert not client.knock()


def test_a_host_without_an_address_is_certainly_no_charge() -> None:
    with calling("http://processor.invalid:8080") as client:
        assert client.charge(PAYMENT, STAMP_MS) is Outcome.REFUSED
        assert client.look_up(PAYMENT) == NO_ANSWER
        assert not client.knock()


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
    assert looked_up(booked(requested_at)) == LookUpAnswer(LookUpResult.CHARGED, requested_at_ms)


def test_only_a_404_says_that_a_payment_is_missing() -> None:
    answers = {status: looked_up(b"", status) for status in (404, 200, 202, 301, 400, 410, 422, 429, 500, 503)}
    assert answers == {status: MISSING if status == 404 else NO_ANSWER for status in answers}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", MISSING),
        (b'{"message":"payment not found"}', MISSING),
        (b"<html><h1>404 Not Found</h1></html>", NO_ANSWER),
        (b"default backend - 404", NO_ANSWER),
    ],
)
def test_only_the_processor_itself_says_that_a_payment_is_missing(body: bytes, expected: LookUpAnswer) -> None:
    assert looked_up(body, 404) == expected


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
    assert looked_up(body) == NO_ANSWER


@pytest.mark.parametrize("amount", [19.91, 20, 0.01, 1990])
def test_another_amount_under_its_id_is_told(amount: float) -> None:
    assert looked_up(booked("2025-07-15T12:34:56.7", amount=amount)) == LookUpAnswer(LookUpResult.MISMATCHED)


@pytest.mark.parametrize("behaviour", [silent, resetting, closing_after(b""), closing_after(answer(404)[:-1])])
def test_a_look_up_that_gets_no_whole_answer_ends_without_one(behaviour: Behaviour) -> None:
    with serving(behaviour) as server, calling(server.url, SHORT_S) as client:
        assert client.look_up(PAYMENT) == NO_ANSWER
