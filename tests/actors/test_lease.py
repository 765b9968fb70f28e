import itertools
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest
from pykka._envelope import Envelope

from actors.domain.lease_watch import LEASE_S
from actors.domain.outage_log import QUIET_S
from actors.domain.payment import Claim, Closing, EndState, Payment, Settlement
from actors.domain.records import NEVER_MS, NOTHING_MISSING, StoreIdentity, Watermarks
from actors.domain.resolution import Finding, ResolutionAnswer
from actors.domain.wall_clock import ClockReading
from actors.domain.work import AdoptionRoom
from actors.errors import GatewayUnavailableError, LeaseLostError
from actors.fleet import CLOCKS_S
from actors.lease import ADOPT_S, BEAT_S, LeaseActor
from actors.messages.intake import FirstAmountsFound, GetTakeOverRoom, RowsDoubted, TakeOver
from actors.messages.lease import GetForgotten, GetLivingCount, Leave
from actors.messages.processor import GetUnreported, LeaseRenewed
from actors.messages.router import Adopt, BeginAdoption, EndAdoption, GetUncommitted, Resolve, StoreChanged
from actors.messages.trouble import GetTrouble
from actors.resolver import Resolver
from actors.takeover import ADOPTED_AT_ONCE_MAX, TAKEN_AT_ONCE_MAX
from ops.simulation.journals import MemoryStoreMemory
from ops.simulation.resolutions import MemoryResolutions
from ops.simulation.stores import MemoryLeases, MemoryPayments
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import NOW_MS, READING, Recorder, VirtualRuntime, both, deliver, payment
from tests.actors.fakes_journal import MemoryOrphan, MemoryShelf
from tests.lines import lines


class Lease:
    """A lease's actor that is not started, with what stands around it."""

    def __init__(
        self, tables: MemoryTables | None = None, generation: int = 0, memory: MemoryStoreMemory | None = None
    ) -> None:
        self.runtime = VirtualRuntime()
        self.hook: Callable[[object], None] = lambda _: None
        """Called with each question that the actor asks, before it is answered."""
        self.tables = tables or MemoryTables()
        self.leases = MemoryLeases(self.tables, MemoryFence("1"))
        self.router = self.recorder({GetUncommitted: NOTHING_MISSING, BeginAdoption: AdoptionRoom(100)})
        self.processor = self.recorder({GetUnreported: NOTHING_MISSING})
        self.intake = self.recorder({GetTakeOverRoom: 100_000, TakeOver: True, RowsDoubted: None})
        self.shelf = MemoryShelf()
        self.memory = memory or MemoryStoreMemory()
        self.purges: list[None] = []
        self.names: list[None] = []
        """One for each time it has said that it has its name."""
        payments = MemoryPayments(self.tables, self.leases.fence)
        self.resolutions = MemoryResolutions(self.tables, self.leases.fence)
        self.actor = LeaseActor(
            leases=self.leases,
            payments=payments,
            router=self.router,
            processors=[self.processor],
            intake=self.intake,
            shelf=self.shelf,
            memory=self.memory,
            resolver=Resolver(
                resolutions=self.resolutions, payments=payments, router=self.router, runtime=self.runtime
            ),
            runtime=self.runtime,
            generation=generation,
            purged=lambda: self.purges.append(None),
            named=lambda: self.names.append(None),
        )

    def recorder(self, answers: dict[type, object]) -> Recorder:
        lease = self

        class Hooked(Recorder):
            def ask(self, message: object, timeout_s: float) -> object:
                lease.hook(message)
                return super().ask(message, timeout_s)

        return Hooked(answers)

    @property
    def read(self) -> list[Claim]:
        """The rows that the router was given."""
        return [claim for message in self.router.messages if isinstance(message, Adopt) for claim in message.claims]

    @property
    def told(self) -> list[object]:
        """What the router was told, but for the ends of searches."""
        return [message for message in self.router.messages if not isinstance(message, EndAdoption)]

    @property
    def watermark_ms(self) -> int:
        """As Postgres tells it."""
        return self.tables.leases["1"].watermark_ms

    @property
    def answered_ms(self) -> int:
        """As Postgres tells it."""
        return self.tables.leases["1"].answered_ms

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
    leases.register(0, READING)
    store.write(claims, (), ())
    store.write((), (), [Settlement(each, "default", NOW_MS, 1, NOW_MS) for each in settled])
    return leases


