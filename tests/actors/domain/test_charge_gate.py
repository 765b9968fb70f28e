"""What a gate sends, what it gives back, and what it says that it takes."""

from dataclasses import replace
from math import inf
from random import Random
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.domain.breaker import Breaker, BreakerState
from actors.domain.breaker_causes import Cause
from actors.domain.breaker_limits import BreakerLimits
from actors.domain.charge_gate import (
    CAPACITY_STEP,
    CLAIMED_AHEAD_MAX,
    STALL_CHECK_S,
    ChargeGate,
    GateWork,
    Sent,
)
from actors.domain.concurrency_limit import ConcurrencyLimit, ConcurrencyLimits
from actors.domain.outcome import Outcome
from actors.domain.pace import Pace
from actors.domain.payment import Payment
from actors.domain.probing import KNOCK_PAUSE_S, PROBE_PAUSE_S
from actors.domain.processor_view import Availability
from actors.domain.rate_limiter import RateLimiter, RateLimits

SLOW_S = 1.5
LIMITS = BreakerLimits(
    calls_min=2, cooldown_s_initial=0.5, cooldown_s_max=2.0, cooldown_jitter=0.0, half_open_s_max=5.0
)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
FORCED_OPEN, FORCED_CLOSED = BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED
NOW_MS = 1_750_000_000_000
UNPACED = RateLimits(burst=1_000_000)


def payment(number: int) -> Payment:
    return Payment(UUID(int=number), 1990, NOW_MS)


def new_gate(limit: int = 10, rate: RateLimits = UNPACED, breaker: BreakerLimits = LIMITS) -> ChargeGate:
    return ChargeGate(
        "default",
        Breaker(breaker, Random(1)),
        ConcurrencyLimit(ConcurrencyLimits(min=1, initial=limit, max=limit)),
        RateLimiter(rate),
        Pace(slow_s=SLOW_S),
    )


class Driver:
    """A gate in virtual time, with all that it has decided. It has a lease for a minute."""

    def __init__(self, limit: int = 10, rate: RateLimits = UNPACED, breaker: BreakerLimits = LIMITS) -> None:
        self.gate = new_gate(limit, rate, breaker)
        self.now_s = 1000.0
        self.under_way: dict[int, Sent] = {}
        self.started: list[int] = []
        """Numbers of the payments that were sent, in this order."""
        self.not_sent: list[int] = []
        self.announced: list[Availability] = []
        self.causes: list[Cause] = []
        self.probes_wanted = 0
        self.accepts: bool | None = True
        """What the processor does when it is knocked at; None where the knock goes on."""
        self.knocks = 0
        self.gate.leased(self.now_s + 60)
        self.decide()

    @property
    def now_ms(self) -> int:
        return NOW_MS + round((self.now_s - 1000.0) * 1000)

    @property
    def takes(self) -> int:
        return self.announced[-1].takes

    @property
    def state(self) -> BreakerState:
        return self.announced[-1].state

    def decide(self) -> GateWork:
        work = self.gate.decide(self.now_s, self.now_ms)
        self.keep(work)
        if work.wants_knock:
            self.knocks += 1
            if self.accepts is not None:
                self.knock_ends(accepted=self.accepts)
        return work

    def knock_ends(self, *, accepted: bool) -> None:
        self.gate.knocked(accepted=accepted, now_s=self.now_s)
        self.decide()

    def keep(self, work: GateWork) -> None:
        for sent in work.starts:
            self.under_way[sent.payment.correlation_id.int] = sent
        self.started += [sent.payment.correlation_id.int for sent in work.starts]
        self.not_sent += [each.correlation_id.int for each in work.not_sent]
        self.announced += [work.availability] if work.availability is not None else []
        self.causes += [transition.cause for transition in work.transitions]
        self.probes_wanted += work.wants_probe

    def give(self, *numbers: int) -> GateWork:
        self.gate.given(payment(number) for number in numbers)
        return self.decide()

    def end(self, *numbers: int, outcome: Outcome = Outcome.SETTLED) -> GateWork:
        for number in numbers:
            self.gate.ended(self.under_way.pop(number), outcome, ended_at_s=self.now_s, now_s=self.now_s)
        return self.decide()

    def wait(self, seconds: float) -> None:
        """Let time pass, deciding whenever the gate wants to."""
        end_s = self.now_s + seconds
        while (wakes_at_s := self.gate.wakes_at_s()) is not None and wakes_at_s <= end_s:
            assert wakes_at_s > self.now_s
            self.now_s = wakes_at_s
            self.decide()
        self.now_s = end_s
        self.decide()

    def grant_probe(self, *, granted: bool = True) -> GateWork:
        self.gate.probe_answered(granted=granted, now_s=self.now_s)
        return self.decide()

    def force(self, state: BreakerState | None) -> GateWork:
        self.gate.breaker.force(state, self.now_s)
        return self.decide()

    def open(self) -> None:
        """Let the breaker open by two failures."""
        self.give(9001, 9002)
        self.end(9001, 9002, outcome=Outcome.FAILED)
        assert self.state is OPEN

    def half_open(self) -> None:
        """Let the breaker open and cool down."""
        self.open()
        self.wait(0.5)
        assert self.state is HALF_OPEN

    def close(self) -> None:
        """Let a half-open breaker close by one probe."""
        self.give(9003)
        self.grant_probe()
        self.end(9003)
        assert self.state is CLOSED


