"""Replicas as on hosts of their own: no shared folder, few connections to Postgres, and PgBouncer on the way there."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from ops.chaostest.workload import OfferedAmount, OfferedPayment
from tests.end_to_end.cluster import GatewayClient, get, pooled_cluster, running_cluster
from tests.pooler import needs_pgbouncer
from tests.waiting import wait_until

pytestmark = pytest.mark.long

UNKNOWN = UUID(int=2**128 - 1, version=4)
PAYMENTS = 60


def offered(first: int) -> list[OfferedPayment]:
    return [OfferedPayment(UUID(int=first + number, version=4), OfferedAmount(1990)) for number in range(PAYMENTS)]


@needs_pgbouncer
def test_payments_of_a_host_that_is_gone_come_back_with_it_and_nobody_denies_what_it_may_hold(tmp_path: Path) -> None:
    with pooled_cluster(tmp_path) as (cluster, pgbouncer):
        stack = cluster.stack
        urls = stack.replica_urls

        def answer(correlation_id: UUID) -> int:
            return get(f"{urls[1]}/payments/{correlation_id}")[0]

        wait_until(lambda: answer(UNKNOWN) == 404)
        for simulator in stack.simulators:
            simulator.kill()
        host, others = GatewayClient(urls[0]), GatewayClient(urls[1])
        host.post(offered(1), connections=4)
        stack.replica(1).kill()
        # What it had accepted stands in its journal alone, which nobody reaches.
        assert answer(UNKNOWN) == 503
        pgbouncer.kill()
        others.post(offered(1001), connections=4)
        pgbouncer.start()
        pgbouncer.wait_ready()
        for simulator in stack.simulators:
            simulator.start()
            simulator.wait_ready()
        cluster.wait_for_settled(PAYMENTS)
        assert answer(UNKNOWN) == 503, "for as long as it is gone"
        stack.replica(1).start()
        stack.replica(1).wait_ready()
        cluster.wait_for_settled(2 * PAYMENTS)
        assert host.statuses + others.statuses == [202] * 2 * PAYMENTS
        charged = Counter(cluster.charged_ids())
        assert charged == {each.correlation_id: 1 for each in (*offered(1), *offered(1001))}
        wait_until(lambda: answer(UNKNOWN) == 404)
        stack.replica(1).stop()
        assert answer(UNKNOWN) == 404, "it left with nothing"


def test_a_replica_has_three_connections_to_postgres_at_most_whatever_is_asked_of_it(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster, ThreadPoolExecutor(8) as pool:
        assert cluster.stack.postgres is not None
        urls = cluster.stack.replica_urls
        paths = ("/payments-summary", "/payments?state=settled", "/readyz", f"/payments/{UNKNOWN}", "/payments/events")
        ended = threading.Event()

        def read(number: int) -> None:
            while not ended.is_set():
                get(urls[number % 3] + paths[number % len(paths)])

        readers = [pool.submit(read, number) for number in range(8)]
        most = 0
        with psycopg.connect(cluster.stack.postgres.url, autocommit=True) as observer:
            try:
                for first in range(1, 6 * PAYMENTS, PAYMENTS):
                    GatewayClient(urls[first % 3]).post(offered(first), connections=2)
                    (count,) = observer.execute(
                        "SELECT count(*) FROM pg_stat_activity"
                        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                    ).fetchone() or (0,)
                    most = max(most, count)
            finally:
                ended.set()
        for reader in readers:
            reader.result()
        assert 0 < most <= len(urls) * 3
