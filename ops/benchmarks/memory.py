"""The most memory that one replica needs: after many payments, while many wait, and both."""

import argparse
from collections.abc import Sequence

import uvloop

from ops.benchmarks.clients import Answers, Clients
from ops.benchmarks.deployment import Deployment
from ops.process import ROOT

MB = 1_000_000
PEAK_MB_MAX = 70
"""The target for each of the three peaks, in megabytes of a million bytes."""
SETTLED_S_MAX = 600


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Measure the peak memory of one replica after many payments, with as many waiting, and with both.

    Payments wait because both processors answer every charge with 500.
    """
    parser = argparse.ArgumentParser(prog="ops/bench memory", description=run.__doc__)
    parser.add_argument("--payments", type=int, default=100_000, help="of each kind; default: 100,000")
    parser.add_argument("--rate", type=float, default=500, help="payments a second; default: 500")
    given = parser.parse_args(arguments)
    if given.payments < 1 or not given.rate > 0:
        parser.error("--payments and --rate are more than 0")
    after, both = _settled_then_waiting(given.payments, given.rate)
    peaks = {"after": after, "waiting": _waiting(given.payments, given.rate), "both": both}
    worst_mb = max(peak["peak_mb"] for peak in peaks.values())
    return {
        "payments": given.payments,
        "rate": given.rate,
        **peaks,
        "ratio_to_target": round(worst_mb / PEAK_MB_MAX, 3),
        "ok": worst_mb <= PEAK_MB_MAX and not any(peak["failed"] or peak["unsettled"] for peak in peaks.values()),
    }


def _settled_then_waiting(payments: int, rate: float) -> tuple[dict[str, float], dict[str, float]]:
    with Deployment(ROOT, replicas=1) as deployment:
        settled = uvloop.run(_offer(deployment, rate, payments, seed=1))
        unsettled = deployment.wait_settled(len(settled.accepted), SETTLED_S_MAX)
        after = _peak(deployment, settled, unsettled)
        deployment.fail_processors()
        waiting = uvloop.run(_offer(deployment, rate, payments, seed=2))
        return after, _peak(deployment, waiting)


def _waiting(payments: int, rate: float) -> dict[str, float]:
    with Deployment(ROOT, replicas=1) as deployment:
        deployment.fail_processors()
        return _peak(deployment, uvloop.run(_offer(deployment, rate, payments, seed=1)))


async def _offer(deployment: Deployment, rate: float, payments: int, seed: int) -> Answers:
    clients = Clients(deployment.ports, seed)
    try:
        return await clients.offer(rate, payments)
    finally:
        await clients.close()


def _peak(deployment: Deployment, answers: Answers, unsettled: int = 0) -> dict[str, float]:
    deployment.check_unchanged()
    return {
        "peak_mb": round(deployment.replica_peak_bytes() / MB, 1),
        "accepted": len(answers.accepted),
        "failed": answers.failed,
        "unsettled": unsettled,
    }
