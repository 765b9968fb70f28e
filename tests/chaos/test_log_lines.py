"""However much fails, the log stays short: simulated replicas under faults, in virtual time."""

import logging
import sys
from collections import Counter
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import pytest

from actors.domain.payment import Payment
from actors.domain.processors import Processor
from ops.simulation.cluster import Cluster, Conditions
from ops.simulation.stores import MemoryStore
from ops.simulator.faults import Faults

PROCESSORS = (Processor("default", "", Decimal("0.05")), Processor("fallback", "", Decimal("0.15")))
PER_S = 10
"""Payments that are posted in a second."""
LASTS_S = 60
LINES_MAX = 15
"""In a minute in which all fails: outages begin, are told of once more and end, and so is each way that payments go."""


@pytest.fixture
def cluster(caplog: pytest.LogCaptureFixture) -> Cluster:
    caplog.set_level(logging.INFO)
    cluster = Cluster(Conditions(processors=PROCESSORS, commit_s=0.005, network_s=0.003), ("1",), Random(1))
    cluster.replicas["1"].start()
    cluster.clock.run(10)
    caplog.clear()
    return cluster


def post_for(cluster: Cluster, seconds: int) -> None:
    """Post payments for a while; whatever becomes of them."""
    for _ in range(seconds * PER_S):
        payment = Payment(UUID(int=cluster.rng.getrandbits(128)), 100, cluster.clock.now_ms())
        cluster.replicas["1"].accept(payment, lambda _: None)
        cluster.clock.run(cluster.clock.time() + 1 / PER_S)


def told(caplog: pytest.LogCaptureFixture) -> Counter[Any]:
    """Count the lines about each thing."""
    lines: list[Any] = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert len(lines) == len(caplog.records)
    return Counter((each["event"], each.get("processor") if "breaker" in each["event"] else None) for each in lines)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(failure_rate=0.8),
        Faults(edge_rate=0.4, garbage_rate=0.4),
        Faults(decline_rate=0.4),
        Faults(refuse=True),
    ],
    ids=["failures", "unknown", "declined", "refused"],
)
def test_processors_that_fail_are_few_lines(cluster: Cluster, caplog: pytest.LogCaptureFixture, faults: Faults) -> None:
    for processor in cluster.processors.values():
        processor.faults = faults
    post_for(cluster, LASTS_S)
    for processor in cluster.processors.values():
        processor.faults = Faults()
    post_for(cluster, 15)
    lines = told(caplog)
    assert 0 < lines.total() <= LINES_MAX, lines


def test_a_redis_that_is_gone_is_told_of_when_it_begins_once_more_and_when_it_ends(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.board.gone = True
    post_for(cluster, LASTS_S + 1)
    cluster.board.gone = False
    post_for(cluster, 12)
    assert told(caplog) == {("Redis does not share what replicas know", None): 3}


def test_a_postgres_that_is_gone_is_few_lines(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    parts = cluster.replicas["1"].system.parts
    stores = [each for each in (parts.payments, parts.leases) if isinstance(each, MemoryStore)]
    assert len(stores) == 2
    for store in stores:
        store.failures = sys.maxsize
    post_for(cluster, LASTS_S)
    for store in stores:
        store.failures = 0
    post_for(cluster, 15)
    lines = told(caplog)
    assert {event for event, _ in lines} >= {"the lease is not renewed", "writes wait for Postgres"}
    assert lines.total() <= LINES_MAX, lines
