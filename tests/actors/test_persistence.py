from collections.abc import Sequence
from uuid import UUID

from pykka._envelope import Envelope

from actors.domain.batching import BatchLimits
from actors.domain.payment import Claim, Move, Payment, Settlement
from actors.errors import LedgerUnavailableError
from actors.messages.intake import FirstAmountsFound, Recorded
from actors.messages.persistence import GetUnwritten, PersistenceMessage, Write
from actors.messages.router import Adopt, Written
from actors.persistence import COMMIT_BACKOFF, PersistenceActor
from tests.actors.fakes import NOW_MS, Recorder, VirtualRuntime, deliver, payment
from tests.actors.fakes_storage import MemoryFence, MemoryLeases, MemoryPayments, MemoryTables

LIMITS = BatchLimits(items_max=100)


def store_of(replica: str, tables: MemoryTables) -> MemoryPayments:
    """Make the store of a replica that has a lease."""
    fence = MemoryFence(replica)
    MemoryLeases(tables, fence).register(0, lease_s=60)
    return MemoryPayments(tables, fence)


class Persistence:
    """A persistence actor that is not started, with what stands around it."""

    def __init__(self, tables: MemoryTables | None = None, store: MemoryPayments | None = None) -> None:
        self.store = store or store_of("1", tables or MemoryTables())
        self.intake, self.router, self.runtime = Recorder(), Recorder(), VirtualRuntime()
        self.actor = PersistenceActor(
            payments=self.store,
            intake=self.intake,
            router=self.router,
            runtime=self.runtime,
            limits=LIMITS,
            replica="1",
        )

    @property
    def rows(self) -> dict[UUID, tuple[str, str]]:
        """Owner and processor of each unsettled row."""
        return {key: (owned.owner, owned.claim.processor) for key, owned in self.store.tables.claims.items()}

    def refused_cents(self, number: int) -> tuple[int, ...]:
        """Give the other amounts that were reported under an id."""
        record = self.store.payment(UUID(int=number))
        return record.conflicting_amounts_cents if record else ()

    def tell(self, message: PersistenceMessage) -> None:
        self.actor.actor_inbox.put(Envelope(message))
        deliver(self.actor)

    def write(
        self, claims: tuple[Claim, ...] = (), moves: tuple[Move, ...] = (), settlements: tuple[Settlement, ...] = ()
    ) -> None:
        self.tell(Write(claims, moves, settlements))

    def advance(self, seconds: float) -> None:
        self.runtime.advance(seconds)
        deliver(self.actor)

    def busy(self) -> "Persistence":
        """Let a batch be written just now, so that the next one has to wait."""
        self.write(settlements=(settlement(999),))
        self.store.writes.clear()
        self.router.take()
        return self

    def unwritten(self) -> object:
        return self.actor.on_receive(GetUnwritten())


def claims(*numbers: int, amount_cents: int = 1990) -> tuple[Claim, ...]:
    return tuple(Claim(payment(number, amount_cents), "default") for number in numbers)


def ids(*numbers: int) -> tuple[UUID, ...]:
    return tuple(UUID(int=number) for number in numbers)


def settlement(number: int) -> Settlement:
    return Settlement(UUID(int=number), "default", NOW_MS, attempts=1)


def written(claimed: tuple[UUID, ...] = (), moved: tuple[UUID, ...] = (), settled: tuple[UUID, ...] = ()) -> Written:
    return Written(claimed, claims_rejected=(), moved=moved, moves_rejected=(), settled=settled)


def test_the_first_item_after_a_pause_is_written_at_once() -> None:
    persistence = Persistence()
    persistence.write(claims(1))
    assert persistence.store.writes == [(1, 0, 0)]
    persistence.advance(1.0)
    persistence.write(claims(2))
    assert persistence.store.writes == [(1, 0, 0), (1, 0, 0)]


def test_the_items_that_follow_are_gathered_for_ten_milliseconds() -> None:
    persistence = Persistence().busy()
    persistence.write(claims(1))
    persistence.advance(0.009)
    persistence.write(claims(2))
    assert persistence.store.writes == []
    persistence.advance(0.001)
    assert persistence.store.writes == [(2, 0, 0)]