def left_by_replica_2(*numbers: int) -> MemoryTables:
    """Make tables which show that replica 2 is gone and left these payments."""
    tables = MemoryTables()
    leases = write(tables, "2", [Claim(payment(number), "fallback") for number in numbers])
    leases.retire(1, both(NOW_MS - 40))
    return tables


def test_it_joins_and_may_send_until_the_lease_ends() -> None:
    lease = Lease().start()
    assert lease.processor.messages == [LeaseRenewed(lease.runtime.now_s() + LEASE_S)]


def test_unsettled_rows_of_an_earlier_run_are_adopted_before_the_lease_counts() -> None:
    tables = MemoryTables()
    before = write(tables, "1", [Claim(payment(1), "default"), Claim(payment(2), "fallback")], [payment(1)])
    before.beat(1, both(NOW_MS - 500), READING)
    lease = Lease(tables).start()
    assert lease.told == [Adopt((Claim(payment(2), "fallback"),), NOW_MS - 500)]
    (found, _) = lease.intake.messages
    assert isinstance(found, FirstAmountsFound)
    assert [(one.correlation_id, one.amount_minor) for one in found.payments] == [(payment(1).correlation_id, 1990)]


def with_room(lease: Lease, room: int) -> Lease:
    """Let the router have room for so many payments, which rows that it is given take up."""

    def count(question: object) -> None:
        if isinstance(question, BeginAdoption):
            given = sum(len(message.claims) for message in lease.router.messages if isinstance(message, Adopt))
            lease.router.answers[BeginAdoption] = AdoptionRoom(max(0, room - given))

    lease.hook = count
    return lease


def test_rows_of_an_earlier_run_are_read_in_pages_and_no_more_of_them_than_the_router_has_room_for() -> None:
    tables = MemoryTables()
    write(tables, "1", [Claim(payment(number), "default") for number in range(10_000)])
    lease = with_room(Lease(tables), 2 * ADOPTED_AT_ONCE_MAX + 7).start()
    assert len(lease.read) == ADOPTED_AT_ONCE_MAX, "before the lease counts"
    lease.advance(ADOPT_S - BEAT_S)
    assert len(lease.read) == ADOPTED_AT_ONCE_MAX, "new payments come first"
    lease.advance(3 * ADOPT_S)
    pages = [len(message.claims) for message in lease.router.messages if isinstance(message, Adopt)]
    assert pages == [ADOPTED_AT_ONCE_MAX, ADOPTED_AT_ONCE_MAX, 7]


def test_rows_of_an_earlier_run_and_of_others_are_taken_up_at_one_pace() -> None:
    tables = left_by_replica_2(*range(50))
    write(tables, "1", [Claim(payment(number), "default") for number in range(100, 730)])
    lease = with_room(Lease(tables), 10_000).start()
    lease.advance(LEASE_S + 5 * ADOPT_S)
    pages = [len(message.claims) for message in lease.router.messages if isinstance(message, Adopt)]
    assert pages == [*[ADOPTED_AT_ONCE_MAX] * 6, 30, 50]


def test_rows_that_name_a_processor_with_its_share_keep_no_others_from_being_read_and_are_read_when_it_has_room() -> (
    None
):
    tables = MemoryTables()
    write(tables, "1", [Claim(payment(number), "default") for number in range(250)])
    write(tables, "1", [Claim(payment(number), None) for number in range(250, 270)])
    lease = Lease(tables).start()
    before_ms = lease.watermark_ms
    lease.router.answers[BeginAdoption] = AdoptionRoom(100, frozenset({"default"}))
    lease.advance(2 * ADOPT_S)
    assert [claim.processor for claim in lease.read] == ["default"] * 100 + [None] * 20
    assert lease.watermark_ms == before_ms, "the others may have been charged"
    lease.router.answers[BeginAdoption] = AdoptionRoom(100)
    lease.advance(3 * ADOPT_S)
    assert {claim.payment for claim in lease.read} == {payment(number) for number in range(270)}
    assert len(lease.read) == 270
    assert lease.watermark_ms > before_ms


