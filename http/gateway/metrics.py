"""`GET /metrics`: the counts and states of this replica, in Prometheus' text format."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from math import isinf
from typing import Protocol

import falcon
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.domain.breaker import BreakerState
from actors.errors import GatewayUnavailableError
from actors.messages.persistence import Incidents
from actors.messages.processor import ProcessorStatus
from actors.messages.router import RouterStats
from actors.readiness import Readiness
from gateway.sampled_histogram import SampledHistogram


class MeasuredGateway(Protocol):
    """What the metrics need of the gateway."""

    def stats(self) -> RouterStats:
        """Count the unsettled payments of this replica and its decisions."""

    def incidents(self) -> Incidents:
        """Count what has ended on this replica that an operator has to know of."""

    def processors(self) -> Mapping[str, ProcessorStatus]:
        """Tell what is known of each processor, by name."""

    def dead_actors(self) -> tuple[str, ...]:
        """Name the actors that should run and do not."""

    def readiness(self) -> Readiness:
        """Ask every part of the replica for its state."""


class MetricsResource:
    """Answers the metrics of this replica; each replica has its own."""

    def __init__(self, gateway: MeasuredGateway, answers: Mapping[str, int], acceptance: SampledHistogram) -> None:
        """Read at each scrape the answers to `POST /payments` by kind, and how long it took to accept payments."""
        self._registry = CollectorRegistry()
        self._registry.register(_GatewayCollector(gateway, answers, acceptance))
        ProcessCollector(registry=self._registry)

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer all metrics with their present values."""
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = generate_latest(self._registry)


class _GatewayCollector(Collector):
    """Asks the gateway at scrape time, so that a payment costs one count, and a duration that is sampled."""

    def __init__(self, gateway: MeasuredGateway, answers: Mapping[str, int], acceptance: SampledHistogram) -> None:
        self._gateway = gateway
        self._answers = answers
        self._acceptance = acceptance

    def collect(self) -> Iterable[Metric]:
        posted = CounterMetricFamily("fiel_payments_posted", "Answers to POST /payments by kind", labels=["answer"])
        for answer, count in self._answers.items():
            posted.add_metric([answer], count)
        yield posted
        yield HistogramMetricFamily(
            "fiel_payment_acceptance_seconds",
            "Time until a payment that was read is durable or turned away; sampled under load",
            buckets=[
                ("+Inf" if isinf(bound_s) else str(bound_s), count) for bound_s, count in self._acceptance.buckets()
            ],
            sum_value=self._acceptance.sum_s,
        )
        yield GaugeMetricFamily(
            "fiel_dead_actors", "Actors that should run and do not", value=len(self._gateway.dead_actors())
        )
        yield from _readiness(self._gateway.readiness())
        # Absent says that it is not known; zero would say that nothing waits.
        with suppress(GatewayUnavailableError):
            yield from _stats(self._gateway.stats())
        with suppress(GatewayUnavailableError):
            yield from _incidents(self._gateway.incidents())
        with suppress(GatewayUnavailableError):
            yield from _processors(self._gateway.processors())


def _readiness(readiness: Readiness) -> Iterable[Metric]:
    yield GaugeMetricFamily("fiel_ready", "Whether this replica takes payments", value=readiness.ready)
    up = GaugeMetricFamily("fiel_part_up", "Whether nothing is wrong with a part", labels=["part"])
    for part, state in readiness.parts.items():
        up.add_metric([part], state == "ok")
    yield up


def _stats(stats: RouterStats) -> Iterable[Metric]:
    unsettled = GaugeMetricFamily(
        "fiel_unsettled_payments", "Payments of this replica by what they wait for", labels=["waiting_for"]
    )
    for waiting_for, count in stats.unsettled.items():
        unsettled.add_metric([waiting_for], count)
    yield unsettled
    yield GaugeMetricFamily(
        "fiel_unresolved_payments",
        "Payments of which it has been unknown for long whether they were charged",
        value=stats.unresolved,
    )
    decisions = CounterMetricFamily(
        "fiel_routing_decisions", "Payments given to a processor, or to none, by reason", labels=["processor", "reason"]
    )
    for (processor, reason), count in stats.decisions.items():
        decisions.add_metric([processor or "none", reason.value], count)
    yield decisions


def _incidents(incidents: Incidents) -> Iterable[Metric]:
    yield CounterMetricFamily(
        "fiel_disputes", "Charges that were found of payments that are settled otherwise", value=incidents.disputes
    )
    closed = CounterMetricFamily(
        "fiel_payments_closed", "Payments that ended without a charge, by how", labels=["state"]
    )
    for state, count in incidents.closed.items():
        closed.add_metric([state.value], count)
    yield closed


def _processors(processors: Mapping[str, ProcessorStatus]) -> Iterable[Metric]:
    breaker = GaugeMetricFamily(
        "fiel_breaker_state", "1 for the state that a processor's breaker is in", labels=["processor", "state"]
    )
    transitions = CounterMetricFamily(
        "fiel_breaker_transitions",
        "Changes of a breaker by the new state and the cause",
        labels=["processor", "state", "cause"],
    )
    under_way = GaugeMetricFamily("fiel_charges_under_way", "Charges sent and not ended", labels=["processor"])
    limit = GaugeMetricFamily("fiel_charges_limit", "Charges that may be under way at once", labels=["processor"])
    latency = GaugeMetricFamily("fiel_charge_latency_seconds", "Smoothed duration of a charge", labels=["processor"])
    starts = GaugeMetricFamily(
        "fiel_charge_starts_per_second_max", "Charges that may start in a second", labels=["processor"]
    )
    for name, status in processors.items():
        for state in BreakerState:
            breaker.add_metric([name, state.value], state is status.state)
        for (after, cause), count in status.transitions_by_cause.items():
            transitions.add_metric([name, after.value, cause.value], count)
        under_way.add_metric([name], status.under_way)
        limit.add_metric([name], status.limit)
        starts.add_metric([name], status.starts_per_s_max)
        if status.latency_s is not None:
            latency.add_metric([name], status.latency_s)
    yield from (breaker, transitions, under_way, limit, latency, starts)
