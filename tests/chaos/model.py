"""A gateway whose events a test puts into any order: the product's system over `ops.simulation`, taken step by step.

A replica may crash, stand still and go on; a processor may fail, book without answering, or book late; every slice of an
actor and every call under way is run when the test says so.
"""

from collections.abc import Mapping
from decimal import Decimal
from random import Random

from actors.domain.breaker_limits import BreakerLimits
from actors.domain.concurrency_limit import ConcurrencyLimits
from actors.domain.payment import Payment
from actors.domain.processors import Processor
from actors.messages.intake import AcceptAnswer
from actors.settings import Settings
from actors.system import Parts
from ops.simulation.clock import SimulatedRuntime
from ops.simulation.cluster import Cluster, Conditions
from ops.simulation.replica import SimulatedReplica
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulator.faults import Faults

PROCESSORS = (Processor("default", "http://d", Decimal("0.05")), Processor("fallback", "http://f", Decimal("0.15")))
REPLICAS = ("1", "2")
DELAY_S_MAX = 3.0
WINDOW_MAX = 4
"""Payments are few here: the journal has to hold some of them back."""
CONDITIONS = Conditions(
    processors=PROCESSORS,
    by_hand=True,
    charge_timeout_s=1.0,
    processor_delay_max_s=DELAY_S_MAX,
    outage_patience_s=0.2,
    backlog_patience_s=1.0,
    # One failure opens a breaker.
    breaker_limits=BreakerLimits(calls_min=1),
    concurrency_limits=ConcurrencyLimits(min=1, initial=4, max=4),
    window_max=WINDOW_MAX,
)
BEHAVIOURS: Mapping[str, Faults] = {
    "ok": Faults(),
    "fail": Faults(failure_rate=1),
    "refuse": Faults(refuse=True),
    "drop": Faults(commit_then_drop_rate=1),
    "late": Faults(late_commit_rate=1, late_commit_ms=DELAY_S_MAX * 1000),
}


class Model(Cluster):
    """Two replicas, two processors, one Postgres. A test that plants a bug changes parts or mailboxes."""

    def __init__(self) -> None:
        super().__init__(CONDITIONS, REPLICAS, Random(1))
        self.payments: dict[str, MemoryPayments] = {}
        self.leases: dict[str, MemoryLeases] = {}
        """What the replicas have of Postgres, by their names."""
        for replica in self.replicas.values():
            replica.start()

    def make_parts(self, settings: Settings, runtime: SimulatedRuntime) -> Parts:
        """Keep what a test lets fail."""
        parts = super().make_parts(settings, runtime)
        assert isinstance(parts.payments, MemoryPayments)
        assert isinstance(parts.leases, MemoryLeases)
        self.payments[settings.replica], self.leases[settings.replica] = parts.payments, parts.leases
        return parts

    @property
    def running(self) -> list[SimulatedReplica]:
        """The replicas that neither are gone nor stand still."""
        return [replica for replica in self.replicas.values() if replica.is_running and not replica.is_paused]

    def behave(self, processor: str, behaviour: str) -> None:
        """Let a processor behave in this way from now on."""
        self.processors[processor].faults = BEHAVIOURS[behaviour]


def accept(replica: SimulatedReplica, payment: Payment) -> AcceptAnswer:
    """Post a payment and wait for the answer."""
    answers: list[AcceptAnswer] = []
    replica.accept(payment, answers.append)
    replica.handle(replica.mailboxes["intake"])
    return answers[0]


def step(replica: SimulatedReplica, index: int) -> None:
    """Let one of the actors for which messages wait handle them."""
    if busy := replica.busy:
        replica.handle(busy[index % len(busy)])


def is_idle(replica: SimulatedReplica) -> bool:
    """Tell whether nothing but timers is left."""
    return not replica.runtime.under_way and not replica.busy
