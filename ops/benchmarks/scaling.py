"""What each part of a gateway costs by the number of its replicas and the rate, and whether a model of it holds."""

import argparse
import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean
from uuid import UUID

import uvloop

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.peer_channel import RedisPeerChannel
from actors.domain.payment import Payment
from actors.domain.peers import PeerNews
from actors.gossip import EXCHANGE_S
from ops import OpsError
from ops.arguments import positive_count, positive_number
from ops.benchmarks.clients import Clients
from ops.benchmarks.deployment import Deployment
from ops.benchmarks.scaling_model import (
    JUDGED,
    RESOURCES,
    WITHIN,
    Costs,
    Load,
    Sample,
    cross_validate,
    error,
    fit,
    predict,
    replicas_needed,
    with_totals,
)
from ops.benchmarks.scaling_readings import (
    CountReading,
    CpuReading,
    connection_kinds,
    counted,
    cpu_used,
    read_counts,
    read_cpu,
)
from ops.environment import ROOT
from ops.foreground import print_error

SETTLE_S = 4.0
WARM_UP_S = 2.0
TOLD_PER_S = 4000
"""Ids that replicas are told of by peers that are none, to find what hearing costs."""
EVENT_PER_S = 603
"""Payments a second at the end of the event's final."""
TIMES = (1, 10, 30, 50, 100, 1000)
SHARE_MAX = 0.6
"""Share of its core that a replica may use in the predictions."""
REPLICAS_PREDICTED_MAX = 1000
LOAD_MAX = 1.5
"""Threads for each core. Where more compute at once, heartbeats and batches become fewer, and share their wake-ups."""
PEER = "benchmark"


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
        "--rates", type=_counts, default=(24, 60, 240), metavar="R,R,…",
        help="payments a second to all replicas together, two rates or more; default: 24,60,240",
    )  # fmt: skip
    parser.add_argument("--seconds", type=positive_number, default=5, help="of each measurement; default: 5")
    parser.add_argument("--rounds", type=positive_count, default=2, help="measurements of each load; default: 2")
    given = parser.parse_args(arguments)
    if len(given.replicas) < 2 or len(given.rates) < 2:  # noqa: PLR2004 - else the others tell nothing of one
        parser.error("two numbers of replicas and two rates are needed to check one by the others")
    samples: list[Sample] = []
    for replicas in given.replicas:
        with Deployment(ROOT, replicas=replicas) as deployment:
            time.sleep(SETTLE_S)
            loads = [Load(replicas, 0), Load(replicas, 0, TOLD_PER_S), *(Load(replicas, rate) for rate in given.rates)]
            # Loads take turns, since the machine is slower at some times than at others.
            rounds = [[measure(deployment, load, given.seconds) for load in loads] for _ in range(given.rounds)]
            deployment.check_unchanged()
        samples += [mean(same) for same in zip(*rounds, strict=True)]
    return {"load_average": load_average(), **conclude(samples)}


def load_average() -> float:
    """Tell how many threads have computed, or waited for a core, over five minutes; warn where there are too many."""
    average, cores = os.getloadavg()[1], len(os.sched_getaffinity(0))
    if average > LOAD_MAX * cores:
        print_error(
            f"others compute too: {average:.1f} threads for {cores} cores; processes that wait for a core do less"
        )
    return round(average, 1)


def mean(samples: Sequence[Sample]) -> Sample:
    """Give the mean of what was measured in several rounds of one load."""
    load = samples[0].load
    rate = fmean(sample.load.payments_per_s for sample in samples)
    used = {name: fmean(sample.uses[name] for sample in samples) for name in samples[0].uses}
    return Sample(Load(load.replicas, rate, load.told_per_s), used)


def measure(deployment: Deployment, load: Load, seconds: float) -> Sample:
    """Put a load on a gateway that runs, and read what it uses meanwhile.

    Raises:
        OpsError: a payment was not accepted.
    """
    observed = uvloop.run(_observe(deployment, load, seconds))
    # Who offers payments may be late on a busy machine: what was offered counts.
    load = Load(load.replicas, observed.payments_per_s, load.told_per_s)
    used = {
        **cpu_used(*observed.cpu, connection_kinds(deployment.database_url)),
        **counted(*observed.counts),
    }
    print_error(f"{_named(load)}: " + ", ".join(f"{name} {value:.1f}" for name, value in used.items()))
    return Sample(load, used)


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
    used = predict(costs, Load(replicas, payments_per_s))
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


@dataclass(frozen=True, slots=True)
class _Observed:
    """What was read before and after a load."""

    payments_per_s: float
    cpu: tuple[CpuReading, CpuReading]
    counts: tuple[CountReading, CountReading]


async def _observe(deployment: Deployment, load: Load, seconds: float) -> _Observed:
    clients = Clients(deployment.ports, seed=time.time_ns())
    try:
        await _offer(clients, deployment, load, WARM_UP_S)
        # Asking for counts costs CPU, which is not to be measured.
        counts = read_counts(deployment)
        cpu = read_cpu(deployment)
        payments = await _offer(clients, deployment, load, seconds)
        later_cpu = read_cpu(deployment)
        later_counts = read_counts(deployment)
    finally:
        await clients.close()
    return _Observed(payments / (later_cpu.at_s - cpu.at_s), (cpu, later_cpu), (counts, later_counts))


async def _offer(clients: Clients, deployment: Deployment, load: Load, seconds: float) -> int:
    """Put a load on the gateway for some seconds, and tell how many payments it has accepted."""
    if load.payments_per_s:
        answers = await clients.offer(load.payments_per_s, round(load.payments_per_s * seconds))
        if answers.failed:
            raise OpsError(f"{answers.failed} of {answers.offered} payments were not accepted")
        return len(answers.accepted)
    if load.told_per_s:
        await _tell(deployment.redis_url, load.told_per_s, seconds)
    else:
        await asyncio.sleep(seconds)
    return 0


async def _tell(redis_url: str, ids_per_s: float, seconds: float) -> None:
    """Tell replicas of payments as another replica would."""
    channel = RedisPeerChannel(redis_url, HostDirectory(), 0)
    chance = Random()  # noqa: S311 - each run tells of others
    began_s = time.monotonic()
    try:
        for number in range(round(seconds / EXCHANGE_S)):
            await asyncio.sleep(max(0.0, began_s + number * EXCHANGE_S - time.monotonic()))
            now_ms = round(time.time() * 1000)
            told = (
                Payment(UUID(int=chance.getrandbits(128), version=4), 1990, now_ms)
                for _ in range(round(ids_per_s * EXCHANGE_S))
            )
            channel.tell(PeerNews(PEER, tuple(told)))
        await asyncio.sleep(max(0.0, began_s + seconds - time.monotonic()))
    finally:
        channel.close()


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


def _named(load: Load) -> str:
    told = f", {load.told_per_s:g} told" if load.told_per_s else ""
    return f"{load.replicas} replicas, {load.payments_per_s:.0f}/s{told}"


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def _counts(text: str) -> tuple[int, ...]:
    return tuple(positive_count(each) for each in text.split(","))
