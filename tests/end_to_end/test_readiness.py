"""What a gateway of running processes says of itself where Postgres or Redis answers and cannot be written."""

import json
from collections.abc import Iterator

import psycopg
import pytest
import redis

from ops.chaostest.client import open_connection
from tests.end_to_end.cluster import Cluster, get, running_cluster
from tests.waiting import WAIT_S_MAX, wait_until

OK = dict.fromkeys(("journal", "segments", "actors", "postgres", "records", "redis", "clock", "payments"), "ok")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One gateway for all tests, which leave its servers as they found them."""
    with running_cluster(tmp_path_factory.mktemp("cluster"), ALLOW_FORCE="1") as running:
        yield running


def parts(cluster: Cluster) -> dict[str, str]:
    """Ask the first replica how its parts are."""
    told: dict[str, str] = json.loads(get(f"{cluster.stack.replica_urls[0]}/readyz")[1])["parts"]
    return told


def is_told(cluster: Cluster, part: str, words: str) -> bool:
    return words in parts(cluster)[part]


def is_well(cluster: Cluster) -> bool:
    return parts(cluster) == OK


def order(cluster: Cluster, state: str) -> tuple[int, object]:
    """Give an order for the default processor to the first replica."""
    url = cluster.stack.replica_urls[0]
    with open_connection(url, WAIT_S_MAX) as connection:
        answer = connection.ask("PUT", "/processors/default/breaker", json.dumps({"state": state}).encode())
        return answer.status, json.loads(answer.body)


def administer(cluster: Cluster, statement: bytes) -> None:
    assert cluster.stack.postgres is not None
    with psycopg.connect(cluster.stack.postgres.url, autocommit=True) as connection:
        connection.execute(b"SET default_transaction_read_only = off")
        connection.execute(statement)
        connection.execute(b"SELECT pg_reload_conf()")


def test_a_postgres_that_became_read_only_is_said_to_be(cluster: Cluster) -> None:
    wait_until(lambda: is_well(cluster), lambda: str(parts(cluster)))
    administer(cluster, b"ALTER SYSTEM SET default_transaction_read_only = on")
    wait_until(lambda: is_told(cluster, "postgres", "the lease is not renewed"), lambda: str(parts(cluster)))
    assert is_told(cluster, "postgres", "read-only transaction")
    administer(cluster, b"ALTER SYSTEM RESET default_transaction_read_only")
    wait_until(lambda: is_well(cluster), lambda: str(parts(cluster)))


def test_a_redis_that_is_full_is_said_to_be(cluster: Cluster) -> None:
    wait_until(lambda: is_well(cluster), lambda: str(parts(cluster)))
    assert cluster.stack.redis is not None
    with redis.Redis.from_url(cluster.stack.redis.url) as client:
        before = client.config_get("maxmemory*")
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
        wait_until(lambda: is_told(cluster, "redis", "used memory > 'maxmemory'"), lambda: str(parts(cluster)))
        client.config_set("maxmemory", str(before["maxmemory"]))
        client.config_set("maxmemory-policy", str(before["maxmemory-policy"]))
    wait_until(lambda: is_well(cluster), lambda: str(parts(cluster)))


def test_an_order_says_how_many_replicas_hold_it(cluster: Cluster) -> None:
    wait_until(lambda: is_well(cluster), lambda: str(parts(cluster)))
    assert order(cluster, "forced-open") == (200, {"replicas": 3, "of": 3})
    assert order(cluster, "automatic") == (200, {"replicas": 3, "of": 3})
    assert cluster.stack.redis is not None
    cluster.stack.redis.kill()
    assert order(cluster, "forced-open") == (200, {"replicas": 1, "of": 3})
    cluster.stack.redis.start()
    cluster.stack.redis.wait_ready()
    wait_until(lambda: is_well(cluster), lambda: str(parts(cluster)))
    assert order(cluster, "automatic") == (200, {"replicas": 3, "of": 3})
