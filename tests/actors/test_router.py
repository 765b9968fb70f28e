"""The router tells the dispatcher what it hears, and carries out what that decides, once for all that waited."""

import logging
from math import inf
from random import Random
from uuid import UUID

import pytest

from actors.domain.breaker import BreakerState
from actors.domain.dispatcher import WANTED_MIN, Dispatcher
from actors.domain.lifecycle import State
from actors.domain.lifecycle_events import ChargeEnded, LookUpEnded
from actors.domain.outage_log import QUIET_S
from actors.domain.outcome import Outcome
from actors.domain.patience import Patience
from actors.domain.payment import Claim, Move, Settlement
from actors.domain.processor_view import Availability
from actors.domain.records import NOTHING_MISSING, LookUpResult
from actors.domain.retries import RetryLimits
from actors.domain.routing import Reason
from actors.domain.routing_policies import CheapestFirst
from actors.domain.work import Driven
from actors.messages.intake import Recorded, Want
from actors.messages.persistence import Write
from actors.messages.processor import Charge, LookUp
from actors.messages.router import (
    Adopt,
    AvailabilityChanged,
    BeginAdoption,
    ChargesEnded,
    DecisionDue,
    EndAdoption,
    GetBeingWritten,
    GetDriven,
    GetDrivenCount,
    GetRouterStats,
    GetUncommitted,
    LookUpsEnded,
    Route,
    RouterMessage,
    RouterStats,
    Written,
)
from actors.outages import CHECK_S
from actors.router import RouterActor
from tests.actors.domain.dispatching import HORIZON_S, PROCESSORS
from tests.actors.fakes import NOW_MS, Recorder, VirtualRuntime, both, deliver, payment
from tests.lines import lines

ONE, TWO = UUID(int=1), UUID(int=2)


class Router:
    """A router that is not started, with two processors that work."""

    def __init__(self, outage_s: float = 20.0) -> None:
        self.default, self.fallback = Recorder(), Recorder()
        self.intake, self.persistence = Recorder(), Recorder()
        self.runtime = VirtualRuntime()
        retries = RetryLimits(jitter=0.0)
        self.actor = RouterActor(
            dispatcher=Dispatcher(CheapestFirst(PROCESSORS, Patience(outage_s, backlog_s=5.0)), retries, Random(1)),
            processors={"default": self.default, "fallback": self.fallback},
            intake=self.intake,
            persistence=self.persistence,
            runtime=self.runtime,
            replica="1",
        )
        self.tell(self.availability("default"), self.availability("fallback"))

    def tell(self, *messages: RouterMessage) -> None:
        """Let the router find all of these in its mailbox."""
        for message in messages:
            self.actor.tell_self(message)
        deliver(self.actor)

    def advance(self, seconds: float) -> None:
        self.runtime.advance(seconds)
        deliver(self.actor)

    def availability(self, name: str, state: BreakerState = BreakerState.CLOSED) -> AvailabilityChanged:
        """Say that a processor works, or that its outage begins now."""
        takes, down_since_s = (100, None) if state.is_closed else (0, self.runtime.now_s())
        return AvailabilityChanged(Availability(name, state, takes, inf, down_since_s))

    def charging(self, *numbers: int) -> "Router":
        """Bring payments as far as to their charges on default."""
        self.tell(Route(tuple(payment(number) for number in numbers), 0))
        self.tell(written(claimed=tuple(UUID(int=number) for number in numbers)))
        self.default.take()
        self.persistence.take()
        return self

    def ended(self, number: int, outcome: Outcome) -> ChargesEnded:
        return ChargesEnded((ChargeEnded(UUID(int=number), outcome, self.runtime.now_ms(), self.runtime.now_ms()),))

    def stats(self) -> RouterStats:
        stats = self.actor.on_receive(GetRouterStats())
        assert isinstance(stats, RouterStats)
        return stats


def written(*, claimed: tuple[UUID, ...] = (), settled: tuple[UUID, ...] = ()) -> Written:
    return Written(claimed, (), (), (), settled)