# Closed: the lease, the limit, the pace.


def test_what_is_given_is_sent_in_its_order_under_the_stamp_of_the_decision() -> None:
    driver = Driver()
    driver.wait(1.5)
    starts = driver.give(2, 1).starts
    assert [(sent.payment, sent.requested_at_ms, sent.in_flight) for sent in starts] == [
        (payment(2), NOW_MS + 1500, 1),
        (payment(1), NOW_MS + 1500, 2),
    ]


def test_the_oldest_stamp_is_that_of_the_first_charge_under_way() -> None:
    driver = Driver()
    assert driver.gate.oldest_stamp_ms() is None
    driver.give(1)
    driver.wait(0.25)
    driver.give(2)
    assert (driver.gate.oldest_stamp_ms(), driver.gate.under_way) == (NOW_MS, 2)
    driver.end(1)
    assert (driver.gate.oldest_stamp_ms(), driver.gate.under_way) == (NOW_MS + 250, 1)
    driver.end(2)
    assert driver.gate.oldest_stamp_ms() is None


def test_without_a_lease_what_is_given_waits_for_one() -> None:
    driver = Driver()
    driver.wait(60)
    driver.give(1)
    assert (driver.started, driver.not_sent) == ([], [])
    driver.gate.leased(driver.now_s + 5)
    driver.decide()
    assert driver.started == [1]


def test_a_charge_may_be_sent_until_right_before_the_lease_ends() -> None:
    driver = Driver()
    driver.gate.leased(1005.0)
    assert driver.gate.may_send(1004.999)
    assert not driver.gate.may_send(1005.0)


def test_no_more_are_under_way_than_the_limit_and_the_next_starts_when_one_ends() -> None:
    driver = Driver(limit=2)
    driver.give(1, 2, 3, 4)
    assert driver.started == [1, 2]
    driver.end(2)
    assert driver.started == [1, 2, 3]


def test_no_more_start_at_once_than_the_pace_allows_and_the_rest_follows() -> None:
    driver = Driver(limit=100, rate=RateLimits(burst=8))
    driver.give(*range(1, 51))
    assert driver.started == list(range(1, 9))
    driver.wait(1.0)
    assert driver.started == list(range(1, 51))


def test_the_gate_wakes_when_the_pace_allows_the_next_start() -> None:
    driver = Driver(limit=100, rate=RateLimits(burst=1, per_s_initial=50.0))
    driver.give(1, 2)
    assert driver.gate.wakes_at_s() == pytest.approx(1000.02)


@pytest.mark.parametrize(("late_s", "per_s"), [(0.0, 305.0), (0.009, 305.0), (0.011, 210.0)])
def test_a_start_that_comes_late_lowers_the_pace_and_one_in_time_raises_it(late_s: float, per_s: float) -> None:
    driver = Driver(limit=100, rate=RateLimits(burst=1, per_s_initial=300.0))
    driver.give(1, 2)
    due_s = driver.gate.wakes_at_s()
    assert due_s is not None
    driver.now_s = due_s + late_s
    driver.decide()
    assert driver.gate.rate.per_s == pytest.approx(per_s)


def test_a_processor_that_has_too_many_requests_gets_fewer() -> None:
    driver = Driver(limit=10)
    for number in range(70):
        driver.give(number)
        driver.now_s += 0.05
        driver.end(number, outcome=Outcome.OVERLOADED if 30 <= number < 40 else Outcome.SETTLED)
    assert driver.gate.concurrency.limit < 10


@pytest.mark.parametrize(
    ("outcome", "is_measured"),
    [
        (Outcome.SETTLED, True),
        (Outcome.ALREADY_CHARGED, True),
        (Outcome.FAILED, False),
        (Outcome.REFUSED, False),
        (Outcome.UNKNOWN, False),
    ],
)
def test_only_charges_that_the_processor_worked_on_tell_its_latency(outcome: Outcome, is_measured: bool) -> None:  # noqa: FBT001  # a parameter
    driver = Driver()
    driver.give(1)
    driver.now_s += 0.2
    driver.end(1, outcome=outcome)
    latency_s = driver.gate.concurrency.latency_s
    assert latency_s == (pytest.approx(0.2) if is_measured else None)


def test_the_latency_is_that_of_the_charge_however_late_its_end_is_taken_in() -> None:
    driver = Driver()
    driver.give(1)
    sent = driver.under_way.pop(1)
    driver.gate.ended(sent, Outcome.SETTLED, ended_at_s=driver.now_s + 0.2, now_s=driver.now_s + 3.0)
    assert driver.gate.concurrency.latency_s == pytest.approx(0.2)


