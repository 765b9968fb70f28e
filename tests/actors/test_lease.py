import itertools
from collections.abc import Callable, Sequence

import pytest
from pykka._envelope import Envelope

from actors.domain.dispatcher import DRIVEN_MAX
from actors.domain.payment import Claim, Payment, Settlement
from actors.errors import GatewayUnavailableError, LeaseLostError
from actors.lease import ADOPT_S, BEAT_S, LEASE_S, NEVER_MS, LeaseActor
from actors.messages.intake import FirstAmountsFound, TakeOver
from actors.messages.lease import Leave
from actors.messages.processor import GetOldestSent, LeaseRenewed
from actors.messages.router import Adopt, GetAdoptionRoom, GetOldestStamp
from actors.takeover import TAKEN_AT_ONCE_MAX
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import NOW_MS, Recorder, VirtualRuntime, deliver, payment
from tests.actors.fakes_journal import MemoryOrphan, MemoryShelf


class Lease:
    """A lease's actor that is not started, with what stands around it."""

    def __init__(self, tables: MemoryTables | None = None, generation: int = 0) -> None:
        self.runtime = VirtualRuntime()
        self.hook: Callable[[object], None] = lambda _: None
        """Called with each question that the actor asks, before it is answered."""
        self.tables = tables or MemoryTables()
        self.tables.now_s = self.runtime.now_s
        self.leases = MemoryLeases(self.tables, MemoryFence("1"))
        self.router = self.recorder({GetOldestStamp: None, GetAdoptionRoom: 100})
        self.processor = self.recorder({GetOldestSent: None})
        self.intake, self.shelf = self.recorder({TakeOver: True}), MemoryShelf()
        self.purges: list[None] = []
        self.actor = LeaseActor(
            leases=self.leases,
            payments=MemoryPayments(self.tables, self.leases.fence),
            router=self.router,
            processors=[self.processor],
            intake=self.intake,
            shelf=self.shelf,
            runtime=self.runtime,
            generation=generation,
            purged=lambda: self.purges.append(None),
        )

    def recorder(self, answers: dict[type, object]) -> Recorder:
        lease = self

        class Hooked(Recorder):
            def ask(self, message: object, timeout_s: float) -> object:
                lease.hook(message)
                return super().ask(message, timeout_s)

        return Hooked(answers)

    @property
    def watermark_ms(self) -> int:
        """As Postgres tells it."""
        return self.tables.leases["1"].watermark_ms

    def start(self) -> "Lease":
        self.actor.on_start()
        deliver(self.actor)
        return self

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds / BEAT_S)):
            self.runtime.advance(BEAT_S)
            deliver(self.actor)

    def leave(self) -> None:
        self.actor.actor_inbox.put(Envelope(Leave()))
        deliver(self.actor)


def write(tables: MemoryTables, replica: str, claims: Sequence[Claim], settled: Sequence[Payment] = ()) -> MemoryLeases:
    """Let a replica that has joined write these rows, and settle some of them."""
    fence = MemoryFence(replica)
    leases, store = MemoryLeases(tables, fence), MemoryPayments(tables, fence)
    leases.register(0, LEASE_S)
    store.write(claims, (), ())
    store.write((), (), [Settlement(each, "default", NOW_MS, 1) for each in settled])
    return leases


def left_by_replica_2(*numbers: int) -> MemoryTables:
    """Make tables which show that replica 2 is gone and left these payments."""
    tables = MemoryTables()
    leases = write(tables, "2", [Claim(payment(number), "fallback") for number in numbers])
    leases.beat(1, 0, NOW_MS - 40)
    return tables


def test_it_joins_and_may_send_until_the_lease_ends() -> None:
    lease = Lease().start()
    assert lease.processor.messages == [LeaseRenewed(lease.runtime.now_s() + LEASE_S)]


def test_unsettled_rows_of_an_earlier_run_are_adopted_before_the_lease_counts() -> None:
    tables = MemoryTables()
    before = write(tables, "1", [Claim(payment(1), "default"), Claim(payment(2), "fallback")], [payment(1)])
    before.beat(1, LEASE_S, NOW_MS - 500)
    lease = Lease(tables).start()
    assert lease.router.messages == [Adopt((Claim(payment(2), "fallback"),), NOW_MS - 500)]
    (found,) = lease.intake.messages
    assert isinstance(found, FirstAmountsFound)
    assert [(one.correlation_id, one.amount_minor) for one in found.payments] == [(payment(1).correlation_id, 1990)]