def test_all_that_waited_in_the_mailbox_leads_to_one_write() -> None:
    router = Router().charging(1, 2, 3)
    router.tell(router.ended(1, Outcome.REFUSED))
    router.runtime.advance(0.1)
    router.tell(
        router.availability("default", BreakerState.FORCED_OPEN),
        router.ended(2, Outcome.SETTLED),
        Route((payment(4),), 0),
    )
    assert router.persistence.messages == [
        Write(
            (Claim(payment(4), "fallback"),),
            (Move(ONE, "fallback", attempts=1, moves=1),),
            (Settlement(payment(2), "default", NOW_MS + 100, 1, NOW_MS + 100),),
        )
    ]


def test_charges_go_to_their_processors_in_one_message_each() -> None:
    router = Router()
    router.tell(Route((payment(1), payment(2)), 0))
    router.tell(router.availability("default", BreakerState.FORCED_OPEN), Route((payment(3),), 0))
    router.tell(written(claimed=(ONE, UUID(int=3))), written(claimed=(TWO,)))
    assert router.default.messages == [Charge((payment(1), payment(2)))]
    assert router.fallback.messages == [Charge((payment(3),))]


def test_look_ups_go_to_the_processor_that_may_have_charged() -> None:
    router = Router()
    router.tell(
        router.availability("fallback", BreakerState.OPEN),
        Adopt((Claim(payment(1), "fallback"), Claim(payment(2), "fallback")), NOW_MS),
    )
    assert router.fallback.messages == [LookUp((payment(1),))], "one at a time until it answers"
    router.tell(LookUpsEnded((LookUpEnded(ONE, "fallback", LookUpResult.CHARGED, 7, 0.0, HORIZON_S),)))
    assert router.persistence.messages == [Write((), (), (Settlement(payment(1), "fallback", 7, 0, 7),))]
    assert router.fallback.messages[1:] == [LookUp((payment(2),))]


def test_everything_that_a_batch_did_is_taken_in() -> None:
    router = Router().charging(1, 2, 3)
    router.tell(*(router.ended(number, Outcome.REFUSED) for number in (1, 2)), router.ended(3, Outcome.SETTLED))
    router.tell(Route((payment(4), payment(5)), 0))
    router.runtime.advance(0.1)
    router.tell(router.availability("default", BreakerState.FORCED_OPEN))
    router.tell(Written((UUID(int=4),), (payment(5),), (ONE,), (TWO,), (UUID(int=3),)))
    assert router.default.messages == [Charge((payment(4),))]
    assert router.fallback.messages == [Charge((payment(1),))]
    driven = [router.actor.on_receive(GetDriven(UUID(int=number))) for number in range(1, 6)]
    assert [each is not None for each in driven] == [True, True, False, True, False]


def test_the_intake_is_told_of_ids_whose_rows_are_committed_and_how_many_payments_are_wanted() -> None:
    router = Router().charging(1)
    router.tell(Route((payment(1),) * (WANTED_MIN + 1), 0))
    assert router.intake.messages == [Recorded((ONE,) * (WANTED_MIN + 1)), Want(WANTED_MIN + 1)]


def test_nothing_is_told_where_there_is_nothing_to_do() -> None:
    router = Router().charging(1)
    router.tell(Route((), 5), DecisionDue())
    recipients = (router.default, router.fallback, router.persistence, router.intake)
    assert [recipient.messages for recipient in recipients] == [[], [], [], []]


def test_it_wakes_by_itself_when_a_pause_ends() -> None:
    router = Router().charging(1)
    router.tell(router.ended(1, Outcome.FAILED))
    router.advance(0.09)
    assert router.default.messages == []
    router.advance(0.02)
    assert router.default.messages == [Charge((payment(1),))]


def test_it_wakes_by_itself_when_the_patience_with_an_outage_ends() -> None:
    router = Router(outage_s=20)
    router.tell(router.availability("default", BreakerState.OPEN), Route((payment(1),), 0))
    router.advance(19.9)
    assert router.persistence.messages == []
    router.advance(0.2)
    assert router.persistence.messages == [Write((Claim(payment(1), "fallback"),), (), ())]


def test_a_row_that_was_read_before_its_payment_was_settled_is_ignored() -> None:
    router = Router().charging(1)
    router.tell(router.ended(1, Outcome.SETTLED), BeginAdoption())
    router.tell(written(settled=(ONE,)), Adopt((Claim(payment(1), "default"),), NOW_MS), EndAdoption())
    assert router.default.messages == []
    assert router.actor.on_receive(GetDrivenCount()) == 0
    router.tell(Adopt((Claim(payment(2), "default"),), NOW_MS))
    assert router.default.messages == [Charge((payment(2),))]