# The breaker opens.


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.OVERLOADED, Outcome.FAILED, Outcome.UNKNOWN])
def test_failures_open_the_breaker_and_what_waits_is_given_back_in_its_order(outcome: Outcome) -> None:
    driver = Driver(limit=2)
    driver.give(1, 2, 3, 4)
    work = driver.end(1, 2, outcome=outcome)
    assert work.not_sent == [payment(3), payment(4)]
    assert (driver.state, driver.takes, driver.causes) == (OPEN, 0, [Cause.FAILURE_RATE])


def test_an_open_breaker_gives_back_what_is_given() -> None:
    driver = Driver()
    driver.open()
    driver.give(1)
    assert (driver.started[2:], driver.not_sent) == ([], [1])


def test_where_no_charge_ends_any_more_it_opens_and_what_hangs_takes_no_room_afterwards() -> None:
    driver = Driver(limit=4)
    driver.give(1, 2, 3, 4)
    driver.wait(1.4)
    assert driver.causes == []
    driver.wait(0.2)
    assert (driver.state, driver.causes) == (OPEN, [Cause.STALLED])
    driver.wait(0.5)
    driver.close()
    assert driver.takes == 4 + 4 + CLAIMED_AHEAD_MAX
    driver.give(11, 12, 13, 14, 15)
    assert driver.started[-4:] == [11, 12, 13, 14]
    driver.end(1)
    assert (driver.takes, driver.started[-1]) == (4 + 3 + CLAIMED_AHEAD_MAX, 14)


def test_one_charge_that_hangs_is_no_outage() -> None:
    driver = Driver()
    driver.give(1)
    driver.wait(30)
    assert driver.causes == []


def test_charges_that_hang_are_no_outage_while_others_end() -> None:
    driver = Driver()
    driver.give(1, 2, 3)
    for number in range(4, 30):
        driver.give(number)
        driver.wait(1.0)
        driver.end(number)
    assert driver.causes == []


def test_left_over_charges_do_not_stall_the_breaker_a_second_time() -> None:
    driver = Driver(limit=4)
    driver.give(1, 2, 3, 4)
    driver.wait(2.5)
    driver.close()
    driver.wait(30)
    assert driver.causes == [Cause.STALLED, Cause.COOLED_DOWN, Cause.PROBE_SUCCEEDED]


def test_an_outage_that_ends_begins_the_limit_anew() -> None:
    driver = Driver(limit=10)
    driver.give(1)
    driver.end(1, outcome=Outcome.OVERLOADED)
    assert driver.gate.concurrency.limit == 7
    driver.half_open()
    driver.close()
    assert driver.gate.concurrency.limit == 10


# Half open: probes and their budget.


def test_a_probe_is_asked_for_once_and_sent_when_it_is_granted_and_the_rest_is_given_back() -> None:
    driver = Driver()
    driver.half_open()
    driver.give(1, 2)
    driver.decide()
    assert (driver.started[2:], driver.not_sent, driver.probes_wanted) == ([], [2], 1)
    driver.grant_probe()
    assert driver.started[2:] == [1]
    driver.end(1)
    assert (driver.state, driver.causes[-1]) == (CLOSED, Cause.PROBE_SUCCEEDED)


def test_each_of_several_probes_is_asked_for() -> None:
    driver = Driver(breaker=replace(LIMITS, probes_max=2))
    driver.half_open()
    driver.give(1, 2, 3)
    assert (driver.not_sent, driver.takes) == ([3], 2)
    driver.grant_probe()
    assert (driver.started[2:], driver.probes_wanted) == ([1], 2)
    driver.grant_probe()
    assert driver.started[2:] == [1, 2]


def test_no_probe_is_asked_for_while_no_payment_waits_for_one() -> None:
    driver = Driver()
    driver.half_open()
    driver.wait(3.0)
    assert driver.probes_wanted == 0


def test_a_probe_that_is_not_granted_is_asked_for_again_after_a_pause() -> None:
    driver = Driver()
    driver.half_open()
    driver.give(1)
    driver.grant_probe(granted=False)
    assert driver.gate.wakes_at_s() == driver.now_s + PROBE_PAUSE_S
    driver.wait(PROBE_PAUSE_S * 0.9)
    assert driver.probes_wanted == 1
    driver.wait(PROBE_PAUSE_S * 0.2)
    assert (driver.probes_wanted, driver.started[2:]) == (2, [])


def test_without_a_lease_no_probe_is_asked_for() -> None:
    driver = Driver()
    driver.half_open()
    driver.gate.leased(driver.now_s)
    driver.give(1)
    assert driver.probes_wanted == 0
    driver.gate.leased(driver.now_s + 5)
    driver.decide()
    assert driver.probes_wanted == 1


