"""Measures what one payment costs a whole gateway under steady load, beside an earlier revision in the same minutes."""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median, quantiles

import uvloop

from ops import OpsError
from ops.arguments import positive_number
from ops.benchmarks.checkout import check_out
from ops.benchmarks.clients import Answers, Clients
from ops.benchmarks.deployment import Deployment
from ops.benchmarks.usage import Usage
from ops.environment import ROOT
from ops.foreground import print_error

REPLICAS = 3
WARM_UP_S = 3.0
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Observation:
    """All that was read of one gateway in one run."""

    before: Mapping[str, Usage]
    """What each part had used when the measured load began."""
    after: Mapping[str, Usage]
    """What each part had used when every measured post was answered."""
    commits: int
    """Transactions that were committed between these two readings."""
    warm_up: Answers
    measured: Answers
    charges: Counter[str]
    """How often each correlation id was charged, at the end."""
    unsettled: int
    """Accepted payments that the gateway's own summary lacks at the end."""
    replica_peak_bytes: int


@dataclass(frozen=True, slots=True)
class Cost:
    """The figures of one run of one gateway; the names are those of the result."""

    replicas_cpu_ms: float
    """CPU time per payment, in milliseconds, of all replicas; the next figures are of the other parts, and of all."""
    postgres_cpu_ms: float
    redis_cpu_ms: float
    all_cpu_ms: float
    replicas_switches: float
    """Context switches per payment, voluntary and involuntary."""
    postgres_switches: float
    all_switches: float
    commits: float
    """Committed transactions per payment."""
    replica_peak_mb: float
    """Peak memory of the largest replica with all its processes, in megabytes of a million bytes."""
    p50_ms: float
    """Median of the time from a post to its answer."""
    p99_ms: float
    failed: int
    """Posts that were not answered with 202."""
    lost: int
    """Payments that were answered with 202 and are in no processor's ledger at the end."""
    charged_twice: int
    unsettled: int
    """Payments that were answered with 202 and are missing in the gateway's own summary at the end."""


