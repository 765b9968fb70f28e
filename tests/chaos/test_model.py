"""The promises, over arbitrary orders of answers, timeouts, crashes, pauses, adoptions and losses."""

import os
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.domain.money import Money
from actors.domain.payment import Payment
from actors.domain.wall_clock import SKEW_MS_MAX
from actors.errors import LedgerUnavailableError
from actors.messages.intake import AcceptAnswer
from actors.messages.lease import Leave
from actors.summaries import WindowSummary
from ops.simulation.processors import stamp_ms
from ops.simulation.replica import SimulatedReplica
from ops.simulation.stores import MemoryPayments
from tests.chaos.model import (
    BEHAVIOURS,
    PROCESSORS,
    REPLICAS,
    WINDOW_MAX,
    Model,
    accept,
    booked_money,
    is_idle,
    step,
)

HOUR_MS = 3_600_000
REST_S_MAX = 120.0
STEP_S = 0.05
STEPS_MAX = 100_000
names = st.sampled_from([processor.name for processor in PROCESSORS])
behaviours = st.sampled_from(["ok", *BEHAVIOURS])
indexes = st.integers(0, 50)


def count_charges(summary: WindowSummary) -> int:
    return sum(total.requests for totals in (summary.totals, *summary.others.values()) for total in totals.values())


