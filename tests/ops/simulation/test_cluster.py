"""The simulated gateway is the product: its replicas share tables, peers and processors, crash and stand still."""

from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest

from actors.domain.payment import Claim, Payment
from actors.domain.processors import Processor
from actors.messages.intake import AcceptAnswer
from ops.simulation.cluster import Cluster, Conditions
from ops.simulation.tables import OwnedClaim
from ops.simulator.faults import Faults
from ops.simulator.ledger import LedgerEntry

PROCESSORS = (Processor("default", "", Decimal("0.05")), Processor("fallback", "", Decimal("0.15")))


@pytest.fixture
def cluster() -> Cluster:
    conditions = Conditions(processors=PROCESSORS, commit_s=0.005, network_s=0.003)
    cluster = Cluster(conditions, ("1", "2"), Random(1))
    for replica in cluster.replicas.values():
        replica.start()
    cluster.clock.run(10)
    return cluster


def post(cluster: Cluster, replica: str, number: int, amount_minor: int = 100) -> list[AcceptAnswer]:
    answers: list[AcceptAnswer] = []
    payment = Payment(UUID(int=number), amount_minor, cluster.clock.now_ms())
    cluster.replicas[replica].accept(payment, answers.append)
    return answers


def settled(cluster: Cluster) -> dict[int, str]:
    return {key.int: settlement.processor for key, settlement in cluster.tables.settlements.items()}


def pass_time(cluster: Cluster, seconds: float) -> None:
    cluster.clock.run(cluster.clock.time() + seconds)


def test_a_payment_is_settled_on_the_cheapest_within_a_fraction_of_a_second(cluster: Cluster) -> None:
    answers = post(cluster, "1", 1)
    pass_time(cluster, 0.2)
    assert answers == [AcceptAnswer.ACCEPTED]
    assert settled(cluster) == {1: "default"}


def test_replicas_tell_each_other_what_they_accepted(cluster: Cluster) -> None:
    post(cluster, "1", 1)
    pass_time(cluster, 1)
    other_amount = post(cluster, "2", 1, amount_minor=200)
    pass_time(cluster, 1)
    assert other_amount == [AcceptAnswer.CONTESTED]


def test_what_a_crash_leaves_in_rows_and_journal_is_taken_over(cluster: Cluster) -> None:
    for processor in cluster.processors.values():
        processor.failing = True
    for number in range(1, 1201):  # More than the window.
        post(cluster, "1", number)
    pass_time(cluster, 1)
    assert cluster.journals["1"].waiting > 0
    cluster.replicas["1"].crash()
    for processor in cluster.processors.values():
        processor.failing = False
    pass_time(cluster, 60)
    assert len(settled(cluster)) == 1200
    assert cluster.journals["1"].held == 0


def test_a_replica_that_restarts_finds_what_waits_in_its_journal(cluster: Cluster) -> None:
    for processor in cluster.processors.values():
        processor.failing = True
    for number in range(1, 31):
        post(cluster, "1", number)
    pass_time(cluster, 1)
    cluster.replicas["2"].crash()
    cluster.replicas["1"].crash()
    for processor in cluster.processors.values():
        processor.failing = False
    cluster.replicas["1"].start()
    pass_time(cluster, 60)
    assert len(settled(cluster)) == 30


def test_a_replica_that_stood_still_beyond_its_lease_starts_anew_and_goes_on(cluster: Cluster) -> None:
    system = cluster.replicas["1"].system
    cluster.processors["default"].failing = True
    post(cluster, "1", 1)
    pass_time(cluster, 0.1)
    cluster.replicas["1"].pause()
    pass_time(cluster, 20)
    cluster.processors["default"].failing = False
    pass_time(cluster, 20)
    cluster.replicas["1"].resume()
    pass_time(cluster, 5)
    assert cluster.replicas["1"].system is not system
    post(cluster, "1", 2)
    pass_time(cluster, 1)
    assert settled(cluster) == {1: "default", 2: "default"}


def test_a_processor_that_was_taken_out_is_asked_for_what_it_may_have_charged_and_is_charged_no_more() -> None:
    taken_out = Processor("old", "", Decimal("0.01"), frozenset())
    cluster = Cluster(Conditions(processors=(*PROCESSORS, taken_out), network_s=0.003), ("1", "2"), Random(1))
    charged, missing = (Payment(UUID(int=number), 100, cluster.clock.now_ms()) for number in (1, 2))
    for payment in (charged, missing):
        cluster.tables.payments[payment.correlation_id] = payment
        cluster.tables.claims[payment.correlation_id] = OwnedClaim("1", Claim(payment, "old"))
    cluster.processors["old"].ledger.insert(LedgerEntry(charged.correlation_id, 100, datetime(2025, 6, 1, tzinfo=UTC)))
    for replica in cluster.replicas.values():
        replica.start()
    post(cluster, "1", 3)
    pass_time(cluster, 90)
    assert settled(cluster) == {1: "old", 2: "default", 3: "default"}
    assert cluster.processors["old"].calls == 0


def test_nothing_is_claimed_for_a_processor_that_refuses_connections(cluster: Cluster) -> None:
    cluster.processors["default"].faults = Faults(refuse=True)
    for number in range(1, 61):
        post(cluster, "1", number)
    pass_time(cluster, 3)  # The breaker opens, and is half open from then on.
    for number in range(61, 91):
        post(cluster, "1", number)
    for _ in range(500):
        pass_time(cluster, 0.01)
        assert [owned for owned in cluster.tables.claims.values() if owned.claim.processor is not None] == []
