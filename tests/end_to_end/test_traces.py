"""Traces reach a collector: a payment's request, and its charge within the same trace."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from actors.errors import SettingsError
from actors.settings import Settings
from actors.system import production_tracing
from actors.trace_settings import exports_traces
from ops.chaostest.client import open_connection
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack
from tests.actors.fakes import VirtualRuntime
from tests.waiting import wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
GIVEN = {"DATABASE_URL": "postgresql://localhost/fiel", "REDIS_URL": "redis://localhost", "REPLICA": "1"}


class Collector:
    """Receives spans as OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.resources: set[tuple[str, str]] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest()
                request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                collector.take(request)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            self.resources.update((each.key, each.value.string_value) for each in resource.resource.attributes)
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                fields = {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
                ids = {"trace": span.trace_id.hex(), "id": span.span_id.hex(), "parent": span.parent_span_id.hex()}
                self.spans.append({"name": span.name, **ids, **fields})

    def found(self, name: str, **fields: object) -> list[dict[str, Any]]:
        return [each for each in self.spans if each["name"] == name and fields.items() <= each.items()]


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        thread.join()
        collector.server.server_close()


def post(url: str, payment: UUID, **fields: str) -> int:
    body = json.dumps({"correlationId": str(payment), "amount": 19.9}).encode()
    headers = {"Content-Type": "application/json", **fields}
    with open_connection(url, 20) as connection:
        return connection.ask("POST", "/payments", body, headers).status


def test_a_payments_charge_belongs_to_the_trace_that_its_request_came_with(tmp_path: Path) -> None:
    known, new = UUID(int=1, version=4), UUID(int=2, version=4)
    with collecting() as collector:
        environment = {ENDPOINT: collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        options = replace(StackOptions.on_reserved_ports(tmp_path, environment), replicas=1)
        with Stack(options) as stack:
            url = stack.replica_urls[0]
            assert post(url, known, traceparent=f"00-{TRACE}-{PARENT}-01") == 202
            assert post(url, new) == 202
            wait_until(lambda: len(collector.found("charge")) == 2, lambda: str(collector.spans))
            wait_until(lambda: len(collector.found("POST")) == 2, lambda: str(collector.spans))
            (request,) = collector.found("POST", trace=TRACE)
            (charge,) = collector.found("charge", **{"fiel.correlation_id": str(known)})
            assert request["parent"] == PARENT
            assert request["http.response.status_code"] == 202
            assert (charge["trace"], charge["parent"]) == (TRACE, request["id"])
            assert (charge["fiel.processor"], charge["fiel.outcome"]) == ("default", "settled")
            (own,) = collector.found("charge", **{"fiel.correlation_id": str(new)})
            (posted,) = collector.found("POST", **{"fiel.correlation_id": str(new)})
            assert own["trace"] == posted["trace"] != TRACE
            # The lines of a request name its trace also where its client named none.
            with open_connection(url, 20) as connection:
                problem = json.loads(connection.ask("GET", "/payments/none", headers={}).body)
            wait_until(lambda: bool(collector.found("GET", trace=problem["traceId"])))
    assert {("service.name", "fiel"), ("service.instance.id", "1")} <= collector.resources


@pytest.mark.parametrize(
    ("environment", "exports"),
    [
        ({}, False),
        ({ENDPOINT: ""}, False),
        ({ENDPOINT: "http://h"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({ENDPOINT: "http://h", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({ENDPOINT: "http://h", "OTEL_SDK_DISABLED": "true"}, False),
        ({ENDPOINT: "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_traces_are_exported_where_it_is_asked_for(environment: dict[str, str], *, exports: bool) -> None:
    assert exports_traces(environment) is exports


@pytest.mark.parametrize(
    "environment",
    [{"OTEL_TRACES_EXPORTER": "zipkin"}, {ENDPOINT: "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
)
def test_what_there_is_no_exporter_for_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="OTEL_"):
        exports_traces(environment)


def test_without_its_packages_a_wish_for_traces_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "actors.adapters.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    settings = Settings.from_environment(GIVEN)
    with pytest.raises(SettingsError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT .* requirements-otel\.txt"):
        production_tracing(settings, {ENDPOINT: "http://h"}, VirtualRuntime())
    assert production_tracing(settings, {}, VirtualRuntime()) is None