def test_rows_that_there_was_no_room_for_are_read_again_and_hold_the_watermark_until_then() -> None:
    tables = MemoryTables()
    before = write(tables, "1", [Claim(payment(number), "default") for number in range(27)])
    before.beat(1, both(NOW_MS - 500), READING)
    lease = with_room(Lease(tables), 20).start()
    lease.advance(BEAT_S)
    assert lease.watermark_ms == NOW_MS - 500
    lease.advance(2 * LEASE_S)
    assert lease.watermark_ms == NOW_MS - 500
    with_room(lease, 27).advance(3 * ADOPT_S)
    read = [
        claim.payment for message in lease.router.messages if isinstance(message, Adopt) for claim in message.claims
    ]
    assert read == [payment(number) for number in range(27)], "those that are driven are still unsettled"
    assert lease.watermark_ms <= NOW_MS - 500, "the last page was full"
    with_room(lease, 28).advance(3 * ADOPT_S)
    assert lease.watermark_ms == lease.runtime.now_ms()


def test_the_beat_that_sees_another_replica_join_or_leave_tells_how_many_share_the_processors() -> None:
    lease = Lease().start()
    lease.advance(1)
    told = lease.processor.messages

    def shared_by() -> int:
        return [each for each in told if isinstance(each, LeaseRenewed)][-1].replicas

    assert shared_by() == 1
    other = write(lease.tables, "2", [])
    lease.advance(BEAT_S)
    assert shared_by() == 2
    lease.advance(LEASE_S - 2 * BEAT_S)
    assert shared_by() == 2, "it may still send"
    lease.advance(2 * BEAT_S)
    assert other.others()[0].name == "1"
    lease.advance(BEAT_S)
    assert shared_by() == 1


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
    lease.processor.answers[GetUnreported] = both(NOW_MS + 20)
    lease.router.answers[GetUncommitted] = both(NOW_MS + 10)
    lease.advance(BEAT_S)
    assert lease.watermark_ms == NOW_MS + 10


def test_what_was_answered_before_is_told_apart_from_what_is_under_way() -> None:
    lease = Lease().start()
    lease.processor.answers[GetUnreported] = Watermarks(NOW_MS - 2000, NOW_MS + 30)
    lease.router.answers[GetUncommitted] = Watermarks(NOW_MS - 1000, NOW_MS + 40)
    lease.advance(BEAT_S)
    assert (lease.watermark_ms, lease.answered_ms) == (NOW_MS - 2000, NOW_MS + 30)


def test_while_nothing_is_answered_and_not_committed_all_answers_until_now_are() -> None:
    lease = Lease().start()
    lease.router.answers[GetUncommitted] = Watermarks(NOW_MS - 2000, NEVER_MS)
    lease.advance(BEAT_S)
    assert (lease.watermark_ms, lease.answered_ms) == (NOW_MS - 2000, lease.runtime.now_ms())


def test_a_charge_that_ends_between_two_questions_is_not_missed() -> None:
    lease = Lease().start()

    def report(question: object) -> None:
        # What the processor's actor reports now reaches the router before the router is asked.
        if isinstance(question, GetUnreported):
            lease.router.answers[GetUncommitted] = both(NOW_MS + 5)

    lease.hook = report
    lease.advance(BEAT_S)
    assert lease.watermark_ms == NOW_MS + 5


@pytest.mark.parametrize("silent", ["router", "processor"])
def test_the_watermark_does_not_rise_while_nobody_can_tell(silent: str) -> None:
    lease = Lease().start()
    lease.advance(BEAT_S)
    before = lease.watermark_ms
    if silent == "router":
        lease.router.answers[GetUncommitted] = GatewayUnavailableError("planted")
    else:
        lease.processor.answers[GetUnreported] = GatewayUnavailableError("planted")
    lease.advance(BEAT_S)
    assert lease.watermark_ms == before


