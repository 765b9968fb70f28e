"""What a purge does to payments that are under way, on a gateway of running processes."""

import json
import random
from collections import Counter
from pathlib import Path
from uuid import UUID

from ops.chaostest.client import ADMIN_TOKEN, open_connection
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from tests.end_to_end.cluster import Cluster, GatewayClient, get, post, running_cluster
from tests.waiting import WAIT_S_MAX, wait_until

DELAY_MS = 700
PAYMENTS = 60


def delay(cluster: Cluster, delay_ms: int) -> None:
    """Let both processors book and answer so late from now on."""
    for simulator in cluster.stack.simulators:
        with open_connection(simulator.admin_url, WAIT_S_MAX) as connection:
            body = json.dumps({"delay": delay_ms}).encode()
            headers = {**ADMIN_TOKEN, "Content-Type": "application/json"}
            assert connection.ask("PUT", "/admin/configurations/delay", body, headers).status == 200


def under_way(cluster: Cluster) -> int:
    """Count the charges that replicas have sent and that have not ended."""
    told = [json.loads(get(f"{url}/processors")[1]) for url in cluster.stack.replica_urls]
    return sum(processor["underWay"] for processors in told for processor in processors.values())


def test_after_a_purge_no_charge_of_before_it_reaches_a_processor(tmp_path: Path) -> None:
    rng = random.Random(7)
    ids = [UUID(int=rng.getrandbits(128), version=4) for _ in range(PAYMENTS)]
    with running_cluster(tmp_path, ALLOW_PURGE="1") as cluster:
        delay(cluster, DELAY_MS)
        client = GatewayClient(cluster.stack.url)
        client.post([OfferedPayment(each, OfferedAmount(1990)) for each in ids], connections=10)
        assert Counter(client.statuses) == {202: PAYMENTS}
        wait_until(lambda: under_way(cluster) > 0)
        assert post(f"{cluster.stack.replica_urls[1]}/purge-payments")[0] == 204
        booked = cluster.charged_ids()
        assert booked
        assert cluster.settled() == 0
        delay(cluster, 0)
        last = OfferedPayment(UUID(int=1, version=4), OfferedAmount(100))
        GatewayClient(cluster.stack.replica_urls[0]).post([last])
        cluster.wait_for_settled(1)
        wait_until(lambda: under_way(cluster) == 0)
        assert sorted(cluster.charged_ids()) == sorted([*booked, last.correlation_id])
