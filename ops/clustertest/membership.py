"""Puts a host whose disk is empty into a cluster that runs: its etcd as a new member, its Redis under the master."""

import contextlib
import time
from collections.abc import Sequence

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops import OpsError
from ops.clustertest.configuration import etcd_peers
from ops.clustertest.plan import ETCD_CLIENT_PORT, REDIS_MASTER, SENTINEL_PORT, ClusterPlan, Place
from ops.clustertest.probes import ask_http

JOIN_S_MAX = 20
"""How long etcd may take to accept a member: it refuses one until all others have been heard for some seconds."""
RETRY_S = 0.5


def replace_member(plan: ClusterPlan, host: Place) -> dict[str, str]:
    """Replace the etcd member of a host that has lost its disk; return the URLs of all members by their names.

    Raises:
        OpsError: the other members have no majority, or do not agree in time.
    """
    deadline = time.monotonic() + JOIN_S_MAX
    others = [other for other in plan.hosts if other != host]
    own_url = etcd_peers(plan)[host.name]
    while time.monotonic() < deadline:
        for other in others:
            members = _ask_etcd(other, "list", {})
            if members is None:
                continue
            old = [each for each in members["members"] if own_url in each["peerURLs"]]
            # A member without a name was added and never started; its disk is as empty as this one's.
            if old and "name" in old[0]:
                _ask_etcd(other, "remove", {"ID": old[0]["ID"]})
                old = []
            if old or _ask_etcd(other, "add", {"peerURLs": [own_url]}) is not None:
                present = {url for each in members["members"] for url in each["peerURLs"]} | {own_url}
                return {name: url for name, url in etcd_peers(plan).items() if url in present}
        time.sleep(RETRY_S)
    raise OpsError(f"the etcd of {host.name} cannot join: no majority of the others accepts it within {JOIN_S_MAX} s")


def _ask_etcd(host: Place, operation: str, body: dict[str, object]) -> dict[str, list[dict[str, str]]] | None:
    status, answer = ask_http(host.address, ETCD_CLIENT_PORT, "POST", f"/v3/cluster/member/{operation}", body)
    return answer if status == 200 and isinstance(answer, dict) else None  # noqa: PLR2004 - HTTP's number


def redis_master(plan: ClusterPlan, asked: Sequence[Place]) -> Place | None:
    """Ask the Sentinels of some hosts for the Redis master; None where none knows it."""
    for host in asked:
        with (
            contextlib.suppress(redis.RedisError, OSError),
            redis.Redis(host.address, SENTINEL_PORT, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client,
        ):
            found = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", REDIS_MASTER)
            address = found[0].decode() if found else ""
            return next((each for each in plan.hosts if each.address == address), None)
    return None