def test_while_postgres_is_away_the_lease_is_not_renewed_and_joining_is_tried_again() -> None:
    lease = Lease()
    lease.leases.failures = 1
    lease.start()
    assert lease.processor.messages == []
    lease.advance(BEAT_S)
    assert len(lease.processor.messages) == 1


def test_it_tells_for_how_long_the_lease_could_not_be_renewed_and_why() -> None:
    lease = Lease().start()
    assert lease.actor.on_receive(GetTrouble()) is None
    lease.leases.failures = 5
    lease.advance(5 * BEAT_S)
    assert lease.actor.on_receive(GetTrouble()) == "the lease is not renewed for 1 s: planted"
    lease.advance(BEAT_S)
    assert lease.actor.on_receive(GetTrouble()) is None


def test_it_tells_how_many_replicas_lived_when_postgres_last_told() -> None:
    lease = Lease(left_by_replica_2()).start()
    assert lease.actor.on_receive(GetLivingCount()) == 1
    MemoryLeases(lease.tables, MemoryFence("3")).register(0, READING)
    lease.advance(BEAT_S)
    assert lease.actor.on_receive(GetLivingCount()) == 2
    lease.leases.failures = 1
    lease.advance(BEAT_S)
    assert lease.actor.on_receive(GetLivingCount()) == 2


def test_a_name_that_another_process_took_ends_the_actor() -> None:
    lease = Lease().start()
    MemoryLeases(lease.tables, MemoryFence("1")).register(0, READING)
    lease.runtime.advance(BEAT_S)
    with pytest.raises(LeaseLostError):
        deliver(lease.actor)


def test_it_says_that_it_has_its_name_when_it_has_joined() -> None:
    lease = Lease()
    lease.leases.failures = 1
    lease.start()
    assert lease.names == []
    lease.advance(2 * BEAT_S)
    assert lease.names == [None]


def test_a_name_that_another_instance_took_first_ends_the_actor_and_nothing_is_burnt() -> None:
    lease = Lease()
    MemoryLeases(lease.tables, MemoryFence("1", instance=UUID(int=1))).register(0, READING)
    with pytest.raises(LeaseLostError):
        lease.start()
    assert (lease.names, lease.tables.leases["1"].epoch) == ([], 1)


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
    assert lease.told == []


def test_leaving_with_nothing_unsettled_holds_no_summary_open() -> None:
    lease = Lease().start()
    lease.leave()
    assert lease.watermark_ms == NEVER_MS
    lease.advance(10 * BEAT_S)
    assert lease.watermark_ms == NEVER_MS


def test_leaving_ends_the_lease_at_once() -> None:
    lease = Lease().start()
    lease.leave()
    assert lease.tables.leases["1"].has_left


def test_leaving_with_a_charge_unaccounted_for_keeps_its_stamp() -> None:
    lease = Lease().start()
    lease.router.answers[GetUncommitted] = both(NOW_MS + 3)
    lease.leave()
    assert lease.watermark_ms == NOW_MS + 3


def test_leaving_before_all_rows_of_an_earlier_run_are_read_holds_summaries_open_for_them() -> None:
    tables = MemoryTables()
    leases = write(tables, "1", [Claim(payment(number), "default") for number in range(1, ADOPTED_AT_ONCE_MAX + 2)])
    leases.beat(1, both(NOW_MS - 2000), READING)
    lease = Lease(tables).start()
    assert len(lease.read) == ADOPTED_AT_ONCE_MAX
    lease.leave()
    assert lease.watermark_ms == NOW_MS - 2000
    assert lease.tables.leases["1"].has_left


def test_leaving_before_it_has_joined_or_without_postgres_does_no_harm() -> None:
    lease = Lease()
    lease.leave()
    assert lease.tables.leases == {}
    lease = Lease().start()
    lease.leases.failures = 1
    lease.leave()
    assert not lease.tables.leases["1"].has_left


# What replicas that are gone have left.


def test_payments_of_a_replica_that_is_gone_are_adopted_with_its_watermark() -> None:
    lease = Lease(left_by_replica_2(1, 2)).start()
    lease.advance(LEASE_S + BEAT_S)
    assert lease.told == [Adopt((Claim(payment(1), "fallback"), Claim(payment(2), "fallback")), NOW_MS - 40)]
    lease.advance(LEASE_S)
    assert len(lease.told) == 1


