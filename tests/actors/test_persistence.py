from uuid import UUID

from actors.domain.batching import BatchLimits
from actors.domain.messages import (
    Adopt,
    Assign,
    Assigned,
    Backlog,
    Claim,
    Committed,
    Disowned,
    Known,
    Move,
    Moved,
    MoveRefused,
    Settle,
    Settled,
)
from actors.domain.payment import Settlement
from actors.persistence import PersistenceActor
from tests.actors.fakes import NOW_MS, MemoryLedger, Recorder, VirtualRuntime, deliver, payment


class Persistence:
    """A persistence actor that is not started, with what stands around it."""

    def __init__(self, ledger: MemoryLedger | None = None) -> None:
        self.ledger = ledger or MemoryLedger()
        self.intake, self.router, self.runtime = Recorder(), Recorder(), VirtualRuntime()
        self.actor = PersistenceActor(
            ledger=self.ledger,
            intake=self.intake,
            router=self.router,
            runtime=self.runtime,
            limits=BatchLimits(items_max=100, wait_s_max=0.010),
            replica=self.ledger.replica,
        )

    def advance(self, seconds: float) -> None:
        self.runtime.advance(seconds)
        deliver(self.actor)


def claims(*numbers: int, amount_cents: int = 1990) -> tuple[Claim, ...]:
    return tuple(Claim(payment(number, amount_cents), "default") for number in numbers)


def ids(*numbers: int) -> tuple[UUID, ...]:
    return tuple(UUID(int=number) for number in numbers)


def settlement(number: int) -> Settlement:
    return Settlement(UUID(int=number), "default", NOW_MS, attempts=1)


def test_a_batch_waits_ten_milliseconds_for_others() -> None:
    persistence = Persistence()
    persistence.actor.on_receive(Assign(claims(1)))
    persistence.advance(0.009)
    persistence.actor.on_receive(Assign(claims(2)))
    assert persistence.ledger.writes == []
    persistence.advance(0.001)
    assert persistence.ledger.writes == [(2, 0, 0)]


def test_a_hundred_items_are_written_at_once() -> None:
    persistence = Persistence()
    persistence.actor.on_receive(Assign(claims(*range(250))))
    assert persistence.ledger.writes == [(100, 0, 0), (100, 0, 0)]
    persistence.advance(0.010)
    assert persistence.ledger.writes == [(100, 0, 0), (100, 0, 0), (50, 0, 0)]


def test_router_and_intake_learn_of_new_rows_after_the_commit() -> None:
    persistence = Persistence()
    persistence.actor.on_receive(Assign(claims(1, 2)))
    assert (persistence.router.messages, persistence.intake.messages) == ([], [])
    persistence.advance(0.010)
    assert persistence.router.messages == [Assigned(ids(1, 2))]
    assert persistence.intake.messages == [Committed(ids(1, 2))]


def test_settlements_and_moves_share_a_batch_with_new_rows() -> None:
    persistence = Persistence()
    persistence.actor.on_receive(Assign(claims(1, 2)))
    persistence.advance(0.010)
    persistence.router.take()
    persistence.actor.on_receive(Settle(settlement(1)))
    persistence.actor.on_receive(Move(UUID(int=2), "fallback", attempts=3))
    persistence.actor.on_receive(Assign(claims(3)))
    persistence.advance(0.010)
    assert persistence.ledger.writes[-1] == (1, 1, 1)
    assert persistence.router.messages == [Assigned(ids(3)), Moved(ids(2)), Settled(ids(1))]
    assert persistence.ledger.tables.claims == {UUID(int=2): ("1", "fallback"), UUID(int=3): ("1", "default")}


def test_a_failed_batch_is_tried_again_whole_after_a_growing_pause() -> None:
    persistence = Persistence()
    persistence.ledger.failures = 3
    persistence.actor.on_receive(Assign(claims(1)))
    persistence.actor.on_receive(Settle(settlement(9)))
    persistence.advance(0.010)
    assert persistence.ledger.failures == 2
    persistence.advance(0.020)
    assert persistence.ledger.failures == 1
    persistence.advance(0.040)
    assert persistence.ledger.failures == 0
    assert persistence.actor.on_receive(Backlog()) == 2
    persistence.advance(0.080)
    assert persistence.ledger.writes == [(1, 0, 1)]
    assert persistence.actor.on_receive(Backlog()) == 0


def test_while_postgres_is_away_messages_gather_and_none_is_written_out_of_turn() -> None:
    persistence = Persistence()
    persistence.ledger.failures = 1
    persistence.actor.on_receive(Assign(claims(*range(100))))
    persistence.actor.on_receive(Assign(claims(*range(100, 300))))
    assert persistence.ledger.writes == []
    persistence.advance(0.020)
    persistence.advance(0.010)
    assert sum(batch[0] for batch in persistence.ledger.writes) == 300


def test_a_payment_that_another_replica_has_is_disowned() -> None:
    other = Persistence(MemoryLedger("2"))
    other.ledger.write(claims(1), (), ())
    persistence = Persistence(MemoryLedger("1", other.ledger.tables))
    persistence.actor.on_receive(Assign(claims(1, 2)))
    persistence.advance(0.010)
    assert persistence.router.messages == [Assigned(ids(2)), Disowned((payment(1),))]
    assert persistence.intake.messages == [Committed(ids(1, 2)), Settled(ids(1))]


def test_a_row_of_this_replica_from_before_an_interruption_counts_as_perhaps_charged() -> None:
    persistence = Persistence()
    persistence.ledger.write([Claim(payment(1), "fallback")], (), ())
    persistence.actor.on_receive(Assign(claims(1)))
    persistence.advance(0.010)
    assert persistence.router.messages == [Adopt((Claim(payment(1), "fallback"),), oldest_stamp_ms=0)]


def test_another_amount_under_a_known_id_is_reported_and_never_charged() -> None:
    persistence = Persistence()
    persistence.ledger.write(claims(1), (), ())
    persistence.actor.on_receive(Assign(claims(1, amount_cents=5)))
    persistence.advance(0.010)
    assert persistence.router.messages == [Disowned((payment(1, 5),))]
    assert Known((payment(1),), certain=True) in persistence.intake.messages
    assert persistence.ledger.tables.conflicts == {UUID(int=1): [5]}
    assert persistence.ledger.tables.payments[UUID(int=1)].amount_cents == 1990


def test_a_move_of_a_row_that_others_have_taken_is_given_up() -> None:
    persistence = Persistence()
    persistence.ledger.tables.claims[UUID(int=1)] = ("2", "default")
    persistence.actor.on_receive(Move(UUID(int=1), "fallback", attempts=1))
    persistence.advance(0.010)
    assert persistence.router.messages == [MoveRefused(ids(1))]
    assert persistence.ledger.tables.claims == {UUID(int=1): ("2", "default")}


def test_what_waits_is_written_when_the_actor_stops() -> None:
    persistence = Persistence()
    persistence.actor.on_receive(Assign(claims(1)))
    persistence.actor.on_stop()
    assert persistence.ledger.writes == [(1, 0, 0)]


def test_an_id_stands_once_in_a_batch_so_that_a_second_amount_is_found_out() -> None:
    persistence = Persistence()
    persistence.actor.on_receive(Assign((*claims(1, 2), *claims(1, amount_cents=5))))
    persistence.advance(0.010)
    persistence.advance(0.010)
    assert persistence.ledger.writes == [(2, 0, 0), (1, 0, 0)]
    assert persistence.ledger.tables.conflicts == {UUID(int=1): [5]}
