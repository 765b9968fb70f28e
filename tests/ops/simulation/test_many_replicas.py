"""Ten replicas on hosts of their own: what one of them holds comes back with it, and they share a processor's room."""

from decimal import Decimal
from random import Random
from uuid import UUID

import pytest

from actors.domain.concurrency_limit import ConcurrencyLimits
from actors.domain.lease_watch import LEASE_S
from actors.domain.payment import Payment
from actors.domain.processors import Processor
from actors.messages.processor import GetProcessorStatus
from ops.simulation.cluster import Cluster, Conditions
from ops.simulation.replica import SimulatedReplica
from ops.simulator.faults import Faults

PROCESSORS = (Processor("default", "", Decimal("0.05")), Processor("fallback", "", Decimal("0.15")))
TAKEN_AT_ONCE = 40
CONDITIONS = Conditions(
    processors=PROCESSORS,
    commit_s=0.005,
    network_s=0.003,
    charge_timeout_s=1.0,
    processor_delay_max_s=1.0,
    outage_patience_s=2.0,
    concurrency_limits=ConcurrencyLimits(fleet_max=TAKEN_AT_ONCE),
    separate_journals=True,
)
PAYMENTS_PER_S = 20
TROUBLED_S = 15
TROUBLES = (Faults(), Faults(failure_rate=0.4), Faults(refuse=True), Faults(commit_then_drop_rate=0.3))


def ten(seed: int) -> Cluster:
    """Start ten replicas."""
    cluster = Cluster(CONDITIONS, [f"host-{number}" for number in range(10)], Random(seed))
    for replica in cluster.replicas.values():
        replica.start()
    cluster.clock.run(10)
    return cluster


def limit(replica: SimulatedReplica) -> int:
    """Ask how many charges of a replica may be under way on default."""
    return int(replica.system.processors["default"].ask(GetProcessorStatus(), 1.0).limit)


@pytest.mark.parametrize("seed", range(1))
def test_whatever_becomes_of_ten_hosts_each_payment_is_charged_once(seed: int) -> None:
    cluster, rng, accepted = ten(seed), Random(seed), 0
    for _ in range(TROUBLED_S):
        for _ in range(PAYMENTS_PER_S):
            replica = rng.choice([each for each in cluster.replicas.values() if each.is_running])
            replica.accept(Payment(UUID(int=accepted), 100, cluster.clock.now_ms()), lambda _: None)
            accepted += 1
        cluster.clock.run(rng.random())
        for processor in cluster.processors.values():
            processor.faults = rng.choice(TROUBLES)
        victim = rng.choice(list(cluster.replicas.values()))
        if not victim.is_running:
            victim.start()
        elif sum(each.is_running for each in cluster.replicas.values()) > 3:
            victim.crash()
    for processor in cluster.processors.values():
        processor.faults = Faults()
    cluster.clock.run(30)
    for replica in cluster.replicas.values():
        if not replica.is_running:
            replica.start()
    cluster.clock.run(120)
    booked = [entry.correlation_id.int for each in cluster.processors.values() for entry in each.ledger]
    kept = {each.int for journal in cluster.journals.values() for each in journal.kept}
    assert len(booked) == len(set(booked))
    assert (kept, cluster.tables.claims) == (set(), {})
    assert set(booked) == {each.int for each in cluster.tables.settlements}


def test_what_a_processor_takes_is_shared_by_those_who_live() -> None:
    cluster = ten(1)
    replicas = list(cluster.replicas.values())
    assert [limit(each) for each in replicas] == [TAKEN_AT_ONCE // 10] * 10
    for each in replicas[4:]:
        each.crash()
    cluster.clock.run(LEASE_S - 1)
    assert max(limit(each) for each in replicas[:4]) == TAKEN_AT_ONCE // 10, "they may still charge"
    cluster.clock.run(3)
    replicas[9].start()
    cluster.clock.run(LEASE_S + 5)
    assert sum(limit(each) for each in (*replicas[:4], replicas[9])) <= TAKEN_AT_ONCE
