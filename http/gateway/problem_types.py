"""The kinds of errors that the gateway answers, each under a URI that never changes and leads to its description."""

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

PROBLEMS_PATH = "/problems"


class ProblemDetails(TypedDict):
    """An error (RFC 9457)."""

    type: Annotated[
        str,
        Meta(
            description="Its type, as a reference that leads to a description.",
            extra_json_schema={"format": "uri-reference"},
        ),
    ]
    title: Annotated[str, Meta(description="Its type in words.")]
    status: Annotated[int, Meta(description="The status of the answer.")]
    detail: NotRequired[Annotated[str, Meta(description="What is wrong this time.")]]
    field: NotRequired[Annotated[str, Meta(description="The part of the request that is wrong.")]]
    requestId: NotRequired[Annotated[str, Meta(description="The request's `X-Request-ID`; a 500 gets one.")]]
    traceId: NotRequired[Annotated[str, Meta(description="The trace that the request's `traceparent` names.")]]


@dataclass(frozen=True, slots=True)
class ProblemText:
    """What one kind of error means."""

    name: str
    """The last part of its URI."""
    status: int
    title: str
    meaning: str
    """When it is answered."""
    remedy: str
    """What a client does about it."""

    @property
    def uri(self) -> str:
        """The value of `type`, a reference relative to the gateway's own address."""
        return f"{PROBLEMS_PATH}/{self.name}"


