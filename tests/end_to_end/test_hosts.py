"""A gateway on three hosts keeps its promises over a switchover of its database, and leaves nothing on the machine."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.connections import READ_S_MAX, SingleConnection
from ops.chaostest.client import HttpClient, open_connection
from ops.chaostest.workload import OfferedAmount, OfferedPayment
from ops.clustertest.cluster import HostCluster
from ops.clustertest.namespaces import NAMESPACES
from ops.clustertest.needs import missing
from ops.clustertest.options import ClusterOptions
from ops.clustertest.plan import ADMIN_PORT_OFFSET
from tests.end_to_end.cluster import get, post_payment, wait_until

LACKING = missing(wrong_clocks=False)
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {'; and '.join(LACKING)}")

AMPLE_S = 120.0
SHORT_DOUBT = {"CHARGE_TIMEOUT_MS": "1000", "PROCESSOR_DELAY_MAX_MS": "500"}
"""After a failover, replicas ask processors before they charge, and wait as long as a late charge may take."""


def some(rng: Random) -> list[OfferedPayment]:
    return [OfferedPayment(UUID(int=rng.getrandbits(128), version=4), OfferedAmount(1990)) for _ in range(10)]


def post(cluster: HostCluster, payments: list[OfferedPayment]) -> None:
    """Post payments to all replicas in turn, each until it is accepted."""
    for number, payment in enumerate(payments):
        with open_connection(cluster.replica_urls[number % 3], AMPLE_S) as connection:
            wait_until(partial(is_accepted, connection, payment), wait_s_max=AMPLE_S)


def is_accepted(connection: HttpClient, payment: OfferedPayment) -> bool:
    return post_payment(connection, payment).status == 202


def charged(cluster: HostCluster) -> list[UUID]:
    return [
        UUID(json.loads(row)["correlationId"])
        for url in cluster.plan.processor_urls.values()
        for row in get(f"{admin(url)}/admin/payments")[1].splitlines()
    ]


def admin(url: str) -> str:
    address, _, port = url.rpartition(":")
    return f"{address}:{int(port) + ADMIN_PORT_OFFSET}"


def traces(state_dir: Path, prefix: str) -> Iterator[str]:
    """Everything of a cluster that can be found on the machine."""
    yield from (each.name for each in NAMESPACES.glob(f"{prefix}-*"))
    yield from (line for line in Path("/proc/mounts").read_text().splitlines() if str(state_dir) in line)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(state_dir) in command:
            yield command


def test_payments_are_charged_once_over_a_switchover_and_the_machine_is_left_as_it_was(tmp_path: Path) -> None:
    state_dir, rng = tmp_path / "cluster", Random(15)
    before, after = some(rng), some(rng)
    options = ClusterOptions(state_dir=state_dir, replicas_per_host=1, environment={**os.environ, **SHORT_DOUBT})
    with HostCluster(options) as cluster:
        prefix = cluster.plan.prefix
        assert len(list(NAMESPACES.glob(f"{prefix}-*"))) == 5
        post(cluster, before)
        old = cluster.primary()
        assert cluster.patroni.switchover()
        post(cluster, after)
        wait_until(lambda: len(charged(cluster)) >= 20, wait_s_max=AMPLE_S)
        assert sorted(charged(cluster)) == sorted(payment.correlation_id for payment in (*before, *after))
        assert cluster.primary() not in {None, old}
        # What replicas without HAProxy connect by.
        single = SingleConnection(cluster.database_url, HostDirectory(), READ_S_MAX)
        with closing(single), single.use() as connection:
            assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
    assert list(traces(state_dir, prefix)) == []
