"""Measures how rarely the breaker opens without an outage, and how soon it notices one and its end.

The product's breaker is called directly, in virtual time, as one replica calls it: without health answers and other
replicas, so that it goes by its own calls alone.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from math import inf
from random import Random
from statistics import mean
from typing import Protocol

from actors.domain.breaker import Breaker, BreakerState, Call
from actors.domain.breaker_limits import BreakerLimits
from actors.domain.probing import PROBE_PAUSE_S
from actors.health import PROBE_SHARE_S
from ops.foreground import print_error

FAILURE_RATES = (0.01, 0.05, 0.1, 0.4)
"""Shares of calls that fail while there is no outage."""
TARGET_FAILURE_RATE = 0.01
"""At this failure rate the breaker may not open at all."""
CALL_RATES_PER_S = (2, 20, 60, 180)
"""Calls a second of one replica; at the event's end each has some 180 new payments a second."""
LATENCY_S_MIN, LATENCY_S_MAX = 0.005, 0.1
CALLS = 1_000_000
OUTAGES = 200
REPLICAS = 3
"""Replicas that share the budget of probes."""
CALM_S = 10.0
"""Time without failures before an outage."""
OUTAGE_S_MIN, OUTAGE_S_MAX = 5.0, 15.0
UNNOTICED_S = 60.0
"""An outage that is not noticed within this time counts as never noticed."""


class Switch(Protocol):
    """A circuit breaker that is compared: lets calls through, and opens."""

    def start(self, now_s: float) -> Call | None:
        """Start a call; None where it lets none through."""

    def end(self, call: Call, *, succeeded: bool, now_s: float) -> bool:
        """Record how a call ended; tell whether that opened the breaker."""


class ProductSwitch:
    """The product's breaker."""

    def __init__(self, chance: Random) -> None:
        self.breaker = Breaker(BreakerLimits(), chance)

    def start(self, now_s: float) -> Call | None:
        """Start a call where the breaker permits one."""
        return None if self.breaker.permits(now_s) == 0 else self.breaker.started(now_s)

    def end(self, call: Call, *, succeeded: bool, now_s: float) -> bool:
        """Give a call back to the breaker."""
        self.breaker.ended(call, succeeded=succeeded, now_s=now_s)
        return any(
            each.before is BreakerState.CLOSED and each.after is BreakerState.OPEN
            for each in self.breaker.take_transitions()
        )


class FiveInRow:
    """The baseline: opens after five failures in a row, and closes again at once."""

    FAILURES = 5

    def __init__(self, _chance: Random) -> None:
        self._in_row = 0

    def start(self, now_s: float) -> Call:
        """Start a call."""
        return Call(now_s, 0)

    def end(self, _call: Call, *, succeeded: bool, now_s: float) -> bool:  # noqa: ARG002 - a switch is told
        """Count a failure, or begin anew."""
        self._in_row = 0 if succeeded else (self._in_row + 1) % self.FAILURES
        return not succeeded and self._in_row == 0


SWITCHES: dict[str, Callable[[Random], Switch]] = {"breaker": ProductSwitch, "five in a row": FiveInRow}


def run(arguments: Sequence[str]) -> dict[str, object]:
    """Count openings under steady traffic with failures but no outage; time openings and closings at total outages."""
    parser = argparse.ArgumentParser(prog="ops/bench breaker", description=run.__doc__)
    parser.add_argument("--calls", type=int, default=CALLS, help="for each failure rate; default: a million")
    parser.add_argument("--outages", type=int, default=OUTAGES, help=f"for each call rate; default: {OUTAGES}")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    given = parser.parse_args(arguments)
    opens = _measure_false_opens(given.calls, given.seed)
    outages = _measure_outages(given.outages, given.seed)
    product, baseline = (sum(opens[name].values()) for name in SWITCHES)
    return {
        "calls": given.calls,
        "false_opens_per_million": opens,
        "outages": outages,
        "ratio_to_baseline": round(product / baseline, 4) if baseline else None,
        "target": f"no false opening while {_percent(TARGET_FAILURE_RATE)} of the calls fail",
        "ok": opens["breaker"][_percent(TARGET_FAILURE_RATE)] == 0,
    }


def count_opens(switch: Switch, failure_rate: float, calls_per_s: float, calls: int, chance: Random) -> int:
    """Count how often it opens over a number of calls, which begin at random at a steady rate."""
    return sum(1 for _ in _openings(switch, lambda _: failure_rate, calls_per_s, calls, chance))


def time_to_open(switch: Switch, began_s: float, calls_per_s: float, chance: Random) -> float | None:
    """Tell how long after its beginning an outage, in which all calls fail, is noticed; None if it never is."""
    calls = int((began_s + UNNOTICED_S) * calls_per_s)
    opened = _openings(switch, lambda now_s: float(now_s >= began_s), calls_per_s, calls, chance)
    return next((at_s - began_s for at_s in opened), None)


