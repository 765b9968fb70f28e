"""Traces by OpenTelemetry: spans of requests, charges and look-ups. It is imported only where traces are exported."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

import gevent
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from actors.adapters.processor_client import HttpProcessorClient
from actors.domain.outcome import Outcome
from actors.domain.payment import Payment
from actors.domain.records import LookUpAnswer, LookUpResult
from actors.domain.version import VERSION
from actors.logs import get_logger
from actors.outages import TimedOutageReporter
from actors.ports import ProcessorClient, Runtime

logger = get_logger(__name__)

REMEMBERED_MAX = 10_000
"""The most payments whose traces are remembered; a charge of any other payment begins a new trace."""
FLUSH_S_MAX = 2.0
"""How long the end of a replica waits for spans that are not exported yet."""
_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing:
    """Makes the spans of one replica, and exports them in the background."""

    def __init__(self, replica: str, environment: Mapping[str, str], runtime: Runtime) -> None:
        """Begin to export to the collector that the variables of OpenTelemetry in the environment name."""
        # What stands in the environment is merged by the SDK.
        named = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": "fiel"}
        resource = Resource.create({**named, "service.version": VERSION, "service.instance.id": replica})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(ToldExporter(OTLPSpanExporter(), runtime)))
        self._tracer = self._provider.get_tracer("fiel", VERSION)
        self._contexts: OrderedDict[UUID, SpanContext] = OrderedDict()

    @contextmanager
    def request(self, method: str, path: str, carrier: Mapping[str, str]) -> Iterator["RequestSpan"]:
        """Make the span of a request, which continues the trace that the `carrier`'s `traceparent` names."""
        parent = _PROPAGATOR.extract(carrier)
        fields = {"http.request.method": method, "url.path": path}
        with self._tracer.start_as_current_span(method, parent, SpanKind.SERVER, fields) as span:
            yield RequestSpan(span, self._contexts)

    @contextmanager
    def call(self, name: str, processor: str, payment: Payment) -> Iterator[Span]:
        """Make the span of a call to a processor, within the trace that came with the payment where it is known."""
        known = self._contexts.get(payment.correlation_id)
        parent = trace.set_span_in_context(NonRecordingSpan(known), Context()) if known else Context()
        fields = {"fiel.processor": processor, "fiel.correlation_id": str(payment.correlation_id)}
        with self._tracer.start_as_current_span(name, parent, SpanKind.CLIENT, fields) as span:
            yield span

    def clients(self, clients: Mapping[str, ProcessorClient]) -> dict[str, ProcessorClient]:
        """Let calls to processors, given by their names, be spans."""
        return {name: TracedProcessorClient(name, client, self) for name, client in clients.items()}

    def close(self) -> None:
        """Export what is left, unless that takes too long."""
        gevent.spawn(self._provider.shutdown).join(FLUSH_S_MAX)


class RequestSpan:
    """The span of a request while it is answered."""

    def __init__(self, span: Span, contexts: OrderedDict[UUID, SpanContext]) -> None:
        self._span = span
        self._contexts = contexts

    @property
    def traceparent(self) -> str:
        """The span as `traceparent` names it."""
        return traceparent()

    def answered(self, status: int, correlation_id: UUID | None) -> None:
        """Note the answer, and the payment that was accepted with it."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:  # noqa: PLR2004  # as OpenTelemetry has it, a client's fault is no error of a server's span
            self._span.set_status(Status(StatusCode.ERROR))
        if correlation_id is not None:
            self._span.set_attribute("fiel.correlation_id", str(correlation_id))
            self._contexts[correlation_id] = self._span.get_span_context()
            if len(self._contexts) > REMEMBERED_MAX:
                self._contexts.popitem(last=False)


class TracedProcessorClient:
    """Fulfils `actors.ports.ProcessorClient`; charges and look-ups are spans, which the processor is told of."""

    def __init__(self, name: str, client: ProcessorClient, tracing: Tracing) -> None:
        self._name = name
        self._client = client
        self._tracing = tracing
        if isinstance(client, HttpProcessorClient):
            client.more_fields = lambda: f"traceparent: {traceparent()}\r\n"

    def charge(self, payment: Payment, requested_at_ms: int) -> Outcome:
        with self._tracing.call("charge", self._name, payment) as span:
            outcome = self._client.charge(payment, requested_at_ms)
            _end(span, outcome.value, is_error=not outcome.is_success)
        return outcome

    def look_up(self, payment: Payment) -> LookUpAnswer:
        with self._tracing.call("look up", self._name, payment) as span:
            answer = self._client.look_up(payment)
            _end(span, answer.result.value, is_error=answer.result is LookUpResult.NO_ANSWER)
        return answer

    def knock(self) -> bool:
        return self._client.knock()

    def answers_health(self) -> bool:
        return self._client.answers_health()

    def close(self) -> None:
        """Close the idle connections."""
        self._client.close()


class ToldExporter(SpanExporter):
    """Tells in the log when spans cannot be exported, once for an outage."""

    def __init__(self, exporter: SpanExporter, runtime: Runtime) -> None:
        self._exporter = exporter
        self._outage = TimedOutageReporter(logger, "traces cannot be exported", runtime)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans. Spans that cannot be exported are lost."""
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._outage.succeeded()
        else:
            self._outage.failed(spans=len(spans))
        return result

    def shutdown(self) -> None:
        """Export nothing more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait for nothing: exports are not buffered here."""
        return self._exporter.force_flush(timeout_millis)


def traceparent() -> str:
    """Name the current span as W3C Trace Context has it."""
    context = trace.get_current_span().get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _end(span: Span, outcome: str, *, is_error: bool) -> None:
    span.set_attribute("fiel.outcome", outcome)
    if is_error:
        span.set_status(Status(StatusCode.ERROR))
