"""Measures what each part of a gateway costs by the number of replicas and the rate, and checks a model of it."""

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from statistics import median

from ops.arguments import positive_count, positive_number
from ops.benchmarks.deployment import Deployment
from ops.benchmarks.scaling_loads import measure
from ops.benchmarks.scaling_model import (
    JUDGED,
    RESOURCES,
    WITHIN,
    Costs,
    GatewayLoad,
    Sample,
    cross_validate,
    error,
    fit,
    predict,
    replicas_needed,
    with_totals,
)
from ops.environment import ROOT
from ops.foreground import print_error

SETTLE_S = 4.0
FEW = 3
"""So many replicas can take the last rate on two cores beside the clients and the processors."""
TOLD_PER_S = 4000
"""Ids that replicas are told of by a simulated peer, to find out what hearing of them costs."""
EVENT_PER_S = 603
"""Payments a second at the end of the event's final."""
TIMES = (1, 10, 30, 50, 100, 1000)
SHARE_MAX = 0.6
"""Share of its core that a replica may use in the predictions."""
REPLICAS_PREDICTED_MAX = 1000
LOAD_MAX = 1.5
"""Threads for each core. Where more compute at once, heartbeats and batches become fewer, and share their wake-ups."""


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Measure gateways of several sizes at several rates, and check a model of what each part uses.

    Each gateway is measured at rest, told of others' payments, and at each rate. Each of these is then predicted from
    costs that were found with other
    numbers of replicas. The predictions for many times the event's load come from all.
    """
    parser = argparse.ArgumentParser(prog="ops/bench scaling", description=run.__doc__)
    parser.add_argument(
        "--replicas", type=_counts, default=(1, 3, 10), help="numbers of replicas; default: 1,3,10", metavar="N,N,…"
    )
    parser.add_argument(
        "--rates", type=_counts, default=(24, 60, 240, 480), metavar="R,R,…",
        help=f"payments a second to all replicas together, two rates or more; the last one only to at most {FEW} "
        "replicas, since ten need more than two cores for it; default: 24,60,240,480",
    )  # fmt: skip
    parser.add_argument("--seconds", type=positive_number, default=5, help="of each measurement; default: 5")
    parser.add_argument("--rounds", type=positive_count, default=3, help="measurements of each load; default: 3")
    given = parser.parse_args(arguments)
    if len(given.replicas) < 2 or len(given.rates) < 2:  # noqa: PLR2004 - else the others tell nothing of one
        parser.error("two numbers of replicas and two rates are needed to check one by the others")
    samples: list[Sample] = []
    for replicas in given.replicas:
        with Deployment(ROOT, replicas=replicas) as deployment:
            time.sleep(SETTLE_S)
            loads = [
                GatewayLoad(replicas, 0),
                GatewayLoad(replicas, 0, TOLD_PER_S),
                *(GatewayLoad(replicas, rate) for rate in (given.rates if replicas <= FEW else given.rates[:-1])),
            ]
            # Loads take turns, since the machine is slower at some times than at others.
            rounds = [[_measure(deployment, load, given.seconds) for load in loads] for _ in range(given.rounds)]
            deployment.check_unchanged()
        samples += [typical(same) for same in zip(*rounds, strict=True)]
    return {"load_average": load_average(), **conclude(samples)}


def _measure(deployment: Deployment, load: GatewayLoad, seconds: float) -> Sample:
    """Measure one load, and tell people."""
    sample = measure(deployment, load, seconds)
    used = ", ".join(f"{name} {value:.1f}" for name, value in sample.uses.items())
    print_error(f"{_named(sample.load)}: {used}")
    return sample


def load_average() -> float:
    """Tell how many threads have computed, or waited for a core, over five minutes; warn where there are too many."""
    average, cores = os.getloadavg()[1], len(os.sched_getaffinity(0))
    if average > LOAD_MAX * cores:
        print_error(
            f"others compute too: {average:.1f} threads for {cores} cores; processes that wait for a core do less"
        )
    return round(average, 1)


def typical(samples: Sequence[Sample]) -> Sample:
    """Give the median over several rounds of one load, since a checkpoint may fall into one of them."""
    load = samples[0].load
    rate = median(sample.load.payments_per_s for sample in samples)
    used = {name: median(sample.uses[name] for sample in samples) for name in samples[0].uses}
    return Sample(GatewayLoad(load.replicas, rate, load.told_per_s), used)


def conclude(samples: Sequence[Sample]) -> dict[str, object]:
    """Find the costs, check them by cross-validation, and predict what many times the event's load needs."""
    costs = fit(samples)
    errors = [
        {name: error(name, with_totals(predicted)[name], with_totals(sample.uses)[name]) for name in JUDGED}
        for sample, predicted in zip(samples, cross_validate(samples), strict=True)
    ]
    worst = {name: max((each[name] for each in errors), key=abs) for name in JUDGED}
    predictions = {f"{times}x": outlook(costs, times * EVENT_PER_S) for times in TIMES}
    _show(samples, errors, costs, predictions)
    return {
        "costs": {name: _rounded(by_driver) for name, by_driver in costs.items()},
        "samples": [
            {
                "replicas": sample.load.replicas,
                "payments_per_s": sample.load.payments_per_s,
                "told_per_s": sample.load.told_per_s,
                "measured": _rounded(sample.uses),
                "errors": _rounded(each),
            }
            for sample, each in zip(samples, errors, strict=True)
        ],
        "worst_errors": _rounded(worst),
        "predictions": predictions,
        "target": f"what each part uses is predicted within {WITHIN:.0%} from other numbers of replicas",
        "ok": all(abs(each) <= WITHIN for each in worst.values()),
    }


