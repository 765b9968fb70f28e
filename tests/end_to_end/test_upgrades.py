"""Replicas are replaced by those of another release, one after another and under load, and back again."""

import json
from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest

from actors.domain.version import VERSION
from ops.environment import ROOT
from tests.end_to_end.cluster import Cluster, get, running_cluster
from tests.end_to_end.patient_clients import CLIENTS, PatientClients, posting
from tests.end_to_end.releases import (
    NEXT_VERSION,
    make_next_release,
    migrate_with,
    replace_replica,
    take_release_before,
)
from tests.waiting import wait_until

pytestmark = pytest.mark.long

SEED = 20250715
NUMBERS = (1, 2, 3)
UNKNOWN = UUID(int=1, version=4)


def roll(cluster: Cluster, clients: PatientClients, checkout: Path) -> None:
    """Replace all replicas, each while payments go on, and with the others of two releases beside each other."""
    for number in NUMBERS:
        clients.wait_for(CLIENTS)
        replace_replica(cluster, number, checkout)
        clients.wait_for(CLIENTS)
        everybody_knows(cluster, clients.accepted[-1])


def everybody_knows(cluster: Cluster, correlation_id: UUID) -> None:
    """Let every replica tell of a payment that any of them has accepted, whatever its release."""
    for url in cluster.stack.replica_urls:
        wait_until(lambda url=url: get(f"{url}/payments/{correlation_id}")[0] == 200)  # type: ignore[misc]


def everybody_denies(cluster: Cluster, correlation_id: UUID) -> None:
    """Let every replica deny a payment that nobody knows, after it has asked the others."""
    for url in cluster.stack.replica_urls:
        wait_until(lambda url=url: get(f"{url}/payments/{correlation_id}")[0] == 404)  # type: ignore[misc]


def versions(cluster: Cluster) -> set[str]:
    """Tell which releases the replicas have, as the first one tells it."""
    return {
        each["version"] for each in json.loads(get(f"{cluster.stack.replica_urls[0]}/status")[1])["replicas"].values()
    }


def check_books(cluster: Cluster, clients: PatientClients) -> None:
    """Check that each accepted payment was charged once, that nothing else was, and that the gateway says the same."""
    assert clients.refused == []
    cluster.wait_for_settled(len(clients.accepted))
    assert Counter(cluster.charged_ids()) == Counter(clients.accepted)
    for url in cluster.stack.replica_urls:
        assert cluster.summary(url) == cluster.processors_summary()
    logs = "".join(replica.log.read_text() for replica in cluster.stack.replicas)
    assert "Traceback" not in logs


def test_a_rolling_upgrade_and_the_way_back_lose_no_payment_and_refuse_none(tmp_path: Path) -> None:
    later = make_next_release(tmp_path / "next")
    with running_cluster(tmp_path / "state") as cluster:
        with posting(cluster.stack.url, SEED) as clients:
            assert len(migrate_with(later, cluster.stack.database_url)) == 1
            roll(cluster, clients, later)
            wait_until(lambda: versions(cluster) == {NEXT_VERSION})
            # The release before meets a schema that is newer than its own.
            assert migrate_with(ROOT, cluster.stack.database_url) == []
            replace_replica(cluster, 1, ROOT)
            wait_until(lambda: versions(cluster) == {VERSION, NEXT_VERSION})
            everybody_denies(cluster, UNKNOWN)
            roll(cluster, clients, ROOT)
        check_books(cluster, clients)


def test_replicas_of_the_release_before_run_beside_those_of_this_one(tmp_path: Path) -> None:
    before = tmp_path / "before"
    if take_release_before(before) is None:
        pytest.skip("no release before: git has no history here")
    with running_cluster(tmp_path / "state") as cluster:
        with posting(cluster.stack.url, SEED) as clients:
            for number in NUMBERS[:2]:
                replace_replica(cluster, number, before)
                clients.wait_for(CLIENTS)
            everybody_knows(cluster, clients.accepted[-1])
            everybody_denies(cluster, UNKNOWN)
            for number in NUMBERS[:2]:
                replace_replica(cluster, number, ROOT)
                clients.wait_for(CLIENTS)
        check_books(cluster, clients)
