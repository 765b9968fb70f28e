"""A Postgres that was put back to an earlier time, under a gateway of running processes."""

import json
import random
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from ops.chaostest.workload import OfferedAmount, OfferedPayment
from ops.stack.embedded import PostgresServer
from tests.copied_data import copy_data, put_back_the_copy
from tests.end_to_end.cluster import Cluster, GatewayClient, get, running_cluster
from tests.waiting import wait_until

pytestmark = pytest.mark.long

SHORT_HORIZON = {"PROCESSOR_DELAY_MAX_MS": "200", "CHARGE_TIMEOUT_MS": "1000", "OUTAGE_PATIENCE_MS": "0"}
"""What is posted after Postgres was found to be another one is charged 6.2 s after that at the earliest."""


def use_up_transaction_numbers(postgres: PostgresServer) -> None:
    """Let those that are given after a restore have been given before it."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DO $$ BEGIN FOR i IN 1..20000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")


def told_after(cluster: Cluster, cursor: str) -> set[str]:
    """Read the ids in the feed behind a cursor that was given before what is lost now."""
    status, body = get(f"{cluster.stack.url}/payments/events?after={cursor}&limit=500&wait=0")
    assert status == 200, body
    return {event["correlationId"] for event in json.loads(body)["events"]}


def replicas_that_noticed(cluster: Cluster) -> int:
    told = [json.loads(get(f"{url}/readyz")[1])["parts"]["records"] for url in cluster.stack.replica_urls]
    return sum("may have forgotten" in each for each in told)


def test_every_replica_notices_it_and_goes_on_in_the_same_process(tmp_path: Path) -> None:
    rng = random.Random(11)
    payments = [OfferedPayment(UUID(int=rng.getrandbits(128), version=4), OfferedAmount(1990)) for _ in range(30)]
    with running_cluster(tmp_path, **SHORT_HORIZON) as cluster:
        postgres = cluster.stack.postgres
        assert postgres is not None
        GatewayClient(cluster.stack.url).post(payments[:10])
        cluster.wait_for_settled(10)
        copy_data(postgres)
        use_up_transaction_numbers(postgres)
        GatewayClient(cluster.stack.url).post(payments[10:20])
        cluster.wait_for_settled(20)
        cursor = json.loads(get(f"{cluster.stack.url}/payments/events?after=now&wait=0")[1])["next"]
        pids = [cluster.stack.replica(number).pid for number in (1, 2, 3)]
        put_back_the_copy(postgres)
        postgres.start()
        postgres.wait_ready()
        wait_until(
            lambda: replicas_that_noticed(cluster) == 3,
            lambda: str([get(f"{url}/readyz") for url in cluster.stack.replica_urls]),
        )
        for url, payment in zip(cluster.stack.replica_urls, payments[20:], strict=False):
            GatewayClient(url).post([payment])
        wait_until(lambda: cluster.settled() >= 13)
        new = {str(payment.correlation_id) for payment in payments[20:23]}
        wait_until(lambda: new <= told_after(cluster, cursor))
        assert [cluster.stack.replica(number).pid for number in (1, 2, 3)] == pids
