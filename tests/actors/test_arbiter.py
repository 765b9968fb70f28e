from uuid import UUID

import pytest

from actors.arbiter import DECIDED_S_MAX, READS_MAX, Arbiter
from actors.domain.payment import Claim
from actors.domain.records import PaymentRecord
from actors.messages.intake import AcceptAnswer, FirstAmountsFound
from ops.simulation.stores import MemoryLeases, MemoryPayments
from tests.actors.fakes import READING, Recorder, VirtualRuntime, payment

UNJUDGED = (AcceptAnswer.UNCONFIRMED, AcceptAnswer.CONTESTED)


class Dispute:
    """An arbiter over tables that a test fills."""

    def __init__(self) -> None:
        self.store, self.intake, self.runtime = MemoryPayments(), Recorder(), VirtualRuntime()
        MemoryLeases(self.store.tables, self.store.fence).register(0, READING)
        self.arbiter = Arbiter(self.store, self.intake, self.runtime)

    def write(self) -> None:
        self.store.write([Claim(payment(1, 100), "default")], (), ())


@pytest.mark.parametrize("unjudged", UNJUDGED)
def test_the_amount_that_postgres_has_counts_and_the_intake_is_told(unjudged: AcceptAnswer) -> None:
    dispute = Dispute()
    dispute.write()
    assert dispute.arbiter.decide(payment(1, 100), unjudged) is AcceptAnswer.REPEATED
    assert dispute.arbiter.decide(payment(1, 200), unjudged) is AcceptAnswer.CONFLICT
    assert dispute.intake.messages == [FirstAmountsFound((payment(1, 100),), is_news=True)] * 2


@pytest.mark.parametrize("failures", [0, 9])
def test_without_a_row_the_only_amount_that_was_accepted_here_counts_at_once(failures: int) -> None:
    dispute = Dispute()
    dispute.store.failures = failures
    started_s = dispute.runtime.now_s()
    assert dispute.arbiter.decide(payment(1, 200), AcceptAnswer.UNCONFIRMED) is AcceptAnswer.CONFLICT
    assert (dispute.runtime.now_s(), dispute.intake.messages) == (started_s, [])


@pytest.mark.parametrize("failures", [0, 9])
def test_of_several_amounts_none_counts_until_postgres_decides_within_a_bounded_time(failures: int) -> None:
    dispute = Dispute()
    dispute.store.failures = failures
    started_s = dispute.runtime.now_s()
    assert dispute.arbiter.decide(payment(1, 100), AcceptAnswer.CONTESTED) is AcceptAnswer.CONTESTED
    assert dispute.runtime.now_s() - started_s <= DECIDED_S_MAX


def test_a_row_that_is_written_meanwhile_decides() -> None:
    dispute = Dispute()
    dispute.runtime.call_later(DECIDED_S_MAX / 2, dispute.write)
    assert dispute.arbiter.decide(payment(1, 200), AcceptAnswer.CONTESTED) is AcceptAnswer.CONFLICT


class CrowdedPayments(MemoryPayments):
    """While it is read, further clients come whose payments have to be decided."""

    def __init__(self) -> None:
        super().__init__()
        self.arbiter: Arbiter | None = None
        self.clients, self.reading, self.reading_max = 10, 0, 0
        self.answers: list[AcceptAnswer] = []

    def payment(self, correlation_id: UUID, wait_s_max: float | None = None) -> PaymentRecord | None:
        self.reading += 1
        self.reading_max = max(self.reading, self.reading_max)
        while self.clients and self.arbiter is not None:
            self.clients -= 1
            self.answers.append(self.arbiter.decide(payment(2), AcceptAnswer.UNCONFIRMED))
        self.reading -= 1
        return super().payment(correlation_id, wait_s_max)


def test_few_read_at_once_and_who_does_not_get_a_turn_in_time_is_not_refused_by_what_is_known_here() -> None:
    store = CrowdedPayments()
    store.arbiter = Arbiter(store, Recorder(), VirtualRuntime())
    assert store.arbiter.decide(payment(1), AcceptAnswer.UNCONFIRMED) is AcceptAnswer.CONFLICT
    assert store.reading_max == READS_MAX
    assert store.answers == [AcceptAnswer.CONTESTED] * 9 + [AcceptAnswer.CONFLICT]
