"""Falcon's application, with the ids of requests: in lines of the log, and sent back."""

from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import falcon

from actors.logs import bound_contextvars
from gateway.request_ids import request_id_of, trace_id_of


class GatewayApp(falcon.App[falcon.Request, falcon.Response]):
    """Falcon's application, which lets lines of the log bear the ids of the request that they are about.

    `X-Request-ID` goes back with the answer. No id is made if none was sent: that would cost time for each payment.
    """

    def __call__(self, env: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if "HTTP_X_REQUEST_ID" in env or "HTTP_TRACEPARENT" in env:
            return self._answer_identified(env, start_response)
        return super().__call__(env, start_response)

    def _answer_identified(self, env: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        ids = {"request_id": request_id_of(env), "trace_id": trace_id_of(env)}
        request_id = ids["request_id"]

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:  # noqa: ANN401  # as in PEP 3333
            if request_id is not None:
                headers.append(("x-request-id", request_id))
            return start_response(status, headers, *([exc_info] if exc_info else []))

        with bound_contextvars(**{name: value for name, value in ids.items() if value is not None}):
            return super().__call__(env, start)
