import asyncio
from pathlib import Path

import pytest

from ops.simulator.ledger_file import LedgerFile
from tests.ops.simulator.harness import correlation_id, in_loop, payment, simulator


@in_loop
async def test_a_payment_is_charged_and_found_again() -> None:
    async with simulator() as processor:
        client = await processor.client()
        body = payment(requested_at="2025-07-15T09:34:56.700-03:00")

        charged = await client.call("POST", "/payments", body)
        found = await client.call("GET", f"/payments/{correlation_id(body)}")

        assert charged.status == 200
        assert charged.json["message"]
        assert found.status == 200
        assert found.json == {**body, "requestedAt": "2025-07-15T12:34:56.7"}


@in_loop
async def test_a_known_id_is_422_and_the_first_charge_stays() -> None:
    async with simulator() as processor:
        client = await processor.client()
        first = payment(10)

        await client.call("POST", "/payments", first)
        again = await client.call("POST", "/payments", {**first, "amount": 99})

        assert again.status == 422
        assert (await client.call("GET", f"/payments/{correlation_id(first)}")).json["amount"] == 10


@in_loop
async def test_an_unknown_id_is_404() -> None:
    async with simulator() as processor:
        client = await processor.client()

        assert (await client.call("GET", f"/payments/{correlation_id(payment())}")).status == 404
        assert (await client.call("GET", "/payments/no-uuid")).status == 404


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\x00", b'{"amount":1}'])
@in_loop
async def test_a_malformed_payment_is_400_at_once(body: bytes) -> None:
    async with simulator() as processor:
        client = await processor.client()
        await client.call("PUT", "/admin/configurations/delay", {"delay": 1000})

        assert (await client.call("POST", "/payments", body)).status == 400
        assert await processor.stored() == []


@in_loop
async def test_amounts_are_rounded_and_written_with_two_decimals() -> None:
    async with simulator() as processor:
        client = await processor.client()
        body = payment(0.125)
        await client.call("POST", "/payments", body)

        assert b'"amount":0.12,' in (await client.call("GET", f"/payments/{correlation_id(body)}")).body


@in_loop
async def test_the_delay_comes_before_the_failure_and_both_before_the_insert() -> None:
    async with simulator() as processor:
        client = await processor.client()
        body = payment()
        await client.call("PUT", "/admin/configurations/delay", {"delay": 2000})

        client.send("POST", "/payments", body)
        await processor.timers.until_set()
        processor.timers.advance(1.999)
        assert await processor.stored() == []
        await processor.admin("PUT", "/admin/configurations/failure", {"failure": True})
        processor.timers.advance(0.001)

        failed = await client.receive()
        assert (failed.status, failed.body) == (500, b"")
        assert await processor.stored() == []


@in_loop
async def test_a_failing_processor_fails_known_ids_too_and_still_answers_look_ups() -> None:
    async with simulator() as processor:
        client = await processor.client()
        body = payment()
        await client.call("POST", "/payments", body)
        await client.call("PUT", "/admin/configurations/failure", {"failure": True})
        await client.call("PUT", "/admin/configurations/delay", {"delay": 60_000})

        assert (await client.call("GET", f"/payments/{correlation_id(body)}")).status == 200

        client.send("POST", "/payments", body)
        await processor.timers.until_set()
        processor.timers.advance(60)
        assert (await client.receive()).status == 500


@in_loop
async def test_a_payment_that_its_client_gave_up_on_is_charged_after_the_delay() -> None:
    async with simulator() as processor:
        client = await processor.client()
        body = payment()
        await client.call("PUT", "/admin/configurations/delay", {"delay": 2000})
        client.send("POST", "/payments", body)
        await processor.timers.until_set()

        await client.close()
        look_up = await (await processor.client()).call("GET", f"/payments/{correlation_id(body)}")
        processor.timers.advance(2)

        assert look_up.status == 404
        assert await processor.stored() == [correlation_id(body)]


@in_loop
async def test_800_run_500_queue_and_the_rest_is_429() -> None:
    async with simulator() as processor:
        bodies = [payment() for _ in range(1301)]
        await processor.admin("PUT", "/admin/configurations/delay", {"delay": 1000})
        clients = [await processor.client() for _ in bodies]
        for client, body in zip(clients, bodies, strict=True):
            client.send("POST", "/payments", body)
        answers = [asyncio.ensure_future(client.receive()) for client in clients]

        done, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        assert [answer.result().status for answer in done] == [429]
        await processor.timers.until_set(800)
        processor.timers.advance(1)
        await processor.timers.until_set(500)
        assert len(await processor.stored()) == 800
        processor.timers.advance(1)

        statuses = [(await answer).status for answer in answers]
        assert (statuses.count(200), statuses.count(429)) == (1300, 1)
        assert len(await processor.stored()) == 1300


@in_loop
async def test_a_long_queue_without_delay_is_worked_off() -> None:
    async with simulator() as processor:
        client = await processor.client()
        await client.call("PUT", "/admin/configurations/delay", {"delay": 1000})
        clients = [await processor.client() for _ in range(1300)]
        for waiting in clients:
            waiting.send("POST", "/payments", payment())
        await processor.timers.until_set(800)
        await client.call("PUT", "/admin/configurations/delay", {"delay": 0})

        processor.timers.advance(1)

        assert {200} == {(await waiting.receive()).status for waiting in clients}


@in_loop
async def test_one_health_call_is_answered_two_hang_until_the_next_windows_and_others_are_429() -> None:
    async with simulator() as processor:
        first = await processor.client()
        await first.call("PUT", "/admin/configurations/delay", {"delay": 70})
        assert (await first.call("GET", "/payments/service-health")).json == {"failing": False, "minResponseTime": 70}

        clients = [await processor.client() for _ in range(3)]
        for client in clients:
            client.send("GET", "/payments/service-health")
        waiting = {asyncio.ensure_future(client.receive()) for client in clients}
        for seconds, status in ((0, 429), (5, 200), (5, 200)):
            processor.timers.advance(seconds)
            await first.call("PUT", "/admin/configurations/failure", {"failure": True})
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert [status] == [answer.result().status for answer in done]
        assert done.pop().result().json == {"failing": True, "minResponseTime": 70}


@in_loop
async def test_a_health_call_that_hangs_up_leaves_its_place() -> None:
    async with simulator() as processor:
        client = await processor.client()
        await client.call("GET", "/payments/service-health")
        gone = await processor.client()
        gone.send("GET", "/payments/service-health")
        await processor.timers.until_set()

        await gone.close()
        client.send("GET", "/payments/service-health")
        # An answer on another connection tells that both were read.
        await processor.stored()
        processor.timers.advance(5)

        assert (await client.receive()).status == 200


@in_loop
async def test_a_restart_finds_the_charges_of_the_ledger_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    body = payment()
    with LedgerFile(path) as file:
        async with simulator(file) as processor:
            client = await processor.client()
            await client.call("POST", "/payments", body)
            assert correlation_id(body).encode() in path.read_bytes()
    with LedgerFile(path) as file:
        async with simulator(file) as processor:
            client = await processor.client()
            assert (await client.call("POST", "/payments", body)).status == 422
            await client.call("POST", "/admin/purge-payments")
            assert (await client.call("GET", f"/payments/{correlation_id(body)}")).status == 404
    assert path.read_bytes() == b""
