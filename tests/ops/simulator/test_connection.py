from datetime import UTC, datetime
from uuid import UUID

import pytest

from ops.simulator.connection import PIPELINED_MAX, REQUEST_BYTES_MAX
from ops.simulator.ledger import LedgerEntry
from tests.ops.simulator.harness import correlation_id, in_loop, payment, simulator

NOON = datetime(2025, 7, 15, 12, tzinfo=UTC)


@in_loop
async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async with simulator() as processor:
        client = await processor.client()
        body = payment()

        client.send("GET", f"/payments/{correlation_id(body)}")
        client.send("POST", "/payments", body)
        client.send("POST", "/payments", body)
        client.send("GET", f"/payments/{correlation_id(body)}")

        assert [(await client.receive()).status for _ in range(4)] == [404, 200, 422, 200]


@in_loop
async def test_a_pipelined_request_waits_for_a_delayed_one() -> None:
    async with simulator() as processor:
        client = await processor.client()
        body = payment()
        await client.call("PUT", "/admin/configurations/delay", {"delay": 1000})

        client.send("POST", "/payments", body)
        client.send("GET", f"/payments/{correlation_id(body)}")
        await processor.timers.until_set()
        processor.timers.advance(1)

        assert [(await client.receive()).status for _ in range(2)] == [200, 200]


@in_loop
async def test_more_requests_than_are_kept_in_line_are_all_answered() -> None:
    async with simulator() as processor:
        client = await processor.client()
        await client.call("PUT", "/admin/configurations/delay", {"delay": 1000})
        client.send("POST", "/payments", payment())
        number = 200 * PIPELINED_MAX  # more than one read of the socket brings
        client.send_raw(b"GET /nowhere HTTP/1.1\r\nHost: here\r\n\r\n" * number)
        await processor.timers.until_set()
        processor.timers.advance(1)

        assert [200] + number * [404] == [(await client.receive()).status for _ in range(1 + number)]


@in_loop
async def test_a_request_may_come_in_pieces() -> None:
    async with simulator() as processor:
        client = await processor.client()
        for piece in (b"GET /pay", b"ments/service-", b"health HTTP/1.1\r\nHo", b"st: here\r\n\r", b"\n"):
            client.send_raw(piece)
            await processor.stored()

        assert (await client.receive()).status == 200


@pytest.mark.parametrize(
    "request_head",
    [b"GET /nowhere HTTP/1.0\r\n\r\n", b"GET /nowhere HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"],
)
@in_loop
async def test_a_client_that_wants_no_more_is_answered_and_closed(request_head: bytes) -> None:
    async with simulator() as processor:
        client = await processor.client()

        client.send_raw(request_head)
        answer = await client.receive()

        assert (answer.status, answer.headers["Connection"]) == (404, "close")
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "content",
    [b"\x00\x01\x02\r\n\r\n", b"POST /payments HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"GET / SPDY/9\r\n\r\n"],
)
@in_loop
async def test_what_is_no_http_is_400_after_what_was_asked_before(content: bytes) -> None:
    async with simulator() as processor:
        client = await processor.client()

        client.send("GET", "/nowhere")
        client.send_raw(content)

        assert [(await client.receive()).status for _ in range(2)] == [404, 400]
        assert await client.rest() == b""


@in_loop
async def test_a_request_without_end_is_400() -> None:
    async with simulator() as processor:
        client = await processor.client()

        client.send_raw(b"GET / HTTP/1.1\r\nX-Long: " + b"a" * (REQUEST_BYTES_MAX + 1))

        assert (await client.receive()).status == 400


@in_loop
async def test_a_client_that_does_not_read_keeps_nobody_from_stopping() -> None:
    async with simulator() as processor:
        ledger = processor.server.processor.ledger
        for number in range(100_000):
            ledger.insert(LedgerEntry(UUID(int=number), 1990, NOON))
        client = await processor.client()
        client.send("GET", "/admin/payments")
        await client.receive_raw(1)

        await processor.server.stop()
