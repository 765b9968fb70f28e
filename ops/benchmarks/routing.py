"""Simulates what routing earns: Fiel's policy against three others, over the event's two games and random ones."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

from actors.domain.breaker_limits import BreakerLimits
from actors.domain.concurrency_limit import ConcurrencyLimits
from ops.benchmarks.policies import Policy, default_only, fallback_at_once, three_tries
from ops.benchmarks.quiet_recovery import QUIET_COLUMNS, TABLE, simulate_burst
from ops.benchmarks.runs import REPLICAS, Figures, best_cents, simulate
from ops.benchmarks.stages import FINAL_FEES, GAMES, PREVIEW_FEES, SimulatedGame, random_games, with_fees
from ops.foreground import print_error

TABLES = 100
RUNS = 3
"""Runs of each of the event's games. The middle one counts, since chance decides which replica's probe is first."""
CHOOSING_SEED, REPORTING_SEED = 1, 2
"""Seeds of random tables: those by which parameters are chosen, and those on which policies are compared."""
FEES = {"5/15 %": PREVIEW_FEES, "7/10 %": FINAL_FEES}
"""The fees that the random tables are played with."""

COLUMNS = " | ".join(
    [f"{name}: profit | of the best | on default" for name in GAMES]
    + [f"random at {fees}: mean | worst" for fees in FEES]
    + ["mean where default recovers | where it does not"]
)
"""The last two are of the random tables at the first fees, by whether default works at the end."""

PATIENCE_GRID: Mapping[str, Sequence[Any]] = {
    "outage_s": (0, 5, 10, 11, 12, 15, 20, 25, 30),
    "outage_backlog_s": (0.25, 0.5, 0.75, 1, 2, 4, 1000),
    "backlog_s": (2, 5, 10, 20),
}
BREAKER_GRID: Mapping[str, Sequence[Any]] = {
    "window_s": (0.5, 1, 2),
    "failure_rate_max": (0.5, 0.7, 0.85),
    "calls_min": (10, 20, 50),
    "slow_call_s": (2, 5, 8),
}
"""The values of each parameter that are tried."""


@dataclass(frozen=True, slots=True)
class Load:
    """The games that each policy plays."""

    games: Mapping[str, SimulatedGame]
    """The event's own games, by name."""
    random: Sequence[SimulatedGame]
    runs: int
    """The number of runs of each of the event's games."""
    replica_count: int