def test_it_looks_for_what_others_have_left_once_a_second() -> None:
    lease = Lease(left_by_replica_2(1, 2, 3)).start()
    lease.router.answers[BeginAdoption] = AdoptionRoom(1)
    lease.advance(LEASE_S)
    assert len(lease.told) == 1
    lease.advance(ADOPT_S - BEAT_S)
    assert len(lease.told) == 1
    lease.advance(BEAT_S)
    assert len(lease.told) == 2


def test_after_postgres_was_away_others_get_the_time_to_renew_before_anything_is_adopted() -> None:
    lease = Lease(left_by_replica_2(1)).start()
    lease.advance(LEASE_S - BEAT_S)
    lease.leases.failures = 1
    lease.advance(LEASE_S)
    assert lease.told == []
    lease.advance(2 * BEAT_S)
    assert len(lease.told) == 1


def test_rows_whose_adoption_was_not_answered_are_found_by_joining_again() -> None:
    lease = Lease(left_by_replica_2(1)).start()
    lease.leases.lost_answers = 1
    lease.advance(2 * LEASE_S)
    assert lease.leases.lost_answers == 0
    assert lease.told == [Adopt((Claim(payment(1), "fallback"),), NOW_MS - 40)]


def test_after_an_adoption_the_watermark_stays_low_also_while_nobody_can_tell() -> None:
    lease = Lease(left_by_replica_2(1)).start()
    lease.advance(LEASE_S)
    lease.router.answers[GetUncommitted] = GatewayUnavailableError("planted")
    lease.advance(2 * BEAT_S)
    assert [owned.owner for owned in lease.tables.claims.values()] == ["1"]
    assert lease.watermark_ms <= NOW_MS - 40


@pytest.mark.parametrize("owner", ["1", "2"])
def test_no_row_is_read_before_the_router_has_begun_to_remember_what_ends(owner: str) -> None:
    tables = left_by_replica_2(1) if owner == "2" else MemoryTables()
    if owner == "1":
        write(tables, "1", [Claim(payment(1), "default")])
    lease = Lease(tables)

    def settle(question: object) -> None:
        if isinstance(question, BeginAdoption):
            tables.claims.clear()

    lease.hook = settle
    lease.start().advance(2 * LEASE_S)
    assert lease.read == []


def test_the_router_hears_of_the_end_of_each_search_also_where_postgres_does_not_answer() -> None:
    lease = Lease(left_by_replica_2(1))
    begun: list[int] = []

    def count(question: object) -> None:
        if isinstance(question, BeginAdoption):
            begun.append(len(lease.router.messages))

    lease.hook = count
    lease.start().advance(LEASE_S - BEAT_S)
    lease.leases.lost_answers = 1
    lease.advance(2 * ADOPT_S)
    told = [lease.router.messages[one:other] for one, other in zip(begun, [*begun[1:], None], strict=True)]
    assert {type(messages[-1]) for messages in told} == {EndAdoption}
    assert [[type(each) for each in messages] for messages in told].count([Adopt, EndAdoption]) == 1


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


# Other replicas: who lives, and whether the clocks agree.


class Peer:
    """Replica 2, which beats by itself from the beginning."""

    def __init__(self, lease: Lease, ahead_ms: int = 0) -> None:
        self.runtime, self.ahead_ms, self.is_alive = lease.runtime, ahead_ms, True
        self.leases = MemoryLeases(lease.tables, MemoryFence("2"))
        self.epoch = self.leases.register(0, self.reading).epoch
        self.beat()

    @property
    def reading(self) -> ClockReading:
        now_ms = NOW_MS + round((self.runtime.now_s() - 1000) * 1000) + self.ahead_ms
        return ClockReading(now_ms, now_ms)

    def beat(self) -> None:
        if self.is_alive:
            self.leases.beat(self.epoch, both(self.reading.clock_ms), self.reading)
            self.runtime.call_later(BEAT_S, self.beat)


def is_joined(lease: Lease) -> bool:
    return lease.processor.messages != []