def test_where_items_are_many_batches_are_further_apart() -> None:
    persistence = Persistence()
    for number in range(200):
        persistence.write(claims(number))
        persistence.advance(0.010)
    persistence.store.writes.clear()
    for number in range(200, 300):
        persistence.write(claims(number))
        persistence.advance(0.010)
    assert persistence.store.writes == [(round(LIMITS.spacing_s_max / 0.010), 0, 0)] * 20


def test_a_full_batch_is_written_at_once() -> None:
    persistence = Persistence()
    persistence.write(claims(*range(250)))
    assert persistence.store.writes == [(100, 0, 0), (100, 0, 0)]
    persistence.advance(0.010)
    assert persistence.store.writes == [(100, 0, 0), (100, 0, 0), (50, 0, 0)]


def test_router_and_intake_learn_of_new_rows_after_the_commit() -> None:
    persistence = Persistence().busy()
    persistence.write(claims(1, 2))
    assert (persistence.router.messages, persistence.intake.messages) == ([], [])
    persistence.advance(0.010)
    assert persistence.router.messages == [written(claimed=ids(1, 2))]
    assert persistence.intake.messages == [Recorded(ids(1, 2))]


def test_settlements_and_moves_share_a_batch_with_new_rows() -> None:
    persistence = Persistence()
    persistence.write(claims(1, 2))
    persistence.router.take()
    persistence.write(settlements=(settlement(1),))
    persistence.write(moves=(Move(UUID(int=2), "fallback", attempts=3),))
    persistence.write(claims(3))
    persistence.advance(0.010)
    assert persistence.store.writes[-1] == (1, 1, 1)
    assert persistence.router.messages == [written(claimed=ids(3), moved=ids(2), settled=ids(1))]
    assert persistence.rows == {UUID(int=2): ("1", "fallback"), UUID(int=3): ("1", "default")}


def test_the_intake_hears_nothing_of_a_batch_without_new_rows() -> None:
    persistence = Persistence()
    persistence.write(settlements=(settlement(9),))
    persistence.advance(0.010)
    assert persistence.intake.messages == []


def test_a_full_batch_holds_settlements_before_moves_before_claims() -> None:
    persistence = Persistence()
    moves = tuple(Move(UUID(int=number), "fallback", attempts=1) for number in range(30))
    persistence.write(claims(*range(100, 160)), moves, tuple(settlement(number) for number in range(50, 70)))
    assert persistence.store.writes == [(50, 30, 20)]


def test_a_failed_batch_is_tried_again_whole_after_a_growing_pause() -> None:
    persistence = Persistence()
    persistence.store.failures = 3
    persistence.write(claims(1), settlements=(settlement(9),))
    assert persistence.store.failures == 2
    persistence.advance(0.020)
    assert persistence.store.failures == 1
    persistence.advance(0.040)
    assert persistence.store.failures == 0
    assert persistence.unwritten() == 2
    persistence.advance(0.080)
    assert persistence.store.writes == [(1, 0, 1)]
    assert persistence.unwritten() == 0


def test_the_pause_between_attempts_has_a_bound() -> None:
    persistence = Persistence()
    persistence.store.failures = 100
    persistence.write(claims(1))
    for _ in range(100):
        persistence.advance(COMMIT_BACKOFF.longest_s)
    assert persistence.store.failures == 0
    persistence.advance(COMMIT_BACKOFF.longest_s)
    assert persistence.unwritten() == 0


def test_while_postgres_is_away_messages_gather_and_none_is_written_out_of_turn() -> None:
    persistence = Persistence()
    persistence.store.failures = 1
    persistence.write(claims(*range(100)))
    persistence.write(claims(*range(100, 300)))
    assert persistence.store.writes == []
    persistence.advance(0.020)
    persistence.advance(0.010)
    assert list(persistence.rows) == list(ids(*range(300)))


def test_a_batch_whose_commit_was_not_answered_is_found_again_and_counts_as_perhaps_charged() -> None:
    persistence = Persistence()
    persistence.store.lost_answers = 1
    persistence.write(claims(1))
    persistence.advance(0.010)
    assert persistence.router.messages == []
    persistence.advance(0.020)
    assert persistence.router.messages == [Adopt(claims(1), oldest_stamp_ms=0), written()]
    assert persistence.intake.messages == [Recorded(ids(1))]


