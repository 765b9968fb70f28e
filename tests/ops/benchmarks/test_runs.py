"""Whole runs whose figures are known beforehand, and what must hold of all of them."""

from dataclasses import replace

import pytest

from ops.benchmarks.policies import Policy, default_only, fallback_at_once, three_tries
from ops.benchmarks.runs import SERVICE_S, best_cents, simulate
from ops.benchmarks.stages import DURATION_S, FINAL, PREVIEW, WORKS, Condition, Stage, random_games

pytestmark = pytest.mark.long

CHARGE_TIMEOUT_S = 10.0
AMOUNT_CENTS = PREVIEW.amount_cents
DOWN = Condition(0.0, 1)
SMALL = replace(PREVIEW, users=15)
ALL_WORK = replace(SMALL, table=(Stage(0, WORKS, WORKS),))
DEFAULT_DOWN = replace(SMALL, table=(Stage(0, DOWN, WORKS),))
NONE_WORKS = replace(SMALL, table=(Stage(0, DOWN, DOWN),))
POLICIES = (Policy(), default_only(), fallback_at_once(Policy()), three_tries())

policies = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)


@policies
def test_where_all_works_all_is_charged_on_default(policy: Policy) -> None:
    figures = simulate(ALL_WORK, policy)
    assert figures.settled == {"default": figures.offered, "fallback": 0}
    assert figures.calls["default"] == figures.offered == len(list(SMALL.arrivals()))
    assert figures.profit_cents(SMALL) == pytest.approx(figures.offered * AMOUNT_CENTS * 0.95)
    assert figures.profit_cents(SMALL) == pytest.approx(best_cents(ALL_WORK))


def test_without_patience_all_goes_to_fallback_while_default_is_down() -> None:
    figures = simulate(DEFAULT_DOWN, fallback_at_once(Policy()))
    assert figures.settled["default"] == 0
    # The last ones have just failed as a probe, and pause.
    assert 0 <= figures.offered - figures.settled["fallback"] <= 5
    assert figures.profit_cents(SMALL) == pytest.approx(figures.settled["fallback"] * AMOUNT_CENTS * 0.85)


def test_who_tries_default_only_earns_nothing_while_it_is_down() -> None:
    assert simulate(DEFAULT_DOWN, default_only()).profit_cents(DEFAULT_DOWN) == 0


def test_three_tries_are_three_calls_to_default_for_each_payment() -> None:
    figures = simulate(DEFAULT_DOWN, three_tries(), until_s=DURATION_S + 5)
    assert figures.settled == {"default": 0, "fallback": figures.offered}
    assert figures.calls == {"default": 3 * figures.offered, "fallback": figures.offered}


@policies
def test_where_none_works_nothing_is_earned(policy: Policy) -> None:
    assert simulate(NONE_WORKS, policy).profit_cents(NONE_WORKS) == 0
    assert best_cents(NONE_WORKS) == 0


@pytest.mark.parametrize(("policy", "seed"), [(policy, seed) for seed, policy in enumerate(POLICIES)])
def test_no_payment_is_lost_or_charged_twice(policy: Policy, seed: int) -> None:
    (drawn,) = random_games(1, seed)
    table = (*drawn.table, Stage(DURATION_S, WORKS, WORKS))
    figures = simulate(replace(SMALL, table=table), policy, until_s=2 * DURATION_S)
    assert figures.booked_twice == 0
    assert figures.settled == figures.booked
    assert sum(figures.settled.values()) == figures.offered


@policies
def test_at_the_end_only_what_waits_or_is_under_way_is_missing(policy: Policy) -> None:
    figures = simulate(replace(random_games(1, seed=3)[0], users=SMALL.users), policy)
    assert figures.booked_twice == 0
    assert all(figures.settled[name] <= figures.booked[name] for name in figures.booked)
    assert sum(figures.booked.values()) <= figures.offered


@policies
def test_what_timed_out_is_found_charged_on_the_same_processor(policy: Policy) -> None:
    table = (Stage(0, Condition(CHARGE_TIMEOUT_S + 1), WORKS), Stage(20, WORKS, WORKS))
    figures = simulate(replace(SMALL, table=table), policy, until_s=2 * DURATION_S)
    assert figures.booked_twice == 0
    assert figures.settled == figures.booked
    assert sum(figures.settled.values()) == figures.offered


def test_the_same_seed_gives_the_same_figures() -> None:
    assert simulate(SMALL, Policy(), seed=5) == simulate(SMALL, Policy(), seed=5)


def test_the_best_is_bounded_by_when_processors_work() -> None:
    table = (Stage(0, Condition(1.0), WORKS), Stage(30, Condition(1.0, 1), WORKS), Stage(50, DOWN, DOWN))
    moments_s = [moment_s for moment_s, _ in SMALL.arrivals()]
    on_default = sum(moment_s <= 29 - SERVICE_S for moment_s in moments_s)
    on_fallback = sum(29 - SERVICE_S < moment_s <= 50 - SERVICE_S for moment_s in moments_s)
    assert best_cents(replace(SMALL, table=table)) == pytest.approx(
        AMOUNT_CENTS * (0.95 * on_default + 0.85 * on_fallback)
    )


def test_in_the_preview_fiel_earns_as_good_as_all_that_could_be_earned() -> None:
    assert simulate(PREVIEW, Policy()).profit_cents(PREVIEW) >= 0.99 * best_cents(PREVIEW)


def test_what_is_slow_in_the_last_stage_of_the_final_is_not_used_there_beside_what_is_fast() -> None:
    """The stages from second 240 on, by a tenth of the load."""
    late = tuple(replace(stage, from_s=stage.from_s - 240) for stage in FINAL.table if stage.from_s >= 240)
    figures = simulate(replace(SMALL, table=late, fees_percent=FINAL.fees_percent), Policy())
    in_last_stage = sum(at_s >= 30 for at_s, _ in SMALL.arrivals())
    assert sum(figures.settled.values()) == figures.offered
    assert figures.settled["fallback"] >= 0.9 * in_last_stage
