"""Metrics of payment processors, as this replica sees them."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from actors.domain.breaker import BreakerState
from actors.domain.level import Level
from actors.domain.outcome import Outcome
from actors.messages.processor import ProcessorStatus
from gateway.metrics.families import Labels, bounded, histogram, label


def processors(known: Mapping[str, ProcessorStatus]) -> Iterable[Metric]:
    """Tell of breakers, charges and look-ups."""
    yield from _breakers(known)
    charges = GaugeMetricFamily(
        "fiel_processor_charges",
        "1 if payments are sent to a processor, 0 if it is only asked about earlier ones",
        labels=["processor"],
    )
    unreachable = GaugeMetricFamily(
        "fiel_processor_unreachable",
        "1 while a breaker is half open and its processor accepts no connection",
        labels=["processor"],
    )
    for name, status in known.items():
        charges.add_metric([name], status.charges)
        unreachable.add_metric([name], status.unreachable)
    yield from (charges, unreachable)
    yield histogram(
        "fiel_charge_seconds",
        "Duration of charges that were sent, by outcome",
        {
            (name, label(outcome)): counts
            for name, status in known.items()
            for outcome, counts in status.charges_ended.items()
            # Of most outcomes there are none, and each is ten series.
            if outcome is Outcome.SETTLED or any(counts.counts)
        },
        ["processor", "outcome"],
    )
    under_way: dict[Labels, Level] = {(name,): Level(status.under_way, status.limit) for name, status in known.items()}
    yield from bounded("fiel_charges_under_way", "Charges sent and not ended", under_way, ["processor"])
    latency = GaugeMetricFamily("fiel_charge_latency_seconds", "Smoothed duration of a charge", labels=["processor"])
    starts = GaugeMetricFamily(
        "fiel_charge_starts_per_second_max", "How many charges may start in a second", labels=["processor"]
    )
    for name, status in known.items():
        starts.add_metric([name], status.starts_per_s_max)
        if status.latency_s is not None:
            latency.add_metric([name], status.latency_s)
    yield from (latency, starts)
    looked_up = CounterMetricFamily(
        "fiel_look_ups",
        "Look-ups of payments at a processor, by their result",
        labels=["processor", "result"],
    )
    for name, status in known.items():
        for result, count in status.looked_up.items():
            looked_up.add_metric([name, label(result)], count)
    yield looked_up
    look_ups: dict[Labels, Level] = {(name,): status.look_ups for name, status in known.items()}
    yield from bounded("fiel_look_ups_under_way", "Look-ups sent and not ended", look_ups, ["processor"])


def _breakers(known: Mapping[str, ProcessorStatus]) -> Iterable[Metric]:
    breaker = GaugeMetricFamily(
        "fiel_breaker_state", "1 for the state that a processor's breaker is in", labels=["processor", "state"]
    )
    transitions = CounterMetricFamily(
        "fiel_breaker_transitions",
        "Changes of a breaker's state, by the new state and the cause",
        labels=["processor", "state", "cause"],
    )
    for name, status in known.items():
        for state in BreakerState:
            breaker.add_metric([name, label(state)], state is status.state)
        for (after, cause), count in status.transitions_by_cause.items():
            transitions.add_metric([name, label(after), label(cause)], count)
    return breaker, transitions
