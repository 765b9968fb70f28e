"""Lets each request be a span of a trace, where traces are exported."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol
from uuid import UUID
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PAYMENT_PATH = "/payments/"


class AnsweredSpan(Protocol):
    """The span of a request while it is answered; `actors.adapters.tracing.RequestSpan` fulfils it."""

    @property
    def traceparent(self) -> str:
        """The span as `traceparent` names it."""

    def answered(self, status: int, correlation_id: UUID | None) -> None:
        """Note the answer, and the payment that was accepted with it."""


class RequestTracing(Protocol):
    """What makes the spans of requests; `actors.adapters.tracing.Tracing` fulfils it."""

    def request(self, method: str, path: str, carrier: dict[str, str]) -> AbstractContextManager[AnsweredSpan]:
        """Make the span of a request, which continues the trace that the `carrier`'s `traceparent` names."""


class TracedApp:
    """A WSGI application around another one."""

    def __init__(self, app: WSGIApplication, tracing: RequestTracing) -> None:
        self._app = app
        self._tracing = tracing

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        names = {"traceparent": "HTTP_TRACEPARENT", "tracestate": "HTTP_TRACESTATE"}
        carrier = {name: environ[key] for name, key in names.items() if key in environ}
        with self._tracing.request(environ["REQUEST_METHOD"], environ["PATH_INFO"], carrier) as span:
            # Lines of the log and problem details then name the trace, whether the client has begun it or not.
            environ["HTTP_TRACEPARENT"] = span.traceparent

            def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:  # noqa: ANN401  # as in PEP 3333
                span.answered(int(status[:3]), _accepted(status, headers))
                return start_response(status, headers, *([exc_info] if exc_info else []))

            return self._app(environ, start)


def _accepted(status: str, headers: list[tuple[str, str]]) -> UUID | None:
    """Give the payment that was accepted: its charge, which follows the answer, belongs to the same trace."""
    if not status.startswith("202"):
        return None
    location = next((value for name, value in headers if name.lower() == "location"), "")
    return UUID(location.removeprefix(PAYMENT_PATH)) if location.startswith(PAYMENT_PATH) else None
