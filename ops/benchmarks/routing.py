"""What routing earns: Fiel's policy against three others, over the event's stages and random ones."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

from actors.domain.breaker_limits import BreakerLimits
from actors.domain.concurrency_limit import ConcurrencyLimits
from ops.benchmarks.policies import Policy, default_only, fallback_at_once, three_tries
from ops.benchmarks.quiet_recovery import QUIET_COLUMNS, TABLE, simulate_burst
from ops.benchmarks.runs import Figures, best_cents, simulate
from ops.benchmarks.stages import EVENT, USERS_MAX, Table, random_tables

TABLES = 20
RUNS = 3
"""Runs over the event's own stages, of which the middle one counts: chance decides which replica's probe is first."""
CHOOSING_SEED, REPORTING_SEED = 1, 2
"""Parameters are chosen by other random tables than those that the policies are compared on."""

COLUMNS = "event: profit | event: on default | mean | worst | mean where default recovers | where it does not"

PATIENCE_GRID: Mapping[str, Sequence[Any]] = {
    "outage_s": (0, 5, 10, 11, 12, 15, 20, 25, 30),
    "backlog_s": (2, 5, 10, 20),
}
BREAKER_GRID: Mapping[str, Sequence[Any]] = {
    "window_s": (0.5, 1, 2),
    "failure_rate_max": (0.5, 0.7, 0.85),
    "calls_min": (10, 20, 50),
    "slow_call_s": (2, 5, 8),
}
"""Values of each parameter; whole numbers where it is one."""


@dataclass(frozen=True, slots=True)
class Load:
    """What each policy is run through."""

    tables: Sequence[Table]
    """The first is the event's."""
    users: int
    runs: int
    """Over the event's stages."""