def test_no_more_rows_of_an_earlier_run_are_read_than_the_router_drives() -> None:
    tables = MemoryTables()
    write(tables, "1", [Claim(payment(number), "default") for number in range(DRIVEN_MAX + 7)])
    (adopt,) = Lease(tables).start().router.messages
    assert isinstance(adopt, Adopt)
    assert len(adopt.claims) == DRIVEN_MAX


def test_rows_that_there_was_no_room_for_are_read_again_and_hold_the_watermark_until_then() -> None:
    tables = MemoryTables()
    before = write(tables, "1", [Claim(payment(number), "default") for number in range(DRIVEN_MAX + 7)])
    before.beat(1, LEASE_S, NOW_MS - 500)
    lease = Lease(tables).start()
    lease.advance(BEAT_S)
    assert lease.watermark_ms == NOW_MS - 500
    for number in range(DRIVEN_MAX):
        del tables.claims[payment(number).correlation_id]
    lease.router.take()
    lease.advance(2 * LEASE_S)
    (adopt, *_) = [message for message in lease.router.messages if isinstance(message, Adopt)]
    assert {claim.payment for claim in adopt.claims} == {payment(DRIVEN_MAX + number) for number in range(7)}
    assert lease.watermark_ms == lease.runtime.now_ms()


def test_a_replica_that_others_took_over_from_before_it_joined_again_ends_the_actor() -> None:
    lease = Lease(left_by_replica_2(1)).start()
    lease.leases.lost_answers = 1
    lease.advance(LEASE_S)  # Its adoption is not answered, so that it will join again.
    assert lease.leases.lost_answers == 0
    lease.tables.leases["1"].epoch += 1  # Others have taken over from it before it does.
    with pytest.raises(LeaseLostError):
        lease.advance(2 * BEAT_S)


def test_each_heartbeat_renews_the_lease() -> None:
    lease = Lease().start()
    lease.advance(BEAT_S)
    assert lease.processor.messages[-1] == LeaseRenewed(lease.runtime.now_s() + LEASE_S)


def test_the_watermark_is_now_while_nothing_is_unsettled() -> None:
    lease = Lease().start()
    lease.advance(BEAT_S)
    assert lease.watermark_ms == lease.runtime.now_ms()


def test_the_watermark_stays_behind_the_oldest_charge_that_postgres_does_not_know() -> None:
    lease = Lease().start()
    lease.processor.answers[GetOldestSent] = NOW_MS + 20
    lease.router.answers[GetOldestStamp] = NOW_MS + 10
    lease.advance(BEAT_S)
    assert lease.watermark_ms == NOW_MS + 10


def test_a_charge_that_ends_between_two_questions_is_not_missed() -> None:
    lease = Lease().start()

    def report(question: object) -> None:
        # What the processor's actor reports now reaches the router before the router is asked.
        if isinstance(question, GetOldestSent):
            lease.router.answers[GetOldestStamp] = NOW_MS + 5

    lease.hook = report
    lease.advance(BEAT_S)
    assert lease.watermark_ms == NOW_MS + 5


@pytest.mark.parametrize("silent", ["router", "processor"])
def test_the_watermark_does_not_rise_while_nobody_can_tell(silent: str) -> None:
    lease = Lease().start()
    lease.advance(BEAT_S)
    before = lease.watermark_ms
    if silent == "router":
        lease.router.answers[GetOldestStamp] = GatewayUnavailableError("planted")
    else:
        lease.processor.answers[GetOldestSent] = GatewayUnavailableError("planted")
    lease.advance(BEAT_S)
    assert lease.watermark_ms == before


def test_while_postgres_is_away_the_lease_is_not_renewed_and_joining_is_tried_again() -> None:
    lease = Lease()
    lease.leases.failures = 1
    lease.start()
    assert lease.processor.messages == []
    lease.advance(BEAT_S)
    assert len(lease.processor.messages) == 1


def test_a_name_that_another_process_took_ends_the_actor() -> None:
    lease = Lease().start()
    MemoryLeases(lease.tables, MemoryFence("1")).register(0, LEASE_S)
    lease.runtime.advance(BEAT_S)
    with pytest.raises(LeaseLostError):
        deliver(lease.actor)


def test_a_purge_is_followed_once() -> None:
    lease = Lease().start()
    lease.tables.generation += 1
    lease.advance(BEAT_S)
    lease.advance(10 * BEAT_S)
    lease.runtime.run_spawned()
    assert lease.purges == [None]


