import pytest

from actors.domain.messages import Adopt, Claim, Drain, Driven, Known, LeaseRenewed, OldestStamp, TakeOver
from actors.domain.payment import Settlement
from actors.errors import GatewayUnavailableError, LeaseLostError, LedgerUnavailableError
from actors.ports import Adopted
from actors.recovery import BEAT_S, LEASE_S, NEVER_MS, RecoveryActor
from tests.actors.fakes import (
    NOW_MS,
    MemoryLedger,
    MemoryOrphan,
    MemoryShelf,
    Recorder,
    VirtualRuntime,
    deliver,
    payment,
)


class Recovery:
    """A recovery actor that is not started, with what stands around it."""

    def __init__(self, ledger: MemoryLedger | None = None, generation: int = 0) -> None:
        self.ledger = ledger or MemoryLedger()
        self.router, self.processor = Recorder({OldestStamp: None}), Recorder({OldestStamp: None})
        self.intake, self.shelf = Recorder({TakeOver: True}), MemoryShelf()
        self.runtime = VirtualRuntime()
        self.purges: list[None] = []
        self.actor = RecoveryActor(
            ledger=self.ledger,
            router=self.router,
            processors=[self.processor],
            intake=self.intake,
            shelf=self.shelf,
            runtime=self.runtime,
            generation=generation,
            purged=lambda: self.purges.append(None),
        )

    def start(self) -> "Recovery":
        self.actor.on_start()
        deliver(self.actor)
        return self

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds / BEAT_S)):
            self.runtime.advance(BEAT_S)
            deliver(self.actor)


def test_it_joins_and_may_send_until_the_lease_ends() -> None:
    recovery = Recovery().start()
    assert recovery.processor.messages == [LeaseRenewed(recovery.runtime.now_s() + LEASE_S)]


def test_unsettled_rows_of_an_earlier_run_are_adopted_before_the_lease_counts() -> None:
    ledger = MemoryLedger()
    ledger.write([Claim(payment(1), "default"), Claim(payment(2), "fallback")], (), ())
    ledger.write((), (), [Settlement(payment(1).correlation_id, "default", NOW_MS, 1)])
    ledger.tables.watermarks_ms["1"] = NOW_MS - 500
    recovery = Recovery(ledger).start()
    assert recovery.router.messages == [Adopt((Claim(payment(2), "fallback"),), NOW_MS - 500)]
    assert recovery.intake.messages == [Driven((payment(2).correlation_id,)), Known((payment(1),), certain=True)]


def test_each_heartbeat_renews_the_lease() -> None:
    recovery = Recovery().start()
    recovery.advance(BEAT_S)
    assert recovery.processor.messages[-1] == LeaseRenewed(recovery.runtime.now_s() + LEASE_S)


def test_the_watermark_is_now_while_nothing_is_unsettled() -> None:
    recovery = Recovery().start()
    recovery.advance(BEAT_S)
    assert recovery.ledger.tables.watermarks_ms == {"1": recovery.runtime.now_ms()}


def test_the_watermark_stays_behind_the_oldest_charge_that_postgres_does_not_know() -> None:
    recovery = Recovery().start()
    recovery.processor.answers[OldestStamp] = NOW_MS + 20
    recovery.router.answers[OldestStamp] = NOW_MS + 10
    recovery.advance(BEAT_S)
    assert recovery.ledger.tables.watermarks_ms == {"1": NOW_MS + 10}


def test_the_watermark_does_not_rise_while_nobody_can_tell() -> None:
    recovery = Recovery().start()
    recovery.advance(BEAT_S)
    before = dict(recovery.ledger.tables.watermarks_ms)
    recovery.router.answers[OldestStamp] = GatewayUnavailableError("planted")
    recovery.advance(BEAT_S)
    assert recovery.ledger.tables.watermarks_ms == before


def test_while_postgres_is_away_the_lease_is_not_renewed_and_joining_is_tried_again() -> None:
    recovery = Recovery()
    recovery.ledger.failures = 1
    recovery.start()
    assert recovery.processor.messages == []
    recovery.advance(BEAT_S)
    assert len(recovery.processor.messages) == 1


def test_a_name_that_another_process_took_ends_the_actor() -> None:
    recovery = Recovery().start()
    recovery.ledger.register(0, LEASE_S)
    recovery.runtime.advance(BEAT_S)
    with pytest.raises(LeaseLostError):
        deliver(recovery.actor)


