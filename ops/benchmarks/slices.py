"""Shows where the time of a payment goes inside a replica: slices of the event loop, and what payments waited for."""

import argparse
import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import quantiles
from typing import Any

import msgspec
import requests
import uvloop

from ops.arguments import positive_number
from ops.benchmarks.clients import Clients
from ops.benchmarks.traced_gateway import APPLICATION, OVER_MS, Totals
from ops.foreground import print_error
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack

WARM_UP_S = 3.0
ANSWER_S_MAX = 30
SHOWN = 15
"""How many functions are shown, those with the most wall time first."""


@dataclass(slots=True)
class LongSlices(Totals):
    """Long slices of greenlets of one kind that gave up the loop in one function."""

    kind: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one replica told; the names are those of `Observer.told`."""

    durations_s: Mapping[str, list[float]]
    by_kind: Mapping[str, Totals]
    long: Sequence[LongSlices]


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Load three replicas at a steady rate, and show where the time of a payment goes inside them.

    Wall time far above CPU time means that a slice waited, for a core or for the disk. The observer itself costs some
    0.3 ms for each payment, which belongs to no slice.
    """
    parser = argparse.ArgumentParser(prog="ops/bench slices", description=run.__doc__)
    parser.add_argument(
        "--rate", type=positive_number, default=180, help="payments a second to each replica; default: 180"
    )
    parser.add_argument(
        "--seconds", type=positive_number, default=20, help="how long the load is observed; default: 20"
    )
    parser.add_argument(
        "--over-ms", type=positive_number, default=1, help="slices as long are told by function; default: 1"
    )
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fiel-bench-") as folder:
        options = StackOptions.on_reserved_ports(Path(folder), {OVER_MS: str(given.over_ms)})
        with Stack(replace(options, application=APPLICATION, templates=None)) as stack:
            posted, seen = uvloop.run(_observe(stack, given.rate, given.seconds))
    figures = summarise(seen, posted)
    _show(figures)
    return {"rate": given.rate, "seconds": given.seconds, "over_ms": given.over_ms, **figures}


def summarise(replicas: Sequence[Seen], payments: int) -> dict[str, Any]:
    """Add up what the replicas told of `payments` payments: percentiles, CPU a payment, and the longest slices."""
    names = sorted({name for each in replicas for name in each.durations_s})
    durations = {name: [s for each in replicas for s in each.durations_s.get(name, ())] for name in names}
    kinds: dict[str, Totals] = defaultdict(Totals)
    places: dict[tuple[str, str], Totals] = defaultdict(Totals)
    for each in replicas:
        for kind, totals in each.by_kind.items():
            kinds[kind].add_all(totals)
        for long in each.long:
            places[long.kind, long.place].add_all(long)
    return {
        "payments": payments,
        "durations_ms": {name: percentiles_ms(each) for name, each in durations.items() if each},
        "slices": {
            kind: {
                "per_payment": round(totals.count / payments, 3),
                "cpu_ms_per_payment": round(1000 * totals.cpu_s / payments, 4),
                "wall_ms_per_payment": round(1000 * totals.wall_s / payments, 4),
            }
            for kind, totals in sorted(kinds.items(), key=lambda item: -item[1].cpu_s)
        },
        "long_slices": [
            {
                "kind": kind,
                "function": place,
                "count": totals.count,
                "wall_ms": round(1000 * totals.wall_s, 1),
                "cpu_ms": round(1000 * totals.cpu_s, 1),
                "longest_ms": round(1000 * totals.longest_s, 1),
            }
            for (kind, place), totals in sorted(places.items(), key=lambda item: -item[1].wall_s)
        ],
    }


def percentiles_ms(durations_s: Sequence[float]) -> dict[str, float]:
    """Give the count, percentiles and the greatest of some durations, in milliseconds; there is one at least."""
    ms = sorted(1000 * each for each in durations_s)
    cuts = quantiles(ms, n=1000, method="inclusive") if len(ms) > 1 else ms * 999
    wanted = {"p50": cuts[499], "p90": cuts[899], "p99": cuts[989], "p999": cuts[998], "max": ms[-1]}
    return {"count": len(ms), **{name: round(value, 3) for name, value in wanted.items()}}


async def _observe(stack: Stack, rate: float, seconds: float) -> tuple[int, list[Seen]]:
    clients = Clients(stack.options.replica_ports)
    rate *= stack.options.replicas
    try:
        await clients.offer(rate, round(rate * WARM_UP_S))
        await asyncio.to_thread(_forget, stack.replica_urls)
        answers = await clients.offer(rate, round(rate * seconds))
        seen = await asyncio.to_thread(_ask, stack.replica_urls)
    finally:
        await clients.close()
    return len(answers.accepted), seen


def _forget(urls: Sequence[str]) -> None:
    for url in urls:
        requests.delete(f"{url}/slices", timeout=ANSWER_S_MAX).raise_for_status()


def _ask(urls: Sequence[str]) -> list[Seen]:
    answers = [requests.get(f"{url}/slices", timeout=ANSWER_S_MAX) for url in urls]
    return [msgspec.json.decode(answer.content, type=Seen) for answer in answers]


def _show(figures: Mapping[str, Any]) -> None:
    names = ("count", "p50", "p90", "p99", "p999", "max")
    print_error(f"{'milliseconds':<22}" + "".join(f"{name:>9}" for name in names))
    for name, each in figures["durations_ms"].items():
        print_error(f"{name:<22}" + "".join(f"{each[column]:>9g}" for column in names))
    print_error(f"\n{'a payment':<22}{'slices':>9}{'CPU ms':>9}{'wall ms':>9}")
    for kind, each in figures["slices"].items():
        print_error(f"{kind:<22}" + "".join(f"{value:>9.3f}" for value in each.values()))
    print_error("\nlong slices; wall far above CPU: it waited for a core or the disk")
    print_error(f"{'count':>7}{'wall ms':>9}{'CPU ms':>9}{'longest':>9}")
    for long in figures["long_slices"][:SHOWN]:
        numbers = f"{long['count']:>7}{long['wall_ms']:>9}{long['cpu_ms']:>9}{long['longest_ms']:>9}"
        print_error(f"{numbers}  {long['kind']}  {long['function']}")
