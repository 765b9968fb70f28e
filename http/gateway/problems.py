"""Problem details (RFC 9457): every error is answered in one form, and names the field that it is about."""

from typing import Any

import falcon

from actors.errors import FielError, GatewayUnavailableError, LedgerUnavailableError
from gateway.media import write_body
from gateway.server.refusals import problem_details

RETRY_AFTER_S = 1
UNAVAILABLE_ERRORS = (GatewayUnavailableError, LedgerUnavailableError)


class InvalidFieldError(falcon.HTTPError):
    """A request whose `field` is missing or malformed."""

    def __init__(self, field: str, detail: str, status: str = falcon.HTTP_400) -> None:
        super().__init__(status, title="Invalid request", description=f"{field}: {detail}")
        self.field = field


def unavailable(detail: str) -> falcon.HTTPServiceUnavailable:
    """Make the 503 answer of a gateway that cannot serve now and has kept nothing of the request."""
    return falcon.HTTPServiceUnavailable(title="Try again", description=detail, retry_after=RETRY_AFTER_S)


def serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Write an error as `application/problem+json`, or its MessagePack."""
    # Falcon's own errors are titled with their status line.
    title = (error.title or "").removeprefix(f"{error.status_code} ")
    problem = problem_details(error.status_code, title, error.description)
    if isinstance(error, InvalidFieldError):
        problem["field"] = error.field
    write_body(req, resp, problem, kind="problem")


def translate_unavailable(
    _req: falcon.Request, _resp: falcon.Response, error: FielError, _params: dict[str, Any]
) -> None:
    """Turn what the gateway raises into 503 with `Retry-After`."""
    # What Postgres' driver says names hosts and users, which are no client's business.
    detail = "Postgres does not answer" if isinstance(error, LedgerUnavailableError) else str(error)
    raise unavailable(detail) from error