class Gateway(RuleBasedStateMachine):
    """The rules by which a search acts on a model, and the promises that hold after each of them."""

    model_class: type[Model] = Model

    @initialize()
    def start(self) -> None:
        self.model = self.model_class()
        self.accepted: dict[UUID, set[Money]] = defaultdict(set)
        """Amounts that were accepted under an id."""
        self.offered = 0
        self.final_before_ms = -(2**63)
        """The latest instant before which summaries were called final."""
        self.final_ids: set[UUID] = set()
        """The charges that were stamped before it."""
        self.finals: list[tuple[int, int]] = []
        """Ends of windows, and how many charges a summary that was final told of them."""
        self.leaving: set[str] = set()
        """Replicas that give up their leases, which may take until rows are read."""

    @rule(
        index=indexes,
        amount_minor=st.integers(1, 10_000),
        again=st.booleans(),
        other=st.booleans(),
        currency=st.sampled_from(("BRL", "BRL", "JPY")),
    )
    def post(
        self,
        index: int,
        amount_minor: int,
        again: bool,  # noqa: FBT001  # drawn
        other: bool = False,  # noqa: FBT001, FBT002  # drawn
        currency: str = "BRL",
    ) -> None:
        """Post a new payment, or an earlier one again, perhaps with another amount or currency."""
        running = self.model.running
        if not running:
            return
        if again and self.accepted:
            correlation_id = list(self.accepted)[index % len(self.accepted)]
            if not other:
                first = min(self.accepted[correlation_id], key=lambda money: money.packed)
                amount_minor, currency = first.minor, first.currency
        else:
            self.offered += 1
            correlation_id = UUID(int=self.offered)
        payment = Payment(correlation_id, amount_minor, self.model.clock.now_ms(), currency)
        self._post(running[index % len(running)], payment)

    def _post(self, replica: SimulatedReplica, payment: Payment) -> None:
        """Post a payment, and note the answer."""
        if accept(replica, payment) in {AcceptAnswer.ACCEPTED, AcceptAnswer.REPEATED}:
            self.accepted[payment.correlation_id].add(payment.money)

    @property
    def _may_be_booked(self) -> Mapping[UUID, set[Money]]:
        """The amounts that may be booked under each id."""
        return self.accepted

    @rule(index=indexes, count=st.integers(1, 30))
    def handle_messages(self, index: int, count: int) -> None:
        for offset in range(count):
            for replica in self.model.running:
                step(replica, index + offset)

    @rule(name=names, behaviour=behaviours)
    def behave(self, name: str, behaviour: str) -> None:
        self.model.behave(name, behaviour)

    @rule(index=indexes)
    def end_a_call(self, index: int) -> None:
        for replica in self.model.running:
            if replica.runtime.under_way:
                replica.runtime.run_under_way(index)

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.3, 1.0, 6.0]))
    def pass_time(self, seconds: float) -> None:
        self.model.clock.run(self.model.clock.time_s + seconds)

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 12.0]))
    def run_freely(self, seconds: float) -> None:
        end_s = self.model.clock.time_s + seconds
        while self.model.clock.time_s < end_s:
            self._run_a_step()

    @rule(name=st.sampled_from(REPLICAS))
    def fill_or_empty_the_disk(self, name: str) -> None:
        journal = self.model.journals[name]
        journal.broken = not journal.broken

    @rule()
    def lose_or_mend_redis(self) -> None:
        self.model.board.gone = not self.model.board.gone

    @rule(name=st.sampled_from(REPLICAS), failures=st.integers(0, 3), lost_answers=st.integers(0, 2))
    def lose_postgres(self, name: str, failures: int, lost_answers: int) -> None:
        for store in (self.model.payments[name], self.model.leases[name]):
            store.failures, store.lost_answers = failures, lost_answers

    @rule(name=st.sampled_from(REPLICAS), seconds=st.sampled_from([0.0, 0.1, 0.5, 2.0]))
    def delay_rows(self, name: str, seconds: float) -> None:
        """Let rows that a replica reads come so much later than they are read."""
        self.model.row_delays_s[name] = seconds

    @rule(name=names)
    def lose_a_processor_for_ever(self, name: str) -> None:
        """Let a processor refuse all connections from now on. What Postgres forgot may need the answers of both."""
        if self.model.lost is None and self.model.tables.timeline == 1:
            self.model.behave(name, "refuse")
            self.model.lost = name

    @rule(to_copy=st.booleans())
    def copy_postgres_or_put_it_back(self, to_copy: bool) -> None:  # noqa: FBT001  # drawn
        """Let a standby have all that is committed by now, or take over with what it had last."""
        if to_copy:
            self.model.loss.copy()
        elif self.model.lost is None:
            self.model.loss.forget(self.model.is_held)

    @rule(index=indexes, name=names)
    def lose_what_is_charged_next(self, index: int, name: str) -> None:
        """Let a standby take over that lacks a payment, which its client posts everywhere before that is noticed."""
        tables = self.model.tables
        if self.model.lost is not None:
            return
        self.model.loss.copy()
        for processor in PROCESSORS:
            self.model.behave(processor.name, "ok" if processor.name == name else "refuse")
        self.post(index, 100, again=False)
        self.run_freely(1.0)
        for processor in PROCESSORS:
            self.model.behave(processor.name, "ok")
        before = list(tables.payments.values())
        self.copy_postgres_or_put_it_back(to_copy=False)
        for payment in before:
            if payment.correlation_id not in tables.payments:
                for replica in self.model.running:
                    self._post(replica, replace(payment, accepted_at_ms=self.model.clock.now_ms()))

    @rule(is_synchronous=st.booleans())
    def fail_over(self, is_synchronous: bool) -> None:  # noqa: FBT001  # drawn
        """Let a standby take over that has all that is committed, and have commits wait for another, or not."""
        if self.model.lost is None:
            self.model.tables.fail_over()
        self.model.tables.is_synchronous = is_synchronous

    @rule(name=st.sampled_from(REPLICAS), sent=st.booleans())
    def crash(self, name: str, sent: bool) -> None:  # noqa: FBT001  # drawn
        replica = self.model.replicas[name]
        if not replica.is_running:
            return
        if sent and not replica.is_paused:
            # What was under way reached the processors, and nobody is there for the answers.
            before = {each: processor.faults for each, processor in self.model.processors.items()}
            for processor in self.model.processors.values():
                processor.faults = BEHAVIOURS["late"]
            while replica.runtime.under_way:
                replica.runtime.run_under_way(0)
            for each, faults in before.items():
                self.model.processors[each].faults = faults
        replica.crash()
        self.model.loss.memory_ended(name)

    @rule(name=st.sampled_from(REPLICAS), leaves=st.sampled_from([False, False, True]))
    def restart(self, name: str, leaves: bool = False) -> None:  # noqa: FBT001, FBT002  # drawn
        """Start a replica; or let one give up its lease and end, whatever it still has to do."""
        replica = self.model.replicas[name]
        if not replica.is_running:
            replica.start()
        elif leaves and not replica.is_paused and not replica.mailboxes["lease"].is_handling:
            replica.system.lease.tell(Leave())
            self.leaving.add(name)
            self.model.clock.start(partial(self._leave, replica))

    def _leave(self, replica: SimulatedReplica) -> None:
        replica.handle(replica.mailboxes["lease"])
        self._end_if_leaving(replica.name)

    def _end_if_leaving(self, name: str) -> None:
        if name in self.leaving:
            self.leaving.remove(name)
            self.crash(name, sent=False)

    @rule(name=st.sampled_from(REPLICAS))
    def stall_or_go_on(self, name: str) -> None:
        replica = self.model.replicas[name]
        if replica.is_running:
            (replica.resume if replica.is_paused else replica.pause)()

    @rule(name=st.sampled_from(REPLICAS), ahead_ms=st.sampled_from([0, 0, 800, 3_000, -3_000, HOUR_MS, -HOUR_MS]))
    def step_the_clock(self, name: str, ahead_ms: int) -> None:
        """Set the clock of a replica's machine."""
        self.model.replicas[name].clock_ahead_ms = ahead_ms

    @rule(index=indexes, ended_ms_ago=st.sampled_from([100, 600, 1500, 5000]))
    def ask_for_a_summary(self, index: int, ended_ms_ago: int) -> None:
        running = self.model.running
        if running:
            replica = running[index % len(running)]
            self.model.clock.start(partial(self._ask, replica, self.model.clock.now_ms() - ended_ms_ago))

    def _ask(self, replica: SimulatedReplica, to_ms: int) -> None:
        """Ask for all that was charged until then, which may take until others have published."""
        with suppress(LedgerUnavailableError):
            found = replica.system.queries.summary(None, to_ms)
            if found.final:
                self.finals.append((to_ms, count_charges(found)))

    @invariant()
    def what_was_told_as_final_never_changes(self) -> None:
        if self.model.loss.has_happened:
            return
        charges = self.model.stamped()
        for to_ms, count in self.finals:
            assert count == sum(stamp_ms(entry) <= to_ms for entry in charges), "final too early"

    @invariant()
    def no_payment_is_charged_twice(self) -> None:
        default, fallback = (
            {entry.correlation_id for entry in self.model.charges(processor.name)} for processor in PROCESSORS
        )
        assert not default & fallback, "charged twice"

    @invariant()
    def every_accepted_payment_is_durable(self) -> None:
        journalled = {key for journal in self.model.journals.values() for key in journal.kept}
        missing = self.accepted.keys() - journalled - self.model.tables.payments.keys() - self.model.loss.payments
        assert all(self.model.loss.is_held_in_memory(key) for key in missing), "not durable"

    @invariant()
    def every_settlement_is_what_its_processor_booked(self) -> None:
        for correlation_id, settlement in self.model.tables.settlements.items():
            entry = self.model.processors[settlement.processor].ledger.find(correlation_id)
            payment = self.model.tables.payments[correlation_id]
            assert entry is not None, "not as booked"
            settled = settlement.payment.money
            assert (settled, settlement.requested_at_ms) == (booked_money(entry), stamp_ms(entry)), "not as booked"
            # A row that Postgres lost may have been written anew, for another amount, while its payment was charged.
            assert payment.money == settled or self.model.loss.has_happened, "not as booked"

    @invariant()
    def a_payment_is_booked_with_an_amount_that_was_accepted(self) -> None:
        for processor in PROCESSORS:
            for entry in self.model.charges(processor.name):
                assert booked_money(entry) in self._may_be_booked.get(entry.correlation_id, set()), "another amount"

    @invariant()
    def no_payment_that_was_closed_is_charged(self) -> None:
        closings = self.model.tables.closings
        closed = {(key, closing.payment.money) for key, closing in closings.items()}
        assert closings.keys() <= self.model.ended_with_a_reason(), "closed without a reason"
        charged = {(entry.correlation_id, booked_money(entry)) for entry in self.model.stamped()}
        assert closed & charged == set(), "charged and closed"

    @invariant()
    def a_final_summary_misses_no_charge(self) -> None:
        if self.model.loss.has_happened:
            return
        tables = self.model.tables
        assert self._stamped_before(self.final_before_ms) - self.final_ids == set(), "final too early"
        # What was called final before stays so, whatever has been published since.
        self.final_before_ms = max(self.final_before_ms, MemoryPayments(tables).summary(None, None).final_before_ms)
        self.final_ids = self._stamped_before(self.final_before_ms)
        assert self.final_ids - tables.settlements.keys() == set(), "final too early"

    def _stamped_before(self, before_ms: int) -> set[UUID]:
        return {entry.correlation_id for entry in self.model.stamped() if stamp_ms(entry) < before_ms}

    @invariant()
    def no_more_than_the_window_is_taken_from_a_journal(self) -> None:
        if self.model.loss.has_happened or self.model.tables.forgot is not None:
            # What Postgres may have forgotten, every processor is asked for, which takes no room in the window. A
            # failover counts as such wherever commits did not wait for the standby, though none was lost.
            return
        for journal in self.model.journals.values():
            assert len(journal.taken) <= WINDOW_MAX, "beyond the window"

    def teardown(self) -> None:
        """Everything works again but what is lost for ever: then everything that was accepted comes to its end."""
        for replica in self.model.replicas.values():
            replica.clock_ahead_ms = 0
            self._end_if_leaving(replica.name)
            if not replica.is_running:
                replica.start()
            elif replica.is_paused:
                replica.resume()
        for journal in self.model.journals.values():
            journal.broken = False
        self.model.board.gone = False
        self.model.row_delays_s = dict.fromkeys(REPLICAS, 0.0)
        for processor in PROCESSORS:
            self.model.behave(processor.name, "ok")
        self._come_to_rest()
        if self.model.loss.has_happened and not self._is_at_rest():
            # Who came first to a Postgres that forgot all others may have had the wrong clock, and keeps them out.
            self._restart_who_runs_by_a_wrong_clock()
            # What that one has published holds for all others until time has reached it.
            published_ms = max((lease.published_ms for lease in self.model.tables.leases.values()), default=0)
            self._come_to_rest(max(0.0, (published_ms - self.model.clock.now_ms()) / 1000))
        self.model.clock.close()
        self.no_payment_is_charged_twice()
        self.every_settlement_is_what_its_processor_booked()
        self.no_payment_that_was_closed_is_charged()
        assert self._unsettled() == set(), "not settled"

    def _come_to_rest(self, more_s: float = 0.0) -> None:
        end_s = self.model.clock.time_s + REST_S_MAX + more_s
        while self.model.clock.time_s < end_s and not self._is_at_rest():
            self._run_a_step()
            self.no_payment_is_charged_twice()
            self.a_final_summary_misses_no_charge()
            self.what_was_told_as_final_never_changes()
            self.no_more_than_the_window_is_taken_from_a_journal()

    def _restart_who_runs_by_a_wrong_clock(self) -> None:
        """Do what readiness asks an operator to do."""
        for name, replica in self.model.replicas.items():
            clock, now_s = replica.runtime.clock, replica.runtime.now_s()
            if abs(clock.now_ms(now_s) - self.model.clock.now_ms()) > SKEW_MS_MAX:
                replica.crash()
                self.model.loss.memory_ended(name)
                replica.start()

    def _unsettled(self) -> set[UUID]:
        """Name the payments that nothing excuses for not being settled."""
        model = self.model
        ended = model.tables.settlements.keys() | model.tables.closings.keys()
        return self.accepted.keys() - ended - model.waiting_for_the_lost() - model.loss.payments

    def _is_at_rest(self) -> bool:
        return self.model.tables.claims.keys() <= self.model.waiting_for_the_lost() and not self._unsettled()

    def _run_a_step(self) -> None:
        self.pass_time(STEP_S)
        for replica in self.model.running:
            self._settle_down(replica)

    def _settle_down(self, replica: SimulatedReplica) -> None:
        for index in range(STEPS_MAX):
            if is_idle(replica):
                return
            if replica.runtime.under_way:
                replica.runtime.run_under_way(0)
            step(replica, index)
        raise AssertionError("the actors keep each other busy without end")


EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "150"))
"""How many orders of events a search tries; each run of the tests tries others."""

TestGateway = Gateway.TestCase
TestGateway.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
