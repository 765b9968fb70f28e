"""Measures how soon a running gateway charges on a processor after an outage, and how rarely it probes before."""

import argparse
import json
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from statistics import median

import msgspec

from ops.chaostest.client import administer
from ops.chaostest.load_generator import LoadGenerator
from ops.foreground import print_error
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SLOW_S = 2.0
OUTAGES: Mapping[str, Mapping[str, object]] = {
    "fails": {"failureRate": 1},
    "fails slowly": {"failureRate": 1, "delay": {"kind": "fixed", "ms": SLOW_S * 1000}},
    "refuses": {"refuse": True},
    "drops answers": {"commitThenDropRate": 1},
    "hangs": {"commitThenHangRate": 1},
}
"""The faults that the simulator is set to, by kind of outage."""
LENGTHS_S = (2, 4, 7, 11, 7, 20, 5, 5, 9, 14, 60)
CALM_S = 6.0
"""Time between two outages; long enough for the breaker to regard an outage as over."""
OPENED_S = 2.0
"""This long after the first answers of an outage the breakers are open; later requests are probes."""
STEP_S = 0.1
BIN_MS = 250
FULL = 0.9
"""Share of the offered rate at which the gateway counts as recovered."""
PROBES_PER_S_MAX = 4
MEDIAN_S_MAX, WORST_S_MAX = 0.5, 1.5


@dataclass(frozen=True, slots=True)
class Recovery:
    """One outage and its end."""

    kind: str
    length_s: float
    first_s: float | None
    """Time from the end of the outage to the first charge that was sent; None if not within `CALM_S`."""
    full_s: float | None
    """Time from the end of the outage to the first quarter of a second with nine tenths of the offered rate."""
    probes_per_s_max: int
    """The most requests that the processor met in any second while the breakers were open."""


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Run a stack through one outage after another; see the constants above."""
    parser = argparse.ArgumentParser(prog="ops/bench recovery", description=run.__doc__)
    parser.add_argument("--rate", type=float, default=180, help="payments a second; default: 180")
    parser.add_argument("--lengths", type=_floats, default=LENGTHS_S, help="seconds of each outage, as in 2,5,60")
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="fiel-bench-") as folder,
        Stack(replace(StackOptions.on_reserved_ports(Path(folder)), templates=None)) as stack,
    ):
        recoveries = list(_measure(stack, given.rate, given.lengths))
    first = [each.first_s for each in recoveries if each.first_s is not None]
    full = [each.full_s for each in recoveries if each.full_s is not None]
    probes = max(each.probes_per_s_max for each in recoveries)
    complete = len(first) == len(full) == len(recoveries)
    return {
        "outages": len(recoveries),
        "first_charge_s": {"median": median(first), "worst": max(first)} if first else None,
        "full_rate_s": {"median": median(full), "worst": max(full)} if full else None,
        "probes_per_s_max": probes,
        "ratio_to_target": round(median(full) / MEDIAN_S_MAX, 2) if full else None,
        "target": f"a median of {MEDIAN_S_MAX} s and {WORST_S_MAX} s at worst until charges are made again, "
        f"{PROBES_PER_S_MAX} probes a second",
        "ok": complete
        and max(median(first), median(full)) <= MEDIAN_S_MAX
        and max(*first, *full) <= WORST_S_MAX
        and probes <= PROBES_PER_S_MAX,
    }


def _measure(stack: Stack, rate: float, lengths_s: Sequence[float]) -> list[Recovery]:
    seconds = sum(lengths_s) + CALM_S * (len(lengths_s) + 1)
    load = LoadGenerator(stack.replica_urls, rate=rate, seconds=seconds, seed=1)
    load.start()
    try:
        _pause(CALM_S)
        return [_one(stack, rate, kind, length_s) for kind, length_s in zip(cycle(OUTAGES), lengths_s, strict=False)]
    finally:
        load.stop()


def _one(stack: Stack, rate: float, kind: str, length_s: float) -> Recovery:
    url = stack.simulator("default").admin_url
    _set_faults(url, OUTAGES[kind])
    met = _watch(url, length_s, OPENED_S + SLOW_S * ("delay" in OUTAGES[kind]))
    _set_faults(url, {})
    worked_at_ms = time.time_ns() // 1_000_000
    _pause(CALM_S)
    stamps_ms = sorted(_stamps_ms(url, worked_at_ms))
    first_s = (stamps_ms[0] - worked_at_ms) / 1000 if stamps_ms else None
    recovery = Recovery(kind, length_s, first_s, _full_s(stamps_ms, worked_at_ms, rate), met)
    print_error(str(recovery))
    return recovery


def _watch(url: str, length_s: float, opened_s: float) -> int:
    """Wait for the end of an outage; gives the most requests that met it in one second after the breakers opened."""
    began_s = time.monotonic()
    counts: list[tuple[float, int]] = []
    while (elapsed_s := time.monotonic() - began_s) < length_s:
        if elapsed_s >= opened_s:
            counts.append((elapsed_s, _met(url)))
        _pause(min(STEP_S, length_s - elapsed_s))
    times_s = [at_s for at_s, _ in counts]
    return max(
        (count - counts[bisect_left(times_s, at_s - 1.0)][1] for at_s, count in counts),
        default=0,
    )


def _full_s(stamps_ms: Sequence[int], worked_at_ms: int, rate: float) -> float | None:
    wanted = rate * BIN_MS / 1000 * FULL
    for index, stamp_ms in enumerate(stamps_ms):
        if bisect_left(stamps_ms, stamp_ms + BIN_MS) - index >= wanted:
            return (stamp_ms - worked_at_ms) / 1000
    return None


def _stamps_ms(url: str, since_ms: int) -> list[int]:
    """List the stamps of the charges that were sent since then."""
    stamps_ms = []
    for row in administer(url, "GET", "/admin/payments").splitlines():
        sent_at = datetime.fromisoformat(json.loads(row)["requestedAt"])
        stamps_ms.append((sent_at - EPOCH) // timedelta(milliseconds=1))
    return [stamp_ms for stamp_ms in stamps_ms if stamp_ms >= since_ms]


def _set_faults(url: str, faults: Mapping[str, object]) -> None:
    administer(url, "PUT", "/admin/faults", msgspec.json.encode(faults))


def _met(url: str) -> int:
    """Count the requests that met a fault so far: delays beside other faults count, a closed port counts none."""
    injected: dict[str, int] = json.loads(administer(url, "GET", "/admin/faults"))["injected"]
    return sum(count for name, count in injected.items() if name != "delay")


def _pause(seconds: float) -> None:
    threading.Event().wait(max(0.0, seconds))


def _floats(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))