def test_a_purge_that_came_before_the_start_is_followed_before_anything_is_adopted() -> None:
    tables = MemoryTables()
    write(tables, "1", [Claim(payment(1), "default")])
    tables.generation += 1
    lease = Lease(tables, generation=0).start()
    lease.runtime.run_spawned()
    assert lease.purges == [None]
    assert lease.router.messages == []


def test_leaving_with_nothing_unsettled_holds_no_summary_open() -> None:
    lease = Lease().start()
    lease.leave()
    assert lease.watermark_ms == NEVER_MS
    lease.advance(10 * BEAT_S)
    assert lease.watermark_ms == NEVER_MS


def test_leaving_ends_the_lease_at_once() -> None:
    lease = Lease().start()
    lease.leave()
    assert lease.tables.leases["1"].until_s <= lease.runtime.now_s()


def test_leaving_with_a_charge_unaccounted_for_keeps_its_stamp() -> None:
    lease = Lease().start()
    lease.router.answers[GetOldestStamp] = NOW_MS + 3
    lease.leave()
    assert lease.watermark_ms == NOW_MS + 3


def test_leaving_before_it_has_joined_or_without_postgres_does_no_harm() -> None:
    lease = Lease()
    lease.leave()
    assert lease.tables.leases == {}
    lease = Lease().start()
    lease.leases.failures = 1
    before = lease.tables.leases["1"].until_s
    lease.leave()
    assert lease.tables.leases["1"].until_s == before


# What replicas that are gone have left.


def test_payments_of_a_replica_that_is_gone_are_adopted_with_its_watermark() -> None:
    lease = Lease(left_by_replica_2(1, 2)).start()
    lease.advance(LEASE_S + BEAT_S)
    assert lease.router.messages == [Adopt((Claim(payment(1), "fallback"), Claim(payment(2), "fallback")), NOW_MS - 40)]
    lease.advance(LEASE_S)
    assert len(lease.router.messages) == 1


def test_it_looks_for_what_others_have_left_once_a_second() -> None:
    lease = Lease(left_by_replica_2(1, 2, 3)).start()
    lease.router.answers[GetAdoptionRoom] = 1
    lease.advance(LEASE_S)
    assert len(lease.router.messages) == 1
    lease.advance(ADOPT_S - BEAT_S)
    assert len(lease.router.messages) == 1
    lease.advance(BEAT_S)
    assert len(lease.router.messages) == 2


def test_after_postgres_was_away_others_get_the_time_to_renew_before_anything_is_adopted() -> None:
    lease = Lease(left_by_replica_2(1)).start()
    lease.advance(LEASE_S - BEAT_S)
    lease.leases.failures = 1
    lease.advance(LEASE_S)
    assert lease.router.messages == []
    lease.advance(2 * BEAT_S)
    assert len(lease.router.messages) == 1


def test_rows_whose_adoption_was_not_answered_are_found_by_joining_again() -> None:
    lease = Lease(left_by_replica_2(1)).start()
    lease.leases.lost_answers = 1
    lease.advance(2 * LEASE_S)
    assert lease.leases.lost_answers == 0
    assert lease.router.messages == [Adopt((Claim(payment(1), "fallback"),), NOW_MS - 40)]


def test_after_an_adoption_the_watermark_stays_low_also_while_nobody_can_tell() -> None:
    lease = Lease(left_by_replica_2(1)).start()
    lease.advance(LEASE_S)
    lease.router.answers[GetOldestStamp] = GatewayUnavailableError("planted")
    lease.advance(2 * BEAT_S)
    assert [owned.owner for owned in lease.tables.claims.values()] == ["1"]
    assert lease.watermark_ms <= NOW_MS - 40


def test_the_lease_is_renewed_while_a_long_journal_is_copied() -> None:
    lease = Lease().start()
    parts = 3 * round(LEASE_S)
    orphan = MemoryOrphan([payment(number) for number in range(parts * TAKEN_AT_ONCE_MAX)])
    lease.shelf.unheld.append(orphan)

    def take_a_second(question: object) -> None:
        if isinstance(question, TakeOver):
            lease.runtime.time_s += 1.0

    lease.hook = take_a_second
    lease.advance(LEASE_S)
    assert (len(orphan.kept), orphan.closed) == (0, True)
    renewals_s = [each.until_s - LEASE_S for each in lease.processor.messages if isinstance(each, LeaseRenewed)]
    assert max(later - earlier for earlier, later in itertools.pairwise(renewals_s)) <= 1.0
    assert lease.tables.leases["1"].until_s > lease.runtime.now_s()