def test_it_tells_how_far_a_payment_is() -> None:
    router = Router().charging(1)
    driven = Driven(payment(1), State.CHARGING, "default", attempts=0, pinned=False)
    assert router.actor.on_receive(GetDriven(ONE)) == driven
    assert router.actor.on_receive(GetDriven(TWO)) is None


def test_it_tells_what_it_is_busy_with() -> None:
    router = Router().charging(1, 2)
    router.tell(router.ended(1, Outcome.UNKNOWN), router.availability("default", BreakerState.OPEN))
    router.tell(Route((payment(3),), 4))
    router.advance(61)
    stats = router.stats()
    assert {name: count for name, count in stats.unsettled.items() if count} == {
        "journalled": 4,
        "claiming": 1,
        "charging": 1,
        "looking up": 1,
    }
    assert stats.unresolved == 1
    assert stats.decisions == {
        ("default", Reason.CHEAPEST): 2,
        (None, Reason.WAIT_FOR_RECOVERY): 1,
        ("fallback", Reason.OUTAGE): 1,
    }


def test_it_answers_what_the_lease_and_a_purge_ask() -> None:
    router = Router().charging(1, 2)
    room = router.actor.on_receive(BeginAdoption())
    assert router.actor.on_receive(GetUncommitted()) == NOTHING_MISSING
    router.tell(router.ended(1, Outcome.SETTLED), Adopt((Claim(payment(3), "default"),), NOW_MS - 7))
    assert router.actor.on_receive(GetUncommitted()) == both(NOW_MS - 7)
    assert router.actor.on_receive(GetBeingWritten()) == 1
    assert router.actor.on_receive(GetDrivenCount()) == 3
    # What waits for a processor's answer takes no room.
    assert router.actor.on_receive(BeginAdoption()) == room


def test_a_change_of_the_choice_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "actors.router")
    router = Router(outage_s=20)
    router.tell(Route((payment(1),), 0))
    assert lines(caplog) == []
    router.tell(router.availability("default", BreakerState.OPEN), Route((payment(2),), 0))
    router.tell(Route((payment(3),), 0))
    router.advance(20)
    event = "payments do not go where they usually do"
    assert lines(caplog, "outage", "processor", "reason") == [
        (event, "began", None, "waits: the outage has only just begun"),
        (event, "lasts", "fallback", "cheaper ones have been down for too long"),
    ]


def test_payments_that_are_not_asked_for_once_more_are_counted_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.domain.rechecks.RECHECKS_MAX", 0)
    router = Router().charging(1)
    router.tell(router.ended(1, Outcome.UNKNOWN), router.availability("default", BreakerState.FORCED_OPEN))
    router.advance(HORIZON_S)
    asked_at_s = router.runtime.now_s()
    router.tell(LookUpsEnded((LookUpEnded(ONE, "default", LookUpResult.MISSING, None, asked_at_s, HORIZON_S),)))
    router.tell(Written((), (), (ONE,), (), ()))
    router.tell(router.ended(1, Outcome.SETTLED), written(settled=(ONE,)))
    assert lines(caplog) == ["payments may be charged late, and are not looked up again"]


def test_a_choice_that_changes_all_the_time_is_logged_once_and_when_it_has_settled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "actors.router")
    router = Router()
    for number in range(1, 13):
        state = BreakerState.FORCED_OPEN if number % 2 else BreakerState.CLOSED
        router.tell(router.availability("default", state), Route((payment(number),), 0))
        router.advance(0.12)
    router.advance(QUIET_S + CHECK_S)
    router.runtime.run_spawned()
    event = "payments do not go where they usually do"
    assert lines(caplog, "outage", "failures", "processor") == [
        (event, "began", None, "fallback"),
        (event, "ended", 6, None),
    ]


def test_a_choice_that_says_nothing_about_where_most_payments_go_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "actors.router")
    router = Router()
    full = Availability("default", BreakerState.CLOSED, 0, inf, None)
    router.tell(AvailabilityChanged(full), Route((payment(1),), 0))
    assert router.stats().decisions == {(None, Reason.WAIT_FOR_ROOM): 1}
    assert lines(caplog) == []
