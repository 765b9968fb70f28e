"""The whole of `/metrics` as a fake gateway tells it."""

from collections.abc import Callable
from dataclasses import replace
from platform import python_version

import falcon.testing
from prometheus_client.parser import text_string_to_metric_families

from actors.domain.breaker import BreakerState
from actors.domain.level import Level
from actors.domain.lifecycle import ENDED, State
from actors.domain.payment import EndState
from actors.domain.processors import EVENT_PROCESSORS
from actors.domain.version import VERSION
from actors.messages.persistence import Incidents
from actors.messages.router import RouterStats
from gateway.metrics import MeasuredRequests, MetricsResource
from gateway.payments import ANSWER_KINDS
from gateway.sampled_histogram import SampledHistogram
from gateway.server.admission import ClientLevels
from tests.gateway.fake_gateway import OPENED, FakeGateway

BUILD = {"version": VERSION, "python": python_version(), "replica": "7", "durability": "fsync"}
CLIENTS = ClientLevels(
    connections=Level(3, 384), unfinished_bytes=Level(100, 2**20), untaken_bytes=Level(200, 4 * 2**20)
)


def measured_client(
    gateway: FakeGateway, clients: Callable[[], ClientLevels | None] = lambda: None
) -> falcon.testing.TestClient:
    """Make a client of the metrics of a replica."""
    app = falcon.App()
    requests = MeasuredRequests(dict.fromkeys(ANSWER_KINDS, 1), SampledHistogram(), clients)
    app.add_route("/metrics", MetricsResource(gateway, requests, BUILD, EVENT_PROCESSORS, "BRL"))
    return falcon.testing.TestClient(app)


def everything_told(*, calm: bool = False) -> str:
    """Give the page with every metric, where all is well or not."""
    gateway = FakeGateway()
    if calm:
        unsettled = {"journalled": 0, **dict.fromkeys((each.value for each in State if each not in ENDED), 0)}
        gateway.busy = RouterStats(unsettled | {"charging": 3}, 0, {}, in_memory=Level(3, 5000))
        gateway.ended = Incidents(disputes=0, closed=dict.fromkeys(EndState, 0))
        gateway.known = {"default": replace(OPENED, state=BreakerState.CLOSED)}
    return measured_client(gateway, lambda: CLIENTS).simulate_get("/metrics").text


def sample_names(page: str) -> set[str]:
    """List the names of a page's samples."""
    return {sample.name for family in text_string_to_metric_families(page) for sample in family.samples}
