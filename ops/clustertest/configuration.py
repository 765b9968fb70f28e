"""The configuration of every program of a host, made from the plan. Pure: nothing is read or written here.

What a user of Patroni should take over is told in docs/cluster.md.
"""

from collections.abc import Mapping
from typing import Any

from ops.clustertest.plan import (
    ETCD_CLIENT_PORT,
    ETCD_PEER_PORT,
    GATEWAY_PORT,
    LINK_PROXY_PORT,
    PATRONI_PORT,
    POSTGRES_PORT,
    PRIMARY_PORT,
    REDIS_MASTER,
    REDIS_PORT,
    SENTINEL_PORT,
    ClusterPlan,
    Place,
)

TTL_S = 10
"""How long the primary's key in etcd lives after its last renewal. Longer than `LOOP_WAIT_S` and twice
`RETRY_TIMEOUT_S`, so that a primary knows that it may have lost the key before another takes it."""
LOOP_WAIT_S = 1
RETRY_TIMEOUT_S = 3
REPLICATION_TIMEOUT_S = 3
"""A standby that is silent this long has gone, so that Patroni chooses another one to wait for."""
CHECK_MS = 500
"""How often HAProxy asks each Patroni who the primary is; two answers make a server down, one makes it up."""
QUORUM = 2
"""Sentinels that have to agree that the Redis master is gone."""
REDIS_DOWN_MS = 2000
"""How long the Redis master has to be silent until it counts as gone."""
LAME_DUCK_MS = "1000"
"""How long replicas that end still serve; here answers tell clients of it, since there is no load balancer."""
REDIS_MEMORY = "50mb"

Document = dict[str, Any]


def etcd_document(plan: ClusterPlan, host: Place, members: Mapping[str, str], *, joins: bool) -> Document:
    """Make the configuration of etcd.

    Args:
        plan: the cluster.
        host: the host of this etcd.
        members: the URLs by which members reach each other, by the names of their hosts.
        joins: whether it is a new member of a cluster that runs, and not one of the first.
    """
    peer, client = f"http://{host.address}:{ETCD_PEER_PORT}", f"http://{host.address}:{ETCD_CLIENT_PORT}"
    return {
        "name": host.name,
        "data-dir": str(plan.disk_dir(host, "system") / "etcd"),
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "listen-client-urls": f"{client},http://127.0.0.1:{ETCD_CLIENT_PORT}",
        "advertise-client-urls": client,
        "initial-cluster": ",".join(f"{name}={url}" for name, url in members.items()),
        "initial-cluster-state": "existing" if joins else "new",
        "initial-cluster-token": plan.prefix,
        # Hosts that have lost their disks are put back through this; it is off by default.
        "enable-grpc-gateway": True,
        # Patroni speaks through it, see `patroni_document`.
        "enable-v2": True,
        # A member that was cut off asks before it makes the others elect anew.
        "pre-vote": True,
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "10m",
        "logger": "zap",
        "log-level": "warn",
    }


def etcd_peers(plan: ClusterPlan) -> dict[str, str]:
    """Return the URL by which each etcd is reached by the others, by its host's name."""
    return {host.name: f"http://{host.address}:{ETCD_PEER_PORT}" for host in plan.hosts}


