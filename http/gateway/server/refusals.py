"""The answers of the server itself, which no application has seen, as problem details (RFC 9457)."""

from http import HTTPStatus

import msgspec
from gunicorn import util
from gunicorn.http import errors

from gateway.problem_types import ProblemDetails, ProblemType, problem_of_status

_STATUSES: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (errors.InvalidResponseHeader, HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.InvalidResponseHeaderName, HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.ConfigurationProblem, HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.ForbiddenProxyRequest, HTTPStatus.FORBIDDEN),
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
    (errors.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (errors.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
    (errors.ParseException, HTTPStatus.BAD_REQUEST),
)
"""What the errors of gunicorn's parser mean; the first that fits counts."""


def check_codings(headers: list[tuple[str, str]]) -> None:
    """Check that a body is at most chunked: gunicorn would pass one on that is compressed besides.

    Raises:
        UnsupportedTransferCoding: it has another coding.
    """
    for name, value in headers:
        if name == "TRANSFER-ENCODING" and value.strip().lower() not in {"chunked", "identity"}:
            raise errors.UnsupportedTransferCoding(value)


def status_of(error: BaseException) -> HTTPStatus:
    """Tell the status that refuses a request which cannot be parsed; 500 for what the application raised."""
    # gunicorn gives a version as numbers if it is well-formed and not supported.
    if isinstance(error, errors.InvalidHTTPVersion) and isinstance(error.version, tuple):
        return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    fitting = (status for kind, status in _STATUSES if isinstance(error, kind))
    return next(fitting, HTTPStatus.INTERNAL_SERVER_ERROR)


def problem_details(kind: ProblemType | None, status: int, title: str, detail: str | None = None) -> ProblemDetails:
    """Build the members that every problem has; `detail` is left out where there is none."""
    problem: ProblemDetails = {"type": kind.uri if kind else "about:blank", "title": title, "status": status}
    if detail:
        problem["detail"] = detail
    return problem


def refusal(status: HTTPStatus, detail: str | None = None) -> bytes:
    """Write a whole answer, after which the connection ends."""
    kind = problem_of_status(status)
    body = msgspec.json.encode(problem_details(kind, status, kind.value.title if kind else status.phrase, detail))
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nServer: gunicorn\r\nDate: {util.http_date()}\r\n"
        f"Connection: close\r\nContent-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode("ascii") + body