FIGURES = tuple(field.name for field in fields(Cost))
COUNTS = ("failed", "lost", "charged_twice", "unsettled")
"""Figures that are added up over the rounds; all others are medians."""


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Load three replicas with healthy processors at a steady rate, and measure what a payment costs.

    With --against, a checkout of that revision runs in each round too, started by its own ops/up. Each ratio is the
    median of those of the rounds. The checkout is kept in var/benchmarks.
    """
    parser = argparse.ArgumentParser(prog="ops/bench cost", description=run.__doc__)
    parser.add_argument("--against", metavar="REV", help="the revision to compare with; default: none")
    parser.add_argument(
        "--rate", type=positive_number, default=180, help="payments a second to each replica; default: 180"
    )
    parser.add_argument(
        "--seconds", type=positive_number, default=20, help="how long each run is measured; default: 20"
    )
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side; default: 5")
    given = parser.parse_args(arguments)
    if given.rounds < 1:
        parser.error("--rounds is 1 or more")
    try:
        sides = {"own": ROOT} | ({"baseline": check_out(given.against)} if given.against else {})
    except OpsError as error:
        parser.error(str(error))
    costs: dict[str, list[Cost]] = {side: [] for side in sides}
    for number in range(given.rounds):
        # The order changes from round to round, so that neither side always runs first.
        for side in sorted(sides, reverse=number % 2 == 0):
            costs[side].append(measure(sides[side], given.rate, given.seconds))
            print_error(f"round {number + 1} of {given.rounds}, {side}: {costs[side][-1]}")
    figures = {side: summarise(rounds) for side, rounds in costs.items()}
    ratios = compare(costs["own"], costs["baseline"]) if given.against else {}
    _show(figures, ratios)
    return {
        "rate": given.rate,
        "seconds": given.seconds,
        "rounds": given.rounds,
        **figures,
        "against": given.against,
        "ratios": ratios,
        "ratio_to_baseline": ratios.get("all_cpu_ms"),
        "target": "no payment failed, lost, charged twice or left unsettled",
        "ok": not any(figures["own"][name] for name in COUNTS),
    }


def measure(checkout: Path, rate: float, seconds: float) -> Cost:
    """Start the gateway of a checkout, load each replica with `rate` payments a second, and end it.

    Raises:
        OpsError: it did not start, or a part of it ended during the measurement.
    """
    with Deployment(checkout, replicas=REPLICAS) as deployment:
        return cost_of(uvloop.run(_observe(deployment, REPLICAS * rate, seconds)))


def cost_of(seen: Observation) -> Cost:
    """Work out the figures of one run; those per payment count the payments that were accepted while measured.

    Raises:
        OpsError: nothing was accepted.
    """
    payments = len(seen.measured.accepted)
    if payments == 0:
        raise OpsError(f"none of {seen.measured.offered} payments was accepted")
    cpu_ms = {part: 1000 * usage.cpu_s_since(seen.before[part]) / payments for part, usage in seen.after.items()}
    switches = {part: usage.switches_since(seen.before[part]) / payments for part, usage in seen.after.items()}
    latencies_ms = [1000 * each for each in seen.measured.latencies_s]
    percentiles_ms = quantiles(latencies_ms, n=100, method="inclusive")
    accepted = [*seen.warm_up.accepted, *seen.measured.accepted]
    return Cost(
        replicas_cpu_ms=cpu_ms["replicas"],
        postgres_cpu_ms=cpu_ms["postgres"],
        redis_cpu_ms=cpu_ms["redis"],
        all_cpu_ms=sum(cpu_ms.values()),
        replicas_switches=switches["replicas"],
        postgres_switches=switches["postgres"],
        all_switches=sum(switches.values()),
        commits=seen.commits / payments,
        replica_peak_mb=seen.replica_peak_bytes / MB,
        p50_ms=percentiles_ms[49],
        p99_ms=percentiles_ms[98],
        failed=seen.warm_up.failed + seen.measured.failed,
        lost=sum(correlation_id not in seen.charges for correlation_id in accepted),
        charged_twice=sum(count > 1 for count in seen.charges.values()),
        unsettled=seen.unsettled,
    )


def summarise(costs: Sequence[Cost]) -> dict[str, float]:
    """Return the median of each figure over the rounds; of figures that count errors, the sum."""
    return {
        name: sum(values) if name in COUNTS else round(median(values), 4)
        for name, values in ((name, [getattr(cost, name) for cost in costs]) for name in FIGURES)
    }


def compare(costs: Sequence[Cost], baselines: Sequence[Cost]) -> dict[str, float | None]:
    """Return for each figure the median over the rounds of its ratio to the baseline's; None where that is zero."""
    ratios: dict[str, float | None] = {}
    for name in FIGURES:
        if name not in COUNTS:
            pairs = [(getattr(cost, name), getattr(base, name)) for cost, base in zip(costs, baselines, strict=True)]
            ratios[name] = (
                round(median(own / base for own, base in pairs), 3) if all(base for _, base in pairs) else None
            )
    return ratios


async def _observe(deployment: Deployment, rate: float, seconds: float) -> Observation:
    clients = Clients(deployment.ports)
    try:
        warm_up = await clients.offer(rate, round(rate * WARM_UP_S))
        commits, before = deployment.commits(), deployment.usage()
        measured = await clients.offer(rate, round(rate * seconds))
        after, commits = deployment.usage(), deployment.commits() - commits
    finally:
        await clients.close()
    unsettled = deployment.wait_settled(len(warm_up.accepted) + len(measured.accepted))
    peak_bytes = deployment.replica_peak_bytes()
    charges = deployment.charges()
    deployment.check_unchanged()
    return Observation(before, after, commits, warm_up, measured, charges, unsettled, peak_bytes)


def _show(figures: Mapping[str, Mapping[str, float]], ratios: Mapping[str, float | None]) -> None:
    """Show people a table of all figures."""
    print_error(" ".join([f"{'':<18}", *(f"{side:>10}" for side in figures), *(["     ratio"] if ratios else [])]))
    for name in FIGURES:
        cells = [f"{values[name]:>10.3f}" for values in figures.values()]
        ratio = ratios.get(name)
        print_error(" ".join([f"{name:<18}", *cells, *([f"{ratio:>10.3f}"] if ratio is not None else [])]))