def patroni_document(plan: ClusterPlan, host: Place, binaries: str, *, synchronous: bool) -> Document:
    """Make the configuration of Patroni, and of PostgreSQL through it.

    With `synchronous`, a commit is answered when it is on two hosts, whatever else is down: in strict mode nothing is
    committed while no standby has it. One standby is waited for: that survives the loss of any one host, and a standby
    that ends delays commits only if it is that one. With two, each that ends would.
    """
    parameters = {
        "max_connections": 100,
        "shared_buffers": "64MB",
        "wal_log_hints": "on",
        "wal_keep_size": "512MB",
        "max_wal_size": "256MB",
        # A standby that stays away must not fill the primary's disk; it is copied anew.
        "max_slot_wal_keep_size": "256MB",
        "wal_sender_timeout": f"{REPLICATION_TIMEOUT_S}s",
        "wal_receiver_timeout": f"{REPLICATION_TIMEOUT_S}s",
        "wal_receiver_status_interval": "1s",
        # Commits wait for a standby of the new primary; each asks for it this often.
        "wal_retrieve_retry_interval": "500ms",
        "unix_socket_directories": "",
        # The shared memory that a killed server leaves is then on the host's own disk.
        "dynamic_shared_memory_type": "mmap",
        "timezone": "UTC",
        "log_checkpoints": "off",
    }
    account = {"username": "postgres"}
    return {
        "scope": "fiel",
        "name": host.name,
        "restapi": {"listen": f"0.0.0.0:{PATRONI_PORT}", "connect_address": f"{host.address}:{PATRONI_PORT}"},
        # Not etcd3, by which Patroni before 3.0.3 (Debian 12 has 3.0.2) writes the primary's key without looking whose
        # it is once its own lease has ended. A primary that was cut off then takes the key from its successor when it
        # comes back, becomes primary again with its old data, and what was committed meanwhile is lost.
        "etcd": {"hosts": [f"{each.address}:{ETCD_CLIENT_PORT}" for each in plan.hosts]},
        "bootstrap": {
            "dcs": {
                "ttl": TTL_S,
                "loop_wait": LOOP_WAIT_S,
                "retry_timeout": RETRY_TIMEOUT_S,
                "synchronous_mode": synchronous,
                "synchronous_mode_strict": synchronous,
                "synchronous_node_count": 1,
                "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": parameters},
            },
            "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
        },
        "postgresql": {
            "listen": f"{host.address},127.0.0.1:{POSTGRES_PORT}",
            "connect_address": f"{host.address}:{POSTGRES_PORT}",
            "data_dir": str(plan.disk_dir(host, "postgres") / "data"),
            "bin_dir": binaries,
            "authentication": {"superuser": account, "replication": account, "rewind": account},
            "pg_hba": [
                f"host {database} all {network} trust"
                for database in ("all", "replication")
                for network in ("127.0.0.1/32", plan.subnet)
            ],
            "basebackup": [{"checkpoint": "fast"}],
            # A host whose copy cannot be rewound is given a new one without a person.
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
        },
    }


def haproxy_text(plan: ClusterPlan) -> str:
    """Make the configuration of HAProxy: one port that leads to the primary, and to nobody while there is none."""
    servers = "".join(
        f"    server {host.name} {host.address}:{POSTGRES_PORT} check port {PATRONI_PORT}\n" for host in plan.hosts
    )
    return f"""global
    maxconn 500
    nbthread 1
defaults
    mode tcp
    timeout connect 1s
    timeout client 1h
    timeout server 1h
    timeout check 1s
listen primary
    bind 127.0.0.1:{PRIMARY_PORT}
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server inter {CHECK_MS}ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}"""


def redis_text(plan: ClusterPlan, host: Place, master: Place) -> str:
    """Make the first configuration of Redis, which Sentinel changes later; nothing is stored on disk."""
    replica_of = "" if host == master else f"replicaof {master.address} {REDIS_PORT}\n"
    return f"""bind {host.address} 127.0.0.1
port {REDIS_PORT}
protected-mode no
dir {plan.disk_dir(host, "system") / "redis"}
save ""
appendonly no
maxmemory {REDIS_MEMORY}
maxmemory-policy allkeys-lru
repl-diskless-sync yes
repl-diskless-sync-delay 0
repl-timeout 5
replica-announce-ip {host.address}
{replica_of}"""


def sentinel_text(plan: ClusterPlan, host: Place, master: Place) -> str:
    """Make the first configuration of a Sentinel, which it changes itself later."""
    return f"""bind {host.address} 127.0.0.1
port {SENTINEL_PORT}
protected-mode no
dir {plan.disk_dir(host, "system") / "sentinel"}
sentinel announce-ip {host.address}
sentinel monitor {REDIS_MASTER} {master.address} {REDIS_PORT} {QUORUM}
sentinel down-after-milliseconds {REDIS_MASTER} {REDIS_DOWN_MS}
sentinel failover-timeout {REDIS_MASTER} 6000
sentinel parallel-syncs {REDIS_MASTER} 2
"""


def replica_environment(plan: ClusterPlan, host: Place, number: int, durability: str) -> dict[str, str]:
    """Make the settings of a replica of the gateway; its host is in its name."""
    return {
        "REPLICA": f"{host.name}-{number}",
        "BIND": f"0.0.0.0:{GATEWAY_PORT},0.0.0.0:{GATEWAY_PORT + number}",
        "DATABASE_URL": plan.database_url,
        "REDIS_URL": plan.redis_url,
        "PROCESSORS": plan.processors,
        "JOURNAL_DIR": str(plan.disk_dir(host, "journal") / "journal"),
        "DURABILITY": durability,
        "LAME_DUCK_MS": LAME_DUCK_MS,
    }


def link_proxy_arguments(state_file: str) -> list[str]:
    """Make the arguments of the proxy that slows links down."""
    return [f"--port={LINK_PROXY_PORT}", f"--state={state_file}"]