def test_a_payment_that_waits_for_the_budget_is_sent_when_another_replica_recovered() -> None:
    driver = Driver()
    driver.half_open()
    driver.give(1)
    driver.gate.peer_recovered(driver.now_s)
    driver.decide()
    assert driver.started[2:] == [1]


def test_where_another_replica_recovered_the_next_payment_probes_without_the_budget() -> None:
    driver = Driver()
    driver.open()
    driver.gate.peer_recovered(driver.now_s)
    driver.decide()
    assert driver.causes[-1] is Cause.PEER_RECOVERED
    driver.give(1)
    assert (driver.started[2:], driver.probes_wanted) == ([1], 0)


def test_a_recovery_of_another_replica_counts_also_where_the_cool_down_ends_at_that_moment() -> None:
    driver = Driver()
    driver.open()
    driver.now_s += 0.5
    driver.gate.peer_recovered(driver.now_s)
    driver.decide()
    assert driver.causes[-1] is Cause.COOLED_DOWN
    driver.give(1)
    assert (driver.started[2:], driver.probes_wanted) == ([1], 0)


@pytest.mark.parametrize("state", [CLOSED, FORCED_OPEN, FORCED_CLOSED])
def test_a_recovery_of_another_replica_changes_nothing_where_the_breaker_is_not_open(state: BreakerState) -> None:
    driver = Driver()
    if state.is_forced:
        driver.force(state)
    driver.gate.peer_recovered(driver.now_s)
    work = driver.decide()
    assert (work, driver.state) == (GateWork(), state)


def test_a_grant_that_was_not_used_ends_with_its_half_open_period() -> None:
    driver = Driver()
    driver.half_open()
    driver.give(1)
    driver.force(FORCED_OPEN)
    driver.grant_probe()
    driver.force(None)
    driver.give(2)
    assert (driver.started[2:], driver.not_sent, driver.probes_wanted) == ([], [1], 2)


def test_a_failed_probe_opens_again_for_longer() -> None:
    driver = Driver()
    driver.half_open()
    driver.give(1)
    driver.grant_probe()
    driver.end(1, outcome=Outcome.FAILED)
    assert (driver.state, driver.causes[-1]) == (OPEN, Cause.PROBE_FAILED)
    driver.wait(0.99)
    assert driver.state is OPEN
    driver.wait(0.02)
    assert driver.state is HALF_OPEN


def test_a_probe_that_hangs_is_followed_by_another() -> None:
    driver = Driver()
    driver.half_open()
    driver.give(1)
    driver.grant_probe()
    driver.give(2)
    assert driver.not_sent == [2]
    driver.wait(5.0)
    assert driver.state is OPEN
    driver.wait(1.0)
    driver.give(3)
    driver.grant_probe()
    assert driver.started[2:] == [1, 3]


# An operator.


def test_an_operator_holds_it_open_and_lets_it_go() -> None:
    driver = Driver()
    driver.force(FORCED_OPEN)
    driver.give(1)
    assert (driver.not_sent, driver.takes) == ([1], 0)
    driver.force(None)
    assert (driver.state, driver.causes) == (HALF_OPEN, [Cause.OPERATOR] * 2)


def test_a_breaker_that_is_held_closed_keeps_to_the_limit_with_what_is_under_way() -> None:
    driver = Driver(limit=2)
    driver.give(1, 2, 3)
    driver.force(FORCED_CLOSED)
    assert (driver.started, driver.takes) == ([1, 2], 2 + CLAIMED_AHEAD_MAX)
    driver.force(None)
    assert (driver.started, driver.state) == ([1, 2], CLOSED)


def test_an_operator_who_closes_and_opens_keeps_what_was_measured() -> None:
    driver = Driver(limit=10)
    driver.give(1)
    driver.end(1, outcome=Outcome.OVERLOADED)
    driver.force(FORCED_CLOSED)
    driver.force(None)
    assert driver.gate.concurrency.limit == 7


# What it takes.


def test_while_closed_it_takes_the_limit_and_some_whose_claims_are_written_ahead() -> None:
    driver = Driver(limit=7)
    assert driver.announced == [Availability("default", CLOSED, 7 + CLAIMED_AHEAD_MAX, UNPACED.per_s_initial, None)]
    driver.give(*range(1, 30))
    assert driver.takes == 7 + CLAIMED_AHEAD_MAX


def test_while_half_open_it_takes_one_probe_beside_what_is_under_way() -> None:
    driver = Driver(limit=4)
    driver.give(1, 2, 3, 4)
    driver.end(1, 2, outcome=Outcome.FAILED)
    assert (driver.state, driver.takes) == (OPEN, 0)
    driver.wait(0.5)
    assert (driver.state, driver.takes) == (HALF_OPEN, 2 + 1)
    driver.give(5)
    assert driver.takes == 2 + 1
    driver.grant_probe()
    assert driver.takes == 3
    driver.end(3)
    assert driver.takes == 2
    driver.end(5)
    assert (driver.state, driver.takes) == (CLOSED, 4 + 1 + CLAIMED_AHEAD_MAX)


