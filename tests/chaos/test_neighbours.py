"""What a replica that is gone has left, thousands of rows or records, costs those that take it over a bounded share."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest

from actors.domain.asides import SILENT_ASK_S
from actors.domain.dispatcher import DRIVEN_MAX
from actors.domain.payment import Claim, Payment
from actors.domain.processors import Processor
from actors.domain.records import LookUpAnswer
from actors.messages.intake import AcceptAnswer
from actors.messages.router import GetDrivenCount
from actors.ports import ProcessorClient
from actors.settings import Settings
from actors.system import Parts
from ops.simulation.clock import NOW_MS, SimulatedRuntime
from ops.simulation.cluster import Cluster, Conditions
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulation.tables import MemoryFence
from ops.simulator.faults import Faults
from tests.actors.fakes import READING, both

pytestmark = pytest.mark.long

PROCESSORS = (Processor("default", "http://d", Decimal("0.05")), Processor("fallback", "http://f", Decimal("0.15")))
ROWS = 4_000
OPEN_MAX = 2_000


class CountingClient:
    """The way to a processor, on which look-ups are counted."""

    def __init__(self, client: ProcessorClient) -> None:
        self._client = client
        self.look_ups = 0
        self.charge, self.knock = client.charge, client.knock
        self.answers_health, self.close = client.answers_health, client.close

    def look_up(self, payment: Payment) -> LookUpAnswer:
        self.look_ups += 1
        return self._client.look_up(payment)


class Neighbours(Cluster):
    """Two replicas that are not started, and a third one that has left rows or a journal."""

    def __init__(self) -> None:
        super().__init__(Conditions(processors=PROCESSORS, network_s=0.005), ("1", "2", "dead"), Random(1))
        self.clients: list[CountingClient] = []
        self.answers: list[AcceptAnswer] = []
        self._posted = 0

    def make_settings(self, name: str) -> Settings:
        """Let journals be as small as they may be where memory is short."""
        return replace(super().make_settings(name), open_max=OPEN_MAX)

    def make_parts(self, settings: Settings, runtime: SimulatedRuntime) -> Parts:
        """Count the look-ups at the processor that is dead."""
        parts = super().make_parts(settings, runtime)
        client = CountingClient(parts.clients["default"])
        self.clients.append(client)
        return replace(parts, clients={**parts.clients, "default": client})

    def leave_rows(
        self,
        owner: str,
        names_the_dead: Callable[[int], bool] = lambda number: number % 4 != 0,
        dead: str = "default",
    ) -> None:
        """Let a replica leave rows: three in four name the processor that is dead."""
        fence = MemoryFence(owner)
        leases = MemoryLeases(self.tables, fence)
        epoch = leases.register(0, READING).epoch
        claims = [Claim(left(number), dead if names_the_dead(number) else None) for number in range(ROWS)]
        MemoryPayments(self.tables, fence).write(claims, (), ())
        leases.retire(epoch, both(NOW_MS))

    def run_and_post(self, seconds: int) -> None:
        """Let time pass, in which the first replica is sent fifty payments a second; look at its memory all along."""
        for _ in range(seconds):
            for _ in range(50):
                self._posted += 1
                posted = Payment(UUID(int=1_000_000 + self._posted), 1990, self.clock.now_ms())
                self.replicas["1"].accept(posted, self.answers.append)
                self.clock.run(self.clock.time_s + 0.02)
            for name in ("1", "2"):
                if self.replicas[name].is_running:
                    assert self.replicas[name].system.router.ask(GetDrivenCount(), 1.0) <= DRIVEN_MAX

    @property
    def look_ups(self) -> int:
        """How often the processor that is dead was asked for a payment so far."""
        return sum(client.look_ups for client in self.clients)

    def unsettled(self) -> int:
        """Count what was left or accepted and is not settled."""
        return ROWS + self._posted - len(self.tables.settlements)


def left(number: int) -> Payment:
    """Give a payment that was left."""
    return Payment(UUID(int=number + 1), 1990, NOW_MS - 60_000)


def test_thousands_of_rows_that_name_a_dead_processor_cost_bounded_memory_few_look_ups_and_no_new_payment() -> None:
    cluster = Neighbours()
    cluster.leave_rows("dead")
    cluster.processors["default"].faults = Faults(refuse=True)
    for name in ("1", "2"):
        cluster.replicas[name].start()
    cluster.run_and_post(25)
    look_ups = cluster.look_ups
    cluster.run_and_post(10)
    assert cluster.look_ups - look_ups <= 2 * 10 / SILENT_ASK_S + 2, "two replicas ask"
    assert set(cluster.answers) == {AcceptAnswer.ACCEPTED}
    new_ones = [each for each in cluster.tables.settlements if each.int > ROWS]
    assert len(new_ones) >= len(cluster.answers) - 100, "they went to the other processor at once"
    cluster.processors["default"].faults = Faults()
    cluster.run_and_post(40)
    cluster.clock.run(cluster.clock.time_s + 30)
    assert cluster.unsettled() == 0
    assert {entry.correlation_id for each in cluster.processors.values() for entry in each.ledger} == set(
        cluster.tables.settlements
    )
    cluster.clock.close()


@pytest.mark.parametrize("owner", ["dead", "1"])
@pytest.mark.parametrize("dead", ["default", "not configured"])
def test_rows_that_name_a_dead_processor_keep_no_others_from_being_settled(owner: str, dead: str) -> None:
    cluster = Neighbours()
    cluster.leave_rows(owner, lambda number: number < ROWS - 100, dead)
    cluster.processors["default"].faults = Faults(refuse=True)
    for name in ("1", "2"):
        cluster.replicas[name].start()
    cluster.clock.run(cluster.clock.time_s + 150)
    assert cluster.unsettled() == ROWS - 100
    cluster.clock.close()


def test_a_replica_that_starts_with_thousands_of_rows_of_its_own_serves_new_payments() -> None:
    cluster = Neighbours()
    cluster.leave_rows("1")
    cluster.processors["default"].faults = Faults(refuse=True)
    cluster.replicas["1"].start()
    cluster.run_and_post(30)
    assert set(cluster.answers) == {AcceptAnswer.ACCEPTED}
    new_ones = [each for each in cluster.tables.settlements if each.int > ROWS]
    assert len(new_ones) >= len(cluster.answers) - 800, "they went to the other processor after its patience"
    cluster.processors["default"].faults = Faults()
    cluster.run_and_post(70)
    cluster.clock.run(cluster.clock.time_s + 5)
    assert cluster.unsettled() == 0
    cluster.clock.close()


def test_a_journal_of_many_records_takes_up_half_of_the_journals_of_the_others_and_no_more() -> None:
    cluster = Neighbours()
    cluster.journals["dead"].append([left(number) for number in range(10 * ROWS)])
    for name in ("1", "2"):
        cluster.replicas[name].start()
    for _ in range(30):
        cluster.run_and_post(1)
        assert all(cluster.journals[name].held <= OPEN_MAX // 2 + 100 for name in ("1", "2"))
    assert set(cluster.answers) == {AcceptAnswer.ACCEPTED}
    new_ones = [each for each in cluster.tables.settlements if each.int > 10 * ROWS]
    assert new_ones, "they are charged beside what was left"
    assert len(cluster.tables.settlements) >= OPEN_MAX, "and what was left beside them"
    cluster.clock.close()
