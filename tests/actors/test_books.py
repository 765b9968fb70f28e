from threading import Semaphore
from uuid import UUID

from actors.books import SUMMARY_S_MAX, Books, PaymentStatus
from actors.domain.messages import Claim, Describe, PaymentProgress
from actors.domain.payment import Settlement
from actors.errors import GatewayUnavailableError
from actors.ports import PaymentRecord
from tests.actors.fakes import NOW_MS, MemoryLedger, Recorder, VirtualRuntime, payment

ONE = UUID(int=1)


class Desk:
    """Books over tables that a test fills."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.ledger.register(0, lease_s=60)
        self.router, self.runtime = Recorder({Describe: None}), VirtualRuntime()
        self.books = Books(
            ledger=self.ledger,
            router=self.router,
            replica="1",
            processors=("default", "third"),
            runtime=self.runtime,
            turns=Semaphore(1),
        )

    def settle(self, number: int, stamp_ms: int, amount_cents: int = 1990) -> None:
        self.ledger.write([Claim(payment(number, amount_cents), "default")], (), ())
        self.ledger.write((), (), [Settlement(UUID(int=number), "default", stamp_ms, 1)])


def test_a_summary_names_the_events_two_and_every_other_processor() -> None:
    desk = Desk()
    desk.settle(1, NOW_MS, 5)
    summary = desk.books.summary(None, None)
    assert summary.requests == {"default": 1, "fallback": 0, "third": 0}
    assert summary.amounts_cents == {"default": 5, "fallback": 0, "third": 0}


def test_a_summary_is_final_when_every_watermark_lies_behind_its_end() -> None:
    desk = Desk()
    desk.ledger.tables.watermarks_ms["1"] = NOW_MS - 10
    assert desk.books.summary(None, NOW_MS - 11).final
    assert not desk.books.summary(None, NOW_MS - 10).final


def test_a_summary_waits_for_what_is_under_way_within_its_limit() -> None:
    desk = Desk()
    desk.ledger.tables.watermarks_ms["1"] = NOW_MS - 10
    started_s = desk.runtime.now_s()
    desk.runtime.call_later(SUMMARY_S_MAX / 2, desk.ledger.tables.watermarks_ms.update, {"1": NOW_MS + 1})
    assert desk.books.summary(None, NOW_MS).final
    assert desk.runtime.now_s() - started_s < SUMMARY_S_MAX


def test_a_window_that_has_not_ended_is_final_up_to_now() -> None:
    desk = Desk()
    desk.ledger.tables.watermarks_ms["1"] = NOW_MS + 1
    assert desk.books.summary(None, NOW_MS + 3_600_000).final


def test_a_payment_that_this_replica_drives_tells_what_the_router_knows() -> None:
    desk = Desk()
    desk.ledger.write([Claim(payment(1), "default")], (), ())
    desk.router.answers[Describe] = PaymentProgress("default", 2, pinned=True)
    record = PaymentRecord(payment(1), "default", "1", None, ())
    assert desk.books.payment(ONE) == PaymentStatus(record, PaymentProgress("default", 2, pinned=True))
    desk.router.answers[Describe] = GatewayUnavailableError("planted")
    assert desk.books.payment(ONE) == PaymentStatus(record, None)
    assert desk.books.payment(UUID(int=2)) is None
