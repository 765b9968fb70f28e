"""The Falcon application: routes, error handling, media types."""

from collections import Counter
from collections.abc import Callable, Sequence
from platform import python_version
from typing import Any, Protocol

import falcon
from falcon.routing import CompiledRouter

from actors.domain.processors import ALL_CURRENCIES, EVENT_PROCESSORS, PostedCurrencies, Processor
from actors.domain.version import VERSION
from actors.settings import Durability
from gateway.dashboard import DashboardResource
from gateway.events import EventFeed, EventsResource
from gateway.identified_app import GatewayApp
from gateway.metrics import MeasuredGateway, MeasuredRequests, MetricsResource
from gateway.openapi.resource import OpenApiResource
from gateway.operators import Operators
from gateway.payment_history import HistoryLookUp, PaymentHistoryResource
from gateway.payment_list import PaymentLister
from gateway.payments import ANSWER_KINDS, PaymentGateway, PaymentResource, PaymentsResource
from gateway.probes import LivenessResource, ProbedGateway, ReadinessResource
from gateway.problems import UNAVAILABLE_ERRORS, ProblemsResource, answer_failure, serialize, translate_unavailable
from gateway.processors import BreakerResource, ProcessorsGateway, ProcessorsResource
from gateway.purge import PurgeResource, PurgingGateway
from gateway.reference import ReferenceResource
from gateway.resolutions import ResolutionResource, ResolvingGateway
from gateway.sampled_histogram import SampledHistogram
from gateway.server.admission import ClientLevels
from gateway.status import StatusOverview, StatusResource
from gateway.summary import SummaryQueries, SummaryResource


class Gateway(PaymentGateway, PurgingGateway, ProbedGateway, MeasuredGateway, ProcessorsGateway, Protocol):
    """What the HTTP side needs of a replica; `actors.replica.Replica` fulfils it."""


class Queries(HistoryLookUp, PaymentLister, SummaryQueries, Protocol):
    """What the HTTP side asks about accepted payments; `actors.queries.PaymentQueries` fulfils it."""

    @property
    def feed(self) -> EventFeed:
        """The feed of ended payments."""


class MethodsRouter(CompiledRouter):
    """Answers HEAD wherever GET is answered, and OPTIONS with the methods that a path takes, as 405 does.

    Falcon leaves out the body of an answer to HEAD, and keeps its length.
    """

    def map_http_methods(self, resource: object, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401  # as Falcon has it
        """Map methods to responders of a resource."""
        methods: dict[str, Any] = super().map_http_methods(resource, **kwargs)
        if "GET" in methods:
            methods["HEAD"] = methods["GET"]
        allowed = ", ".join(sorted([*methods, "OPTIONS"]))

        def tell_methods(_req: falcon.Request, resp: falcon.Response, **_: object) -> None:
            resp.status = falcon.HTTP_204
            resp.set_header("Allow", allowed)

        methods["OPTIONS"] = tell_methods
        return methods


def create_app(  # noqa: PLR0913  # the whole of what it is built of
    gateway: Gateway,
    queries: Queries,
    resolutions: ResolvingGateway,
    overview: StatusOverview,
    *,
    allow_purge: bool,
    allow_force: bool,
    allow_resolve: bool = True,
    admin_token: str = "",
    replica: str = "1",
    processors: Sequence[Processor] = EVENT_PROCESSORS,
    currencies: PostedCurrencies = ALL_CURRENCIES,
    durability: Durability = Durability.FSYNC,
    controls_url: str = "",
    answers: Counter[str] | None = None,
    acceptance: SampledHistogram | None = None,
    clients: Callable[[], ClientLevels | None] = lambda: None,
) -> GatewayApp:
    """Build the WSGI application around a gateway and its queries; it reads nothing but its arguments.

    `processors` are those that are configured. `answers` counts the answers to posted payments by kind, and
    `acceptance` how long they took, for whoever reads them besides the metrics; `clients` tells how many clients there
    are. `controls_url` is where visitors of the page may try it out; empty where they may not.
    """
    answers = Counter() if answers is None else answers
    answers.update(dict.fromkeys(ANSWER_KINDS, 0))
    acceptance = acceptance or SampledHistogram()
    operators = Operators(admin_token, allow_resolve=allow_resolve, allow_force=allow_force, allow_purge=allow_purge)
    names = tuple(processor.name for processor in processors)
    app = GatewayApp(router=MethodsRouter())
    app.set_error_serializer(serialize)
    app.add_error_handler(Exception, answer_failure)
    for error in UNAVAILABLE_ERRORS:
        app.add_error_handler(error, translate_unavailable)
    dashboard = DashboardResource(controls_url)
    app.add_route("/", dashboard)
    app.add_route("/dashboard/{name}", dashboard)
    awaits_rows = durability.awaits_rows
    payments = PaymentsResource(gateway, queries, answers, acceptance, currencies, awaits_rows=awaits_rows)
    app.add_route("/payments", payments)
    app.add_route("/payments/events", EventsResource(queries.feed))
    app.add_route("/payments/{correlation_id}", PaymentResource(queries))
    app.add_route("/payments/{correlation_id}/history", PaymentHistoryResource(queries))
    resolution = ResolutionResource(resolutions, queries, names, operators)
    app.add_route("/payments/{correlation_id}/resolution", resolution)
    app.add_route("/payments-summary", SummaryResource(queries))
    app.add_route("/purge-payments", PurgeResource(gateway, operators))
    app.add_route("/processors", ProcessorsResource(gateway))
    app.add_route("/processors/{name}/breaker", BreakerResource(gateway, operators))
    app.add_route("/status", StatusResource(overview, replica, processors, controls_url, operators))
    app.add_route("/livez", LivenessResource(gateway))
    app.add_route("/readyz", ReadinessResource(gateway))
    app.add_route("/openapi.json", OpenApiResource())
    reference = ReferenceResource()
    app.add_route("/docs", reference)
    app.add_route("/docs/{name}", reference)
    problems = ProblemsResource()
    app.add_route("/problems", problems)
    app.add_route("/problems/{name}", problems)
    requests = MeasuredRequests(answers, acceptance, clients)
    build = {"version": VERSION, "python": python_version(), "replica": replica, "durability": durability.value}
    app.add_route("/metrics", MetricsResource(gateway, requests, build, processors, currencies.default))
    return app