def test_while_draining_it_takes_nothing_and_gives_back_what_waits() -> None:
    driver = Driver(limit=1)
    driver.give(1, 2)
    driver.gate.drain()
    driver.decide()
    assert (driver.not_sent, driver.state, driver.takes) == ([2], OPEN, 0)
    driver.give(3)
    driver.end(1)
    assert (driver.started, driver.not_sent, driver.takes) == ([1], [2, 3], 0)


def test_what_it_takes_is_announced_when_it_changes_and_not_again() -> None:
    driver = Driver()
    driver.give(1)
    driver.gate.leased(driver.now_s + 60)
    driver.decide()
    assert len(driver.announced) == 1
    driver.open()
    driver.give(2)
    assert [each.state for each in driver.announced] == [CLOSED, OPEN]


def test_the_beginning_of_an_outage_is_announced_until_it_is_over() -> None:
    driver = Driver()
    driver.half_open()
    assert {each.down_since_s for each in driver.announced[1:]} == {1000.0}
    driver.close()
    assert driver.announced[-1].down_since_s is None


def test_a_capacity_is_announced_where_it_changes_by_a_fifth() -> None:
    driver = Driver(limit=10)
    driver.give(1)
    driver.now_s += 0.100
    driver.end(1)
    assert [each.capacity_per_s for each in driver.announced] == [UNPACED.per_s_initial, pytest.approx(10 / 0.100)]
    latency_s = 0.100
    for number in range(2, 40):
        driver.give(number)
        driver.now_s += 0.150
        driver.end(number)
        latency_s = driver.gate.concurrency.latency_s or inf
    announced = [each.capacity_per_s for each in driver.announced[1:]]
    assert 2 <= len(announced) <= 3
    assert announced[1] <= announced[0] * (1 - CAPACITY_STEP)
    assert announced[-1] == pytest.approx(10 / latency_s, rel=1 / (1 - CAPACITY_STEP) - 1)


def test_no_more_is_announced_than_the_rate_of_starts_allows() -> None:
    driver = Driver(limit=100, rate=RateLimits(per_s_initial=20.0, burst=1))
    assert driver.announced[-1].capacity_per_s == 20.0


# Slow calls.


def test_it_is_slow_after_a_slow_call_until_a_later_one_is_fast() -> None:
    driver = Driver()
    driver.give(1)
    driver.now_s += SLOW_S
    driver.end(1)
    assert driver.announced[-1].is_slow
    driver.give(2)
    driver.now_s += SLOW_S - 0.1
    driver.end(2)
    assert not driver.announced[-1].is_slow


def test_it_is_found_slow_while_calls_are_still_under_way() -> None:
    driver = Driver()
    driver.give(1)
    driver.wait(SLOW_S - 0.1)
    assert not driver.announced[-1].is_slow
    driver.wait(STALL_CHECK_S)
    assert driver.announced[-1].is_slow
    assert driver.state is CLOSED


def test_what_its_health_says_of_a_slow_one_is_announced() -> None:
    driver = Driver()
    driver.gate.pace.told(SLOW_S, driver.now_s)
    driver.decide()
    assert (driver.announced[-1].is_slow, driver.announced[-1].told_fast_s) == (True, -inf)
    driver.gate.pace.told(0.0, driver.now_s + 5)
    driver.decide()
    assert (driver.announced[-1].is_slow, driver.announced[-1].told_fast_s) == (True, driver.now_s + 5)


# Half open: knocking before anything is taken.


def test_a_half_open_processor_takes_a_payment_only_after_it_has_accepted_a_connection() -> None:
    driver = Driver()
    driver.accepts = None
    driver.half_open()
    assert (driver.knocks, driver.takes) == (1, 0)
    driver.give(1)
    assert (driver.not_sent, driver.probes_wanted) == ([1], 0)
    driver.knock_ends(accepted=True)
    assert (driver.knocks, driver.takes) == (1, 1)
    driver.give(2)
    driver.grant_probe()
    assert driver.started[2:] == [2]


def test_a_processor_that_refuses_connections_is_knocked_at_again_and_again_and_takes_nothing() -> None:
    driver = Driver()
    driver.accepts = False
    driver.half_open()
    driver.wait(10 * KNOCK_PAUSE_S)
    assert (driver.knocks, driver.takes, driver.state) == (11, 0, HALF_OPEN)
    assert (driver.probes_wanted, driver.causes) == (0, [Cause.FAILURE_RATE, Cause.COOLED_DOWN])
    driver.accepts = True
    driver.wait(KNOCK_PAUSE_S)
    assert driver.takes == 1
    driver.wait(60)
    assert driver.knocks == 12