def test_a_replica_whose_clock_agrees_with_another_joins_at_once() -> None:
    lease = Lease()
    Peer(lease, ahead_ms=-900)
    assert is_joined(lease.start())


@pytest.mark.parametrize("ahead_ms", [3_000, -3_000, 3_600_000])
def test_a_replica_whose_clock_differs_from_those_that_live_joins_when_it_is_right(ahead_ms: int) -> None:
    lease = Lease()
    Peer(lease)
    lease.runtime.clock_ahead_ms = ahead_ms
    lease.start().advance(10 * LEASE_S)
    assert (is_joined(lease), lease.runtime.clock.is_skewed) == (False, True)
    assert lease.names == [None], "it accepts what others charge"
    lease.runtime.clock_ahead_ms = 0
    lease.advance(BEAT_S)
    assert is_joined(lease)
    assert lease.runtime.clock.trouble is None


def test_a_replica_that_does_not_join_leaves_what_is_under_its_name_to_others() -> None:
    lease = Lease()
    write(lease.tables, "1", [Claim(payment(1), "default")])
    peer = Peer(lease)
    lease.runtime.clock_ahead_ms = -3_000
    lease.start().advance(2.0)
    assert lease.tables.leases["1"].has_left
    adopted = peer.leases.adopt(100)
    assert adopted is not None
    assert adopted.claims == (Claim(payment(1), "default"),)


@pytest.mark.parametrize("ahead_ms", [3_600_000, 0, -10_000])
def test_the_clocks_of_the_dead_keep_nobody_from_joining(ahead_ms: int) -> None:
    lease = Lease()
    Peer(lease, ahead_ms).is_alive = False
    lease.start().advance(CLOCKS_S)
    assert is_joined(lease)


@pytest.mark.parametrize("publisher", ["1", "2"])
@pytest.mark.parametrize("has_retired", [True, False])
def test_who_joins_stamps_no_charge_below_what_was_ever_published(publisher: str, *, has_retired: bool) -> None:
    lease = Lease()
    leases = MemoryLeases(lease.tables, MemoryFence(publisher))
    epoch = leases.register(0, READING).epoch
    leases.beat(epoch, both(NOW_MS + 5_000), ClockReading(NOW_MS + 5_000, NOW_MS + 5_000))
    if has_retired:
        leases.retire(epoch, NOTHING_MISSING)
    lease.start().advance(CLOCKS_S)
    assert is_joined(lease)
    assert lease.runtime.now_ms() == NOW_MS + 5_000
    lease.advance(6.0)
    assert lease.runtime.now_ms() == NOW_MS + 6_000 + round(CLOCKS_S * 1000)


def test_a_replica_that_stands_still_loses_its_lease_also_where_it_has_left_nothing() -> None:
    lease = Lease()
    peer = Peer(lease)
    lease.start().advance(3 * LEASE_S)
    assert not lease.tables.leases["2"].has_left
    peer.is_alive = False
    lease.advance(LEASE_S - BEAT_S)
    assert not lease.tables.leases["2"].has_left
    lease.advance(2 * BEAT_S)
    assert lease.tables.leases["2"].has_left
    assert not peer.leases.beat(peer.epoch, both(NOW_MS), READING).renewed


def test_after_postgres_was_away_others_keep_their_leases_until_they_could_beat() -> None:
    lease = Lease()
    peer = Peer(lease)
    lease.start().advance(LEASE_S)
    peer.is_alive = False
    lease.leases.failures = round(LEASE_S / BEAT_S)
    lease.advance(LEASE_S + 2 * BEAT_S)
    assert lease.leases.failures == 0
    assert not lease.tables.leases["2"].has_left
    lease.advance(LEASE_S)
    assert lease.tables.leases["2"].has_left


def test_a_step_of_the_systems_clock_is_told_once_and_gets_into_no_watermark(caplog: pytest.LogCaptureFixture) -> None:
    lease = Lease().start()
    lease.runtime.clock_ahead_ms = 3_600_000
    lease.advance(10.0)
    assert lease.watermark_ms == NOW_MS + 10_000
    lease.runtime.clock_ahead_ms = 0
    lease.advance(10.0)
    assert lease.watermark_ms == NOW_MS + 20_000
    lease.advance(QUIET_S)
    assert lines(caplog, "outage", "reason") == [
        ("clocks disagree", "began", "the system's clock has stepped and is 3600.0 s ahead"),
        ("clocks disagree", "ended", None),
    ]


