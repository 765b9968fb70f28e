import asyncio
from uuid import UUID

import msgspec
import pytest

from ops.simulator.faults import GARBAGE
from ops.stack.ports import reserve_ports
from tests.ops.simulator.harness import RunningSimulator, correlation_id, in_loop, payment, simulator


async def look_up(processor: RunningSimulator, body: dict[str, object]) -> int:
    return (await (await processor.client()).call("GET", f"/payments/{correlation_id(body)}")).status


@in_loop
async def test_the_faults_can_be_read_and_are_replaced_as_a_whole() -> None:
    async with simulator() as processor:
        await processor.inject(seed=7, failureRate=0.25, delay={"kind": "uniform", "minMs": 1, "maxMs": 2})
        answer = (await processor.admin("GET", "/admin/faults")).json
        assert (answer["seed"], answer["failureRate"]) == (7, 0.25)
        assert answer["delay"] == {"kind": "uniform", "minMs": 1, "maxMs": 2}

        await processor.inject(dripRate=1)
        answer = (await processor.admin("GET", "/admin/faults")).json
        assert (answer["seed"], answer["failureRate"], answer["dripRate"], answer["delay"]) == (0, 0, 1, None)


@pytest.mark.parametrize("faults", [{"failureRate": 2}, {"failRate": 0.1}, {"delay": {"kind": "none"}}, b"{"])
@in_loop
async def test_invalid_faults_are_400_and_changes_nothing(faults: object) -> None:
    async with simulator() as processor:
        await processor.inject(seed=7)

        refused = await processor.admin("PUT", "/admin/faults", faults)

        assert refused.status == 400
        assert refused.json["message"]
        assert (await processor.admin("GET", "/admin/faults")).json["seed"] == 7


@in_loop
async def test_the_same_seed_and_order_bring_the_same_faults() -> None:
    async with simulator() as processor:
        client = await processor.client()
        runs = []
        for _ in range(2):
            await processor.inject(seed=5, failureRate=0.4)
            runs.append([(await client.call("POST", "/payments", payment())).status for _ in range(50)])

        assert runs[0] == runs[1]
        assert set(runs[0]) == {200, 500}
        assert await processor.injected() == {"failure": 2 * runs[0].count(500)}


@in_loop
async def test_failure_answers_an_empty_500_and_keeps_nothing() -> None:
    async with simulator() as processor:
        await processor.inject(failureRate=1)

        failed = await (await processor.client()).call("POST", "/payments", payment())

        assert (failed.status, failed.body) == (500, b"")
        assert await processor.stored() == []


@in_loop
async def test_commit_then_drop_keeps_the_payment_and_closes() -> None:
    async with simulator() as processor:
        await processor.inject(commitThenDropRate=1)
        client, body = await processor.client(), payment()

        client.send("POST", "/payments", body)

        assert await client.rest() == b""
        assert await processor.stored() == [correlation_id(body)]
        assert await processor.injected() == {"commitThenDrop": 1}


@in_loop
async def test_commit_then_hang_keeps_the_payment_and_never_answers() -> None:
    async with simulator() as processor:
        await processor.inject(commitThenHangRate=1)
        client, body = await processor.client(), payment()

        client.send("POST", "/payments", body)
        client.send("GET", f"/payments/{correlation_id(body)}")
        silence = asyncio.ensure_future(client.rest())
        while not await processor.injected():
            pass

        assert await look_up(processor, body) == 200
        assert not silence.done()
        assert await processor.injected() == {"commitThenHang": 1}
        silence.cancel()


@in_loop
async def test_late_commit_closes_at_once_and_keeps_the_payment_only_later() -> None:
    async with simulator() as processor:
        await processor.inject(lateCommitRate=1, lateCommitMs=3000)
        client, body = await processor.client(), payment()

        client.send("POST", "/payments", body)

        assert await client.rest() == b""
        processor.timers.advance(2.999)
        assert await look_up(processor, body) == 404
        processor.timers.advance(0.001)
        assert await look_up(processor, body) == 200
        assert await processor.injected() == {"lateCommit": 1}


