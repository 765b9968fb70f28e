"""What a processor's answer to a charge means, as the outcome table of the design says."""

from enum import Enum
from http import HTTPStatus

SERVER_ERRORS_END = 600
"""Statuses from 500 up to this one (excluded) are server errors."""


class Outcome(Enum):
    """What is known about a charge that has ended."""

    SETTLED = "settled"
    """The payment was charged, with the instant that was sent."""
    ALREADY_CHARGED = "already charged"
    """The payment was charged by an earlier request, with an instant that only the processor knows."""
    NOT_SENT = "not sent"
    """Certainly not charged: the replica kept it back, since the processor takes nothing now."""
    REFUSED = "refused"
    """Certainly not charged, because nothing was sent: the connection was refused, or the host has no address."""
    OVERLOADED = "overloaded"
    """The payment was certainly not charged, because the processor has too many requests (429)."""
    FAILED = "failed"
    """The payment was certainly not charged: 500 with an empty body, as the processor's contract says."""
    DECLINED = "declined"
    """The processor will not charge this payment (400, 402, 409, 413, 415); whether it was booked before is not said."""
    MISCONFIGURED = "misconfigured"
    """The processor turns away all that this gateway sends (401, 403, 404, 405); it may have been booked before."""
    UNKNOWN = "unknown"
    """The payment may have been charged, or may be charged later: there was no answer, or not one that makes sense."""

    @property
    def was_sent(self) -> bool:
        """Whether there was an attempt at all."""
        return self is not Outcome.NOT_SENT

    @property
    def is_success(self) -> bool:
        """Whether the processor did its work. The breaker counts all other outcomes as failures."""
        return self is Outcome.SETTLED or self is Outcome.ALREADY_CHARGED


def outcome_of_status(status: int) -> Outcome:
    """Return what the HTTP status of a complete, well-formed answer to `POST /payments` means."""
    match status:
        case HTTPStatus.OK:
            return Outcome.SETTLED
        case HTTPStatus.UNPROCESSABLE_ENTITY:
            return Outcome.ALREADY_CHARGED
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Outcome.OVERLOADED
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Outcome.REFUSED
    # With 502 and 504 a proxy says that it does not know what the processor did.
    from_proxy = status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}
    if HTTPStatus.INTERNAL_SERVER_ERROR <= status < SERVER_ERRORS_END and not from_proxy:
        return Outcome.FAILED
    return Outcome.UNKNOWN