def test_the_lease_is_renewed_until_a_purge_has_stopped_the_actors() -> None:
    lease = Lease().start()
    lease.tables.generation += 1
    beats = lease.tables.leases["1"].beats
    lease.advance(2 * LEASE_S)
    assert lease.tables.leases["1"].beats - beats == round(2 * LEASE_S / BEAT_S)
    assert lease.processor.messages[-1] == LeaseRenewed(lease.runtime.now_s() + LEASE_S)


# A Postgres that forgets.


def test_the_router_is_told_of_a_postgres_that_may_have_forgotten_before_this_replica_joins_it() -> None:
    lease = Lease()
    earlier = lease.tables.copy()
    lease.start()
    lease.tables.forget(earlier)
    joined: list[bool] = []

    class Router(Recorder):
        def tell(self, message: object) -> None:
            joined.append("1" in lease.tables.leases)
            super().tell(message)

    lease.actor._router = router = Router(lease.router.answers)  # noqa: SLF001  # it was given at the start
    lease.advance(BEAT_S)
    assert (router.messages, joined) == ([StoreChanged()], [False])
    assert lease.tables.leases["1"].epoch == 1
    lease.advance(BEAT_S)
    assert router.messages == [StoreChanged()]
    assert lease.processor.messages[-1] == LeaseRenewed(lease.runtime.now_s() + LEASE_S)


def test_the_intake_has_given_what_had_rows_when_the_router_is_told_to_doubt_them() -> None:
    lease = Lease().start()
    told: list[object] = []
    lease.hook = lambda question: told.extend([question, *lease.told])
    lease.tables.forget(lease.tables.copy())
    lease.advance(BEAT_S)
    assert told[0] == RowsDoubted()
    assert StoreChanged() not in told[: told.index(RowsDoubted()) + 1]
    assert lease.told == [StoreChanged()]


def test_the_numbers_of_the_feed_begin_anew_once_with_the_next_registration() -> None:
    lease = Lease().start()
    assert lease.leases.renumbered == 0
    lease.tables.forget(lease.tables.copy())
    lease.advance(BEAT_S)
    assert lease.leases.renumbered == 1
    lease.advance(LEASE_S)
    assert lease.leases.renumbered == 1


def test_they_begin_anew_also_where_the_first_try_to_register_fails() -> None:
    lease = Lease().start()
    lease.tables.forget(lease.tables.copy())
    identity = lease.leases.identity

    def identify_and_fail() -> StoreIdentity:
        found = identity()
        lease.leases.failures, lease.leases.identity = 1, identity  # type: ignore[method-assign]  # once
        return found

    lease.leases.identity = identify_and_fail  # type: ignore[method-assign]  # the next call after it fails
    lease.advance(BEAT_S)
    assert lease.leases.renumbered == 0
    lease.advance(2 * BEAT_S)
    assert lease.leases.renumbered == 1


@pytest.mark.parametrize("joins_before", [0, 3])
def test_an_epoch_that_went_back_with_postgres_does_not_end_the_actor(joins_before: int) -> None:
    tables = MemoryTables()
    for _ in range(joins_before):
        write(tables, "1", [])
    earlier = tables.copy()
    lease = Lease(tables).start()
    tables.forget(earlier)
    lease.advance(2 * BEAT_S)
    assert tables.leases["1"].epoch == joins_before + 1
    assert lease.actor.on_receive(GetTrouble()) is None
    assert "may have forgotten" in str(lease.actor.on_receive(GetForgotten()))


def fail_over(lease: Lease) -> None:
    """Let a standby take over that has all."""
    lease.tables.fail_over()


