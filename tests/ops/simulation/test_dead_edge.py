"""Something in front of default answers for it and never lets anything through: little is left unknown for that."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest

from actors.domain.outcome import Outcome
from actors.domain.payment import Payment
from actors.domain.processors import Processor
from actors.domain.records import LookUpAnswer, LookUpResult
from actors.settings import Settings
from actors.system import Parts
from ops.simulation.clock import SimulatedRuntime
from ops.simulation.cluster import Cluster, Conditions
from ops.simulation.processors import SimulatedClient

pytestmark = pytest.mark.long

PROCESSORS = (Processor("default", "", Decimal("0.05")), Processor("fallback", "", Decimal("0.15")))
PER_S = 50
MINUTES = 3
PINNED_MAX = 150
"""What the breaker needs to open, what is under way meanwhile, and the probes until a look-up was not answered."""
RECOVERY_S = 2.0


class Edge(SimulatedClient):
    """The way to a processor, through something that may answer for it."""

    outcome: Outcome | None = None
    """What its answer to every charge means; it knows nothing of any payment. None: it lets all through."""

    def charge(self, payment: Payment, requested_at_ms: int) -> Outcome:
        if self.outcome is None:
            return super().charge(payment, requested_at_ms)
        self._travel()
        return self.outcome

    def look_up(self, payment: Payment) -> LookUpAnswer:
        if self.outcome is None:
            return super().look_up(payment)
        self._travel()
        return LookUpAnswer(LookUpResult.NO_ANSWER)


class EdgeCluster(Cluster):
    """One replica, between which and default there is an edge."""

    def make_parts(self, settings: Settings, runtime: SimulatedRuntime) -> Parts:
        parts = super().make_parts(settings, runtime)
        self.edge = Edge(self.processors["default"], runtime, timeout_s=10.0, network_s=0.003)
        return replace(parts, clients={**parts.clients, "default": self.edge})


@pytest.fixture
def cluster() -> EdgeCluster:
    conditions = Conditions(processors=PROCESSORS, commit_s=0.005, network_s=0.003)
    cluster = EdgeCluster(conditions, ("1",), Random(1))
    cluster.replicas["1"].start()
    cluster.clock.run(10)
    return cluster


def post_for(cluster: Cluster, seconds: float, first: int = 1) -> int:
    """Post payments at a steady rate; gives the number of the next one."""
    for number in range(first, first + round(seconds * PER_S)):
        payment = Payment(UUID(int=number), 100, cluster.clock.now_ms())
        cluster.replicas["1"].accept(payment, lambda _: None)
        cluster.clock.run(cluster.clock.time() + 1 / PER_S)
    return first + round(seconds * PER_S)


def settled(cluster: Cluster) -> Counter[str]:
    return Counter(each.processor for each in cluster.tables.settlements.values())


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.MISCONFIGURED, Outcome.DECLINED])
def test_all_but_a_bounded_number_of_payments_settle_on_the_other_processor(
    cluster: EdgeCluster, outcome: Outcome
) -> None:
    cluster.edge.outcome = outcome
    number = post_for(cluster, MINUTES * 60)
    cluster.clock.run(cluster.clock.time() + 15)
    count = number - 1
    assert settled(cluster).keys() == {"fallback"}
    assert count - settled(cluster).total() <= PINNED_MAX


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.DECLINED])
def test_payments_are_charged_there_again_soon_after_it_lets_them_through(
    cluster: EdgeCluster, outcome: Outcome
) -> None:
    cluster.edge.outcome = outcome
    number = post_for(cluster, 60)
    cluster.edge.outcome = None
    number = post_for(cluster, RECOVERY_S, number)
    before = settled(cluster)
    post_for(cluster, 3, number)
    assert settled(cluster)["default"] - before["default"] >= 2 * PER_S


def test_what_turned_all_away_is_charged_on_again_after_no_longer_than_that_has_lasted(cluster: EdgeCluster) -> None:
    cluster.edge.outcome = Outcome.MISCONFIGURED
    number = post_for(cluster, 40)
    cluster.edge.outcome = None
    number = post_for(cluster, 40, number)
    before = settled(cluster)
    post_for(cluster, 3, number)
    assert settled(cluster)["default"] - before["default"] >= 2 * PER_S
