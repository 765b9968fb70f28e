"""A processor that takes longer than its operator allows for books a payment once, and no other one does."""

from decimal import Decimal
from random import Random
from uuid import UUID

import pytest

from actors.domain.payment import Payment
from actors.domain.processors import Processor
from ops.simulation.cluster import Cluster, Conditions

PROCESSORS = (Processor("default", "", Decimal("0.05")), Processor("fallback", "", Decimal("0.15")))
PAYMENTS = 30


@pytest.mark.parametrize("timeout_s", [2.0, 10.0])
def test_a_processor_slower_than_configured_charges_nothing_that_another_one_charges(timeout_s: float) -> None:
    conditions = Conditions(
        processors=PROCESSORS,
        commit_s=0.005,
        network_s=0.003,
        charge_timeout_s=timeout_s,
        processor_delay_max_s=1.0,
    )
    cluster = Cluster(conditions, ("1", "2"), Random(1))
    for replica in cluster.replicas.values():
        replica.start()
    cluster.clock.run(10)
    cluster.processors["default"].delay_ms = 25_000
    for number in range(PAYMENTS):
        payment = Payment(UUID(int=number), 100, cluster.clock.now_ms())
        cluster.replicas["1"].accept(payment, lambda _: None)
    cluster.clock.run(200)
    booked = [entry.correlation_id.int for each in cluster.processors.values() for entry in each.ledger]
    assert sorted(booked) == list(range(PAYMENTS))
    assert len(cluster.tables.settlements) == PAYMENTS
