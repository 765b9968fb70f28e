"""`POST /payments/{correlationId}/resolution`: what an operator has found out about a payment that does not settle."""

from collections.abc import Collection
from typing import Annotated, Protocol
from uuid import UUID

import falcon
import msgspec

from actors.domain.instant import ms_from_iso
from actors.domain.resolution import Finding, ResolutionAnswer
from gateway.answers import INSTANT_EXAMPLE, ResolutionResult, told
from gateway.media import write_body
from gateway.operators import OperatorRight, Operators, note_order
from gateway.payment_body import is_msgpack_body, read_body
from gateway.payments import PaymentLookUp
from gateway.problem_types import ProblemType
from gateway.problems import InvalidFieldError, ProblemError
from gateway.repeated_keys import refuse_repeated_keys

ASKED_BY_MAX = 100
"""The most characters of an operator's name."""


class ResolvingGateway(Protocol):
    """What resolutions need of the gateway."""

    def now_ms(self) -> int:
        """Give the wall clock in milliseconds since the epoch."""

    def resolve(self, finding: Finding, asked_by: str) -> ResolutionAnswer:
        """Keep a finding, and tell what became of it."""


class ResolutionOrder(msgspec.Struct):
    """What an operator has found out."""

    # The names are the API's.
    chargedBy: Annotated[str | None, told("The processor that charged the payment; null: none did.", "default")]  # noqa: N815
    requestedAt: Annotated[  # noqa: N815
        str | None, told("The instant of the charge, where there was one.", INSTANT_EXAMPLE, format="date-time")
    ] = None
    by: Annotated[str, told("The operator's name.", "an auditor", minLength=1, maxLength=ASKED_BY_MAX)] = "an operator"


class ResolutionResource:
    """Accepts what operators have found out."""

    def __init__(
        self, resolutions: ResolvingGateway, queries: PaymentLookUp, processors: Collection[str], operators: Operators
    ) -> None:
        """`processors` are the names of the configured ones; the row of a payment may name another one."""
        self._operators = operators
        self._resolutions = resolutions
        self._queries = queries
        self._processors = frozenset(processors)

    def on_post(self, req: falcon.Request, resp: falcon.Response, correlation_id: str) -> None:
        """Answer 200 where the finding is applied, 409 where it is not, 404 where there is no such payment."""
        self._operators.check(req, OperatorRight.RESOLVE)
        try:
            parsed = msgspec.convert(correlation_id, UUID)
        except msgspec.ValidationError:
            raise InvalidFieldError("correlationId", "must be a UUID") from None
        finding, asked_by = self._read(req, parsed)
        note_order(req, OperatorRight.RESOLVE, correlation_id=parsed, charged_by=finding.charged_by, by=asked_by)
        answer = self._resolutions.resolve(finding, asked_by)
        match answer:
            case ResolutionAnswer.APPLIED:
                result: ResolutionResult = {"correlationId": parsed, "resolution": answer.value}
                write_body(req, resp, result)
            case ResolutionAnswer.NOT_FOUND:
                raise ProblemError(ProblemType.UNKNOWN_PAYMENT, f"Postgres has no payment {parsed}")
            case ResolutionAnswer.SETTLED:
                raise ProblemError(ProblemType.ALREADY_SETTLED, "its charge is recorded already")
            case ResolutionAnswer.MAY_SETTLE:
                raise ProblemError(
                    ProblemType.MAY_SETTLE,
                    "its processor may still tell what became of it; ask again when it is listed as unknown"
                    " for more than a minute, or as stranded, declined or mismatched",
                )

    def _read(self, req: falcon.Request, correlation_id: UUID) -> tuple[Finding, str]:
        is_msgpack, posted = is_msgpack_body(req), read_body(req)
        decode = msgspec.msgpack.decode if is_msgpack else msgspec.json.decode
        try:
            body = decode(posted, type=ResolutionOrder)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidFieldError("body", "must have chargedBy, and requestedAt unless chargedBy is null") from error
        refuse_repeated_keys(posted, is_msgpack=is_msgpack)
        if not 0 < len(body.by) <= ASKED_BY_MAX or not body.by.isprintable():
            raise InvalidFieldError("by", f"must be a name of at most {ASKED_BY_MAX} characters")
        if body.chargedBy is None:
            if body.requestedAt is not None:
                raise InvalidFieldError("requestedAt", "must be left out if no processor charged the payment")
            return Finding(correlation_id, None, None), body.by
        if body.chargedBy not in self._processors and body.chargedBy != self._processor_of(correlation_id):
            raise InvalidFieldError("chargedBy", f"must be one of {', '.join(sorted(self._processors))}, or null")
        try:
            requested_at_ms = ms_from_iso(body.requestedAt or "")
        except (ValueError, OverflowError):
            raise InvalidFieldError("requestedAt", "must be the date and time of the charge in UTC") from None
        if not 0 <= requested_at_ms <= self._resolutions.now_ms():
            raise InvalidFieldError("requestedAt", "must lie between 1970 and now")
        return Finding(correlation_id, body.chargedBy, requested_at_ms), body.by

    def _processor_of(self, correlation_id: UUID) -> str | None:
        """Tell which processor a payment names, also one that is not configured any more."""
        status = self._queries.payment(correlation_id)
        return status.record.processor if status and status.record else None