def test_a_payment_whose_row_another_replica_has_is_rejected() -> None:
    tables = MemoryTables()
    store_of("2", tables).write(claims(1), (), ())
    persistence = Persistence(tables)
    persistence.write(claims(1, 2))
    persistence.advance(0.010)
    assert persistence.router.messages == [Written(ids(2), (payment(1),), (), (), ())]
    assert persistence.intake.messages == [Recorded(ids(1, 2))]


def test_a_payment_that_is_settled_already_is_rejected() -> None:
    persistence = Persistence()
    persistence.store.write(claims(1), (), ())
    persistence.store.write((), (), (settlement(1),))
    persistence.write(claims(1))
    persistence.advance(0.010)
    assert persistence.router.messages == [Written((), (payment(1),), (), (), ())]
    assert persistence.refused_cents(1) == ()


def test_a_row_of_this_replica_from_before_an_interruption_counts_as_perhaps_charged() -> None:
    persistence = Persistence()
    persistence.store.write([Claim(payment(1), "fallback")], (), ())
    persistence.write(claims(1))
    persistence.advance(0.010)
    assert persistence.router.messages == [Adopt((Claim(payment(1), "fallback"),), oldest_stamp_ms=0), written()]


def test_another_amount_under_a_known_id_is_reported_and_never_charged() -> None:
    persistence = Persistence()
    persistence.store.write(claims(1), (), ())
    persistence.write(claims(1, amount_cents=5))
    persistence.advance(0.010)
    assert persistence.router.messages == [Written((), (payment(1, 5),), (), (), ())]
    assert FirstAmountsFound((payment(1),)) in persistence.intake.messages
    assert persistence.refused_cents(1) == (5,)
    assert persistence.store.tables.payments[UUID(int=1)].amount_cents == 1990


class RefusesReports(MemoryPayments):
    """Answers everything but reports of conflicts."""

    def report_conflicts(self, payments: Sequence[Payment]) -> None:
        raise LedgerUnavailableError(f"planted: {len(payments)} are not reported")


def test_another_amount_that_cannot_be_reported_is_rejected_all_the_same() -> None:
    tables = MemoryTables()
    persistence = Persistence(store=RefusesReports(tables, store_of("1", tables).fence))
    persistence.store.write(claims(1), (), ())
    persistence.write(claims(1, amount_cents=5))
    persistence.advance(0.010)
    assert persistence.router.messages == [Written((), (payment(1, 5),), (), (), ())]
    assert persistence.refused_cents(1) == ()


def test_an_id_stands_once_in_a_batch_so_that_a_second_amount_is_found_out() -> None:
    persistence = Persistence()
    persistence.write((*claims(1, 2), *claims(1, amount_cents=5)))
    persistence.advance(0.010)
    persistence.advance(0.010)
    assert persistence.store.writes == [(2, 0, 0), (1, 0, 0)]
    assert persistence.refused_cents(1) == (5,)


def test_an_id_that_waits_behind_its_first_claim_keeps_its_place_before_later_ones() -> None:
    persistence = Persistence()
    persistence.write((*claims(1), *claims(1, amount_cents=5), *claims(*range(2, 151))))
    assert persistence.store.writes == [(100, 0, 0)]
    persistence.advance(0.010)
    assert persistence.store.writes == [(100, 0, 0), (51, 0, 0)]
    assert list(persistence.rows) == list(ids(*range(1, 151)))


def test_a_move_of_a_row_that_others_have_taken_is_given_up() -> None:
    tables = MemoryTables()
    store_of("2", tables).write(claims(1), (), ())
    persistence = Persistence(tables)
    persistence.write(moves=(Move(UUID(int=1), "fallback", attempts=1),))
    persistence.advance(0.010)
    assert persistence.router.messages == [Written((), (), (), ids(1), ())]
    assert persistence.rows == {UUID(int=1): ("2", "default")}


def test_what_waits_is_written_when_the_actor_stops() -> None:
    persistence = Persistence().busy()
    persistence.write(claims(1))
    persistence.actor.on_stop()
    assert persistence.store.writes == [(1, 0, 0)]


def test_a_write_that_fails_when_the_actor_stops_is_left_to_the_journal() -> None:
    persistence = Persistence().busy()
    persistence.write(claims(1))
    persistence.store.failures = 1
    persistence.actor.on_stop()
    assert (persistence.store.writes, persistence.intake.messages) == ([], [])