def time_to_close(breaker: Breaker, now_s: float, works_from_s: float, chance: Random) -> tuple[float, int, int]:
    """Tell how long after the end of an outage an open breaker closes, with a payment always waiting to be its probe.

    Also how many probes it sent before that end, and how many from then on.
    """
    probed_s, before, after = -inf, 0, 0
    while (state := breaker.state(now_s)) is not BreakerState.CLOSED:
        changes_at_s = breaker.changes_at_s
        if state is BreakerState.OPEN and changes_at_s is not None:
            now_s = changes_at_s
        elif now_s - probed_s < PROBE_SHARE_S * REPLICAS:
            now_s += PROBE_PAUSE_S
        else:
            probed_s, call = now_s, breaker.started(now_s)
            before, after = before + (now_s < works_from_s), after + (now_s >= works_from_s)
            now_s += chance.uniform(LATENCY_S_MIN, LATENCY_S_MAX)
            breaker.ended(call, succeeded=now_s >= works_from_s, now_s=now_s)
    return now_s - works_from_s, before, after


def _openings(
    switch: Switch, failure_rate: Callable[[float], float], calls_per_s: float, calls: int, chance: Random
) -> Iterator[float]:
    """Give the moments at which it opens; calls fail by the rate of the moment at which they end."""
    ends: list[tuple[float, int, Call]] = []
    now_s = 0.0
    for number in range(calls):
        now_s += chance.expovariate(calls_per_s)
        while ends and ends[0][0] <= now_s:
            ended_s, _, call = heappop(ends)
            if switch.end(call, succeeded=chance.random() >= failure_rate(ended_s), now_s=ended_s):
                yield ended_s
        started = switch.start(now_s)
        if started is not None:
            heappush(ends, (now_s + chance.uniform(LATENCY_S_MIN, LATENCY_S_MAX), number, started))


def _measure_false_opens(calls: int, seed: int) -> dict[str, dict[str, float]]:
    """Give the openings per million calls, by what is compared and by failure rate."""
    print_error(f"| false openings per million calls | calls/s | {' | '.join(map(_percent, FAILURE_RATES))} |")
    print_error(f"| --- | ---: |{' ---: |' * len(FAILURE_RATES)}")
    opens = {name: dict.fromkeys(map(_percent, FAILURE_RATES), 0.0) for name in SWITCHES}
    each = max(1, calls // len(CALL_RATES_PER_S))
    for name, make in SWITCHES.items():
        for per_s in CALL_RATES_PER_S:
            row = []
            for failure_rate in FAILURE_RATES:
                chance = _chance(seed, per_s, failure_rate)
                found = count_opens(make(chance), failure_rate, per_s, each, chance) / each * 1_000_000
                opens[name][_percent(failure_rate)] += round(found / len(CALL_RATES_PER_S), 2)
                row.append(f"{found:,.0f}")
            print_error(f"| {name} | {per_s} | {' | '.join(row)} |")
    return opens


def _measure_outages(count: int, seed: int) -> dict[str, dict[str, object]]:
    """Give seconds to open and to close, and probes, by call rate."""
    print_error(
        "| outages at calls/s | opens after s: median, worst | five in a row | closes after s: median, worst | probes |"
    )
    print_error("| ---: | ---: | ---: | ---: | ---: |")
    found = {}
    for per_s in CALL_RATES_PER_S:
        outages = [_one_outage(per_s, _chance(seed, per_s, number)) for number in range(count)]
        found[f"{per_s}/s"] = figures = {
            "open_s": _median_and_worst([each[0] for each in outages]),
            "five_in_a_row_open_s": _median_and_worst([each[1] for each in outages]),
            "close_s": _median_and_worst([each[2] for each in outages]),
            "probes_per_recovery": mean(each[3] for each in outages),
        }
        print_error(f"| {per_s} | {' | '.join(map(_cell, figures.values()))} |")
    return found


def _one_outage(calls_per_s: float, chance: Random) -> tuple[float | None, float | None, float, int]:
    """Give the seconds until the breaker opens, until the baseline does, until it closes, and the probes for that."""
    began_s, length_s = CALM_S, chance.uniform(OUTAGE_S_MIN, OUTAGE_S_MAX)
    product = ProductSwitch(chance)
    open_s = time_to_open(product, began_s, calls_per_s, chance)
    baseline_s = time_to_open(FiveInRow(chance), began_s, calls_per_s, chance)
    opened_s = began_s + (UNNOTICED_S if open_s is None else open_s)
    if open_s is None:
        # The product's health answers do this.
        product.breaker.health_answered(failing=True, asked_s_ago=0.0, now_s=opened_s)
    close_s, _, probes = time_to_close(product.breaker, opened_s, opened_s + length_s, chance)
    return open_s, baseline_s, close_s, probes


def _median_and_worst(values: Sequence[float | None]) -> list[float | None]:
    """Give both, None being worse than any number."""
    ordered = sorted(inf if value is None else value for value in values)
    return [None if value == inf else round(value, 3) for value in (ordered[len(ordered) // 2], ordered[-1])]


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return "never" if value is None else f"{value:.2f}"


def _percent(rate: float) -> str:
    return f"{rate:.0%}"


def _chance(*seeds: float) -> Random:
    return Random(str(seeds))  # noqa: S311 - no secret
