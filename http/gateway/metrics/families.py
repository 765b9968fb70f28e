"""What metrics are made of: histograms, levels beside their bounds, and the label values of enums."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from math import isinf

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from actors.domain.histogram import HistogramCounts
from actors.domain.level import Level

Labels = tuple[str, ...]
"""The values of labels, in the order of their names."""


def label(member: Enum) -> str:
    """Give the value that a label has for a member: its name, since its own value is made for people and may change."""
    return member.name.lower()


def histogram(
    name: str, text: str, counted: Mapping[Labels, HistogramCounts], names: Sequence[str] = ()
) -> HistogramMetricFamily:
    """Make a histogram of durations, for each combination of labels."""
    family = HistogramMetricFamily(name, text, labels=names)
    for values, counts in counted.items():
        buckets = [("+Inf" if isinf(bound_s) else str(bound_s), count) for bound_s, count in counts.buckets()]
        family.add_metric(values, buckets, counts.sum_s)
    return family


def bounded(name: str, text: str, levels: Mapping[Labels, Level], names: Sequence[str] = ()) -> Iterable[Metric]:
    """Make the gauge of a value that has a bound, and beside it the gauge of the bound, whose name ends in `_max`."""
    most = GaugeMetricFamily(f"{name}_max", f"Upper bound of {name}", labels=names)
    family = GaugeMetricFamily(name, text, labels=names)
    for values, level in levels.items():
        family.add_metric(values, level.value)
        most.add_metric(values, level.max)
    return family, most