@in_loop
async def test_a_late_commit_after_another_charge_of_the_id_changes_nothing() -> None:
    async with simulator() as processor:
        await processor.inject(lateCommitRate=1, lateCommitMs=3000)
        client, body = await processor.client(), payment()
        client.send("POST", "/payments", body)
        await client.rest()
        await processor.inject()

        assert (await (await processor.client()).call("POST", "/payments", body)).status == 200
        processor.timers.advance(3)

        assert await processor.stored() == [correlation_id(body)]


@in_loop
async def test_garbage_keeps_the_payment_and_answers_what_is_no_http() -> None:
    async with simulator() as processor:
        await processor.inject(garbageRate=1)
        bodies = [payment(correlation_id=str(UUID(int=number))) for number in range(50)]
        seen = set()
        for body in bodies:
            client = await processor.client()
            client.send("POST", "/payments", body)
            seen.add(await client.rest())

        assert set(GARBAGE) == seen
        assert await processor.stored() == [correlation_id(body) for body in bodies]
        assert await processor.injected() == {"garbage": 50}


@in_loop
async def test_drip_answers_byte_by_byte_and_goes_on_with_the_connection() -> None:
    async with simulator() as processor:
        await processor.inject(dripRate=1, dripIntervalMs=500)
        client, body = await processor.client(), payment()

        client.send("POST", "/payments", body)
        answer = b""
        while not answer.endswith(b"}"):
            answer += await client.receive_raw(1)
            processor.timers.advance(0.5)

        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert processor.timers.time() == 1_000 + 0.5 * len(answer)
        assert (await client.call("GET", f"/payments/{correlation_id(body)}")).status == 200
        assert await processor.injected() == {"drip": 1}


@pytest.mark.parametrize("status", [400, 409, 500, 502, 503])
@in_loop
async def test_edge_keeps_the_payment_and_answers_another_status_with_a_body(status: int) -> None:
    async with simulator() as processor:
        await processor.inject(edgeRate=1, edgeStatus=status)
        client, body = await processor.client(), payment()

        answer = await client.call("POST", "/payments", body)

        assert answer.status == status
        assert answer.body
        assert await processor.stored() == [correlation_id(body)]
        assert await processor.injected() == {"edge": 1}


@in_loop
async def test_late_edge_answers_at_once_and_keeps_the_payment_only_later() -> None:
    async with simulator() as processor:
        await processor.inject(lateEdgeRate=1, edgeStatus=503, lateCommitMs=3000)
        client, body = await processor.client(), payment()

        assert (await client.call("POST", "/payments", body)).status == 503

        processor.timers.advance(2.999)
        assert await look_up(processor, body) == 404
        processor.timers.advance(0.001)
        assert await look_up(processor, body) == 200
        assert await processor.injected() == {"lateEdge": 1}


@in_loop
async def test_a_declined_payment_is_declined_every_time_and_never_kept() -> None:
    async with simulator() as processor:
        client, body = await processor.client(), payment()
        for seed in range(3):
            await processor.inject(declineRate=1, declineStatus=402, seed=seed)
            assert (await client.call("POST", "/payments", body)).status == 402
        await processor.inject(declineRate=1, lateCommitRate=1)
        (await processor.client()).send("POST", "/payments", body)
        await processor.timers.until_set()
        processor.timers.advance(1)

        assert await processor.stored() == []
        assert await look_up(processor, body) == 404
        assert (await processor.injected())["decline"] == 4


@in_loop
async def test_a_payment_that_was_kept_before_is_not_declined() -> None:
    async with simulator() as processor:
        client, body = await processor.client(), payment()
        await client.call("POST", "/payments", body)
        await processor.inject(declineRate=1)

        assert (await client.call("POST", "/payments", body)).status == 422


@in_loop
async def test_another_amount_was_kept_a_day_before_under_the_id() -> None:
    async with simulator() as processor:
        await processor.inject(otherAmountRate=1)
        client, body = await processor.client(), payment(19.9, "2025-07-15T12:34:56.789Z")

        assert [(await client.call("POST", "/payments", body)).status for _ in range(2)] == [422, 422]

        kept = (await client.call("GET", f"/payments/{correlation_id(body)}")).json
        assert (kept["amount"], kept["requestedAt"]) == (19.91, "2025-07-14T12:34:56.789")
        assert await processor.injected() == {"otherAmount": 1}


