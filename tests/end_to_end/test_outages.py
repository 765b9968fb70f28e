"""What becomes of payments when a processor goes away for ever and a replica with it, with running processes."""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from actors.domain.breaker_limits import BreakerLimits
from ops.chaostest.client import administer
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from ops.stack.services import ReplicaProcess
from tests.end_to_end.cluster import Cluster, GatewayClient, get, running_cluster
from tests.waiting import wait_until

pytestmark = pytest.mark.long

PAYMENTS = 400

BURST = 60
PATIENCE_S = 4.0
"""Longer than three replicas need for their probes, however busy the machine is."""


def offered(rng: random.Random, count: int) -> list[OfferedPayment]:
    return [OfferedPayment(UUID(int=rng.getrandbits(128), version=4), OfferedAmount(1990)) for _ in range(count)]


@pytest.mark.parametrize("end", [ReplicaProcess.kill, ReplicaProcess.stop, ReplicaProcess.pause])
def test_payments_of_a_replica_that_ends_while_default_refuses_connections_are_settled_on_fallback(
    tmp_path: Path, end: Callable[[ReplicaProcess], None]
) -> None:
    rng = random.Random(23)
    payments = offered(rng, 2 * PAYMENTS)
    with running_cluster(tmp_path, OUTAGE_PATIENCE_MS="2000") as cluster:
        admin_url = cluster.stack.simulator("default").admin_url
        administer(admin_url, "PUT", "/admin/faults", json.dumps({"refuse": True}).encode())
        for url, share in zip(cluster.stack.replica_urls, (payments[:PAYMENTS], payments[PAYMENTS:]), strict=False):
            client = GatewayClient(url)
            client.post(share, connections=10)
            assert Counter(client.statuses) == {202: PAYMENTS}
        # Whoever adopts a row that names default still, because the replica ended meanwhile, waits for default.
        wait_until(lambda: not cluster.named_rows())
        end(cluster.stack.replica(1))
        cluster.wait_for_settled(2 * PAYMENTS)
        assert Counter(name for _, _, _, name in cluster.charges()) == {"fallback": 2 * PAYMENTS}
        assert len(set(cluster.charged_ids())) == 2 * PAYMENTS


def test_a_burst_after_an_outage_that_ended_while_nobody_posted_is_settled_on_default(tmp_path: Path) -> None:
    rng = random.Random(24)
    with running_cluster(tmp_path, OUTAGE_PATIENCE_MS=str(round(PATIENCE_S * 1000))) as cluster:
        admin_url = cluster.stack.simulator("default").admin_url
        administer(admin_url, "PUT", "/admin/configurations/failure", json.dumps({"failure": True}).encode())
        _post_everywhere(cluster, offered(rng, 3 * PAYMENTS))
        cluster.wait_for_settled(3 * PAYMENTS)
        assert Counter(name for _, _, _, name in cluster.charges()) == {"fallback": 3 * PAYMENTS}
        administer(admin_url, "PUT", "/admin/configurations/failure", json.dumps({"failure": False}).encode())
        wait_until(lambda: all(map(_is_quietly_half_open, cluster.stack.replica_urls)))
        _post_everywhere(cluster, burst := offered(rng, BURST))
        cluster.wait_for_settled(3 * PAYMENTS + BURST)
        ids = {each.correlation_id for each in burst}
        assert Counter(name for key, _, _, name in cluster.charges() if key in ids) == {"default": BURST}


def _post_everywhere(cluster: Cluster, payments: Sequence[OfferedPayment]) -> None:
    """Post payments to all replicas at once, over many connections."""
    urls = cluster.stack.replica_urls
    clients = [GatewayClient(url) for url in urls]
    with ThreadPoolExecutor(len(urls)) as pool:
        list(pool.map(lambda each: clients[each].post(payments[each :: len(urls)], 20), range(len(urls))))
    assert Counter(status for client in clients for status in client.statuses) == {202: len(payments)}


def _is_quietly_half_open(url: str) -> bool:
    """Tell whether a replica's breaker of default has been half open for so long that its outage is in doubt."""
    breaker = json.loads(get(f"{url}/processors")[1])["default"]["breaker"]
    age = datetime.now(UTC) - datetime.fromisoformat(breaker["changes"][-1]["at"])
    return bool(breaker["state"] == "half-open" and age > timedelta(seconds=BreakerLimits().certain_s))
