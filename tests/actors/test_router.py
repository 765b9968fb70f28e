from decimal import Decimal
from uuid import UUID

from actors.domain.breaker import BreakerState
from actors.domain.messages import (
    Adopt,
    Assign,
    Assigned,
    AvailabilityChanged,
    Census,
    Charge,
    ChargeEnded,
    Claim,
    Count,
    Describe,
    Disowned,
    LookedUp,
    LookUp,
    Move,
    Moved,
    MoveRefused,
    OldestStamp,
    PaymentProgress,
    Returned,
    Route,
    Settle,
    Settled,
)
from actors.domain.outcome import Outcome
from actors.domain.payment import Settlement
from actors.domain.processors import Processor
from actors.router import RetryLimits, RouterActor
from tests.actors.fakes import NOW_MS, Recorder, VirtualRuntime, deliver, payment

ONE = UUID(int=1)
HORIZON_S = 30.0


class Router:
    """A router that is not started, with two processors of which the dearer is listed first."""

    def __init__(self) -> None:
        self.default, self.fallback, self.persistence = Recorder(), Recorder(), Recorder()
        self.runtime = VirtualRuntime()
        self.actor = RouterActor(
            processors=[
                Processor("fallback", "http://f", Decimal("0.15")),
                Processor("default", "http://d", Decimal("0.05")),
            ],
            addresses={"default": self.default, "fallback": self.fallback},
            persistence=self.persistence,
            runtime=self.runtime,
            limits=RetryLimits(horizon_s=HORIZON_S),
        )

    def tell(self, message: object) -> None:
        self.actor.on_receive(message)

    def advance(self, seconds: float) -> None:
        self.runtime.advance(seconds)
        deliver(self.actor)

    def charging(self, *numbers: int) -> "Router":
        """Bring payments as far as to their charge on default."""
        self.tell(Route(tuple(payment(number) for number in numbers)))
        self.tell(Assigned(tuple(UUID(int=number) for number in numbers)))
        self.default.take()
        self.persistence.take()
        return self

    def breaker(self, processor: str, state: BreakerState) -> None:
        permits = {BreakerState.CLOSED: None, BreakerState.OPEN: 0, BreakerState.HALF_OPEN: 1}[state]
        self.tell(AvailabilityChanged(processor, state, permits))

    def ended(self, outcome: Outcome, number: int = 1) -> None:
        self.tell(ChargeEnded(UUID(int=number), outcome, self.runtime.now_ms()))


def test_new_payments_are_written_with_the_cheapest_processor_before_anything_is_sent() -> None:
    router = Router()
    router.tell(Route((payment(1), payment(2))))
    assert router.persistence.messages == [Assign((Claim(payment(1), "default"), Claim(payment(2), "default")))]
    assert router.default.messages == []


def test_a_written_payment_is_charged_on_the_processor_that_its_row_names() -> None:
    router = Router()
    router.tell(Route((payment(1),)))
    router.tell(Assigned((ONE,)))
    assert (router.default.messages, router.fallback.messages) == ([Charge(payment(1))], [])


def test_a_charge_is_settled_under_the_stamp_that_was_sent() -> None:
    router = Router().charging(1)
    router.advance(0.5)
    router.ended(Outcome.SETTLED)
    assert router.persistence.messages == [Settle(Settlement(ONE, "default", NOW_MS + 500, attempts=1))]


def test_a_payment_is_forgotten_once_its_settlement_is_committed() -> None:
    router = Router().charging(1)
    router.ended(Outcome.SETTLED)
    assert router.actor.on_receive(Describe(ONE)) == PaymentProgress("default", 1, pinned=False)
    router.tell(Settled((ONE,)))
    assert router.actor.on_receive(Describe(ONE)) is None


def test_a_disowned_payment_is_never_charged() -> None:
    router = Router()
    router.tell(Route((payment(1),)))
    router.tell(Disowned((payment(1),)))
    router.tell(Assigned((ONE,)))
    assert router.default.messages == []


def test_while_the_cheapest_is_open_payments_go_to_the_next() -> None:
    router = Router()
    router.breaker("default", BreakerState.OPEN)
    router.tell(Route((payment(1),)))
    router.tell(Assigned((ONE,)))
    assert router.fallback.messages == [Charge(payment(1))]


def test_while_all_are_open_payments_wait_for_the_cheapest() -> None:
    router = Router()
    router.breaker("default", BreakerState.OPEN)
    router.breaker("fallback", BreakerState.OPEN)
    router.tell(Route((payment(1),)))
    assert router.persistence.take() == [Assign((Claim(payment(1), "default"),))]
    router.tell(Assigned((ONE,)))
    assert (router.default.messages, router.fallback.messages) == ([], [])
    router.breaker("default", BreakerState.CLOSED)
    assert router.default.messages == [Charge(payment(1))]


