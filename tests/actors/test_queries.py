from threading import Semaphore
from uuid import UUID

import pytest

from actors.domain.lifecycle import State
from actors.domain.money import Money
from actors.domain.payment import Claim, Settlement
from actors.domain.records import PaymentRecord, ProcessorTotal
from actors.domain.work import Driven
from actors.errors import GatewayUnavailableError, LedgerUnavailableError
from actors.messages.intake import GetAcceptedMoney
from actors.messages.router import GetDriven
from actors.queries import SUMMARY_S_MAX, PaymentQueries, PaymentStatus
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import NOW_MS, Recorder, VirtualRuntime, payment

ONE = UUID(int=1)
MONEY = Money(1990, "BRL")
DRIVEN = Driven(payment(1), State.CHARGING, "default", attempts=2, pinned=True)


class Desk:
    """Queries over tables that a test fills."""

    def __init__(self, replica: str = "1") -> None:
        self.tables = MemoryTables()
        fence = MemoryFence("1")
        MemoryLeases(self.tables, fence).register(0, lease_s=60)
        self.store = MemoryPayments(self.tables, fence)
        self.router, self.intake = Recorder({GetDriven: None}), Recorder({GetAcceptedMoney: None})
        self.runtime, self.turns = VirtualRuntime(), Semaphore(1)
        self.queries = PaymentQueries(
            payments=self.store,
            intake=self.intake,
            router=self.router,
            replica=replica,
            processors=("default", "third"),
            runtime=self.runtime,
            turns=self.turns,
        )

    def settle(self, number: int, stamp_ms: int, amount_minor: int = 1990, currency: str = "BRL") -> None:
        settlement = Settlement(payment(number, amount_minor, currency), "default", stamp_ms, 1)
        self.store.write([Claim(settlement.payment, "default")], (), ())
        self.store.write((), (), [settlement])

    def set_watermark(self, watermark_ms: int) -> None:
        self.tables.leases["1"].watermark_ms = watermark_ms


def test_a_summary_names_the_events_two_and_every_other_processor() -> None:
    desk = Desk()
    desk.settle(1, NOW_MS, 5)
    summary = desk.queries.summary(None, None)
    assert summary.totals == {
        "default": ProcessorTotal("default", 1, Money(5, "BRL")),
        "fallback": ProcessorTotal("fallback", 0, Money(0, "BRL")),
        "third": ProcessorTotal("third", 0, Money(0, "BRL")),
    }
    assert summary.others == {}


def test_a_summary_keeps_other_currencies_apart() -> None:
    desk = Desk()
    desk.settle(1, NOW_MS, 5)
    desk.settle(2, NOW_MS, 7, "KWD")
    desk.settle(3, NOW_MS, 9, "JPY")
    desk.settle(4, NOW_MS, 4, "JPY")
    summary = desk.queries.summary(None, None)
    assert summary.totals["default"] == ProcessorTotal("default", 1, Money(5, "BRL"))
    assert list(summary.others) == ["JPY", "KWD"]
    assert summary.others["JPY"]["default"] == ProcessorTotal("default", 2, Money(13, "JPY"))
    assert summary.others["KWD"]["third"] == ProcessorTotal("third", 0, Money(0, "KWD"))
    assert desk.queries.summary(NOW_MS + 1, None).others == {}


def test_a_summary_is_final_when_every_watermark_lies_behind_its_end() -> None:
    desk = Desk()
    desk.set_watermark(NOW_MS - 10)
    assert desk.queries.summary(None, NOW_MS - 11).final
    assert not desk.queries.summary(None, NOW_MS - 10).final


def test_a_summary_waits_for_what_is_under_way_within_its_limit() -> None:
    desk = Desk()
    desk.set_watermark(NOW_MS - 10)
    started_s = desk.runtime.now_s()
    desk.runtime.call_later(SUMMARY_S_MAX / 2, desk.set_watermark, NOW_MS + 1)
    assert desk.queries.summary(None, NOW_MS).final
    assert desk.runtime.now_s() - started_s < SUMMARY_S_MAX


def test_a_summary_that_waited_for_long_is_answered_as_not_final() -> None:
    desk = Desk()
    desk.set_watermark(NOW_MS - 10)
    started_s = desk.runtime.now_s()
    assert not desk.queries.summary(None, NOW_MS).final
    assert desk.runtime.now_s() - started_s >= SUMMARY_S_MAX


