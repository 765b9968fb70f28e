"""`GET /metrics`: the counts and states of this replica, in Prometheus' text format."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import falcon
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.domain.counted import Counted
from actors.domain.processors import Processor
from actors.errors import GatewayUnavailableError
from actors.measurements import Measurements
from actors.messages.persistence import Incidents
from actors.messages.processor import ProcessorStatus
from actors.messages.router import RouterStats
from actors.readiness import Readiness
from gateway.metrics.capacity import capacity
from gateway.metrics.families import histogram
from gateway.metrics.payments import ended, unsettled, written
from gateway.metrics.processors import processors
from gateway.sampled_histogram import SampledHistogram
from gateway.server.admission import ClientLevels


class MeasuredGateway(Protocol):
    """What the metrics need of the gateway."""

    def stats(self) -> RouterStats:
        """Count the unsettled payments of this replica and its decisions."""

    def incidents(self) -> Incidents:
        """Count what has ended on this replica that an operator has to know of."""

    def processors(self) -> Mapping[str, ProcessorStatus]:
        """Tell what is known of each processor, by name."""

    def measurements(self) -> Measurements:
        """Tell what else was counted and measured, and how full this replica is."""

    def dead_actors(self) -> tuple[str, ...]:
        """Name the actors that should run and do not."""

    def readiness(self) -> Readiness:
        """Ask every part of the replica for its state."""


@dataclass(frozen=True, slots=True)
class MeasuredRequests:
    """What the HTTP side has counted of clients and their requests."""

    answers: Mapping[str, int]
    """Answers to `POST /payments` by kind."""
    acceptance: SampledHistogram
    """How long it took to accept payments."""
    clients: Callable[[], ClientLevels | None] = lambda: None
    """Tells how many clients there are; None where nobody counts them."""


class MetricsResource(Collector):
    """Answers the metrics of this replica; each replica has its own.

    It asks the gateway at scrape time, so that a payment costs some counts alone, and a duration that is sampled.
    """

    def __init__(
        self,
        gateway: MeasuredGateway,
        requests: MeasuredRequests,
        build: Mapping[str, str],
        configured: Sequence[Processor],
        currency: str,
    ) -> None:
        """Read at each scrape what was counted.

        `build` tells what runs here, `configured` are the processors, and `currency` is the default one.
        """
        self._gateway = gateway
        self._requests = requests
        self._build = dict(build)
        self._configured = configured
        self._currency = currency
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer all metrics with their present values."""
        resp.content_type = CONTENT_TYPE_LATEST
        resp.data = generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Give all metrics but those of the process, for the registry."""
        yield InfoMetricFamily(
            "fiel_build", "The release, the name of the replica, and its settings", value=self._build
        )
        posted = CounterMetricFamily("fiel_payments_posted", "Answers to POST /payments, by kind", labels=["answer"])
        for answer, count in self._requests.answers.items():
            posted.add_metric([answer], count)
        yield posted
        yield histogram(
            "fiel_payment_acceptance_seconds",
            "Time from a request that was read to the durable payment or its refusal; sampled under load",
            {(): self._requests.acceptance.counted()},
        )
        yield GaugeMetricFamily(
            "fiel_dead_actors", "Actors that should run but do not", value=len(self._gateway.dead_actors())
        )
        yield from _readiness(self._gateway.readiness())
        measured = self._gateway.measurements()
        for each in Counted:
            yield CounterMetricFamily(each.metric, each.text, value=measured.counts[each])
        stats: RouterStats | None = None
        # Absent says that it is not known; zero would say that nothing waits.
        with suppress(GatewayUnavailableError):
            stats = self._gateway.stats()
            yield from unsettled(stats)
        with suppress(GatewayUnavailableError):
            yield from ended(self._gateway.incidents())
        if measured.writes is not None:
            yield from written(measured.writes, self._configured, self._currency)
        with suppress(GatewayUnavailableError):
            yield from processors(self._gateway.processors())
        yield from capacity(measured, stats, self._requests.clients())


def _readiness(readiness: Readiness) -> Iterable[Metric]:
    yield GaugeMetricFamily("fiel_ready", "Whether this replica takes payments", value=readiness.ready)
    up = GaugeMetricFamily("fiel_part_up", "1 if a part works, 0 if it has a problem", labels=["part"])
    for part, state in readiness.parts.items():
        up.add_metric([part], state == "ok")
    yield up
