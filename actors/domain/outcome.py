"""What a processor's answer to a charge means (the outcome table of the design)."""

from enum import Enum
from http import HTTPStatus

SERVER_ERRORS_END = 600


class Outcome(Enum):
    """What is known of one charge after it ended."""

    SETTLED = "settled"
    """Charged, under the instant that was sent."""
    ALREADY_CHARGED = "already charged"
    """Charged by an earlier request, under an instant that only the processor knows."""
    NOT_SENT = "not sent"
    """Certainly not charged: the replica kept it back, since the processor takes nothing now."""
    REFUSED = "refused"
    """Certainly not charged: nobody was reached, or it was turned away before it was looked at."""
    OVERLOADED = "overloaded"
    """Certainly not charged: the processor has more requests than it takes (429)."""
    FAILED = "failed"
    """Not charged as far as the processor's contract says (5xx)."""
    UNKNOWN = "unknown"
    """Perhaps charged, perhaps charged later: no answer, or one that makes no sense."""

    @property
    def was_sent(self) -> bool:
        """Whether there was an attempt at all."""
        return self is not Outcome.NOT_SENT

    @property
    def is_success(self) -> bool:
        """Whether the processor did its work; the breaker counts the rest as failures."""
        return self is Outcome.SETTLED or self is Outcome.ALREADY_CHARGED


def outcome_of_status(status: int) -> Outcome:
    """Read the HTTP status of a complete, well-formed answer to `POST /payments`."""
    match status:
        case HTTPStatus.OK:
            return Outcome.SETTLED
        case HTTPStatus.UNPROCESSABLE_ENTITY:
            return Outcome.ALREADY_CHARGED
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Outcome.OVERLOADED
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Outcome.REFUSED
    # 502 and 504: somebody in between says that it does not know.
    in_between = status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT}
    if HTTPStatus.INTERNAL_SERVER_ERROR <= status < SERVER_ERRORS_END and not in_between:
        return Outcome.FAILED
    return Outcome.UNKNOWN