@in_loop
async def test_a_false_duplicate_is_answered_422_and_is_not_kept() -> None:
    async with simulator() as processor:
        await processor.inject(falseDuplicateRate=1)
        client, body = await processor.client(), payment()

        assert [(await client.call("POST", "/payments", body)).status for _ in range(2)] == [422, 422]

        assert await look_up(processor, body) == 404
        assert await processor.injected() == {"falseDuplicate": 2}


@in_loop
async def test_the_requests_tell_which_payments_were_asked_for_and_what_their_ids_brought() -> None:
    async with simulator() as processor:
        client, failed, declined = await processor.client(), payment(), payment()
        await processor.inject(failureRate=1)
        await client.call("POST", "/payments", failed)
        await processor.inject(declineRate=1)
        await client.call("POST", "/payments", declined)

        lines = (await processor.admin("GET", "/admin/requests")).body.splitlines()

        assert {row["correlationId"]: row["fault"] for row in map(msgspec.json.decode, lines)} == {
            correlation_id(failed): None,
            correlation_id(declined): "decline",
        }
        await processor.admin("POST", "/admin/purge-payments")
        assert (await processor.admin("GET", "/admin/requests")).body == b""


@in_loop
async def test_a_fault_of_the_answer_is_injected_for_known_ids_too() -> None:
    async with simulator() as processor:
        client, body = await processor.client(), payment()
        await client.call("POST", "/payments", body)
        await processor.inject(commitThenDropRate=1)

        client.send("POST", "/payments", body)

        assert await client.rest() == b""


@in_loop
async def test_an_injected_delay_is_added_to_the_configured_one() -> None:
    async with simulator() as processor:
        await processor.inject(delay={"kind": "fixed", "ms": 300})
        await processor.admin("PUT", "/admin/configurations/delay", {"delay": 200})
        client = await processor.client()

        client.send("POST", "/payments", payment())
        await processor.timers.until_set()
        processor.timers.advance(0.499)
        assert await processor.stored() == []
        processor.timers.advance(0.001)

        assert (await client.receive()).status == 200
        assert await processor.injected() == {"delay": 1}
        health = await client.call("GET", "/payments/service-health")
        assert health.json["minResponseTime"] == 200


@in_loop
async def test_refuse_closes_open_connections_and_refuses_new_ones_until_it_is_ended() -> None:
    async with simulator(port=reserve_ports(1)[0]) as processor:
        port = processor.server.port
        body = payment()
        await processor.admin("PUT", "/admin/configurations/delay", {"delay": 100})
        idle, busy = await processor.client(), await processor.client()
        busy.send("POST", "/payments", body)
        await processor.timers.until_set()

        await processor.inject(refuse=True)

        assert await idle.rest() == b""
        assert await busy.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await processor.client()
        processor.timers.advance(0.1)
        assert await processor.stored() == [correlation_id(body)]

        await processor.inject(refuse=True, seed=1)
        await processor.inject()

        assert port == processor.server.port
        assert await look_up(processor, body) == 200
        assert await processor.injected() == {"refuse": 1}


@in_loop
async def test_the_client_that_closes_the_port_still_gets_an_answer() -> None:
    async with simulator() as processor:
        client = await processor.client()

        assert (await client.call("PUT", "/admin/faults", {"refuse": True})).status == 200

        assert await client.rest() == b""


@in_loop
async def test_a_port_that_was_taken_meanwhile_is_503_and_refusing_goes_on() -> None:
    async with simulator(port=reserve_ports(1)[0]) as processor:
        await processor.inject(refuse=True)
        squatter = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", processor.server.port)

        refused = await processor.admin("PUT", "/admin/faults", {})
        squatter.close()
        await squatter.wait_closed()

        assert refused.status == 503
        assert (await processor.admin("GET", "/admin/faults")).json["refuse"] is True
        await processor.inject()
        await processor.client()
