"""The promises, over arbitrary orders of answers, timeouts, crashes, pauses and adoptions."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.domain.messages import AcceptAnswer
from actors.domain.payment import Payment
from actors.errors import LeaseLostError
from tests.actors.fakes import MemoryBoard, MemoryLedger, MemoryTables
from tests.chaos.model import PROCESSORS, STEP_S, Clock, ModelProcessor, Replica, World

REPLICAS = ("1", "2")
REST_S_MAX = 120.0
STEPS_MAX = 100_000
names = st.sampled_from([processor.name for processor in PROCESSORS])
behaviours = st.sampled_from(["ok", "ok", "fail", "refuse", "drop", "late"])
indexes = st.integers(0, 50)


class Gateway(RuleBasedStateMachine):
    """Two replicas, two processors, one Postgres."""

    replica_class: type[Replica] = Replica

    @initialize()
    def start(self) -> None:
        self.clock = Clock()
        self.behaviour = {processor.name: "ok" for processor in PROCESSORS}
        processors = {name: ModelProcessor(self.clock, self._draw(name)) for name in self.behaviour}
        self.world = World(self.clock, MemoryTables(), processors, MemoryBoard(self.clock.now_s))
        self.replicas: dict[str, Replica | None] = {name: self.replica_class(self.world, name) for name in REPLICAS}
        self.accepted: dict[UUID, int] = {}
        self.offered = 0

    def _draw(self, name: str) -> Callable[[], str]:
        return lambda: self.behaviour[name]

    def _running(self) -> list[Replica]:
        return [replica for replica in self.replicas.values() if replica is not None and not replica.stalled]

    @rule(index=indexes, amount_cents=st.integers(1, 10_000), again=st.booleans())
    def post(self, index: int, amount_cents: int, again: bool) -> None:  # noqa: FBT001  # drawn
        running = self._running()
        if not running:
            return
        if again and self.accepted:
            correlation_id = list(self.accepted)[index % len(self.accepted)]
            amount_cents = self.accepted[correlation_id]
        else:
            self.offered += 1
            correlation_id = UUID(int=self.offered)
        payment = Payment(correlation_id, amount_cents, self.clock.now_ms())
        if running[index % len(running)].accept(payment) in {AcceptAnswer.ACCEPTED, AcceptAnswer.REPEATED}:
            self.accepted.setdefault(correlation_id, amount_cents)

    @rule(index=indexes, count=st.integers(1, 30))
    def handle_messages(self, index: int, count: int) -> None:
        for offset in range(count):
            for replica in self._running():
                self._alive(replica, partial(replica.step, index + offset))

    @rule(name=names, behaviour=behaviours)
    def behave(self, name: str, behaviour: str) -> None:
        self.behaviour[name] = behaviour

    @rule(index=indexes)
    def end_a_call(self, index: int) -> None:
        for replica in self._running():
            if replica.runtime.under_way:
                replica.runtime.run(index)

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.3, 1.0, 6.0]))
    def pass_time(self, seconds: float) -> None:
        self._pass(seconds)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 12.0]))
    def run_freely(self, seconds: float) -> None:
        end_s = self.clock.time_s + seconds
        while self.clock.time_s < end_s:
            self._run_a_step()

    @rule(name=st.sampled_from(REPLICAS))
    def fill_or_empty_the_disk(self, name: str) -> None:
        journal = self.world.journals[name]
        journal.broken = not journal.broken

    @rule()
    def lose_or_mend_redis(self) -> None:
        self.world.board.gone = not self.world.board.gone

    @rule(name=st.sampled_from(REPLICAS), failures=st.integers(0, 3), lost_answers=st.integers(0, 2))
    def lose_postgres(self, name: str, failures: int, lost_answers: int) -> None:
        replica = self.replicas[name]
        if replica is not None:
            replica.ledger.failures, replica.ledger.lost_answers = failures, lost_answers

    @rule(name=st.sampled_from(REPLICAS), sent=st.booleans())
    def crash(self, name: str, sent: bool) -> None:  # noqa: FBT001  # drawn
        replica = self.replicas[name]
        if replica is None:
            return
        if sent:
            # What was under way reached the processors, and nobody is there for the answers.
            before, self.behaviour = self.behaviour, dict.fromkeys(self.behaviour, "late")
            while replica.runtime.under_way:
                replica.runtime.run(0)
            self.behaviour = before
        self.replicas[name] = None

    @rule(name=st.sampled_from(REPLICAS))
    def restart(self, name: str) -> None:
        if self.replicas[name] is None:
            self.replicas[name] = self.replica_class(self.world, name)

    @rule(name=st.sampled_from(REPLICAS))
    def stall_or_go_on(self, name: str) -> None:
        replica = self.replicas[name]
        if replica is not None:
            replica.stalled = not replica.stalled

    @invariant()
    def no_payment_is_charged_twice(self) -> None:
        default, fallback = (self.world.processors[processor.name].booked for processor in PROCESSORS)
        assert default.keys() & fallback.keys() == set(), "charged twice"

    @invariant()
    def every_accepted_payment_is_durable(self) -> None:
        journalled = {key for journal in self.world.journals.values() for key in journal.kept}
        assert self.accepted.keys() - journalled - self.world.tables.payments.keys() == set(), "not durable"

    @invariant()
    def every_settlement_is_what_its_processor_booked(self) -> None:
        for correlation_id, settlement in self.world.tables.settlements.items():
            booked = self.world.processors[settlement.processor].booked[correlation_id]
            payment = self.world.tables.payments[correlation_id]
            assert (payment.amount_cents, settlement.requested_at_ms) == booked, "not as booked"

    @invariant()
    def a_final_summary_misses_no_charge(self) -> None:
        tables = self.world.tables
        final_before_ms = MemoryLedger("", tables, self.clock.now_s).summary(None, None).final_before_ms
        for processor in self.world.processors.values():
            late = [(payment.correlation_id, stamp) for _, payment, stamp in processor.late]
            booked = [(correlation_id, stamp) for correlation_id, (_, stamp) in processor.booked.items()]
            missing = [key for key, stamp in booked + late if stamp < final_before_ms and key not in tables.settlements]
            assert missing == [], "final too early"

    def teardown(self) -> None:
        """Everything works again: then everything that was accepted is settled."""
        for name, replica in self.replicas.items():
            if replica is None:
                self.replicas[name] = self.replica_class(self.world, name)
            else:
                replica.stalled = False
        for journal in self.world.journals.values():
            journal.broken = False
        self.world.board.gone = False
        self.behaviour.update(dict.fromkeys(self.behaviour, "ok"))
        end_s = self.clock.time_s + REST_S_MAX
        while self.clock.time_s < end_s and not self._is_at_rest():
            self._run_a_step()
            self.no_payment_is_charged_twice()
            self.a_final_summary_misses_no_charge()
        self.every_settlement_is_what_its_processor_booked()
        assert self.accepted.keys() - self.world.tables.settlements.keys() == set(), "not settled"

    def _is_at_rest(self) -> bool:
        return self.accepted.keys() <= self.world.tables.settlements.keys() and not self.world.tables.claims

    def _run_a_step(self) -> None:
        self._pass(STEP_S)
        for replica in self._running():
            self._settle_down(replica)

    def _settle_down(self, replica: Replica) -> None:
        for step in range(STEPS_MAX):
            if replica.is_idle or self.replicas[replica.name] is not replica:
                return
            if replica.runtime.under_way:
                replica.runtime.run(0)
            self._alive(replica, partial(replica.step, step))
        raise AssertionError("the actors keep each other busy without end")

    def _pass(self, seconds: float) -> None:
        self.clock.time_s += seconds
        for processor in self.world.processors.values():
            processor.book_late()
        for replica in self._running():
            replica.runtime.fire()

    def _alive(self, replica: Replica, act: Callable[[], None]) -> None:
        """Act; a replica that lost its lease starts anew, as its supervisor would have it."""
        try:
            act()
        except LeaseLostError:
            self.replicas[replica.name] = self.replica_class(self.world, replica.name)


TestGateway = Gateway.TestCase
TestGateway.settings = settings(
    max_examples=300, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
