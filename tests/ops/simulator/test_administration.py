import json
from datetime import UTC, datetime

import pytest

from tests.ops.simulator.harness import correlation_id, in_loop, payment, simulator

SUMMARY = "/admin/payments-summary"


@in_loop
async def test_the_summary_goes_by_the_instants_that_were_sent() -> None:
    async with simulator(fee="0.15") as processor:
        client = await processor.client()
        for second in (10, 11, 12, 13):
            await client.call("POST", "/payments", payment(19.9, f"2025-07-15T12:00:{second}.500Z"))

        inside = await client.call("GET", f"{SUMMARY}?from=2025-07-15T12:00:11.500Z&to=2025-07-15T12:00:12.500Z")
        just_outside = await client.call("GET", f"{SUMMARY}?from=2025-07-15T12:00:11.501Z&to=2025-07-15T12:00:12.499Z")

        assert inside.body == b'{"totalRequests":2,"totalAmount":39.80,"totalFee":5.97,"feePerTransaction":0.15}'
        assert just_outside.json["totalRequests"] == 0


@pytest.mark.parametrize("query", ["", "?from=2030-01-01T00:00:00Z", "?to=2020-01-01T00:00:00Z"])
@in_loop
async def test_the_summary_is_of_everything_where_a_bound_is_missing(query: str) -> None:
    async with simulator() as processor:
        await (await processor.client()).call("POST", "/payments", payment())

        assert (await processor.admin("GET", SUMMARY + query)).json["totalRequests"] == 1


@in_loop
async def test_bounds_that_are_no_instants_are_400() -> None:
    async with simulator() as processor:
        assert (await processor.admin("GET", f"{SUMMARY}?from=yesterday")).status == 400


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", SUMMARY),
        ("GET", "/admin/payments"),
        ("GET", "/admin/faults"),
        ("PUT", "/admin/faults"),
        ("GET", "/admin/configurations"),
        ("PUT", "/admin/configurations/token"),
        ("PUT", "/admin/configurations/delay"),
        ("PUT", "/admin/configurations/failure"),
        ("PUT", "/admin/configurations/fee"),
        ("POST", "/admin/purge-payments"),
    ],
)
@in_loop
async def test_without_the_token_it_is_401(method: str, target: str) -> None:
    async with simulator() as processor:
        for port in (processor.server.port, processor.server.admin_port):
            client = await processor.client(port)
            assert (await client.call(method, target, token=None)).status == 401
            assert (await client.call(method, target, token="124")).status == 401


@in_loop
async def test_the_token_can_be_changed() -> None:
    async with simulator() as processor:
        client = await processor.client()

        changed = await client.call("PUT", "/admin/configurations/token", {"token": "new"})

        assert (changed.status, changed.body) == (204, b"")
        assert (await client.call("GET", SUMMARY)).status == 401
        assert (await client.call("GET", SUMMARY, token="new")).status == 200


@in_loop
async def test_the_fee_can_be_changed_and_counts_for_all_charges() -> None:
    async with simulator(fee="0.05") as processor:
        client = await processor.client()
        await client.call("POST", "/payments", payment(19.9))

        assert (await client.call("PUT", "/admin/configurations/fee", {"fee": 0.07})).status == 200

        summary = (await client.call("GET", SUMMARY)).body
        assert summary == b'{"totalRequests":1,"totalAmount":19.90,"totalFee":1.39,"feePerTransaction":0.07}'


@pytest.mark.parametrize("fee", [-0.01, 1.01, "0.07"])
@in_loop
async def test_a_fee_that_is_no_share_is_400(fee: object) -> None:
    async with simulator() as processor:
        assert (await processor.admin("PUT", "/admin/configurations/fee", {"fee": fee})).status == 400


@in_loop
async def test_delay_and_failure_are_what_health_tells() -> None:
    async with simulator() as processor:
        client = await processor.client()

        assert (await client.call("PUT", "/admin/configurations/delay", {"delay": 1500})).status == 200
        assert (await client.call("PUT", "/admin/configurations/failure", {"failure": True})).status == 200

        health = await client.call("GET", "/payments/service-health")
        assert health.json == {"failing": True, "minResponseTime": 1500}