def test_a_processor_that_refuses_connections_is_certainly_down_and_one_that_accepts_them_may_be_up() -> None:
    driver = Driver()
    driver.accepts = False
    driver.half_open()
    driver.wait(60)
    refused_at_s = driver.announced[-1].found_down_s
    assert driver.now_s - KNOCK_PAUSE_S <= refused_at_s <= driver.now_s
    assert driver.announced[-1].doubted_from_s == refused_at_s + LIMITS.certain_s
    driver.accepts = True
    driver.wait(60)
    assert driver.now_s - driver.announced[-1].doubted_from_s >= 57


def test_after_a_failed_probe_the_processor_is_knocked_at_anew() -> None:
    driver = Driver()
    driver.half_open()
    driver.give(1)
    driver.grant_probe()
    driver.accepts = False
    driver.end(1, outcome=Outcome.FAILED)
    driver.wait(1.0)
    assert (driver.state, driver.takes, driver.knocks) == (HALF_OPEN, 0, 2)


def test_where_another_replica_recovered_the_pause_between_knocks_ends() -> None:
    driver = Driver()
    driver.accepts = False
    driver.half_open()
    driver.accepts = True
    driver.gate.peer_recovered(driver.now_s)
    driver.decide()
    driver.give(1)
    assert (driver.knocks, driver.started[2:], driver.probes_wanted) == (2, [1], 0)


def test_a_knock_that_ends_after_the_breaker_has_opened_again_tells_nothing() -> None:
    driver = Driver()
    driver.accepts = None
    driver.half_open()
    driver.force(FORCED_OPEN)
    driver.knock_ends(accepted=True)
    driver.force(None)
    assert (driver.state, driver.takes, driver.knocks) == (HALF_OPEN, 0, 2)


def test_while_draining_nobody_knocks() -> None:
    driver = Driver()
    driver.open()
    driver.gate.drain()
    driver.wait(5.0)
    assert driver.knocks == 0


def test_a_pause_between_knocks_ends_with_draining() -> None:
    driver = Driver()
    driver.accepts = False
    driver.half_open()
    driver.gate.drain()
    driver.wait(5.0)
    assert (driver.knocks, driver.gate.wakes_at_s()) == (1, None)


# What says nothing of the processor, or something else than failures do.


def test_a_charge_that_was_not_sent_counts_for_nothing() -> None:
    driver = Driver()
    driver.give(1, 2, 3, 4)
    driver.wait(0.1)
    driver.end(1, 2, 3, 4, outcome=Outcome.NOT_SENT)
    assert (driver.causes, driver.gate.under_way, driver.gate.concurrency.latency_s) == ([], 0, None)


def test_a_probe_that_was_not_sent_leaves_the_breaker_half_open_for_the_next_one() -> None:
    driver = Driver()
    driver.half_open()
    driver.give(1)
    driver.grant_probe()
    driver.end(1, outcome=Outcome.NOT_SENT)
    driver.wait(60)
    assert (driver.state, driver.takes) == (HALF_OPEN, 1)
    driver.gate.leased(inf)
    driver.close()


def test_payments_that_are_declined_do_not_open_the_breaker_and_tell_no_pace() -> None:
    driver = Driver()
    driver.give(*range(1, 11))
    driver.now_s += 0.2
    driver.end(*range(1, 11), outcome=Outcome.DECLINED)
    assert (driver.causes, driver.gate.concurrency.latency_s) == ([], None)


def test_two_hundred_payments_that_are_declined_leave_the_others_of_the_same_second_their_rates() -> None:
    driver = Driver()
    for number in range(200):
        driver.give(number)
        driver.end(number, outcome=Outcome.DECLINED)
    driver.give(1000)
    driver.end(1000)
    assert (driver.state, driver.causes) == (CLOSED, [])


def test_a_probe_that_is_declined_leaves_the_breaker_half_open_for_the_next_one() -> None:
    driver = Driver()
    driver.half_open()
    driver.give(1)
    driver.grant_probe()
    driver.end(1, outcome=Outcome.DECLINED)
    driver.wait(60)
    assert (driver.state, driver.takes) == (HALF_OPEN, 1)
    driver.gate.leased(inf)
    driver.close()


def test_one_charge_that_is_turned_away_opens_the_breaker_for_a_cause_of_its_own() -> None:
    driver = Driver()
    driver.give(1, 2)
    driver.end(1, outcome=Outcome.MISCONFIGURED)
    assert (driver.state, driver.causes, driver.gate.breaker.is_down_by_own_calls) == (
        OPEN,
        [Cause.MISCONFIGURED],
        True,
    )
    driver.wait(0.5)
    driver.give(3)
    driver.grant_probe()
    driver.end(3, outcome=Outcome.MISCONFIGURED)
    assert (driver.state, driver.causes[-1]) == (OPEN, Cause.MISCONFIGURED)
    assert driver.gate.breaker.turns_away
    driver.wait(1.0)
    driver.close()
    assert not driver.gate.breaker.turns_away


# When time alone changes something.


def test_it_sleeps_where_nothing_is_to_come() -> None:
    assert Driver().gate.wakes_at_s() is None


