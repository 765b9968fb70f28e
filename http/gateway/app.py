"""The Falcon application: routes, error handling, media types."""

from collections import Counter
from collections.abc import Collection
from typing import Any, Protocol

import falcon
from falcon.routing import CompiledRouter

from actors.domain.processors import ALL_CURRENCIES, EVENT_NAMES, PostedCurrencies
from gateway.dashboard import DashboardResource
from gateway.metrics import MeasuredGateway, MetricsResource
from gateway.payment_list import PaymentLister
from gateway.payments import ANSWER_KINDS, PaymentGateway, PaymentLookUp, PaymentResource, PaymentsResource
from gateway.probes import LivenessResource, ProbedGateway, ReadinessResource
from gateway.problems import UNAVAILABLE_ERRORS, serialize, translate_unavailable
from gateway.processors import BreakerResource, ProcessorsGateway, ProcessorsResource
from gateway.purge import PurgeResource, PurgingGateway
from gateway.resolutions import ResolutionResource, ResolvingGateway
from gateway.sampled_histogram import SampledHistogram
from gateway.summary import SummaryQueries, SummaryResource


class Gateway(PaymentGateway, PurgingGateway, ProbedGateway, MeasuredGateway, ProcessorsGateway, Protocol):
    """What the HTTP side needs of a replica; `actors.replica.Replica` fulfils it."""


class Queries(PaymentLookUp, PaymentLister, SummaryQueries, Protocol):
    """What the HTTP side asks about accepted payments; `actors.queries.PaymentQueries` fulfils it."""


class HeadRouter(CompiledRouter):
    """Answers HEAD wherever there is an answer to GET; Falcon leaves out the body and keeps its length."""

    def map_http_methods(self, resource: object, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401  # as Falcon has it
        """Map methods to responders of a resource."""
        methods: dict[str, Any] = super().map_http_methods(resource, **kwargs)
        if "GET" in methods:
            methods["HEAD"] = methods["GET"]
        return methods


def create_app(  # noqa: PLR0913  # its settings one by one
    gateway: Gateway,
    queries: Queries,
    resolutions: ResolvingGateway,
    *,
    allow_purge: bool,
    allow_force: bool,
    allow_resolve: bool = True,
    processors: Collection[str] = EVENT_NAMES,
    currencies: PostedCurrencies = ALL_CURRENCIES,
    controls: str = "",
) -> falcon.App[falcon.Request, falcon.Response]:
    """Build the WSGI application around a gateway and its queries; it reads nothing but its arguments.

    `processors` are the names of those that are configured; `controls` is where visitors of the page may try it out.
    """
    app = falcon.App(router=HeadRouter())
    app.set_error_serializer(serialize)
    for error in UNAVAILABLE_ERRORS:
        app.add_error_handler(error, translate_unavailable)
    answers, acceptance = Counter(dict.fromkeys(ANSWER_KINDS, 0)), SampledHistogram()
    dashboard = DashboardResource(controls)
    app.add_route("/", dashboard)
    app.add_route("/dashboard/{name}", dashboard)
    app.add_route("/payments", PaymentsResource(gateway, queries, answers, acceptance, currencies))
    app.add_route("/payments/{correlation_id}", PaymentResource(queries))
    resolution = ResolutionResource(resolutions, queries, processors, allowed=allow_resolve)
    app.add_route("/payments/{correlation_id}/resolution", resolution)
    app.add_route("/payments-summary", SummaryResource(queries))
    app.add_route("/purge-payments", PurgeResource(gateway, allowed=allow_purge))
    app.add_route("/processors", ProcessorsResource(gateway))
    app.add_route("/processors/{name}/breaker", BreakerResource(gateway, allowed=allow_force))
    app.add_route("/livez", LivenessResource(gateway))
    app.add_route("/readyz", ReadinessResource(gateway))
    app.add_route("/metrics", MetricsResource(gateway, answers, acceptance))
    return app