@in_loop
async def test_what_is_configured_can_be_read_but_for_the_token() -> None:
    async with simulator(fee="0.05") as processor:
        await processor.admin("PUT", "/admin/configurations/delay", {"delay": 1500})
        await processor.admin("PUT", "/admin/configurations/failure", {"failure": True})

        told = await processor.admin("GET", "/admin/configurations")

        assert (told.status, told.json) == (200, {"delay": 1500, "failure": True, "fee": 0.05})


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("token", {"token": 5}),
        ("delay", {"delay": -1}),
        ("delay", {"delay": "soon"}),
        ("failure", {"failure": 1}),
        ("failure", {}),
        ("failure", b"{"),
    ],
)
@in_loop
async def test_a_malformed_setting_is_400_with_a_message(target: str, body: object) -> None:
    async with simulator() as processor:
        refused = await processor.admin("PUT", f"/admin/configurations/{target}", body)

        assert refused.status == 400
        assert refused.json["message"]


@in_loop
async def test_a_purge_forgets_the_charges() -> None:
    async with simulator() as processor:
        client = await processor.client()
        body = payment()
        await client.call("POST", "/payments", body)

        assert (await client.call("POST", "/admin/purge-payments")).status == 200

        assert (await client.call("GET", SUMMARY)).json["totalRequests"] == 0
        assert (await client.call("POST", "/payments", body)).status == 200


@in_loop
async def test_the_audit_lists_every_charge_on_a_line() -> None:
    async with simulator() as processor:
        client = await processor.client()
        bodies = [payment(), payment()]
        now = datetime.now(UTC)
        began = now.replace(microsecond=now.microsecond // 1000 * 1000)
        for body in bodies:
            await client.call("POST", "/payments", body)

        audit = await client.call("GET", "/admin/payments")

        assert audit.headers["Content-Type"] == "application/x-ndjson"
        rows = [json.loads(line) for line in audit.body.splitlines()]
        booked = [datetime.fromisoformat(row.pop("bookedAt")) for row in rows]
        assert rows == [
            {
                "correlationId": correlation_id(body),
                "amountMinor": 1990,
                "requestedAt": "2025-07-15T12:34:56.789Z",
                "answered": True,
            }
            for body in bodies
        ]
        assert began <= booked[0] <= booked[1] <= datetime.now(UTC)


@in_loop
async def test_the_audit_tells_which_charges_their_clients_do_not_know_of() -> None:
    async with simulator() as processor:
        bodies = [payment(), payment(), payment()]
        await (await processor.client()).call("POST", "/payments", bodies[0])
        await processor.inject(commitThenDropRate=1)
        dropped = await processor.client()
        dropped.send("POST", "/payments", bodies[1])
        assert await dropped.rest() == b""
        await processor.inject()
        await processor.admin("PUT", "/admin/configurations/delay", {"delay": 50})
        leaving = await processor.client()
        leaving.send("POST", "/payments", bodies[2])
        await processor.timers.until_set()
        await leaving.close()
        await processor.stored()  # Until then the simulator has seen that its client left.
        processor.timers.advance(0.05)

        audit = await (await processor.client()).call("GET", "/admin/payments")

        answered = {row["correlationId"]: row["answered"] for row in map(json.loads, audit.body.splitlines())}
        assert [answered[correlation_id(body)] for body in bodies] == [True, False, False]


@in_loop
async def test_the_second_port_is_for_the_administration_alone() -> None:
    async with simulator() as processor:
        assert (await processor.admin("POST", "/payments", payment())).status == 404
        assert (await processor.admin("GET", "/payments/service-health")).status == 404
        assert (await processor.admin("GET", SUMMARY)).status == 200


@in_loop
async def test_other_methods_are_405_and_other_paths_404() -> None:
    async with simulator() as processor:
        client = await processor.client()

        assert (await client.call("PUT", "/payments")).status == 405
        assert (await client.call("GET", "/admin/purge-payments")).status == 405
        assert (await client.call("GET", "/nowhere")).status == 404
        assert (await client.call("GET", "/admin/nowhere")).status == 404
