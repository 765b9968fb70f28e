"""The promises of `DURABILITY=ledger` and `ledger,fsync`, over arbitrary orders: with a crash the host is lost, too."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from actors.domain.money import Money
from actors.domain.payment import Payment
from actors.messages.intake import Accept, AcceptAnswer
from actors.settings import Durability
from ops.simulation.clock import NOW_MS
from ops.simulation.journals import MemoryStoreMemory
from ops.simulation.replica import Mailbox, SimulatedReplica
from tests.chaos.model import CONDITIONS, REPLICAS, WINDOW_MAX, Model
from tests.chaos.planting import ChangeMessage, MiddlemansMailbox
from tests.chaos.test_model import Gateway

PROMISES = frozenset({AcceptAnswer.ACCEPTED, AcceptAnswer.REPEATED, AcceptAnswer.JOURNALLED})
KEPT_NOTHING = frozenset({AcceptAnswer.LEDGER_UNAVAILABLE, AcceptAnswer.OVERLOADED})
EXAMPLES_MAX = 40


class LedgerModel(Model):
    """Replicas whose rows are what makes durable."""

    conditions_of_all = replace(CONDITIONS, durability=Durability.LEDGER)


class LedgerGateway(Gateway):
    """A gateway whose clients are answered later, and whose replicas lose their journals when they crash."""

    model_class: type[Model] = LedgerModel

    @initialize()
    def start(self) -> None:
        super().start()
        self.posted: dict[UUID, set[Money]] = defaultdict(set)
        """Amounts that were posted under an id, and not refused as a whole."""
        self.answered: set[AcceptAnswer] = set()
        # Without a lease nothing is accepted.
        self.run_freely(0.3)

    def _post(self, replica: SimulatedReplica, payment: Payment) -> None:
        key, money = payment.correlation_id, payment.money
        first = money not in self.posted[key]
        self.posted[key].add(money)

        def note(answer: AcceptAnswer) -> None:
            self.answered.add(answer)
            if answer in PROMISES:
                self.accepted[key].add(money)
            elif answer in KEPT_NOTHING and first:
                self.posted[key].discard(money)

        replica.accept(payment, note)
        replica.handle(replica.mailboxes["intake"])

    @rule(
        index=st.integers(0, 1),
        amount_minor=st.integers(1, 100),
        count=st.integers(1, 6),
        again=st.booleans(),
        seconds=st.sampled_from([0.0, 0.1, 0.3]),
    )
    def post_under_a_lease(self, index: int, amount_minor: int, count: int, again: bool, seconds: float) -> None:  # noqa: FBT001  # drawn
        """Post after the replicas have had the time to renew their leases, which most orders leave them without."""
        self.run_freely(0.3)
        for number in range(count):
            self.post(index, amount_minor + number, again=again and number % 2 == 1)
        self.run_freely(seconds)

    @property
    def _may_be_booked(self) -> Mapping[UUID, set[Money]]:
        return {key: self.accepted.get(key) or posted for key, posted in self.posted.items()}

    @rule(name=st.sampled_from(REPLICAS), sent=st.booleans())
    def crash(self, name: str, sent: bool) -> None:  # noqa: FBT001  # drawn
        was_running = self.model.replicas[name].is_running
        super().crash(name, sent)
        if was_running:
            self._lose_the_host(name)

    def _lose_the_host(self, name: str) -> None:
        self.model.journals[name].clear()
        self.model.store_memories[name] = MemoryStoreMemory()


class LedgerOrFsyncModel(Model):
    """Replicas whose journals take over while Postgres is away."""

    conditions_of_all = replace(CONDITIONS, durability=Durability.LEDGER_OR_FSYNC)


class LedgerOrFsyncGateway(LedgerGateway):
    """The same, where a crash is a loss of power alone."""

    model_class = LedgerOrFsyncModel

    def _lose_the_host(self, name: str) -> None:
        self.model.journals[name].lose_power()


TestLedger = LedgerGateway.TestCase
TestLedgerOrFsync = LedgerOrFsyncGateway.TestCase
TestLedger.settings = TestLedgerOrFsync.settings = settings(
    max_examples=EXAMPLES_MAX, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)


def answer_before_the_commit(message: object, _: SimulatedReplica) -> object:
    """202 when the payment is posted, before Postgres has its row."""
    if isinstance(message, Accept):
        message.reply(AcceptAnswer.ACCEPTED)
        return replace(message, reply=lambda _: None)
    return message


def with_changed_messages(change: ChangeMessage) -> type[Gateway]:
    class ChangedModel(LedgerModel):
        def make_mailbox(self, replica: SimulatedReplica, name: str) -> Mailbox:
            return MiddlemansMailbox(name, replica, change)

    class Changed(LedgerGateway):
        model_class = ChangedModel

    return Changed


def lose_the_host_before_the_commit(run: Gateway) -> None:
    run.start()
    run.post(0, 100, again=False)
    run.crash("1", sent=False)
    run.every_accepted_payment_is_durable()
    run.teardown()


def test_a_202_before_the_commit_is_found() -> None:
    with pytest.raises(AssertionError, match="not durable"):
        lose_the_host_before_the_commit(with_changed_messages(answer_before_the_commit)())
    lose_the_host_before_the_commit(LedgerGateway())


@pytest.mark.parametrize(
    ("gateway", "answer"),
    [(LedgerGateway, AcceptAnswer.LEDGER_UNAVAILABLE), (LedgerOrFsyncGateway, AcceptAnswer.JOURNALLED)],
)
def test_while_postgres_is_away_nothing_is_promised_that_only_it_could_keep(
    gateway: type[LedgerGateway], answer: AcceptAnswer
) -> None:
    run = gateway()
    run.start()
    run.post(0, 100, again=False)
    run.run_freely(0.5)
    assert run.answered == {AcceptAnswer.ACCEPTED}
    for name in REPLICAS:
        run.lose_postgres(name, 1000, 0)
    run.post(0, 200, again=False)
    run.run_freely(0.5)
    run.post(0, 300, again=False)
    run.run_freely(0.5)
    in_flight = AcceptAnswer.IN_DOUBT if gateway is LedgerGateway else AcceptAnswer.JOURNALLED
    assert run.answered == {AcceptAnswer.ACCEPTED, in_flight, answer}
    for name in REPLICAS:
        run.lose_postgres(name, 0, 0)
    run.teardown()


def test_payments_of_a_lost_host_are_charged_by_the_others() -> None:
    run = LedgerGateway()
    run.start()
    for processor in run.model.processors:
        run.behave(processor, "refuse")
    for amount_minor in range(1, 20):
        run.post(0, amount_minor, again=False)
        run.run_freely(0.05)
    assert len(run.accepted) == 19
    assert run.model.clock.now_ms() > NOW_MS
    run.crash("1", sent=False)
    for processor in run.model.processors:
        run.behave(processor, "ok")
    run.run_freely(30.0)
    assert run.model.tables.settlements.keys() == run.accepted.keys()
    run.teardown()


class KeptJournals(LedgerGateway):
    """A gateway whose crashes are of processes alone."""

    def _lose_the_host(self, name: str) -> None:
        """Keep the host."""


def test_what_waits_in_a_journal_while_postgres_forgets_its_row_outlives_the_process() -> None:
    run = KeptJournals()
    run.start()
    for processor in run.model.processors:
        run.behave(processor, "refuse")
    run.model.loss.copy()
    for amount_minor in range(1, 4 * WINDOW_MAX):
        run.post(0, amount_minor, again=False)
        run.run_freely(0.05)
    run.model.loss.forget(run.model.is_held)
    run.run_freely(0.5)
    run.crash("1", sent=False)
    run.restart("1")
    for processor in run.model.processors:
        run.behave(processor, "ok")
    run.run_freely(30.0)
    assert run.model.tables.settlements.keys() == run.accepted.keys()
    run.teardown()
