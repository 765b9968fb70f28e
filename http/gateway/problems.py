"""Problem details (RFC 9457): every error has one shape, and names the field that it is about."""

from typing import Any

import falcon

from actors.errors import GatewayUnavailableError, LedgerUnavailableError
from gateway.media import write_body

RETRY_AFTER_S = 1


class InvalidFieldError(falcon.HTTPBadRequest):
    """A request whose `field` is missing or malformed."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(title="Invalid request", description=f"{field}: {detail}")
        self.field = field


def unavailable(detail: str) -> falcon.HTTPServiceUnavailable:
    """Make the answer of a gateway that cannot serve now, and kept nothing of the request."""
    return falcon.HTTPServiceUnavailable(title="Try again", description=detail, retry_after=RETRY_AFTER_S)


def serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Write an error as `application/problem+json`, or its MessagePack."""
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": error.title or falcon.util.code_to_http_status(error.status_code)[4:],
        "status": error.status_code,
    }
    if error.description:
        problem["detail"] = error.description
    if isinstance(error, InvalidFieldError):
        problem["field"] = error.field
    write_body(req, resp, problem, kind="problem")


def translate_unavailable(
    _req: falcon.Request, _resp: falcon.Response, error: Exception, _params: dict[str, Any]
) -> None:
    """Turn what the gateway raises into 503 with `Retry-After`."""
    raise unavailable(str(error)) from error


UNAVAILABLE_ERRORS = (GatewayUnavailableError, LedgerUnavailableError)
