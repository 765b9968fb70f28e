"""Each request is a span, which continues the client's trace and knows the payment that was accepted."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import falcon.testing
import pytest

from gateway.traced_app import TracedApp

OURS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
THEIRS = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
ID = UUID("4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3")


class Spans:
    """Keeps what the spans are told."""

    traceparent = OURS

    def __init__(self) -> None:
        self.begun: list[tuple[str, str, dict[str, str]]] = []
        self.answers: list[tuple[int, UUID | None]] = []

    @contextmanager
    def request(self, method: str, path: str, carrier: dict[str, str]) -> Iterator["Spans"]:
        self.begun.append((method, path, carrier))
        yield self

    def answered(self, status: int, correlation_id: UUID | None) -> None:
        self.answers.append((status, correlation_id))


def ask(spans: Spans, status: str, fields: list[tuple[str, str]], **sent: str) -> falcon.testing.Result:
    """Ask an application that answers the trace that it was shown, with this status and these fields."""

    def answer(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        start_response(status, [("Content-Type", "text/plain"), *fields])
        return [environ["HTTP_TRACEPARENT"].encode()]

    client = falcon.testing.TestClient(TracedApp(answer, spans))
    return client.simulate_post("/payments", headers=sent)


def test_the_application_sees_the_span_of_the_request_which_continues_the_trace_of_the_client() -> None:
    spans = Spans()
    assert ask(spans, "200 OK", [], traceparent=THEIRS, tracestate="a=b").text == OURS
    assert ask(spans, "200 OK", []).text == OURS
    assert [carrier for _, _, carrier in spans.begun] == [{"traceparent": THEIRS, "tracestate": "a=b"}, {}]
    assert {(method, path) for method, path, _ in spans.begun} == {("POST", "/payments")}


@pytest.mark.parametrize(
    ("status", "fields", "accepted"),
    [
        ("202 Accepted", [("Location", f"/payments/{ID}")], ID),
        ("202 Accepted", [("location", "/elsewhere")], None),
        ("202 Accepted", [], None),
        ("503 Service Unavailable", [("Location", f"/payments/{ID}")], None),
    ],
)
def test_the_span_is_told_of_the_answer_and_of_the_payment_that_was_accepted_with_it(
    status: str, fields: list[tuple[str, str]], accepted: UUID | None
) -> None:
    spans = Spans()
    ask(spans, status, fields)
    assert spans.answers == [(int(status[:3]), accepted)]