def test_after_a_failover_that_lost_nothing_the_router_is_told_of_nothing_and_the_replica_joins_again() -> None:
    tables = MemoryTables(is_synchronous=True)
    lease = Lease(tables).start()
    lease.advance(BEAT_S)
    fail_over(lease)
    lease.advance(2 * BEAT_S)
    assert lease.told == []
    assert tables.leases["1"].epoch == 2
    assert lease.processor.messages[-1] == LeaseRenewed(lease.runtime.now_s() + LEASE_S)
    assert [lease.actor.on_receive(question) for question in (GetTrouble(), GetForgotten())] == [None, None]


def test_nothing_is_leased_before_another_replica_has_looked_for_what_it_was_told_of() -> None:
    tables = MemoryTables(is_synchronous=True)
    other = MemoryLeases(tables, MemoryFence("2"))
    other.register(0, READING)
    lease = Lease(tables).start()
    lease.advance(BEAT_S)
    fail_over(lease)
    renewals = len(lease.processor.messages)
    lease.advance(4 * BEAT_S)
    assert len(lease.processor.messages) == renewals
    other.confirm(other.identity())
    lease.advance(2 * BEAT_S)
    assert lease.processor.messages[-1] == LeaseRenewed(lease.runtime.now_s() + LEASE_S, replicas=2)
    assert lease.told == []


def test_the_next_process_notices_that_postgres_forgot_while_there_was_none() -> None:
    lease = Lease().start()
    lease.tables.forget(lease.tables.copy())
    successor = Lease(lease.tables, memory=lease.memory).start()
    assert successor.told == [StoreChanged()]


def test_a_process_that_begins_after_postgres_forgot_is_told_as_well() -> None:
    lease = Lease().start()
    lease.tables.forget(lease.tables.copy())
    lease.advance(2 * BEAT_S)
    successor = Lease(lease.tables, memory=lease.memory).start()
    successor.advance(2 * BEAT_S)
    assert successor.told == [StoreChanged()]


def test_after_postgres_forgot_others_get_the_time_to_join_before_anything_is_adopted() -> None:
    lease = Lease(left_by_replica_2(1)).start()
    lease.advance(LEASE_S - BEAT_S)
    lease.tables.forget(lease.tables.copy())
    lease.advance(LEASE_S)
    assert lease.told == [StoreChanged()]
    lease.advance(2 * BEAT_S)
    assert [type(message) for message in lease.told] == [StoreChanged, Adopt]


def test_a_purge_that_postgres_forgot_is_followed_and_the_replica_joins_when_it_is_repeated() -> None:
    tables = MemoryTables()
    tables.generation = 4
    lease = Lease(tables, generation=5).start()
    lease.runtime.run_spawned()
    assert (lease.purges, lease.processor.messages) == ([None], [])
    tables.generation = 5
    lease.advance(BEAT_S)
    assert lease.processor.messages == [LeaseRenewed(lease.runtime.now_s() + LEASE_S)]


# What operators have found out.


def test_what_operators_have_found_out_is_answered_while_the_replica_has_its_lease() -> None:
    lease = Lease()
    lease.router.answers[Resolve] = ResolutionAnswer.MAY_SETTLE
    number = lease.resolutions.ask(Finding(payment(1).correlation_id, None, None), "an operator", NOW_MS)
    lease.leases.failures = 1000
    lease.start().advance(LEASE_S)
    assert lease.resolutions.answer_to(number) is None
    lease.leases.failures = 0
    lease.advance(LEASE_S + ADOPT_S + BEAT_S)
    assert lease.resolutions.answer_to(number) is ResolutionAnswer.MAY_SETTLE


def test_a_payment_that_was_taken_up_again_for_it_is_driven_also_where_the_router_did_not_answer() -> None:
    lease = Lease().start()
    payments = MemoryPayments(lease.tables, lease.leases.fence)
    payments.write([], [], [], [Closing(payment(1), EndState.DECLINED, "default", 1, NOW_MS)])
    lease.resolutions.ask(Finding(payment(1).correlation_id, None, None), "an operator", NOW_MS)
    lease.router.answers[Resolve] = GatewayUnavailableError("planted")
    lease.advance(LEASE_S + ADOPT_S + BEAT_S)
    (adopt,) = [message for message in lease.router.messages if isinstance(message, Adopt)]
    assert adopt.claims == (Claim(payment(1), "default", 1),)
