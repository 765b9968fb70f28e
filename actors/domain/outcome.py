"""What a processor's answer to a charge means; `docs/architecture.md` has the whole table."""

from enum import Enum


class Outcome(Enum):
    """What is known about a charge that has ended."""

    SETTLED = "settled"
    """The payment was charged, with the instant that was sent."""
    ALREADY_CHARGED = "already charged"
    """The payment was charged by an earlier request, with an instant that only the processor knows."""
    NOT_SENT = "not sent"
    """Certainly not charged: the replica kept it back, since the processor takes nothing now."""
    REFUSED = "refused"
    """Certainly not charged, because nothing was sent: there was no connection, or the host has no address."""
    OVERLOADED = "overloaded"
    """The payment was certainly not charged, because the processor has too many requests (429)."""
    FAILED = "failed"
    """The payment was certainly not charged: 500 with an empty body, as the processor's contract says."""
    DECLINED = "declined"
    """The processor declines this payment (400, 402, 409, 413, 415), and does not say whether it was booked before."""
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
        """Whether the processor has charged. The breaker counts all other outcomes as failures, but for `DECLINED`."""
        return self is Outcome.SETTLED or self is Outcome.ALREADY_CHARGED

    @property
    def tells_health(self) -> bool:
        """Whether it shows if the processor works. A declined payment does not: a gateway in front may decline it."""
        return self is not Outcome.NOT_SENT and self is not Outcome.DECLINED

    @property
    def is_of_processor(self) -> bool:
        """Whether only the processor answers so. All else may come from something in front of it."""
        return self is Outcome.SETTLED or self is Outcome.ALREADY_CHARGED or self is Outcome.FAILED

    @property
    def tells_pace(self) -> bool:
        """Whether its duration shows how fast the processor charges. Failures take any time."""
        return self is Outcome.SETTLED or self is Outcome.ALREADY_CHARGED or self is Outcome.OVERLOADED


def outcome_of_answer(status: int, body: bytes) -> Outcome:  # noqa: PLR0911  # a line for each meaning
    """Return what a complete, well-formed answer to `POST /payments` means; `body` is as it came.

    A status that the contract does not name, and a 500 with a body, may come from something in front of the processor,
    which does not know what the processor did.
    """
    match status:
        case 200:
            return Outcome.SETTLED
        case 422:
            return Outcome.ALREADY_CHARGED
        case 429:
            return Outcome.OVERLOADED
        case 500 if not body:
            return Outcome.FAILED
        case 400 | 402 | 409 | 413 | 415:
            return Outcome.DECLINED
        case 401 | 403 | 404 | 405:
            return Outcome.MISCONFIGURED
        case _:
            return Outcome.UNKNOWN
