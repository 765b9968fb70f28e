"""An operator's word on payments whose processor was taken out, on a gateway of running processes."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ops.chaostest.client import administer
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from ops.resolution import main as resolve
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack
from tests.end_to_end.cluster import Cluster, GatewayClient, get
from tests.waiting import wait_until

pytestmark = pytest.mark.long

INSTANT = "2025-07-15T12:34:56.789Z"


def listed(stack: Stack, state: str) -> list[dict[str, Any]]:
    """List the payments in a state, as the last replica tells them."""
    payments: list[dict[str, Any]] = json.loads(get(f"{stack.replica_urls[-1]}/payments?state={state}")[1])["payments"]
    return payments


def are_listed(stack: Stack, state: str, ids: Sequence[str]) -> bool:
    return {each["correlationId"] for each in listed(stack, state)} == set(ids)


def booked(admin_url: str) -> str:
    """Tell what a simulated processor has booked, as its own records say."""
    return administer(admin_url, "GET", "/admin/payments").decode()


def test_what_a_processor_that_was_taken_out_may_have_charged_is_for_an_operator_to_say(tmp_path: Path) -> None:
    ids = [str(UUID(int=random.Random(11).getrandbits(128) + number, version=4)) for number in range(2)]
    options = StackOptions.on_reserved_ports(tmp_path, {"CHARGE_TIMEOUT_MS": "1000"})
    with Stack(options) as stack:
        simulator = stack.simulator("default")
        administer(simulator.admin_url, "PUT", "/admin/faults", b'{"commitThenHangRate": 1}')
        client = GatewayClient(stack.replica_urls[0])
        client.post([OfferedPayment(UUID(each), OfferedAmount(1990)) for each in ids])
        assert client.statuses == [202, 202]
        wait_until(lambda: all(each in booked(simulator.admin_url) for each in ids))
        administer(simulator.admin_url, "PUT", "/admin/faults", b'{"refuse": true}')
        wait_until(partial(are_listed, stack, "unknown", ids))
        assert resolve([ids[0], "--not-charged", "--url", stack.url]) == 1
    # Nothing listens on this port any more.
    only = f"fallback=http://127.0.0.1:{options.processor_ports[0]},0.15"
    with Stack(replace(options, processors=only)) as stack:
        wait_until(partial(are_listed, stack, "stranded", ids))
        url = stack.replica_urls[1]
        assert resolve([ids[0], "--charged-by", "default", "--at", INSTANT, "--url", url]) == 0
        wait_until(partial(are_listed, stack, "settled", ids[:1]))
        assert Cluster(stack).summary(url)["default"] == {"totalRequests": 1, "totalAmount": 19.9}
    # Its simulator is not started with processors of one's own, so that it answers no look-up.
    lookup = f"default=http://127.0.0.1:{options.processor_ports[0]},0.05,lookup {only}"
    with Stack(replace(options, processors=lookup)) as stack:
        told = json.loads(get(f"{stack.replica_urls[0]}/processors")[1])
        assert {name: each["charges"] for name, each in told.items()} == {"default": False, "fallback": True}
        wait_until(partial(are_listed, stack, "unknown", ids[1:]))