class ProblemType(Enum):
    """All kinds of errors; `docs/api.md` lists them, and `GET /problems` does."""

    MALFORMED_HTTP = ProblemText(
        "malformed-http",
        HTTPStatus.BAD_REQUEST,
        "Malformed HTTP",
        "The bytes are not an HTTP/1 request, or its method is unknown; the connection may have been closed.",
        "Use an HTTP client that keeps to RFC 9112.",
    )
    INVALID_REQUEST = ProblemText(
        "invalid-request",
        HTTPStatus.BAD_REQUEST,
        "Invalid request",
        "A part of the request is missing or malformed; field names it, and nothing of the request is kept.",
        "Correct that part before sending again.",
    )
    TOKEN_REQUIRED = ProblemText(
        "token-required",
        HTTPStatus.UNAUTHORIZED,
        "Token required",
        "Only operators may do this, and the request has no token or a wrong one.",
        "Send Authorization: Bearer with the value of ADMIN_TOKEN.",
    )
    NOT_PERMITTED = ProblemText(
        "not-permitted",
        HTTPStatus.FORBIDDEN,
        "Not permitted",
        "Only operators may do this, and the gateway has no ADMIN_TOKEN to recognise them by.",
        "Send it from the replica's own machine if its settings allow that, or start the gateway with ADMIN_TOKEN.",
    )
    FOREIGN_PAGE = ProblemText(
        "foreign-page",
        HTTPStatus.FORBIDDEN,
        "Foreign page",
        "A browser sent this for a page of another site: its Origin header differs from the Host header.",
        "Use the gateway's own pages, or a client that is no browser. A proxy has to pass the Host header on.",
    )
    NOT_FOUND = ProblemText(
        "not-found",
        HTTPStatus.NOT_FOUND,
        "Not found",
        "There is nothing under this path.",
        "Look the path up in /openapi.json.",
    )
    UNKNOWN_PAYMENT = ProblemText(
        "unknown-payment",
        HTTPStatus.NOT_FOUND,
        "Unknown payment",
        "No payment is known under this id: every replica and Postgres deny it, or, for a resolution, Postgres does.",
        "Post the payment; that is safe in any case.",
    )
    UNKNOWN_PROCESSOR = ProblemText(
        "unknown-processor",
        HTTPStatus.NOT_FOUND,
        "Unknown processor",
        "No processor of this name is configured.",
        "Take a name from /processors.",
    )
    METHOD_NOT_ALLOWED = ProblemText(
        "method-not-allowed",
        HTTPStatus.METHOD_NOT_ALLOWED,
        "Method not allowed",
        "The path exists, but does not accept this method.",
        "Use one of the methods in Allow.",
    )
    REQUEST_TIMEOUT = ProblemText(
        "request-timeout",
        HTTPStatus.REQUEST_TIMEOUT,
        "Request timeout",
        "The request did not arrive in time, or it was the largest when unfinished requests took too much memory.",
        "Send it again on a new connection, all at once.",
    )
    ANOTHER_AMOUNT = ProblemText(
        "another-amount",
        HTTPStatus.CONFLICT,
        "Another amount",
        "The id was accepted before with another amount or currency; this payment is not kept, and never charged.",
        "Use a new id for a new payment. To see what was accepted, get the payment of this id.",
    )
    ALREADY_SETTLED = ProblemText(
        "already-settled",
        HTTPStatus.CONFLICT,
        "Settled",
        "The charge of this payment is recorded, so there is nothing to resolve.",
        "Compare it with the processor's own records; do not resolve it.",
    )
    MAY_SETTLE = ProblemText(
        "may-settle",
        HTTPStatus.CONFLICT,
        "May settle by itself",
        "The payment was sent, or its record became doubtful, too recently: its processor may still report a charge.",
        "Send it again once the payment is listed as unknown for a minute, or as stranded, declined or mismatched.",
    )
    LOST_PLACE = ProblemText(
        "lost-place",
        HTTPStatus.GONE,
        "Lost place",
        "This Postgres never gave the cursor: it comes from a history that was lost, and no replica noticed the loss.",
        "Read the feed from its beginning, without a cursor, or from now on.",
    )
    ARCHIVED = ProblemText(
        "archived",
        HTTPStatus.GONE,
        "Archived",
        "The answer needs archived data: events after the cursor, or charges within 5 s of a bound of the summary.",
        "Read the feed from now on; let a summary begin at a multiple of 5 s, and end a millisecond before one.",
    )
    BODY_TOO_LARGE = ProblemText(
        "body-too-large",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "Body too large",
        "The body has more than 16 KiB.",
        "Send a payment alone: it needs fewer than 100 bytes.",
    )
    TARGET_TOO_LONG = ProblemText(
        "target-too-long",
        HTTPStatus.REQUEST_URI_TOO_LONG,
        "Target too long",
        "The path and the query are longer than the server accepts.",
        "Send the parameters that are documented, and no others.",
    )
    UNSUPPORTED_MEDIA_TYPE = ProblemText(
        "unsupported-media-type",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "Unsupported media type",
        "The Content-Type is neither JSON nor MessagePack.",
        "Send application/json or application/msgpack.",
    )
    EXPECTATION_FAILED = ProblemText(
        "expectation-failed",
        HTTPStatus.EXPECTATION_FAILED,
        "Expectation failed",
        "The request has an Expect header other than 100-continue.",
        "Leave the header out.",
    )
    HEAD_TOO_LARGE = ProblemText(
        "head-too-large",
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "Head too large",
        "The request has too many header fields, or one that is too long.",
        "Send fewer and shorter ones; cookies are not needed.",
    )
    INTERNAL_ERROR = ProblemText(
        "internal-error",
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Internal error",
        "The gateway failed to handle this request; its log has the error.",
        "Send it again: posting the same payment again is safe. Report the error.",
    )
    NOT_IMPLEMENTED = ProblemText(
        "not-implemented",
        HTTPStatus.NOT_IMPLEMENTED,
        "Not implemented",
        "The request has a transfer coding that the server does not know.",
        "Send the body with Content-Length, or chunked.",
    )
    UNAVAILABLE = ProblemText(
        "unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Try again",
        "The gateway cannot serve this request now; detail says why.",
        "Send it again after Retry-After seconds: posting the same payment again is safe.",
    )
    IN_DOUBT = ProblemText(
        "in-doubt",
        HTTPStatus.GATEWAY_TIMEOUT,
        "In doubt",
        "It is not known whether Postgres has the payment: it may be kept, and then it is charged once.",
        "Post it again after Retry-After seconds, under the same id, which is safe. Or get its state by the id.",
    )
    HTTP_VERSION = ProblemText(
        "http-version",
        HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
        "HTTP version not supported",
        "The request uses a version of HTTP that the server does not support.",
        "Use HTTP/1.1.",
    )

    @property
    def uri(self) -> str:
        """The value of `type`."""
        return self.value.uri


_BY_STATUS = {kind.value.status: kind for kind in reversed(ProblemType)}
"""The kinds by status; of several with one status the first, which is the only one that a library can mean."""


def problem_of_status(status: int) -> ProblemType | None:
    """Tell what an error of the framework's own means, of which the status alone is known."""
    return _BY_STATUS.get(status)
