from decimal import Decimal
from math import inf
from random import Random
from uuid import UUID

import pytest

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
from actors.domain.routing import Patience, Reason, Routes
from actors.router import RetryLimits, RouterActor
from tests.actors.fakes import NOW_MS, Recorder, VirtualRuntime, deliver, payment

ONE, TWO = UUID(int=1), UUID(int=2)
HORIZON_S = 30.0


class Router:
    """A router that is not started, with two processors of which the dearer is listed first.

    Both work. By default it has no patience with an outage.
    """

    def __init__(self, outage_s: float = 0.0, jitter: float = 0.0) -> None:
        self.default, self.fallback, self.persistence = Recorder(), Recorder(), Recorder()
        self.runtime = VirtualRuntime()
        processors = [
            Processor("fallback", "http://f", Decimal("0.15")),
            Processor("default", "http://d", Decimal("0.05")),
        ]
        self.actor = RouterActor(
            routes=Routes(processors, Patience(outage_s, backlog_s=5.0)),
            addresses={"default": self.default, "fallback": self.fallback},
            persistence=self.persistence,
            runtime=self.runtime,
            limits=RetryLimits(horizon_s=HORIZON_S, jitter=jitter),
            chance=Random(1),
        )
        self.breaker("default", BreakerState.CLOSED)
        self.breaker("fallback", BreakerState.CLOSED)

    def tell(self, message: object) -> None:
        self.actor.on_receive(message)

    def advance(self, seconds: float) -> None:
        self.runtime.advance(seconds)
        deliver(self.actor)

    def post(self, *numbers: int) -> "Router":
        """Bring payments as far as to their rows."""
        self.tell(Route(tuple(payment(number) for number in numbers)))
        self.tell(Assigned(tuple(UUID(int=number) for number in numbers)))
        return self

    def charging(self, *numbers: int) -> "Router":
        """Bring payments as far as to their charge on default."""
        self.post(*numbers)
        self.default.take()
        self.persistence.take()
        return self

    def breaker(self, processor: str, state: BreakerState, *, limit: int = 100, capacity_per_s: float = inf) -> None:
        """Let a processor's actor announce itself; an outage begins now."""
        down_since_s = self.runtime.now_s() if state in {BreakerState.OPEN, BreakerState.HALF_OPEN} else None
        probes = int(state is BreakerState.HALF_OPEN)
        self.tell(AvailabilityChanged(processor, state, limit, capacity_per_s, down_since_s, probes))

    def ended(self, outcome: Outcome, number: int = 1) -> None:
        self.tell(ChargeEnded(UUID(int=number), outcome, self.runtime.now_ms()))

    def census(self) -> Census:
        census = self.actor.on_receive(Count())
        assert isinstance(census, Census)
        return census


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
    router.breaker("fallback", BreakerState.OPEN)
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
    router = Router(outage_s=60).charging(1, 2, 3)
    router.breaker("default", BreakerState.OPEN)
    router.tell(Returned("default", (payment(1), payment(2), payment(3))))
    assert router.default.take() == []
    router.breaker("default", BreakerState.HALF_OPEN)
    assert router.default.take() == [Charge(payment(1))]
    router.breaker("default", BreakerState.CLOSED)
    assert router.default.take() == [Charge(payment(2)), Charge(payment(3))]


def test_a_probe_whose_move_is_refused_is_given_to_another() -> None:
    router = Router(outage_s=60)
    router.breaker("default", BreakerState.FORCED_OPEN)
    router.post(1, 2)
    router.fallback.take()
    router.breaker("fallback", BreakerState.OPEN)
    router.tell(Returned("fallback", (payment(1), payment(2))))
    router.persistence.take()
    router.breaker("default", BreakerState.HALF_OPEN)
    assert router.persistence.take() == [Move(ONE, "default", attempts=0)]
    router.tell(MoveRefused((ONE,)))
    assert router.persistence.take() == [Move(TWO, "default", attempts=0)]
    router.tell(Moved((TWO,)))
    assert router.default.take() == [Charge(payment(2))]


def test_an_outage_of_the_cheapest_is_waited_out_and_fallback_is_never_paid() -> None:
    router = Router(outage_s=20).charging(1)
    router.breaker("default", BreakerState.OPEN)
    router.ended(Outcome.FAILED)
    router.post(2, 3)
    router.advance(19.9)
    assert (router.default.take(), router.fallback.take()) == ([], [])
    router.breaker("default", BreakerState.CLOSED)
    assert router.default.take() == [Charge(payment(2)), Charge(payment(3)), Charge(payment(1))]


def test_the_patience_counts_from_the_start_of_the_outage_and_ends_without_any_news() -> None:
    router = Router(outage_s=20)
    router.breaker("default", BreakerState.OPEN)
    router.advance(15)
    router.post(1)
    router.persistence.take()
    router.advance(4.9)
    assert router.persistence.take() == []
    router.advance(0.2)
    assert router.persistence.take() == [Move(ONE, "fallback", attempts=0)]


def test_after_an_outage_that_was_paid_for_payments_return_to_the_cheapest() -> None:
    router = Router()
    router.breaker("default", BreakerState.OPEN)
    router.post(1)
    router.breaker("default", BreakerState.CLOSED)
    router.post(2)
    assert (router.fallback.take(), router.default.take()) == ([Charge(payment(1))], [Charge(payment(2))])