def test_it_wakes_to_see_whether_charges_still_end_until_none_is_under_way() -> None:
    driver = Driver()
    driver.give(1)
    assert driver.gate.wakes_at_s() == driver.now_s + STALL_CHECK_S
    driver.end(1)
    driver.wait(STALL_CHECK_S)
    assert driver.gate.wakes_at_s() is None


def test_it_wakes_at_the_end_of_the_cool_down() -> None:
    driver = Driver()
    driver.wait(1.0)
    driver.open()
    driver.wait(0.3)
    assert driver.gate.wakes_at_s() == pytest.approx(driver.now_s + 0.2)


def test_while_it_sleeps_nothing_would_be_decided() -> None:
    driver = Driver(limit=2)
    driver.give(1, 2, 3)
    driver.end(1, 2, outcome=Outcome.FAILED)
    for _ in range(200):
        wakes_at_s = driver.gate.wakes_at_s()
        driver.now_s += 0.01
        if wakes_at_s is not None and driver.now_s < wakes_at_s:
            assert driver.decide() == GateWork()
        driver.decide()


# Whatever happens.


def test_a_probe_that_was_not_sent_makes_room_for_the_next() -> None:
    driver = Driver()
    driver.force(BreakerState.FORCED_OPEN)
    driver.force(None)
    driver.give(1)
    driver.grant_probe()
    assert driver.started == [1]
    driver.end(1, outcome=Outcome.NOT_SENT)
    driver.give(2)
    driver.grant_probe()
    assert driver.started == [1, 2]


