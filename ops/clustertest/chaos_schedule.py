"""The schedule of a cluster's chaos: an endless sequence of faults that the seed alone decides. It is pure."""

import heapq
from collections.abc import Iterator, Sequence
from random import Random

from ops.chaostest.schedule import ScheduledFault
from ops.clustertest.chaos_choices import SERIES, ChaosSeries


def draw_cluster_faults(seed: int, series: Sequence[ChaosSeries] = SERIES) -> Iterator[ScheduledFault]:
    """Draw faults endlessly, in the order of their starts; targets name roles, which are resolved at the start."""
    parts = (_draw_series(Random(f"{seed} cluster {number}"), each) for number, each in enumerate(series))  # noqa: S311 - it has to repeat
    yield from heapq.merge(*parts, key=lambda fault: fault.at_s)


def _draw_series(rng: Random, series: ChaosSeries) -> Iterator[ScheduledFault]:
    at_s, weights = series.first_at_s, [each.weight for each in series.choices]
    while True:
        (choice,) = rng.choices(series.choices, weights)
        duration_s = round(rng.uniform(*rng.choice(choice.durations_s)), 3)
        parameters = {name: round(rng.uniform(*bounds), 3) for name, bounds in sorted(choice.parameters.items())}
        yield ScheduledFault(round(at_s, 3), choice.fault, rng.choice(choice.targets), duration_s, parameters)
        at_s += rng.uniform(*rng.choice(series.gaps_s))