def test_a_move_is_committed_before_the_other_processor_sees_the_payment() -> None:
    router = Router().charging(1)
    router.ended(Outcome.FAILED)
    router.breaker("default", BreakerState.OPEN)
    router.advance(0.1)
    assert router.persistence.messages == [Move(ONE, "fallback", attempts=1)]
    assert router.fallback.messages == []
    router.tell(Moved((ONE,)))
    assert router.fallback.messages == [Charge(payment(1))]


def test_a_refused_move_ends_what_this_replica_does_for_the_payment() -> None:
    router = Router().charging(1)
    router.ended(Outcome.FAILED)
    router.breaker("default", BreakerState.OPEN)
    router.advance(0.1)
    router.tell(MoveRefused((ONE,)))
    router.tell(Moved((ONE,)))
    assert router.fallback.messages == []


def test_a_failed_charge_is_tried_again_after_a_growing_pause() -> None:
    router = Router().charging(1)
    for pause_s in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0):
        router.ended(Outcome.FAILED)
        router.advance(pause_s * 0.99)
        assert router.default.take() == []
        router.advance(pause_s * 0.02)
        assert router.default.take() == [Charge(payment(1))]


def test_a_payment_whose_outcome_is_unknown_never_leaves_its_processor() -> None:
    router = Router().charging(1)
    router.ended(Outcome.UNKNOWN)
    router.breaker("default", BreakerState.OPEN)
    router.advance(0.1)
    assert router.default.take() == [LookUp(payment(1))]
    assert (router.fallback.messages, router.persistence.messages) == ([], [])


def test_an_unknown_outcome_is_resolved_by_sending_again_where_the_processor_works() -> None:
    router = Router().charging(1)
    router.ended(Outcome.UNKNOWN)
    router.advance(0.1)
    assert router.default.take() == [Charge(payment(1))]
    router.ended(Outcome.SETTLED)
    assert router.persistence.messages == [Settle(Settlement(ONE, "default", NOW_MS + 100, attempts=2))]


def test_an_already_charged_payment_is_recorded_with_the_processors_own_instant() -> None:
    router = Router().charging(1)
    router.ended(Outcome.ALREADY_CHARGED)
    assert router.persistence.messages == []
    router.tell(LookedUp(ONE, NOW_MS - 77, answered=True))
    assert router.persistence.messages == [Settle(Settlement(ONE, "default", NOW_MS - 77, attempts=1))]


def test_a_failure_after_an_unknown_outcome_does_not_free_the_payment() -> None:
    router = Router().charging(1)
    router.ended(Outcome.UNKNOWN)
    router.advance(0.1)
    router.ended(Outcome.FAILED)
    router.breaker("default", BreakerState.OPEN)
    router.advance(0.2)
    assert router.default.take() == [Charge(payment(1)), LookUp(payment(1))]
    assert router.persistence.messages == []


def test_a_missing_look_up_frees_the_payment_only_after_the_horizon() -> None:
    router = Router().charging(1)
    router.ended(Outcome.UNKNOWN)
    router.breaker("default", BreakerState.OPEN)
    router.advance(0.1)
    router.tell(LookedUp(ONE, None, answered=True))
    router.advance(HORIZON_S)
    assert router.persistence.messages == []
    router.tell(LookedUp(ONE, None, answered=True))
    router.advance(0.4)
    assert router.persistence.messages == [Move(ONE, "fallback", attempts=1)]


def test_a_look_up_without_answer_never_frees_the_payment() -> None:
    router = Router().charging(1)
    router.ended(Outcome.UNKNOWN)
    router.breaker("default", BreakerState.OPEN)
    for _ in range(20):
        router.advance(HORIZON_S)
        assert router.default.take() == [LookUp(payment(1))]
        router.tell(LookedUp(ONE, None, answered=False))
    assert router.persistence.messages == []


def test_an_adopted_payment_counts_as_perhaps_charged_where_its_row_says() -> None:
    router = Router()
    router.breaker("fallback", BreakerState.OPEN)
    router.tell(Adopt((Claim(payment(1), "fallback"), Claim(payment(2), "default")), NOW_MS - 5))
    assert router.fallback.messages == [LookUp(payment(1))]
    assert router.default.messages == [Charge(payment(2))]


def test_a_payment_that_is_under_way_is_not_adopted_again() -> None:
    router = Router().charging(1)
    router.tell(Adopt((Claim(payment(1), "fallback"),), NOW_MS))
    assert (router.default.messages, router.fallback.messages) == ([], [])