@dataclass(frozen=True, slots=True)
class Result:
    """One policy over all games."""

    policy: Policy
    played: Mapping[str, tuple[SimulatedGame, Figures]]
    """The event's games, each with its middle run."""
    shares: Mapping[str, Sequence[float]]
    """Profit as a share of `best_cents` for each random table, by fees."""
    lasting: Sequence[bool]
    """Whether default is down at the end of each random table: payments that wait for it then are lost."""

    @property
    def profit_cents(self) -> float:
        """The profit of the event's games together."""
        return sum(figures.profit_cents(game) for game, figures in self.played.values())

    def summary(self) -> dict[str, float | None]:
        """Give the figures that are reported."""
        found: dict[str, float | None] = {}
        for name, (game, figures) in self.played.items():
            profit_cents = figures.profit_cents(game)
            found[f"{name}_profit"] = round(profit_cents / 100, 2)
            found[f"{name}_share_of_best"] = round(profit_cents / best_cents(game), 4)
            found[f"{name}_on_default"] = round(figures.default_share, 4)
        for fees, shares in self.shares.items():
            found[f"mean_at_{fees}"] = _mean(shares)
            found[f"worst_at_{fees}"] = round(min(shares), 4) if shares else None
        first = next(iter(self.shares.values()))
        for name, lasting in (("mean_where_default_recovers", False), ("mean_where_it_does_not", True)):
            found[name] = _mean([share for share, last in zip(first, self.lasting, strict=True) if last is lasting])
        return found

    def row(self, *first: object) -> str:
        """Give a line of a markdown table, with these cells first."""
        return " | ".join(["", *map(str, first), *map(_cell, self.summary().values()), ""]).strip()


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Simulate the event's two games in virtual time, and random ones at both pairs of fees; also quiet outages.

    Shares are of an upper bound: each payment is charged at the low fee if default works at any moment before the end,
    otherwise at the high one if fallback does, as if any number of charges could be made at once.
    """
    parser = argparse.ArgumentParser(prog="ops/bench routing", description=run.__doc__)
    parser.add_argument(
        "--sweep",
        nargs="*",
        choices=[*PATIENCE_GRID, *BREAKER_GRID],
        help="vary these parameters of Fiel's policy one by one instead; all where none is named",
    )
    parser.add_argument("--tables", type=int, default=TABLES, help=f"random stage tables; default: {TABLES}")
    parser.add_argument(
        "--seed", type=int, help=f"of these; default: {REPORTING_SEED}, and {CHOOSING_SEED} with --sweep"
    )
    parser.add_argument("--users", type=int, help="at the end of the ramp; default: as in each game")
    parser.add_argument(
        "--limit", type=int, help="charges under way on one processor from one replica; default: adapts as the product"
    )
    parser.add_argument(
        "--runs", type=int, default=RUNS, help=f"of each of the event's games, the middle one counts; default: {RUNS}"
    )
    parser.add_argument(
        "--replicas",
        type=int,
        default=REPLICAS,
        help=f"that share the load; one with a third of the users runs three times as fast; default: {REPLICAS}",
    )
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else REPORTING_SEED if given.sweep is None else CHOOSING_SEED
    games, drawn = dict(GAMES), random_games(given.tables, seed)
    if given.users is not None:
        games = {name: replace(game, users=given.users) for name, game in games.items()}
        drawn = [replace(game, users=given.users) for game in drawn]
    limits = ConcurrencyLimits()
    if given.limit is not None:
        limits = replace(limits, min=given.limit, initial=given.limit, max=given.limit)
    fiel = Policy(concurrency=limits)
    load = Load(games, drawn, given.runs, given.replicas)
    figures = _compare(fiel, load) if given.sweep is None else _sweep(fiel, load, given.sweep)
    return {"tables": given.tables, "seed": seed, **figures}


def _compare(fiel: Policy, load: Load) -> dict[str, object]:
    _say_columns("policy", COLUMNS)
    results = []
    for policy in (fiel, default_only(), fallback_at_once(fiel), three_tries()):
        results.append(_over(load, policy))
        print_error(results[-1].row(policy.name))
    first, *baselines = results
    profit = first.profit_cents
    return {
        "policies": {result.policy.name: result.summary() for result in results},
        "ratio_to_baselines": {each.policy.name: round(profit / each.profit_cents, 4) for each in baselines},
        "ratio_to_baseline": round(profit / max(each.profit_cents for each in baselines), 4),
        "quiet_recovery_on_fallback": _after_quiet_outages(fiel),
    }


def _after_quiet_outages(fiel: Policy) -> dict[str, int]:
    """Give how many payments of a burst are charged on fallback, by what the outage before it was like."""
    _say_columns("an outage ends while nobody posts", QUIET_COLUMNS)
    found = {quiet.name: simulate_burst(quiet, fiel) for quiet in TABLE}
    for name, figures in found.items():
        print_error(figures.row(name))
    return {name: figures.settled.get("fallback", 0) for name, figures in found.items()}


def _sweep(fiel: Policy, load: Load, parameters: Sequence[str]) -> dict[str, object]:
    _say_columns("parameter | value", COLUMNS)
    chosen = _over(load, fiel)
    print_error(chosen.row("all as chosen", ""))
    best: dict[str, object] = {}
    for parameter, policies in _grid(fiel):
        if parameters and parameter not in parameters:
            continue
        means = {}
        for value, policy in policies.items():
            result = chosen if policy == chosen.policy else _over(load, policy)
            means[value] = _mean([share for shares in result.shares.values() for share in shares]) or 0.0
            print_error(result.row(parameter, f"**{value}**" if result is chosen else value))
        best[parameter] = {"value": max(means, key=means.__getitem__), "mean_share_of_best": max(means.values())}
    return {"chosen": chosen.summary(), "best_by_parameter": best}


def _grid(fiel: Policy) -> Iterator[tuple[str, dict[float, Policy]]]:
    """Give for each parameter the policies that differ from the product's in this parameter alone, by its value."""
    patience, breaker = fiel.patience, BreakerLimits()
    for name, values in PATIENCE_GRID.items():
        yield name, {value: replace(fiel, patience=replace(patience, **{name: value})) for value in values}
    for name, values in BREAKER_GRID.items():
        yield name, {value: replace(fiel, breaker=replace(breaker, **{name: value})) for value in values}


def _over(load: Load, policy: Policy) -> Result:
    played = {}
    for name, game in load.games.items():
        runs = [simulate(game, policy, seed, replica_count=load.replica_count) for seed in range(load.runs)]
        played[name] = game, sorted(runs, key=lambda run: run.profit_cents(game))[load.runs // 2]
    shares, figures = {}, list[Figures]()
    for fees, percent in FEES.items():
        games = with_fees(load.random, percent)
        if policy.weighs_fees or not figures:
            figures = [
                simulate(game, policy, seed, replica_count=load.replica_count)
                for seed, game in enumerate(games, start=1)
            ]
        shares[fees] = [_share(game, each) for game, each in zip(games, figures, strict=True)]
    return Result(policy, played, shares, [game.table[-1].default.failure_rate >= 1 for game in load.random])


def _share(game: SimulatedGame, figures: Figures) -> float:
    best = best_cents(game)
    return figures.profit_cents(game) / best if best else 1.0


def _mean(shares: Sequence[float]) -> float | None:
    return round(mean(shares), 4) if shares else None


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value > 1 else f"{value:.2%}"


def _say_columns(first: str, figures: str) -> None:
    """Begin a table in markdown."""
    print_error(f"| {first} | {figures} |")
    print_error("|" + " --- |" * (first.count("|") + 1) + " ---: |" * (figures.count("|") + 1))
