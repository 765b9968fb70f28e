"""Measures the peak memory of one replica: after many payments, while many wait, and both."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvloop

from ops.benchmarks.clients import Answers, Clients
from ops.benchmarks.control_group import ControlGroup
from ops.benchmarks.deployment import Deployment
from ops.environment import ROOT

MB = 1_000_000
PEAK_MB_MAX = 70
"""The target for each of the three peaks, in megabytes of a million bytes."""
SETTLED_S_MAX = 600


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Measure the peak memory of one replica after many payments, with as many waiting, and with both.

    Payments wait because both processors answer every charge with 500. Without --cgroup the peak is the proportional
    set size of the replica's processes; with it, what the kernel charges to a control group made for them.
    """
    parser = argparse.ArgumentParser(prog="ops/bench memory", description=run.__doc__)
    parser.add_argument("--payments", type=int, default=100_000, help="of each kind; default: 100,000")
    parser.add_argument("--rate", type=float, default=500, help="payments a second; default: 500")
    parser.add_argument("--cgroup", type=Path, help="folder of a control group to make one in; default: none")
    given = parser.parse_args(arguments)
    if given.payments < 1 or not given.rate > 0:
        parser.error("--payments and --rate are more than 0")
    with _replica(given.cgroup) as deployment:
        after = _settle(deployment, given.rate, given.payments)
        both = _wait(deployment, given.rate, given.payments)
    with _replica(given.cgroup) as deployment:
        peaks = {"after": after, "waiting": _wait(deployment, given.rate, given.payments), "both": both}
    worst_mb = max(peak["peak_mb"] for peak in peaks.values())
    return {
        "payments": given.payments,
        "rate": given.rate,
        "measure": "cgroup" if given.cgroup else "pss",
        **peaks,
        "ratio_to_target": round(worst_mb / PEAK_MB_MAX, 3),
        "target": f"each peak at most {PEAK_MB_MAX} MB, every payment accepted and settled",
        "ok": worst_mb <= PEAK_MB_MAX and not any(peak["failed"] or peak["unsettled"] for peak in peaks.values()),
    }


@contextmanager
def _replica(parent_group: Path | None) -> Iterator[Deployment]:
    """Run a gateway of one replica, in a control group of its own where there is a group to make one in."""
    with ExitStack() as stack:
        group = stack.enter_context(ControlGroup(parent_group)) if parent_group is not None else None
        yield stack.enter_context(Deployment(ROOT, replicas=1, group=group))


def _settle(deployment: Deployment, rate: float, payments: int) -> dict[str, float]:
    answers = uvloop.run(_offer(deployment, rate, payments, seed=1))
    return _peak(deployment, answers, deployment.wait_settled(len(answers.accepted), SETTLED_S_MAX))


def _wait(deployment: Deployment, rate: float, payments: int) -> dict[str, float]:
    deployment.fail_processors()
    return _peak(deployment, uvloop.run(_offer(deployment, rate, payments, seed=2)))


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
