"""A gateway whose events a test puts into any order: the product's system over `ops.simulation`, taken step by step.

A replica may crash, stand still and go on; a processor may fail, decline, book without answering, or book late;
Postgres may forget; every slice of an actor and every call under way is run when the test says so.
"""

from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import assert_never
from uuid import UUID

from actors.domain.breaker_limits import BreakerLimits
from actors.domain.concurrency_limit import ConcurrencyLimits
from actors.domain.money import BRL, Money
from actors.domain.payment import Closing, EndState, Payment
from actors.domain.processors import Processor
from actors.messages.intake import AcceptAnswer
from actors.messages.router import GetDriven
from actors.settings import Settings
from actors.system import Parts
from ops.simulation.clock import SimulatedRuntime
from ops.simulation.cluster import Cluster, Conditions
from ops.simulation.replica import SimulatedReplica
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulation.tables import OwnedClaim
from ops.simulator.faults import Fault, Faults
from ops.simulator.ledger import LedgerEntry
from tests.chaos.store_loss import StoreLoss

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
    # What the behaviour `slow` does is found while its call is under way, and by the next answer of its health.
    slow_s=0.5,
    # One failure opens a breaker.
    breaker_limits=BreakerLimits(calls_min=1),
    concurrency_limits=ConcurrencyLimits(min=1, initial=4, max=4),
    window_max=WINDOW_MAX,
)
SLOW_MS = 6_000
"""A delay that is longer than `DELAY_S_MAX`. It is short enough to be safe where nobody could read of it in time."""
BEHAVIOURS: Mapping[str, Faults] = {
    "ok": Faults(),
    "slow": Faults(),
    "fail": Faults(failure_rate=1),
    "refuse": Faults(refuse=True),
    "drop": Faults(commit_then_drop_rate=1),
    "late": Faults(late_commit_rate=1, late_commit_ms=DELAY_S_MAX * 1000),
    "edge": Faults(edge_rate=1),
    "late edge": Faults(late_edge_rate=1, late_commit_ms=DELAY_S_MAX * 1000),
    "declines": Faults(decline_rate=1),
    "other amount": Faults(other_amount_rate=1),
    "false duplicate": Faults(false_duplicate_rate=1),
}
"""What processors do, by name; `slow` is a delay, which their health reports."""


class Model(Cluster):
    """Two replicas, two processors, one Postgres. A test that plants a bug changes parts or mailboxes."""

    conditions_of_all = CONDITIONS

    def __init__(self) -> None:
        super().__init__(self.conditions_of_all, REPLICAS, Random(1))
        self.payments: dict[str, MemoryPayments] = {}
        self.leases: dict[str, MemoryLeases] = {}
        """What the replicas have of Postgres, by their names."""
        self.lost: str | None = None
        """A processor that refuses connections for ever."""
        self.loss = StoreLoss(self.tables)
        for replica in self.replicas.values():
            replica.start()

    def make_parts(self, settings: Settings, runtime: SimulatedRuntime) -> Parts:
        """Keep what a test lets fail."""
        parts = super().make_parts(settings, runtime)
        assert isinstance(parts.payments, MemoryPayments)
        assert isinstance(parts.leases, MemoryLeases)
        self.payments[settings.replica], self.leases[settings.replica] = parts.payments, parts.leases
        self.loss.memory_ended(settings.replica)
        return parts

    @property
    def running(self) -> list[SimulatedReplica]:
        """The replicas that neither are gone nor stand still."""
        return [replica for replica in self.replicas.values() if replica.is_running and not replica.is_paused]

    def is_held(self, replica: str, correlation_id: UUID) -> bool:
        """Tell whether a replica has a payment in its memory: one that has just started has not read its rows yet."""
        held_by = self.replicas[replica]
        if not held_by.is_running or held_by.is_paused:
            return held_by.is_running
        return held_by.system.router.ask(GetDriven(correlation_id), 0) is not None

    def behave(self, processor: str, behaviour: str) -> None:
        """Let a processor behave in this way from now on, unless it is lost."""
        if processor != self.lost:
            self.processors[processor].faults = BEHAVIOURS[behaviour]
            self.processors[processor].delay_ms = SLOW_MS if behaviour == "slow" else 0

    def charges(self, processor: str) -> list[LedgerEntry]:
        """Give what a processor has booked for the gateway: not what it held before under a payment's id."""
        simulated = self.processors[processor]
        return [each for each in simulated.ledger if simulated.asked[each.correlation_id] is not Fault.OTHER_AMOUNT]

    def stamped(self) -> list[LedgerEntry]:
        """Give what processors have booked for the gateway, and what they will book later."""
        found: list[LedgerEntry] = []
        for name, processor in self.processors.items():
            later = {entry.correlation_id: entry for entry in reversed(processor.to_be_booked)}
            found += self.charges(name)
            found += [entry for key, entry in later.items() if processor.ledger.find(key) is None]
        return found

    def waiting_for_the_lost(self) -> set[UUID]:
        """Name the payments that nobody but the processor that is lost can end."""
        return {key for key, row in self.tables.claims.items() if self.lost is not None and self._waits(key, row)}

    def _waits(self, key: UUID, row: OwnedClaim) -> bool:
        """Tell whether it may have been charged by the lost processor, and shows that, or was declined by all others.

        It was sent there; or another process, which has ended, had named it in the row, and may have sent it.
        """
        others = (each for name, each in self.processors.items() if name != self.lost)
        if all(each.asked.get(key) is Fault.DECLINE for each in others):
            return True
        assert self.lost is not None
        may_be_sent = key in self.processors[self.lost].asked or row.epoch != self.tables.leases[row.owner].epoch
        return may_be_sent and row.claim.processor == self.lost and row.marked == "unknown"

    def ended_with_a_reason(self) -> set[UUID]:
        """Name the payments that ended without a charge, since processors would not charge them."""
        return {key for key, closing in self.tables.closings.items() if self._has_reason(closing)}

    def _has_reason(self, closing: Closing) -> bool:
        key, processors = closing.correlation_id, self.processors
        match closing.state:
            case EndState.DECLINED:
                return all(processor.asked.get(key) is Fault.DECLINE for processor in processors.values())
            case EndState.MISMATCHED:
                processor = processors[closing.processor]
                entry = processor.ledger.find(key)
                other_amount = entry is not None and booked_money(entry) != closing.payment.money
                return other_amount or processor.asked.get(key) is Fault.FALSE_DUPLICATE
            case _:
                assert_never(closing.state)


def booked_money(entry: LedgerEntry) -> Money:
    """Tell what a processor booked; it is not told of the default currency."""
    return Money(entry.amount_minor, entry.currency or BRL)


def accept(replica: SimulatedReplica, payment: Payment) -> AcceptAnswer:
    """Post a payment and wait for the answer."""
    answers: list[AcceptAnswer] = []
    replica.accept(payment, answers.append)
    replica.handle(replica.mailboxes["intake"])
    return answers[0]


def step(replica: SimulatedReplica, index: int) -> None:
    """Let one of the actors for which messages wait handle them, until it waits for something else."""
    if busy := replica.busy:
        replica.handle_or_wait(busy[index % len(busy)])


def is_idle(replica: SimulatedReplica) -> bool:
    """Tell whether nothing but timers is left."""
    return not replica.runtime.under_way and not replica.busy