def test_half_open_lets_one_payment_through_and_the_others_wait() -> None:
    router = Router().charging(1, 2, 3)
    router.breaker("fallback", BreakerState.OPEN)
    router.breaker("default", BreakerState.OPEN)
    router.tell(Returned("default", (payment(1), payment(2), payment(3))))
    assert router.default.take() == []
    router.breaker("default", BreakerState.HALF_OPEN)
    assert router.default.take() == [Charge(payment(1))]
    router.breaker("default", BreakerState.CLOSED)
    assert router.default.take() == [Charge(payment(2)), Charge(payment(3))]


def test_what_a_processor_gives_back_is_not_sent_to_it_at_once_again() -> None:
    router = Router().charging(1)
    router.breaker("fallback", BreakerState.OPEN)
    router.tell(Returned("default", (payment(1),)))
    assert router.default.messages == []
    router.breaker("default", BreakerState.CLOSED)
    assert router.default.messages == [Charge(payment(1))]


def test_the_oldest_stamp_is_that_of_the_first_charge_that_may_be_missing_in_postgres() -> None:
    router = Router().charging(1, 2)
    assert router.actor.on_receive(OldestStamp()) is None
    router.ended(Outcome.UNKNOWN, number=1)
    router.advance(1)
    router.ended(Outcome.SETTLED, number=2)
    assert router.actor.on_receive(OldestStamp()) == NOW_MS
    router.tell(LookedUp(ONE, NOW_MS, answered=True))
    router.ended(Outcome.SETTLED, number=1)
    router.tell(Settled((ONE,)))
    assert router.actor.on_receive(OldestStamp()) == NOW_MS + 1000
    router.tell(Settled((UUID(int=2),)))
    assert router.actor.on_receive(OldestStamp()) is None


def test_the_census_counts_payments_by_what_they_wait_for() -> None:
    router = Router().charging(1, 2)
    router.tell(Route((payment(3),)))
    router.breaker("fallback", BreakerState.OPEN)
    census = router.actor.on_receive(Count())
    assert isinstance(census, Census)
    assert census.unsettled["its row"] == 1
    assert census.unsettled["the processor's answer"] == 2
    assert census.breakers == {"default": BreakerState.CLOSED, "fallback": BreakerState.OPEN}


def test_messages_about_payments_that_are_not_driven_here_are_ignored() -> None:
    router = Router()
    for message in (
        Assigned((ONE,)),
        Moved((ONE,)),
        Settled((ONE,)),
        MoveRefused((ONE,)),
        LookedUp(ONE, NOW_MS, answered=True),
        ChargeEnded(ONE, Outcome.SETTLED, NOW_MS),
    ):
        router.tell(message)
    assert (router.default.messages, router.fallback.messages, router.persistence.messages) == ([], [], [])


def test_an_outcome_that_stays_unknown_is_counted_after_a_minute_and_still_tried() -> None:
    router = Router().charging(1)
    router.ended(Outcome.UNKNOWN)
    router.breaker("default", BreakerState.OPEN)
    for _ in range(20):
        router.advance(5)
        assert router.default.take() == [LookUp(payment(1))]
        router.tell(LookedUp(ONE, None, answered=False))
    census = router.actor.on_receive(Count())
    assert isinstance(census, Census)
    assert census.unresolved == 1


def test_a_payment_whose_processor_is_not_configured_any_more_waits_and_harms_nobody() -> None:
    router = Router()
    router.tell(Adopt((Claim(payment(1), "gone"), Claim(payment(2), "default")), NOW_MS))
    assert router.default.messages == [Charge(payment(2))]
    census = router.actor.on_receive(Count())
    assert isinstance(census, Census)
    assert census.unsettled["its processor to be configured again"] == 1


def test_a_charge_under_an_older_stamp_than_believed_lowers_the_oldest_stamp() -> None:
    router = Router()
    router.tell(Adopt((Claim(payment(1), "default"),), 2**63 - 1))
    router.ended(Outcome.SETTLED)
    assert router.actor.on_receive(OldestStamp()) == NOW_MS


def test_another_amount_under_the_id_of_a_payment_on_its_way_changes_nothing_about_it() -> None:
    router = Router().charging(1)
    router.ended(Outcome.FAILED)
    router.breaker("default", BreakerState.OPEN)
    router.advance(0.1)
    router.tell(Disowned((payment(1, 5),)))
    router.tell(Moved((ONE,)))
    assert router.fallback.messages == [Charge(payment(1))]


def test_attempts_of_an_earlier_owner_count() -> None:
    router = Router()
    router.tell(Adopt((Claim(payment(1), "default", attempts=2),), NOW_MS))
    router.ended(Outcome.SETTLED)
    assert router.persistence.messages == [Settle(Settlement(ONE, "default", NOW_MS, attempts=3))]