@dataclass(frozen=True, slots=True)
class Result:
    """One policy over all tables; the first is the event's."""

    policy: Policy
    figures: Sequence[Figures]
    shares: Sequence[float]
    """Profit as share of `best_cents`, by table."""
    lasting: Sequence[bool]
    """Whether default is down at the end, by table: who waits for it then loses all that waits."""

    @property
    def event(self) -> Figures:
        """What came of the event's own stages, in the middle run."""
        return self.figures[0]

    def summary(self) -> dict[str, float | None]:
        """Give the figures that are reported."""
        return {
            "event_profit": round(self.event.profit_cents / 100, 2),
            "event_on_default": round(self.event.default_share, 4),
            "mean_share_of_best": round(mean(self.shares), 4),
            "worst_share_of_best": round(min(self.shares), 4),
            "mean_where_default_recovers": self._mean(lasting=False),
            "mean_where_it_does_not": self._mean(lasting=True),
        }

    def _mean(self, *, lasting: bool) -> float | None:
        shares = [share for share, last in zip(self.shares, self.lasting, strict=True) if last is lasting]
        return round(mean(shares), 4) if shares else None

    def row(self, *first: object) -> str:
        """Give a line of a markdown table, with these cells first."""
        return " | ".join(["", *map(str, first), *map(_cell, self.summary().values()), ""]).strip()


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Simulate the event's load in virtual time, over the event's stages and random ones; also outages that end unseen.

    Shares are of the best possible: each payment at 5 % where default works at any moment that is left to it, else at
    15 % where fallback does, as if any number of charges could be made at once.
    """
    parser = argparse.ArgumentParser(prog="ops/bench routing", description=run.__doc__)
    parser.add_argument("--sweep", action="store_true", help="vary the parameters of Fiel's policy one by one instead")
    parser.add_argument("--tables", type=int, default=TABLES, help=f"random stage tables; default: {TABLES}")
    parser.add_argument(
        "--seed", type=int, help=f"of these; default: {REPORTING_SEED}, and {CHOOSING_SEED} with --sweep"
    )
    parser.add_argument("--users", type=int, default=USERS_MAX, help=f"at the end of the ramp; default: {USERS_MAX}")
    parser.add_argument(
        "--limit", type=int, help="charges under way on one processor from one replica; default: adapts as the product"
    )
    parser.add_argument(
        "--runs", type=int, default=RUNS, help=f"over the event's stages, the middle one counts; default: {RUNS}"
    )
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else CHOOSING_SEED if given.sweep else REPORTING_SEED
    tables = [EVENT, *random_tables(given.tables, seed)]
    limits = ConcurrencyLimits()
    if given.limit is not None:
        limits = replace(limits, min=given.limit, initial=given.limit, max=given.limit)
    fiel = Policy(concurrency=limits)
    figures = (_sweep if given.sweep else _compare)(fiel, Load(tables, given.users, given.runs))
    return {"tables": len(tables), "seed": seed, "users": given.users, **figures}


def _compare(fiel: Policy, load: Load) -> dict[str, object]:
    _say_columns("policy", COLUMNS)
    results = []
    for policy in (fiel, default_only(), fallback_at_once(fiel), three_tries()):
        results.append(_over(load, policy))
        _say(results[-1].row(policy.name))
    first, *baselines = results
    profit = _profit(first)
    return {
        "policies": {result.policy.name: result.summary() for result in results},
        "ratio_to_baselines": {each.policy.name: round(profit / _profit(each), 4) for each in baselines},
        "ratio_to_baseline": round(profit / max(map(_profit, baselines)), 4),
        "quiet_recovery_on_fallback": _after_quiet_outages(fiel),
    }


def _after_quiet_outages(fiel: Policy) -> dict[str, int]:
    """Give how many payments of a burst are charged on fallback, by what the outage before it was like."""
    _say_columns("an outage ends while nobody posts", QUIET_COLUMNS)
    found = {quiet.name: simulate_burst(quiet, fiel) for quiet in TABLE}
    for name, figures in found.items():
        _say(figures.row(name))
    return {name: figures.settled.get("fallback", 0) for name, figures in found.items()}


def _sweep(fiel: Policy, load: Load) -> dict[str, object]:
    _say_columns("parameter | value", COLUMNS)
    chosen = _over(load, fiel)
    _say(chosen.row("all as chosen", ""))
    best: dict[str, object] = {}
    for parameter, policies in _grid(fiel):
        means = {}
        for value, policy in policies.items():
            result = chosen if policy == chosen.policy else _over(load, policy)
            means[value] = mean(result.shares)
            _say(result.row(parameter, f"**{value}**" if result is chosen else value))
        best[parameter] = {"value": max(means, key=means.__getitem__), "mean_share_of_best": max(means.values())}
    return {"chosen": chosen.summary(), "best_by_parameter": best}


def _grid(fiel: Policy) -> Iterator[tuple[str, dict[float, Policy]]]:
    """Give for each parameter the policies that differ from the product's in it alone, by its value."""
    patience, breaker = fiel.patience, BreakerLimits()
    for name, values in PATIENCE_GRID.items():
        yield name, {value: replace(fiel, patience=replace(patience, **{name: value})) for value in values}
    for name, values in BREAKER_GRID.items():
        yield name, {value: replace(fiel, breaker=replace(breaker, **{name: value})) for value in values}


def _over(load: Load, policy: Policy) -> Result:
    event, *others = load.tables
    runs = [simulate(event, policy, seed, load.users) for seed in range(load.runs)]
    runs.sort(key=lambda run: run.profit_cents)
    figures = [runs[load.runs // 2]]
    figures += [simulate(table, policy, seed, load.users) for seed, table in enumerate(others, start=1)]
    shares = [
        each.profit_cents / best if (best := best_cents(table, load.users)) else 1.0
        for each, table in zip(figures, load.tables, strict=True)
    ]
    return Result(policy, figures, shares, [table[-1].default.failure_rate >= 1 for table in load.tables])


def _profit(result: Result) -> float:
    return sum(each.profit_cents for each in result.figures)


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value > 1 else f"{value:.2%}"


def _say_columns(first: str, figures: str) -> None:
    """Begin a table in markdown."""
    _say(f"| {first} | {figures} |")
    _say("|" + " --- |" * (first.count("|") + 1) + " ---: |" * (figures.count("|") + 1))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - what ops/bench shows