def test_it_shares_the_processor_with_the_replicas_of_which_the_lease_tells() -> None:
    driver = Driver(limit=400)
    assert driver.gate.replicas == 1
    driver.gate.leased(driver.now_s + 5, replicas=3)
    driver.decide()
    assert (driver.gate.replicas, driver.takes) == (3, 798 // 3 + CLAIMED_AHEAD_MAX)


def test_one_that_was_never_leased_sends_nothing_and_knows_of_no_replica() -> None:
    gate = new_gate()
    assert (gate.may_send(0.0), gate.replicas) == (False, 0)


def test_a_processor_is_unreachable_while_it_is_due_for_a_probe_and_accepts_no_connection() -> None:
    driver = Driver()
    driver.accepts = None
    driver.open()
    assert not driver.gate.is_unreachable(driver.now_s)
    driver.now_s += 0.5  # The cool-down is over, and nobody has noticed.
    assert driver.gate.is_unreachable(driver.now_s)
    driver.decide()
    driver.knock_ends(accepted=True)
    assert not driver.gate.is_unreachable(driver.now_s)


def test_a_knock_that_ends_with_the_cool_down_counts() -> None:
    driver = Driver()
    driver.open()
    driver.now_s += 0.5  # Nobody has noticed.
    driver.gate.knocked(accepted=True, now_s=driver.now_s)
    assert not driver.gate.is_unreachable(driver.now_s)


class AnyOrder(RuleBasedStateMachine):
    """A gate that is given payments within what it takes, while everything else happens to it in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver(limit=5, rate=RateLimits(burst=4, per_s_initial=300.0))
        self.driver.accepts = None
        self.accepts = False
        """Whether the processor has accepted a connection since the breaker changed."""
        self.answered_knocks = 0
        self.given: list[int] = []
        self.lease_until_s = self.driver.now_s + 60
        self.draining = False
        self.grants = 0
        """Probes that were granted, or that another replica's recovery has paid for."""
        self.left_over: set[int] = set()
        self.asked = 0

    def check(self, work: GateWork) -> None:
        """Check one decision."""
        driver = self.driver
        leased = driver.now_s < self.lease_until_s
        assert not work.starts or (leased and not self.draining)
        assert driver.probes_wanted - self.asked in {0, 1}
        assert driver.knocks - self.answered_knocks in {0, 1}
        self._follow(work)
        state = driver.gate.breaker.state(driver.now_s)
        if state.is_closed:
            assert len(driver.under_way.keys() - self.left_over) <= 5 or not work.starts
        else:
            assert len(work.starts) <= (state is HALF_OPEN and self.accepts)
            assert len(work.starts) <= self.grants
            self.grants -= len(work.starts)
        expected = Availability(
            "default",
            OPEN if self.draining else state,
            driver.takes,
            driver.announced[-1].capacity_per_s,
            driver.gate.breaker.down_since_s,
            doubted_from_s=driver.gate.breaker.doubted_from_s,
            found_down_s=driver.gate.breaker.found_down_s,
            is_slow=driver.gate.pace.is_slow,
            told_fast_s=driver.gate.pace.told_fast_s if driver.gate.pace.is_slow else -inf,
        )
        assert driver.announced[-1] == expected
        assert work.availability is None or work.availability not in driver.announced[-2:-1]

    def _follow(self, work: GateWork) -> None:
        for transition in work.transitions:
            self.accepts = False
            if transition.before.is_closed and not transition.after.is_closed:
                starts = {sent.payment.correlation_id.int for sent in work.starts}
                self.left_over = set(self.driver.under_way) - starts
        self.left_over &= set(self.driver.under_way)

    @rule(count=st.integers(1, 10))
    def give(self, count: int) -> None:
        numbers = range(len(self.given) + 1, len(self.given) + count + 1)
        self.given += numbers
        self.check(self.driver.give(*numbers))

    @precondition(lambda self: self.driver.under_way)
    @rule(
        data=st.data(),
        outcome=st.sampled_from([Outcome.SETTLED, Outcome.FAILED, Outcome.OVERLOADED, Outcome.UNKNOWN]),
    )
    def end(self, data: st.DataObject, outcome: Outcome) -> None:
        ends = data.draw(st.lists(st.sampled_from(sorted(self.driver.under_way)), min_size=1, unique=True))
        self.check(self.driver.end(*ends, outcome=outcome))

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.5, 1.0, 5.0]))
    def late(self, seconds: float) -> None:
        """Decide after a time in which the process stood still."""
        self.driver.now_s += seconds
        self.check(self.driver.decide())

    @rule()
    def wake(self) -> None:
        wakes_at_s = self.driver.gate.wakes_at_s()
        if wakes_at_s is not None:
            self.driver.now_s = max(self.driver.now_s, wakes_at_s)
            self.check(self.driver.decide())

    @precondition(lambda self: self.driver.probes_wanted > self.asked)
    @rule(granted=st.booleans())
    def answer_probe(self, *, granted: bool) -> None:
        self.asked += 1
        self.grants += granted
        self.check(self.driver.grant_probe(granted=granted))

    @precondition(lambda self: self.driver.knocks > self.answered_knocks)
    @rule(accepted=st.booleans())
    def answer_knock(self, *, accepted: bool) -> None:
        self.answered_knocks += 1
        self.check(self.driver.decide())
        self.accepts = accepted and self.driver.state is HALF_OPEN and not self.draining
        self.driver.gate.knocked(accepted=accepted, now_s=self.driver.now_s)
        self.check(self.driver.decide())

    @rule()
    def peer_recovers(self) -> None:
        self.driver.gate.peer_recovered(self.driver.now_s)
        self.grants += 1
        self.check(self.driver.decide())

    @rule(duration_s=st.sampled_from([0.0, 0.05, 5.0, 60.0]))
    def lease(self, duration_s: float) -> None:
        self.lease_until_s = self.driver.now_s + duration_s
        self.driver.gate.leased(self.lease_until_s)
        self.check(self.driver.decide())

    @rule(failing=st.booleans())
    def report_health(self, *, failing: bool) -> None:
        self.driver.gate.breaker.health_answered(failing=failing, asked_s_ago=0.0, now_s=self.driver.now_s)
        self.check(self.driver.decide())

    @rule(state=st.sampled_from([FORCED_OPEN, FORCED_CLOSED, None]))
    def force(self, state: BreakerState | None) -> None:
        self.check(self.driver.force(state))

    @precondition(lambda self: len(self.given) > 50)
    @rule()
    def drain(self) -> None:
        self.draining = True
        self.driver.gate.drain()
        self.check(self.driver.decide())

    @invariant()
    def nothing_is_started_or_given_back_twice(self) -> None:
        decided = self.driver.started + self.driver.not_sent
        assert len(set(decided)) == len(decided)
        assert set(decided) <= set(self.given)
        assert self.driver.started == sorted(self.driver.started)
        assert self.driver.gate.under_way == len(self.driver.under_way)

    @invariant()
    def it_does_not_wake_in_the_past(self) -> None:
        wakes_at_s = self.driver.gate.wakes_at_s()
        assert wakes_at_s is None or wakes_at_s > self.driver.now_s

    @invariant()
    def it_takes_what_its_state_allows(self) -> None:
        driver = self.driver
        waiting = len(self.given) - len(driver.started) - len(driver.not_sent)
        if driver.state.is_closed:
            limit = driver.gate.concurrency.limit
            assert driver.takes == limit + len(self.left_over) + CLAIMED_AHEAD_MAX
        elif driver.state is HALF_OPEN:
            permits = driver.gate.breaker.permits(driver.now_s)
            assert permits is not None
            assert waiting <= (permits if self.accepts else 0) == driver.takes - len(driver.under_way)
        else:
            assert (driver.takes, waiting) == (0, 0)

    def teardown(self) -> None:
        """Whatever happened: with a lease, an operator's help and answers, everything given is sent or given back."""
        driver = self.driver
        driver.gate.leased(inf)
        driver.force(FORCED_CLOSED)
        driver.end(*driver.under_way)
        for _ in range(2 * len(self.given)):
            driver.now_s += 0.1
            driver.decide()
            driver.end(*driver.under_way)
        assert sorted(driver.started + driver.not_sent) == self.given


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestAnyOrder = AnyOrder.TestCase
