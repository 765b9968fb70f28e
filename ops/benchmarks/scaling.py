"""What each part of a gateway costs by the number of its replicas and the rate, and whether a model of it holds."""

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from random import Random
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
)
from ops.benchmarks.scaling_readings import connection_kinds, read, uses
from ops.environment import ROOT
from ops.foreground import print_error

SETTLE_S = 4.0
WARM_UP_S = 2.0
TOLD_PER_S = 4000
"""Ids that replicas are told of by peers that are none, to find what hearing costs."""
EVENT_PER_S = 603
"""Payments a second at the end of the event's final."""
TIMES = (1, 10, 100, 1000)
SHARE_MAX = 0.6
"""Share of its core that a replica may use in the predictions."""
REPLICAS_PREDICTED_MAX = 1000
PEER = "benchmark"


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Measure gateways of several sizes at several rates, and check a model of what each part uses.

    Each gateway is measured at rest, told of others' payments, and at each rate. Each of these is then predicted from
    costs that were found in all others. The predictions for many times the event's load come from all.
    """
    parser = argparse.ArgumentParser(prog="ops/bench scaling", description=run.__doc__)
    parser.add_argument(
        "--replicas", type=_counts, default=(1, 3, 10), help="numbers of replicas; default: 1,3,10", metavar="N,N,…"
    )
    parser.add_argument(
        "--rates", type=_counts, default=(60, 240), metavar="R,R,…",
        help="payments a second to all replicas together, two rates or more; default: 60,240",
    )  # fmt: skip
    parser.add_argument("--seconds", type=positive_number, default=12, help="of each measurement; default: 12")
    given = parser.parse_args(arguments)
    if len(given.replicas) < 2 or len(given.rates) < 2:  # noqa: PLR2004 - else the others tell nothing of one
        parser.error("two numbers of replicas and two rates are needed to check one by the others")
    samples: list[Sample] = []
    for replicas in given.replicas:
        with Deployment(ROOT, replicas=replicas) as deployment:
            time.sleep(SETTLE_S)
            loads = [Load(replicas, 0), Load(replicas, 0, TOLD_PER_S), *(Load(replicas, rate) for rate in given.rates)]
            samples += [measure(deployment, load, given.seconds) for load in loads]
            deployment.check_unchanged()
    return conclude(samples)


def measure(deployment: Deployment, load: Load, seconds: float) -> Sample:
    """Put a load on a gateway that runs, and read what it uses meanwhile.

    Raises:
        OpsError: a payment was not accepted.
    """
    before, after = uvloop.run(_observe(deployment, load, seconds))
    used = uses(before, after, connection_kinds(deployment.database_url))
    print_error(f"{load}: " + ", ".join(f"{name} {value:.0f}" for name, value in used.items()))
    return Sample(load, used)


def conclude(samples: Sequence[Sample]) -> dict[str, object]:
    """Find the costs, check them by cross-validation, and predict what many times the event's load needs."""
    costs = fit(samples)
    errors = [
        {name: error(name, predicted[name], sample.uses[name]) for name in RESOURCES}
        for sample, predicted in zip(samples, cross_validate(samples), strict=True)
    ]
    worst = {name: max((each[name] for each in errors), key=abs) for name in RESOURCES}
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
        "target": f"each part's use is predicted within {WITHIN:.0%} from the other measurements",
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


async def _observe(deployment: Deployment, load: Load, seconds: float) -> tuple:  # type: ignore[type-arg]
    clients = Clients(deployment.ports, seed=round(time.time() * 1000))
    try:
        await _offer(clients, deployment, load, WARM_UP_S)
        before = read(deployment)
        await _offer(clients, deployment, load, seconds)
        return before, read(deployment)
    finally:
        await clients.close()


async def _offer(clients: Clients, deployment: Deployment, load: Load, seconds: float) -> None:
    if load.payments_per_s:
        answers = await clients.offer(load.payments_per_s, round(load.payments_per_s * seconds))
        if answers.failed:
            raise OpsError(f"{answers.failed} of {answers.offered} payments were not accepted")
    elif load.told_per_s:
        await _tell(deployment.redis_url, load.told_per_s, seconds)
    else:
        await asyncio.sleep(seconds)


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
        for sample, each in zip(samples, errors, strict=True):
            load = sample.load
            told = f", {load.told_per_s:g} told" if load.told_per_s else ""
            where = f"{load.replicas} replicas, {load.payments_per_s:g}/s{told}"
            print_error(f"    {where:<28} {sample.uses[name]:>12.1f} {each[name]:>+8.1%}")
    for times, figures in predictions.items():
        print_error(f"{times}: {', '.join(f'{name} {value}' for name, value in figures.items())}")


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def _counts(text: str) -> tuple[int, ...]:
    return tuple(positive_count(each) for each in text.split(","))
