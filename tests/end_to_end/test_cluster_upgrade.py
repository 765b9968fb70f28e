"""Replicas on three hosts are replaced by another release's, then get another durability, over a switchover."""

import logging
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from ops.chaostest.load_generator import LoadGenerator
from ops.clustertest.cluster import HostCluster
from ops.clustertest.cluster_audit import has_come_to_rest, sources_of
from ops.clustertest.needs import missing
from ops.clustertest.options import ClusterOptions
from ops.clustertest.plan import REDIS_PORT, ClusterPlan
from tests.end_to_end.cluster import wait_until
from tests.end_to_end.releases import take_release
from tests.end_to_end.test_hosts import AMPLE_S, SHORT_DOUBT, charged

BEFORE = os.environ.get("RELEASE_BEFORE", "a8b5481")
"""A commit that knows neither `DURABILITY=ledger`, nor Sentinel, nor lame ducks, and has the schema 10."""
RATE, CLIENTS, PAUSE_S_MAX = 30.0, 24, 0.5
LACKING = missing(wrong_clocks=False)
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {'; and '.join(LACKING)}")
log = logging.getLogger(__name__)


def redis_master_alone(plan: ClusterPlan) -> dict[str, str]:
    """Name the first Redis master itself, for a release that does not ask Sentinels."""
    return {"REDIS_URL": f"redis://{plan.hosts[0].address}:{REDIS_PORT}/0"}


def told(clients: LoadGenerator) -> dict[str, object]:
    """Count what clients met, and how long they waited."""
    tries = [each for offer in clients.offers for each in offer.attempts]
    statuses = Counter(str(each.status or each.error.partition(":")[0]) for each in tries)
    accepted = [offer for offer in clients.offers if offer.accepted]
    waits_ms = [
        min(each.answered_at_ms or 0 for each in offer.attempts if each.status == 202)
        - min(each.at_ms for each in offer.attempts)
        for offer in accepted
        if any(each.status == 202 for each in offer.attempts)
    ]
    return {
        "payments": len(clients.offers),
        "accepted": len(accepted),
        "answers": dict(statuses),
        "longest_answer_s": round(max(each.took_s for each in tries if each.status is not None), 2),
        "longest_until_accepted_s": max(waits_ms) / 1000,
    }


def roll(cluster: HostCluster, options: ClusterOptions) -> None:
    """Replace all replicas, one after another."""
    for host in cluster.hosts:
        cluster.replace_replica(host, 1, options)


def test_an_upgrade_and_another_durability_lose_no_payment_and_charge_none_twice(tmp_path: Path) -> None:
    before = tmp_path / "before"
    if take_release(BEFORE, before) is None:
        pytest.skip(f"git has no commit {BEFORE} here")
    options = ClusterOptions(
        state_dir=tmp_path / "cluster",
        replicas_per_host=1,
        durability="fsync",
        environment={**os.environ, **SHORT_DOUBT},
    )
    old = replace(options, checkout=before, overrides=redis_master_alone)
    with HostCluster(old) as cluster:
        sources = sources_of(cluster)
        clients = LoadGenerator(
            cluster.replica_urls,
            rate=RATE,
            seconds=10 * AMPLE_S,
            seed=15,
            connections=CLIENTS,
            pause_s_max=PAUSE_S_MAX,
        )
        clients.start()
        try:
            roll(cluster, options)
            assert cluster.patroni.switchover()
            roll(cluster, replace(options, durability="ledger,fsync"))
            clients.stop_offering()
            wait_until(lambda: has_come_to_rest(sources, clients), wait_s_max=AMPLE_S)
        finally:
            clients.stop()
        books = Counter(charged(cluster))
        log.info("%s", told(clients))
        accepted = {offer.correlation_id for offer in clients.offers if offer.accepted}
        assert [each for each in accepted if each not in books] == []
        assert [each for each, times in books.items() if times > 1] == []
        assert books.keys() <= {offer.correlation_id for offer in clients.offers}
        assert {replica.exit_status for host in cluster.hosts for replica in host.replicas} == {None}
