"""Puts a load on a gateway that runs, and reads what the gateway uses meanwhile."""

import asyncio
import time
from dataclasses import dataclass
from random import Random
from uuid import UUID

import uvloop

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.peer_channel import RedisPeerChannel
from actors.domain.payment import Payment
from actors.domain.peers import PeerNews
from actors.gossip import EXCHANGE_S
from ops import OpsError
from ops.benchmarks.clients import Clients
from ops.benchmarks.deployment import Deployment
from ops.benchmarks.scaling_model import GatewayLoad, Sample
from ops.benchmarks.scaling_readings import (
    CountReading,
    CpuReading,
    connection_kinds,
    counted,
    cpu_used,
    read_counts,
    read_cpu,
)

WARM_UP_S = 2.0
PEER = "benchmark"
"""The name of the simulated replica that tells others of payments."""


def measure(deployment: Deployment, load: GatewayLoad, seconds: float) -> Sample:
    """Put a load on a gateway that runs, and read what it uses meanwhile.

    Raises:
        OpsError: a payment was not accepted.
    """
    observed = uvloop.run(_observe(deployment, load, seconds))
    # On a busy machine clients may be late: the payments that were really offered count.
    load = GatewayLoad(load.replicas, observed.payments_per_s, load.told_per_s)
    used = {
        **cpu_used(*observed.cpu, connection_kinds(deployment.database_url)),
        **counted(*observed.counts),
    }
    return Sample(load, used)


@dataclass(frozen=True, slots=True)
class _Observed:
    """What was read before and after a load."""

    payments_per_s: float
    cpu: tuple[CpuReading, CpuReading]
    counts: tuple[CountReading, CountReading]


async def _observe(deployment: Deployment, load: GatewayLoad, seconds: float) -> _Observed:
    clients = Clients(deployment.ports, seed=time.time_ns())
    try:
        await _offer(clients, deployment, load, WARM_UP_S)
        # Asking for counts costs CPU, and so is done outside of the measured time.
        counts = read_counts(deployment)
        cpu = read_cpu(deployment)
        payments = await _offer(clients, deployment, load, seconds)
        later_cpu = read_cpu(deployment)
        later_counts = read_counts(deployment)
    finally:
        await clients.close()
    return _Observed(payments / (later_cpu.at_s - cpu.at_s), (cpu, later_cpu), (counts, later_counts))


async def _offer(clients: Clients, deployment: Deployment, load: GatewayLoad, seconds: float) -> int:
    """Put a load on the gateway for some seconds, and tell how many payments it has accepted."""
    if load.payments_per_s:
        answers = await clients.offer(load.payments_per_s, round(load.payments_per_s * seconds))
        if answers.failed:
            raise OpsError(f"{answers.failed} of {answers.offered} payments were not accepted")
        return len(answers.accepted)
    if load.told_per_s:
        await _tell(deployment.redis_url, load.told_per_s, seconds)
    else:
        await asyncio.sleep(seconds)
    return 0


async def _tell(redis_url: str, ids_per_s: float, seconds: float) -> None:
    """Tell replicas of payments as another replica would."""
    channel = RedisPeerChannel(redis_url, HostDirectory(), 0)
    chance = Random()  # noqa: S311 - each run tells of others
    began_s = time.monotonic()
    try:
        for number in range(round(seconds / EXCHANGE_S)):
            await asyncio.sleep(max(0.0, began_s + number * EXCHANGE_S - time.monotonic()))
            now_ms = round(time.time() * 1000)
            told = (
                Payment(UUID(int=chance.getrandbits(128), version=4), 1990, now_ms)
                for _ in range(round(ids_per_s * EXCHANGE_S))
            )
            channel.tell(PeerNews(PEER, tuple(told)))
        await asyncio.sleep(max(0.0, began_s + seconds - time.monotonic()))
    finally:
        channel.close()