def test_a_window_that_has_not_ended_is_final_up_to_now() -> None:
    desk = Desk()
    desk.set_watermark(NOW_MS + 1)
    assert desk.queries.summary(None, NOW_MS + 3_600_000).final


def test_a_summary_gives_up_its_turn_also_where_postgres_does_not_answer() -> None:
    desk = Desk()
    desk.store.failures = 1
    with pytest.raises(LedgerUnavailableError):
        desk.queries.summary(None, None)
    assert desk.turns.acquire(blocking=False)


class NoTurns:
    """A semaphore whose turn never comes."""

    def acquire(self, *, timeout: float) -> bool:
        assert timeout == SUMMARY_S_MAX
        return False

    def release(self) -> None:
        raise AssertionError("nobody had a turn")


def test_a_summary_whose_turn_does_not_come_in_time_is_refused() -> None:
    desk = Desk()
    queries = PaymentQueries(
        payments=desk.store,
        intake=desk.intake,
        router=desk.router,
        replica="1",
        processors=("default",),
        runtime=desk.runtime,
        turns=NoTurns(),
    )
    with pytest.raises(GatewayUnavailableError):
        queries.summary(None, None)


def test_a_payment_that_this_replica_drives_tells_what_the_router_knows() -> None:
    desk = Desk()
    desk.store.write([Claim(payment(1), "default")], (), ())
    desk.router.answers[GetDriven] = DRIVEN
    record = PaymentRecord(payment(1), "default", "1", None, ())
    assert desk.queries.payment(ONE) == PaymentStatus(ONE, MONEY, record, DRIVEN)


def test_a_payment_tells_what_postgres_knows_where_the_router_does_not_answer() -> None:
    desk = Desk()
    desk.store.write([Claim(payment(1), "default")], (), ())
    desk.router.answers[GetDriven] = GatewayUnavailableError("planted")
    assert desk.queries.payment(ONE) == PaymentStatus(ONE, MONEY, PaymentRecord(payment(1), "default", "1", None, ()))


def test_nobody_is_asked_for_a_payment_that_is_settled_or_that_another_replica_drives() -> None:
    desk = Desk(replica="2")
    desk.store.write([Claim(payment(1), "default")], (), ())
    desk.settle(2, NOW_MS)
    desk.router.answers[GetDriven] = AssertionError("nobody needs to be asked")
    first, second = desk.queries.payment(ONE), desk.queries.payment(UUID(int=2))
    assert first is not None
    assert second is not None
    assert (first.record and first.record.owner, first.driven) == ("1", None)
    assert (second.record and second.record.settlement and second.record.settlement.requested_at_ms) == NOW_MS


def test_a_payment_without_a_row_is_told_from_the_memory_of_the_router() -> None:
    desk = Desk()
    desk.router.answers[GetDriven] = held = Driven(payment(1, 5), State.HELD, None, attempts=0, pinned=False)
    assert desk.queries.payment(ONE) == PaymentStatus(ONE, Money(5, "BRL"), driven=held)


@pytest.mark.parametrize("router", [None, GatewayUnavailableError("planted")])
def test_a_payment_that_waits_in_the_journal_is_told_from_the_memory_of_the_intake(router: object) -> None:
    desk = Desk()
    desk.router.answers[GetDriven] = router
    desk.intake.answers[GetAcceptedMoney] = Money(700, "JPY")
    assert desk.queries.payment(ONE) == PaymentStatus(ONE, Money(700, "JPY"))


@pytest.mark.parametrize("intake", [None, GatewayUnavailableError("planted")])
def test_a_payment_that_nobody_remembers_is_unknown(intake: object) -> None:
    desk = Desk()
    desk.intake.answers[GetAcceptedMoney] = intake
    assert desk.queries.payment(ONE) is None


def test_without_postgres_nobody_guesses_how_far_a_payment_is() -> None:
    desk = Desk()
    desk.store.failures = 1
    desk.intake.answers[GetAcceptedMoney] = Money(700, "JPY")
    with pytest.raises(LedgerUnavailableError):
        desk.queries.payment(ONE)