def test_no_more_are_under_way_on_a_processor_than_it_takes_and_the_rest_follows_in_order() -> None:
    router = Router()
    router.breaker("default", BreakerState.CLOSED, limit=2)
    router.post(1, 2, 3, 4)
    assert router.default.take() == [Charge(payment(1)), Charge(payment(2))]
    router.ended(Outcome.SETTLED, number=2)
    assert router.default.take() == [Charge(payment(3))]
    router.breaker("default", BreakerState.CLOSED, limit=3)
    assert router.default.take() == [Charge(payment(4))]


def test_what_a_slow_processor_cannot_charge_in_time_goes_to_the_next() -> None:
    router = Router()
    router.breaker("default", BreakerState.CLOSED, limit=1, capacity_per_s=0.5)
    router.post(*range(1, 7))
    assert [message for message in router.persistence.take() if isinstance(message, Move)] == [
        Move(UUID(int=number), "fallback", attempts=0) for number in (2, 3)
    ]
    assert router.default.take() == [Charge(payment(1))]


def test_after_three_retries_a_payment_goes_to_the_other_processor() -> None:
    router = Router().charging(1)
    for pause_s in (0.1, 0.2, 0.4):
        router.ended(Outcome.FAILED)
        router.advance(pause_s)
        assert router.default.take() == [Charge(payment(1))]
    router.ended(Outcome.FAILED)
    router.advance(0.8)
    assert router.persistence.take() == [Move(ONE, "fallback", attempts=4)]
    router.tell(Moved((ONE,)))
    assert router.fallback.take() == [Charge(payment(1))]


def test_failures_that_belong_to_an_outage_use_up_no_retries() -> None:
    router = Router(outage_s=60).charging(1)
    for pause_s in (0.1, 0.2, 0.4):
        router.ended(Outcome.FAILED)
        router.advance(pause_s)
    router.ended(Outcome.FAILED)
    router.breaker("default", BreakerState.OPEN)
    router.advance(0.8)
    router.default.take()
    router.breaker("default", BreakerState.CLOSED)
    assert router.default.take() == [Charge(payment(1))]


def test_a_payment_that_failed_as_a_probe_goes_elsewhere_once_the_patience_has_ended() -> None:
    router = Router(outage_s=0)
    router.breaker("default", BreakerState.HALF_OPEN)
    router.post(1)
    assert router.default.take() == [Charge(payment(1))]
    router.ended(Outcome.FAILED)
    router.breaker("default", BreakerState.HALF_OPEN)
    router.persistence.take()
    router.advance(0.1)
    assert router.persistence.take() == [Move(ONE, "fallback", attempts=1)]


@pytest.mark.parametrize("state", [BreakerState.OPEN, BreakerState.HALF_OPEN])
def test_a_pinned_payment_is_never_a_probe(state: BreakerState) -> None:
    router = Router()
    router.breaker("default", state)
    router.tell(Adopt((Claim(payment(1), "default"),), NOW_MS))
    assert router.default.take() == [LookUp(payment(1))]


def test_pauses_are_drawn_from_around_their_length() -> None:
    router = Router(jitter=0.25).charging(*range(1, 101))
    for number in range(1, 101):
        router.ended(Outcome.FAILED, number)
    router.advance(0.0749)
    assert router.default.take() == []
    router.advance(0.025)
    assert 20 < len(router.default.take()) < 80
    router.advance(0.0252)
    assert len(router.default.take()) > 20


@pytest.mark.parametrize("state", [BreakerState.CLOSED, BreakerState.OPEN])
def test_a_pinned_payment_waits_for_room_or_is_looked_up_where_its_processor_is_down(state: BreakerState) -> None:
    router = Router()
    router.breaker("default", BreakerState.CLOSED, limit=1)
    router.charging(1)
    router.tell(Adopt((Claim(payment(2), "default"),), NOW_MS))
    assert router.default.take() == []
    router.breaker("default", state)
    assert router.default.take() == [Charge(payment(2)) if state is BreakerState.CLOSED else LookUp(payment(2))]
    assert router.persistence.take() == []


def test_every_decision_is_counted_with_its_reason() -> None:
    router = Router(outage_s=20)
    router.post(1, 2)
    router.breaker("default", BreakerState.OPEN)
    router.post(3, 4, 5)
    router.breaker("default", BreakerState.HALF_OPEN)
    assert router.census().decisions == {
        ("default", Reason.CHEAPEST): 2,
        (None, Reason.WAIT_FOR_RECOVERY): 3,
        ("default", Reason.PROBE): 1,
    }


def test_a_change_of_mind_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "actors.router")
    router = Router(outage_s=20)
    router.post(1)
    router.breaker("default", BreakerState.OPEN)
    router.post(2)
    router.advance(20)
    assert caplog.messages == [
        "payments go to no processor: waits: the outage is young",
        "payments go to fallback: cheaper ones have been down for too long",
    ]


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
    assert router.census().unsettled["its row"] == 1
    assert router.census().unsettled["the processor's answer"] == 2


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
    assert router.census().unresolved == 1


def test_a_payment_whose_processor_is_not_configured_any_more_waits_and_harms_nobody() -> None:
    router = Router()
    router.tell(Adopt((Claim(payment(1), "gone"), Claim(payment(2), "default")), NOW_MS))
    assert router.default.messages == [Charge(payment(2))]
    assert router.census().unsettled["its processor to be configured again"] == 1


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
