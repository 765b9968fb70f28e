"""What the programs of a cluster are configured by fits together."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.postgres.conninfo import check_database_url
from actors.adapters.redis_client import connect
from actors.settings import Settings
from ops.clustertest.configuration import (
    LOOP_WAIT_S,
    RETRY_TIMEOUT_S,
    TTL_S,
    etcd_document,
    etcd_peers,
    haproxy_text,
    patroni_document,
    redis_text,
    replica_environment,
    sentinel_text,
)
from ops.clustertest.plan import BLOCKS, ClusterPlan

PLAN = ClusterPlan(7, Path("/state"))
FIRST, SECOND, _THIRD = PLAN.hosts


def test_a_primary_knows_that_its_key_may_be_lost_before_another_takes_it() -> None:
    assert TTL_S >= LOOP_WAIT_S + 2 * RETRY_TIMEOUT_S


@pytest.mark.parametrize("synchronous", [True, False])
def test_no_commit_is_answered_before_a_standby_has_it_unless_that_is_asked_for(*, synchronous: bool) -> None:
    dcs = patroni_document(PLAN, FIRST, "/bin", synchronous=synchronous)["bootstrap"]["dcs"]
    assert (dcs["synchronous_mode"], dcs["synchronous_mode_strict"]) == (synchronous, synchronous)


def test_what_a_failover_leaves_behind_can_be_rewound() -> None:
    bootstrap = patroni_document(PLAN, FIRST, "/bin", synchronous=True)["bootstrap"]
    assert bootstrap["dcs"]["postgresql"]["use_pg_rewind"]
    assert bootstrap["dcs"]["postgresql"]["parameters"]["wal_log_hints"] == "on"
    assert "data-checksums" in bootstrap["initdb"]


def test_haproxy_ends_connections_to_a_server_that_is_the_primary_no_more() -> None:
    text = haproxy_text(PLAN)
    assert "on-marked-down shutdown-sessions" in text
    assert "option httpchk OPTIONS /primary" in text
    assert [text.count(f"{host.address}:5432 check port 8008") for host in PLAN.hosts] == [1, 1, 1]


def test_an_etcd_that_lost_its_disk_joins_the_others() -> None:
    peers = etcd_peers(PLAN)
    first = etcd_document(PLAN, FIRST, peers, joins=False)
    again = etcd_document(PLAN, FIRST, peers, joins=True)
    assert (first["initial-cluster-state"], again["initial-cluster-state"]) == ("new", "existing")
    assert first["initial-cluster"] == ("h1=http://10.77.7.11:2380,h2=http://10.77.7.12:2380,h3=http://10.77.7.13:2380")


def test_every_redis_but_the_master_is_its_replica_and_every_sentinel_watches_it() -> None:
    assert "replicaof" not in redis_text(PLAN, FIRST, FIRST)
    assert "replicaof 10.77.7.11 6379" in redis_text(PLAN, SECOND, FIRST)
    assert "sentinel monitor mymaster 10.77.7.11 6379 2" in sentinel_text(PLAN, SECOND, FIRST)


def test_replicas_take_their_settings_and_share_neither_a_name_nor_another_hosts_disk() -> None:
    settings = [
        Settings.from_environment(replica_environment(PLAN, host, number, "fsync"))
        for host in PLAN.hosts
        for number in (1, 2)
    ]
    assert [each.replica for each in settings] == ["h1-1", "h1-2", "h2-1", "h2-2", "h3-1", "h3-2"]
    assert len({each.journal_dir for each in settings}) == 3
    for each in settings:
        check_database_url(each.database_url)
        connect(each.redis_url, HostDirectory()).close()


def test_this_machine_reaches_the_host_that_accepts_writes() -> None:
    check_database_url(PLAN.direct_database_url)
    given = conninfo_to_dict(PLAN.direct_database_url)
    assert given["host"] == "10.77.7.11,10.77.7.12,10.77.7.13"
    assert given["target_session_attrs"] == "read-write"


def test_clusters_share_no_name_and_no_address() -> None:
    plans = [ClusterPlan(block, Path("/state")) for block in BLOCKS]
    places = [place for plan in plans for place in (*plan.hosts, plan.outside, plan.client)]
    assert len({place.address for place in places}) == len(places)
    assert len({plan.switch for plan in plans}) == len(plans)
    assert {urlsplit(url).hostname for url in plans[0].processor_urls.values()} == {plans[0].outside.address}
