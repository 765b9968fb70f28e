"""A gateway on three hosts keeps its promises over an upgrade and a switchover, and leaves nothing on the machine."""

import json
import logging
import math
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

import pytest

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.connections import READ_S_MAX
from actors.adapters.postgres.lending import SingleConnection
from ops.chaostest.load_generator import LoadGenerator
from ops.clustertest.cluster import HostCluster
from ops.clustertest.cluster_audit import has_come_to_rest, sources_of
from ops.clustertest.namespaces import NAMESPACES
from ops.clustertest.needs import missing
from ops.clustertest.options import ClusterOptions
from ops.clustertest.plan import ADMIN_PORT_OFFSET, REDIS_PORT, ClusterPlan
from tests.end_to_end.cluster import get
from tests.end_to_end.releases import take_release
from tests.waiting import wait_until

log = logging.getLogger(__name__)
LACKING = missing(wrong_clocks=False)
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {'; and '.join(LACKING)}"),
]

RELEASE_BEFORE_HOSTS = "a8b5481"
"""The last commit that knows neither several hosts, Sentinel, `DURABILITY=ledger` nor lame ducks; its schema is 10."""
RATE, CLIENTS, PAUSE_S_MAX = 30.0, 24, 0.5
AMPLE_S = 120.0
SHORT_DOUBT = {"CHARGE_TIMEOUT_MS": "1000", "PROCESSOR_DELAY_MAX_MS": "500"}
"""After a failover, replicas ask processors before they charge, and wait as long as a late charge may take."""


def redis_master_alone(plan: ClusterPlan) -> dict[str, str]:
    """Name the first Redis master itself, for a release that does not ask Sentinels."""
    return {"REDIS_URL": f"redis://{plan.hosts[0].address}:{REDIS_PORT}/0"}


def roll(cluster: HostCluster, options: ClusterOptions) -> None:
    """Replace all replicas, one after another."""
    for host in cluster.hosts:
        cluster.replace_replica(host, 1, options)


@contextmanager
def careful_clients(cluster: HostCluster) -> Iterator[LoadGenerator]:
    """Let clients post to all replicas during the block, and let all that they were promised end."""
    clients = LoadGenerator(
        cluster.replica_urls, rate=RATE, seconds=math.inf, seed=15, connections=CLIENTS, pause_s_max=PAUSE_S_MAX
    )
    clients.start()
    try:
        yield clients
        clients.stop_offering()
        wait_until(lambda: has_come_to_rest(sources_of(cluster), clients), wait_s_max=AMPLE_S)
    finally:
        clients.stop()


def told(clients: LoadGenerator) -> dict[str, object]:
    """Count what clients met, and tell how long they waited."""
    tries = [each for offer in clients.offers for each in offer.attempts]
    return {
        "payments": len(clients.offers),
        "answers": dict(Counter(str(each.status or each.error.partition(":")[0]) for each in tries)),
        "longest_answer_s": max(each.took_s for each in tries if each.status is not None),
        "longest_until_202_s": max(
            (min(each.answered_at_ms or math.inf for each in posts) - offer.attempts[0].at_ms) / 1000
            for offer in clients.offers
            if (posts := [each for each in offer.attempts if each.status == HTTPStatus.ACCEPTED])
        ),
    }


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


def test_payments_are_charged_once_over_an_upgrade_and_a_switchover_and_the_machine_is_left_as_it_was(
    tmp_path: Path,
) -> None:
    state_dir, before = tmp_path / "cluster", tmp_path / "before"
    options = ClusterOptions(
        state_dir=state_dir, replicas_per_host=1, durability="fsync", environment={**os.environ, **SHORT_DOUBT}
    )
    has_before = take_release(RELEASE_BEFORE_HOSTS, before) is not None
    first = replace(options, checkout=before, overrides=redis_master_alone) if has_before else options
    with HostCluster(first) as cluster:
        prefix = cluster.plan.prefix
        assert len(list(NAMESPACES.glob(f"{prefix}-*"))) == 5
        old = cluster.primary()
        with careful_clients(cluster) as clients:
            roll(cluster, options)
            assert cluster.patroni.switchover()
            roll(cluster, replace(options, durability="ledger,fsync"))
        log.info("%s", told(clients))
        books = Counter(charged(cluster))
        accepted = {offer.correlation_id for offer in clients.offers if offer.accepted}
        assert accepted - books.keys() == set()
        assert [each for each, times in books.items() if times > 1] == []
        assert books.keys() <= {offer.correlation_id for offer in clients.offers}
        assert all(offer.accepted or offer.gives_up for offer in clients.offers)
        assert cluster.primary() not in {None, old}
        # What replicas without HAProxy connect by.
        single = SingleConnection(cluster.database_url, HostDirectory(), READ_S_MAX)
        with closing(single), single.use() as connection:
            assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
    assert list(traces(state_dir, prefix)) == []
