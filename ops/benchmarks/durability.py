"""Measures what each level of `DURABILITY` costs clients: latency at a steady rate, and the highest throughput."""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median, quantiles

import uvloop

from actors.settings import Durability
from ops import OpsError
from ops.arguments import positive_count, positive_number
from ops.benchmarks.clients import Answers, Clients
from ops.benchmarks.own_postgres import replicated_postgres
from ops.foreground import print_error
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack

WARM_UP_S = 2.0
AT_ONCE = 1e6
"""A rate that no replica keeps up with: its connections are never idle."""


@dataclass(frozen=True, slots=True)
class MeasuredLevel:
    """A level of durability, and the state of Postgres."""

    durability: Durability
    replicated: bool = False
    """Whether each commit is confirmed by a standby."""
    away: bool = False
    """Whether Postgres has ended."""


LEVELS: Mapping[str, MeasuredLevel] = {
    "process": MeasuredLevel(Durability.PROCESS),
    "fsync": MeasuredLevel(Durability.FSYNC),
    "ledger": MeasuredLevel(Durability.LEDGER),
    "ledger, one synchronous standby": MeasuredLevel(Durability.LEDGER, replicated=True),
    "ledger,fsync without Postgres": MeasuredLevel(Durability.LEDGER_OR_FSYNC, away=True),
}


@dataclass(frozen=True, slots=True)
class AnswerFigures:
    """The figures of one level."""

    p50_ms: float
    p99_ms: float
    per_s: float
    """Payments that were answered with 202 in a second, where clients never wait."""
    failed: int
    """Posts that were not answered with 202."""


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Post to replicas at a steady rate, then without a pause, with each level; medians over the rounds."""
    parser = argparse.ArgumentParser(prog="ops/bench durability", description=run.__doc__)
    parser.add_argument(
        "--rate", type=positive_number, default=60, help="payments a second to each replica; default: 60"
    )
    parser.add_argument("--seconds", type=positive_number, default=10, help="of the steady rate; default: 10")
    parser.add_argument("--payments", type=positive_count, default=3000, help="without a pause; default: 3000")
    parser.add_argument("--rounds", type=positive_count, default=3, help="runs of each level; default: 3")
    given = parser.parse_args(arguments)
    found: dict[str, list[AnswerFigures]] = {name: [] for name in LEVELS}
    for number in range(given.rounds):
        for name, level in LEVELS.items():
            with _stack(level) as stack:
                figures = uvloop.run(_measure(stack, level, given.rate, given.seconds, given.payments))
            print_error(f"round {number + 1} of {given.rounds}, {name}: {figures}")
            found[name].append(figures)
    levels = {name: _summarise(rounds) for name, rounds in found.items()}
    return {
        "rate": given.rate,
        "rounds": given.rounds,
        "levels": levels,
        "target": "every payment is answered with 202",
        "ok": not any(figures["failed"] for figures in levels.values()),
    }


@contextmanager
def _stack(level: MeasuredLevel) -> Iterator[Stack]:
    with (
        tempfile.TemporaryDirectory(prefix="fiel-bench-") as folder,
        replicated_postgres() if level.replicated else nullcontext() as url,
    ):
        options = StackOptions.on_reserved_ports(Path(folder), {"DURABILITY": level.durability.value})
        with Stack(replace(options, database_url=url, templates=None)) as stack:
            yield stack


async def _measure(stack: Stack, level: MeasuredLevel, rate: float, seconds: float, payments: int) -> AnswerFigures:
    ports = [replica.port for replica in stack.replicas]
    clients = Clients(ports)
    try:
        await clients.offer(rate * len(ports), round(rate * len(ports) * WARM_UP_S))
        if level.away and stack.postgres is not None:
            stack.postgres.kill()
            # The first payments wait until the replicas know that Postgres is away.
            await clients.offer(rate * len(ports), round(rate * len(ports) * WARM_UP_S))
        steady = await clients.offer(rate * len(ports), round(rate * len(ports) * seconds))
        began_s = time.monotonic()
        hurried = await clients.offer(AT_ONCE, payments)
        taken_s = time.monotonic() - began_s
    finally:
        await clients.close()
    return _figures(steady, hurried, taken_s)


def _figures(steady: Answers, hurried: Answers, taken_s: float) -> AnswerFigures:
    if not steady.latencies_s or not hurried.accepted:
        raise OpsError("nothing was answered")
    percentiles_ms = quantiles((1000 * each for each in steady.latencies_s), n=100, method="inclusive")
    failed = steady.failed + hurried.failed
    return AnswerFigures(percentiles_ms[49], percentiles_ms[98], len(hurried.accepted) / taken_s, failed)


def _summarise(rounds: Sequence[AnswerFigures]) -> dict[str, float]:
    figures = [asdict(each) for each in rounds]
    medians = {name: round(median(each[name] for each in figures), 2) for name in ("p50_ms", "p99_ms", "per_s")}
    return medians | {"failed": sum(each["failed"] for each in figures)}
