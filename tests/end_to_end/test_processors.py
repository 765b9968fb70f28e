"""What becomes of payments whose processors answer otherwise than by a charge, on a gateway of running processes."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import pytest

from ops.chaostest.client import administer, open_connection
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from tests.end_to_end.cluster import Cluster, GatewayClient, get, running_cluster
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One gateway for all tests, with a short horizon."""
    short = {"PROCESSOR_DELAY_MAX_MS": "500", "CHARGE_TIMEOUT_MS": "1000", "OUTAGE_PATIENCE_MS": "1000"}
    with running_cluster(tmp_path_factory.mktemp("cluster"), **short) as cluster:
        yield cluster


@pytest.fixture
def shared(running: Cluster) -> Cluster:
    """Give the gateway of all tests, whose first replica uses default again after the faults of the test before."""
    for name in ("default", "fallback"):
        inject(running, name)
    wait_until(lambda: charges_anew(running)["default"] == 1)
    return running


def charges_anew(cluster: Cluster) -> Counter[str]:
    """Post a payment to the first replica, and tell which processor has charged it."""
    ids = accept(cluster.stack.replica_urls[0], 1)
    wait_for_state(cluster, ids, "settled")
    return charges_of(cluster, ids)


def inject(cluster: Cluster, name: str, **faults: object) -> None:
    """Let a processor have these faults alone from now on."""
    administer(cluster.stack.simulator(name).admin_url, "PUT", "/admin/faults", json.dumps(faults).encode())


def accept(url: str, count: int) -> list[UUID]:
    """Post so many new payments, and see all of them accepted."""
    ids = [UUID(int=random.SystemRandom().getrandbits(128), version=4) for _ in range(count)]
    client = GatewayClient(url)
    client.post([OfferedPayment(each, OfferedAmount(1990)) for each in ids], connections=4)
    assert Counter(client.statuses) == {202: count}
    return ids


def states(cluster: Cluster, ids: list[UUID]) -> Counter[str]:
    """Count payments by the state that the last replica tells of them."""
    url = cluster.stack.replica_urls[-1]
    return Counter(json.loads(get(f"{url}/payments/{each}")[1]).get("state", "") for each in ids)


def wait_for_state(cluster: Cluster, ids: list[UUID], state: str) -> None:
    wait_until(lambda: states(cluster, ids) == {state: len(ids)}, lambda: str(states(cluster, ids)))


def charges_of(cluster: Cluster, ids: list[UUID]) -> Counter[str]:
    """Count the charges of these payments by processor."""
    return Counter(name for each, _, _, name in cluster.charges() if each in ids)


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500, 503])
def test_what_was_booked_behind_an_answer_of_something_in_front_of_the_processor_is_charged_there_alone(
    shared: Cluster, status: int
) -> None:
    inject(shared, "default", edgeRate=1, edgeStatus=status)
    ids = accept(shared.stack.replica_urls[0], 8)
    wait_until(lambda: charges_of(shared, ids)["default"] > 0)
    # Not those that fallback has charged meanwhile, since default was down for longer than the patience.
    booked = [each for each, _, _, name in shared.charges() if each in ids and name == "default"]
    inject(shared, "default")
    wait_for_state(shared, ids, "settled")
    assert charges_of(shared, booked) == {"default": len(booked)}
    assert charges_of(shared, ids).total() == 8


@pytest.mark.parametrize("status", [401, 404])
def test_what_a_misconfigured_processor_turned_away_is_charged_when_it_is_repaired(
    shared: Cluster, status: int
) -> None:
    inject(shared, "default", declineRate=1, declineStatus=status)
    ids = accept(shared.stack.replica_urls[0], 8)
    wait_until(lambda: states(shared, ids)["unknown"] > 0)
    inject(shared, "default")
    wait_for_state(shared, ids, "settled")
    assert charges_of(shared, ids).total() == 8


def test_declined_payments_hold_up_no_others_and_end_when_every_processor_has_declined_them(shared: Cluster) -> None:
    declining = {"declineRate": 1, "declineStatus": 402}
    inject(shared, "default", **declining)
    inject(shared, "fallback", **declining)
    declined = accept(shared.stack.replica_urls[0], 100)
    wait_until(lambda: asked_for(shared, "default", declined) == 100)
    inject(shared, "default")
    good = accept(shared.stack.replica_urls[0], 30)
    wait_for_state(shared, good, "settled")
    assert charges_of(shared, good) == {"default": 30}
    assert states(shared, declined)["declined"] == 0
    wait_until(lambda: asked_for(shared, "fallback", declined) == 100)
    wait_for_state(shared, declined, "declined")
    inject(shared, "fallback")
    assert charges_of(shared, declined).total() == 0


def asked_for(cluster: Cluster, name: str, ids: list[UUID]) -> int:
    """Count those of these payments that a processor was asked to charge."""
    listed = get(f"{cluster.stack.simulator(name).admin_url}/admin/requests")[1].splitlines()
    return len({UUID(json.loads(line)["correlationId"]) for line in listed}.intersection(ids))


def test_a_payment_whose_id_a_processor_holds_with_another_amount_ends_and_keeps_no_summary_from_being_final(
    shared: Cluster,
) -> None:
    inject(shared, "default", otherAmountRate=1)
    ids = accept(shared.stack.replica_urls[0], 8)
    wait_for_state(shared, ids, "mismatched")
    inject(shared, "default")
    assert charges_of(shared, ids) == {"default": 8}
    until = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for url in shared.stack.replica_urls:
        wait_until(partial(is_final, url, until))


def is_final(url: str, until: str) -> bool:
    with open_connection(url) as connection:
        return connection.ask("GET", f"/payments-summary?to={until}").headers["fiel-summary-final"] == "true"
