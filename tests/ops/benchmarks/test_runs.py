"""Whole runs whose figures are known beforehand, and what must hold of all of them."""

import pytest

from ops.benchmarks.policies import Policy, default_only, fallback_at_once, three_tries
from ops.benchmarks.runs import SERVICE_S, best_cents, simulate
from ops.benchmarks.stages import (
    AMOUNT_CENTS,
    DURATION_S,
    EVENT,
    WORKS,
    Condition,
    Stage,
    Table,
    arrivals,
    random_tables,
)

USERS = 60
CHARGE_TIMEOUT_S = 10.0
DOWN = Condition(0.0, 1)
ALL_WORK: Table = (Stage(0, WORKS, WORKS),)
DEFAULT_DOWN: Table = (Stage(0, DOWN, WORKS),)
NONE_WORKS: Table = (Stage(0, DOWN, DOWN),)
POLICIES = (Policy(), default_only(), fallback_at_once(Policy()), three_tries())

policies = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)


@policies
def test_where_all_works_all_is_charged_on_default(policy: Policy) -> None:
    figures = simulate(ALL_WORK, policy, users=USERS)
    assert figures.settled == {"default": figures.offered, "fallback": 0}
    assert figures.calls["default"] == figures.offered == len(list(arrivals(USERS)))
    assert figures.profit_cents == pytest.approx(figures.offered * AMOUNT_CENTS * 0.95)
    assert figures.profit_cents == pytest.approx(best_cents(ALL_WORK, USERS))


def test_without_patience_all_goes_to_fallback_while_default_is_down() -> None:
    figures = simulate(DEFAULT_DOWN, fallback_at_once(Policy()), users=USERS)
    assert figures.settled["default"] == 0
    # The last ones have just failed as a probe, and pause.
    assert 0 <= figures.offered - figures.settled["fallback"] <= 5
    assert figures.profit_cents == pytest.approx(figures.settled["fallback"] * AMOUNT_CENTS * 0.85)


def test_who_tries_default_only_earns_nothing_while_it_is_down() -> None:
    assert simulate(DEFAULT_DOWN, default_only(), users=USERS).profit_cents == 0


def test_three_tries_are_three_calls_to_default_for_each_payment() -> None:
    figures = simulate(DEFAULT_DOWN, three_tries(), users=USERS, until_s=DURATION_S + 5)
    assert figures.settled == {"default": 0, "fallback": figures.offered}
    assert figures.calls == {"default": 3 * figures.offered, "fallback": figures.offered}


@policies
def test_where_none_works_nothing_is_earned(policy: Policy) -> None:
    assert simulate(NONE_WORKS, policy, users=USERS).profit_cents == 0
    assert best_cents(NONE_WORKS, USERS) == 0


@policies
@pytest.mark.parametrize("seed", range(3))
def test_no_payment_is_lost_or_charged_twice(policy: Policy, seed: int) -> None:
    (table,) = random_tables(1, seed)
    figures = simulate((*table, Stage(DURATION_S, WORKS, WORKS)), policy, users=USERS, until_s=2 * DURATION_S)
    assert figures.booked_twice == 0
    assert figures.settled == figures.booked
    assert sum(figures.settled.values()) == figures.offered


@policies
def test_at_the_end_only_what_waits_or_is_under_way_is_missing(policy: Policy) -> None:
    figures = simulate(random_tables(1, seed=3)[0], policy, users=USERS)
    assert figures.booked_twice == 0
    assert all(figures.settled[name] <= figures.booked[name] for name in figures.booked)
    assert sum(figures.booked.values()) <= figures.offered


@policies
def test_what_timed_out_is_found_charged_on_the_same_processor(policy: Policy) -> None:
    table = (Stage(0, Condition(CHARGE_TIMEOUT_S + 1), WORKS), Stage(20, WORKS, WORKS))
    figures = simulate(table, policy, users=USERS, until_s=2 * DURATION_S)
    assert figures.booked_twice == 0
    assert figures.settled == figures.booked
    assert sum(figures.settled.values()) == figures.offered


@policies
def test_the_same_seed_gives_the_same_figures(policy: Policy) -> None:
    assert simulate(EVENT, policy, seed=5, users=USERS) == simulate(EVENT, policy, seed=5, users=USERS)


def test_the_best_is_bounded_by_when_processors_work() -> None:
    table = (Stage(0, Condition(1.0), WORKS), Stage(30, Condition(1.0, 1), WORKS), Stage(50, DOWN, DOWN))
    moments_s = [moment_s for moment_s, _ in arrivals(USERS)]
    on_default = sum(moment_s <= 29 - SERVICE_S for moment_s in moments_s)
    on_fallback = sum(29 - SERVICE_S < moment_s <= 50 - SERVICE_S for moment_s in moments_s)
    assert best_cents(table, USERS) == pytest.approx(AMOUNT_CENTS * (0.95 * on_default + 0.85 * on_fallback))


def test_on_the_events_stages_fiel_charges_on_default() -> None:
    figures = simulate(EVENT, Policy())
    assert figures.default_share >= 0.99