def outlook(costs: Costs, payments_per_s: float) -> dict[str, float | None]:
    """Tell what one gateway needs for a load; the number of replicas is None where no number is enough."""
    replicas = replicas_needed(costs, payments_per_s, SHARE_MAX, REPLICAS_PREDICTED_MAX)
    if replicas is None:
        return {"payments_per_s": payments_per_s, "replicas": None}
    used = predict(costs, GatewayLoad(replicas, payments_per_s))
    postgres_ms = sum(cpu_ms for name, cpu_ms in used.items() if name.startswith("postgres_"))
    heard_ms = costs["replicas_cpu_ms"]["heard"] * payments_per_s
    return {
        "payments_per_s": payments_per_s,
        "replicas": replicas,
        "replicas_cores": round(used["replicas_cpu_ms"] / 1000, 2),
        "hearing_share_of_a_core": round(heard_ms / 1000, 3),
        "postgres_cores": round(postgres_ms / 1000, 2),
        "redis_cores": round(used["redis_cpu_ms"] / 1000, 3),
        "commits_per_s": round(used["commits"]),
        "wal_mb_per_s": round(used["wal_bytes"] / 1e6, 2),
        "redis_sent_mb_per_s": round(used["redis_sent_bytes"] / 1e6, 2),
    }


def _show(
    samples: Sequence[Sample],
    errors: Sequence[Mapping[str, float]],
    costs: Costs,
    predictions: Mapping[str, Mapping[str, float | None]],
) -> None:
    """Show people what was measured with the error of its prediction, the costs, and what follows."""
    for name in RESOURCES:
        print_error(f"{name}: {', '.join(f'{cost:.4g} for each of {driver}' for driver, cost in costs[name].items())}")
    for name in JUDGED:
        print_error(f"{name}, and the error of its prediction")
        for sample, each in zip(samples, errors, strict=True):
            print_error(f"    {_named(sample.load):<28} {with_totals(sample.uses)[name]:>12.1f} {each[name]:>+8.1%}")
    for times, figures in predictions.items():
        print_error(f"{times}: {', '.join(f'{name} {value}' for name, value in figures.items())}")


def _named(load: GatewayLoad) -> str:
    told = f", {load.told_per_s:g} told" if load.told_per_s else ""
    return f"{load.replicas} replicas, {load.payments_per_s:.0f}/s{told}"


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def _counts(text: str) -> tuple[int, ...]:
    return tuple(positive_count(each) for each in text.split(","))