def test_a_purge_is_followed_once() -> None:
    recovery = Recovery().start()
    recovery.ledger.begin_purge()
    recovery.advance(BEAT_S)
    recovery.advance(10 * BEAT_S)
    recovery.runtime.run_spawned()
    assert recovery.purges == [None]


def test_a_purge_that_came_before_the_start_is_followed_before_anything_is_adopted() -> None:
    ledger = MemoryLedger()
    ledger.write([Claim(payment(1), "default")], (), ())
    ledger.begin_purge()
    recovery = Recovery(ledger, generation=0).start()
    recovery.runtime.run_spawned()
    assert recovery.purges == [None]
    assert recovery.router.messages == []


def test_leaving_with_nothing_unsettled_holds_no_summary_open() -> None:
    recovery = Recovery().start()
    recovery.actor.on_receive(Drain())
    assert recovery.ledger.tables.watermarks_ms == {"1": NEVER_MS}
    recovery.advance(10 * BEAT_S)
    assert recovery.ledger.tables.watermarks_ms == {"1": NEVER_MS}


def test_leaving_with_a_charge_unaccounted_for_keeps_its_stamp() -> None:
    recovery = Recovery().start()
    recovery.router.answers[OldestStamp] = NOW_MS + 3
    recovery.actor.on_receive(Drain())
    assert recovery.ledger.tables.watermarks_ms == {"1": NOW_MS + 3}


def gone_replica(*numbers: int) -> MemoryLedger:
    """Make the ledger of replica 2, whose tables show that it is gone and left these payments."""
    ledger = MemoryLedger("2")
    ledger.write([Claim(payment(number), "fallback") for number in numbers], (), ())
    ledger.register(0, lease_s=-1)
    ledger.tables.watermarks_ms["2"] = NOW_MS - 40
    return ledger


def test_payments_of_a_replica_that_is_gone_are_adopted_with_its_watermark() -> None:
    recovery = Recovery(MemoryLedger("1", gone_replica(1, 2).tables)).start()
    recovery.advance(LEASE_S + BEAT_S)
    assert recovery.router.messages == [
        Adopt((Claim(payment(1), "fallback"), Claim(payment(2), "fallback")), NOW_MS - 40)
    ]
    recovery.advance(LEASE_S)
    assert len(recovery.router.messages) == 1


def test_after_postgres_was_away_others_get_the_time_to_renew_before_anything_is_adopted() -> None:
    recovery = Recovery(MemoryLedger("1", gone_replica(1).tables)).start()
    recovery.advance(LEASE_S - BEAT_S)
    recovery.ledger.failures = 1
    recovery.advance(LEASE_S - BEAT_S)
    assert recovery.router.messages == []
    recovery.advance(3 * BEAT_S)
    assert len(recovery.router.messages) == 1


def test_a_journal_that_nobody_holds_is_copied_before_it_is_cleared() -> None:
    recovery = Recovery().start()
    orphan = MemoryOrphan([payment(1), payment(2)])
    recovery.shelf.unheld.append(orphan)
    recovery.intake.answers[TakeOver] = GatewayUnavailableError("planted")
    recovery.advance(LEASE_S + BEAT_S)
    assert (len(orphan.kept), orphan.closed) == (2, True)
    recovery.intake.answers[TakeOver] = True
    recovery.advance(LEASE_S)
    assert (len(orphan.kept), orphan.closed) == (0, True)


class LosesTheAnswer(MemoryLedger):
    """Adopts, and is cut off before it can say so."""

    cut = False

    def adopt(self, claims_max: int) -> Adopted | None:
        adopted = super().adopt(claims_max)
        if adopted is not None and not self.cut:
            self.cut = True
            raise LedgerUnavailableError("planted")
        return adopted


def test_rows_whose_adoption_was_not_answered_are_found_by_joining_again() -> None:
    ledger = LosesTheAnswer("1", gone_replica(1).tables)
    recovery = Recovery(ledger).start()
    recovery.advance(2 * LEASE_S)
    assert ledger.cut
    assert recovery.router.messages == [Adopt((Claim(payment(1), "fallback"),), NOW_MS - 40)]


def test_after_an_adoption_the_watermark_stays_low_also_while_nobody_can_tell() -> None:
    recovery = Recovery(MemoryLedger("1", gone_replica(1).tables)).start()
    recovery.advance(LEASE_S)
    recovery.router.answers[OldestStamp] = GatewayUnavailableError("planted")
    recovery.advance(2 * BEAT_S)
    assert recovery.ledger.tables.claims == {payment(1).correlation_id: ("1", "fallback")}
    assert recovery.ledger.tables.watermarks_ms["1"] <= NOW_MS - 40
