"""What becomes of payments when a processor goes away for ever and a replica with it, with running processes."""

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from ops.chaostest.client import administer
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from ops.stack.services import ReplicaProcess
from tests.end_to_end.cluster import GatewayClient, running_cluster

PAYMENTS = 400


@pytest.mark.parametrize("end", [ReplicaProcess.kill, ReplicaProcess.stop, ReplicaProcess.pause])
def test_payments_of_a_replica_that_ends_while_default_refuses_connections_are_settled_on_fallback(
    tmp_path: Path, end: Callable[[ReplicaProcess], None]
) -> None:
    rng = random.Random(23)
    payments = [
        OfferedPayment(UUID(int=rng.getrandbits(128), version=4), OfferedAmount(1990)) for _ in range(2 * PAYMENTS)
    ]
    with running_cluster(tmp_path, OUTAGE_PATIENCE_MS="2000") as cluster:
        admin_url = cluster.stack.simulator("default").admin_url
        administer(admin_url, "PUT", "/admin/faults", json.dumps({"refuse": True}).encode())
        for url, share in zip(cluster.stack.replica_urls, (payments[:PAYMENTS], payments[PAYMENTS:]), strict=False):
            client = GatewayClient(url)
            client.post(share, connections=10)
            assert Counter(client.statuses) == {202: PAYMENTS}
        end(cluster.stack.replica(1))
        cluster.wait_for_settled(2 * PAYMENTS)
        assert Counter(name for _, _, _, name in cluster.charges()) == {"fallback": 2 * PAYMENTS}
        assert len(set(cluster.charged_ids())) == 2 * PAYMENTS
