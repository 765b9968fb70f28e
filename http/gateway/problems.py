"""Problem details (RFC 9457): every error has one form, says of which kind it is, and names a wrong field."""

from collections.abc import Mapping
from html import escape
from typing import Any

import falcon

from actors.errors import FielError, GatewayUnavailableError, LedgerUnavailableError
from actors.logs import get_logger
from gateway.media import write_body
from gateway.problem_types import PROBLEMS_PATH, ProblemText, ProblemType, problem_of_status
from gateway.request_ids import request_id_of, some_request_id, trace_id_of
from gateway.server.refusals import problem_details

logger = get_logger(__name__)

RETRY_AFTER_S = 1
UNAVAILABLE_ERRORS = (GatewayUnavailableError, LedgerUnavailableError)


class ProblemError(falcon.HTTPError):
    """A request that is answered with one of the known kinds of errors."""

    def __init__(self, kind: ProblemType, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(kind.value.status, title=kind.value.title, description=detail, headers=dict(headers or {}))
        self.kind = kind


class InvalidFieldError(ProblemError):
    """A request whose `field` is missing or malformed."""

    def __init__(self, field: str, detail: str, kind: ProblemType = ProblemType.INVALID_REQUEST) -> None:
        super().__init__(kind, f"{field}: {detail}")
        self.field = field


def unavailable(detail: str) -> ProblemError:
    """Make the 503 answer of a gateway that cannot serve now; a payment is not kept, unless a disk fails."""
    return ProblemError(ProblemType.UNAVAILABLE, detail, {"Retry-After": str(RETRY_AFTER_S)})


def in_doubt(detail: str) -> ProblemError:
    """Make the 504 answer of a gateway that may or may not have kept the request."""
    return ProblemError(ProblemType.IN_DOUBT, detail, {"Retry-After": str(RETRY_AFTER_S)})


def serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Write an error as `application/problem+json`, or its MessagePack."""
    kind = error.kind if isinstance(error, ProblemError) else problem_of_status(error.status_code)
    # Falcon's own errors are titled with their status line.
    title = kind.value.title if kind else (error.title or "").removeprefix(f"{error.status_code} ")
    problem = problem_details(kind, error.status_code, title, error.description)
    if isinstance(error, InvalidFieldError):
        problem["field"] = error.field
    if (request_id := request_id_of(req.env)) is not None:
        problem["requestId"] = request_id
    if (trace_id := trace_id_of(req.env)) is not None:
        problem["traceId"] = trace_id
    write_body(req, resp, problem, kind="problem")


def answer_failure(req: falcon.Request, _resp: falcon.Response, error: Exception, _params: dict[str, Any]) -> None:
    """Turn an error in the code into 500; its traceback stands in the log alone, under the id that is answered."""
    request_id = some_request_id(req.env)
    logger.error("a request failed", method=req.method, path=req.path, request_id=request_id, exc_info=error)
    raise falcon.HTTPInternalServerError from error


def translate_unavailable(
    _req: falcon.Request, _resp: falcon.Response, error: FielError, _params: dict[str, Any]
) -> None:
    """Turn what the gateway raises into 503 with `Retry-After`."""
    # What Postgres' driver says names hosts and users, which are no client's business.
    detail = "Postgres does not answer" if isinstance(error, LedgerUnavailableError) else str(error)
    raise unavailable(detail) from error


class ProblemsResource:
    """Describes the kinds of errors, under the URIs that problem details have as their `type`."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response, name: str | None = None) -> None:
        """Answer a page about one kind, or with links to all."""
        if name is None:
            links = [f'<li><a href="{kind.uri}">{kind.value.name}</a>: {kind.value.title}' for kind in ProblemType]
            title, content = "Problem types", f"<ul>{''.join(links)}</ul>"
        else:
            text = next((kind.value for kind in ProblemType if kind.value.name == name), None)
            if text is None:
                raise ProblemError(ProblemType.NOT_FOUND, "there is no such kind of problem")
            title, content = text.title, _describe(text)
        resp.content_type = falcon.MEDIA_HTML
        resp.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        resp.text = (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>{content}\n'
        )


def _describe(text: ProblemText) -> str:
    return (
        f"<p>Status {int(text.status)}, type <code>{text.uri}</code></p><p>{escape(text.meaning)}</p>"
        f'<p>{escape(text.remedy)}</p><p><a href="{PROBLEMS_PATH}">All problem types</a></p>'
    )
