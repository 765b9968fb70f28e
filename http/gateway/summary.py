"""`GET /payments-summary`: what each processor has charged."""

from collections.abc import Mapping
from typing import Protocol

import falcon

from actors.domain.instant import Rounding, iso_from_ms, ms_from_iso
from actors.domain.records import ProcessorTotal
from actors.errors import ArchivedError
from actors.summaries import WindowSummary
from gateway.answers import ChargedTotals
from gateway.media import write_body
from gateway.problem_types import ProblemType
from gateway.problems import InvalidFieldError, ProblemError
from gateway.query import query_value

FINAL_HEADER = "Fiel-Summary-Final"
"""`false` where charges stamped within the window may still be missing."""
AS_OF_HEADER = "Fiel-Summary-As-Of"
"""The instant of which the totals tell; absent where the window reaches up to the present, or it is not certain."""


class SummaryQueries(Protocol):
    """What the summary needs of the gateway's queries."""

    def summary(self, from_ms: int | None, to_ms: int | None) -> WindowSummary:
        """Add up the charges stamped from `from_ms` to `to_ms`, both inclusive; None leaves that side open."""


class SummaryResource:
    """Answers what each processor has charged."""

    def __init__(self, queries: SummaryQueries) -> None:
        self._queries = queries

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer totals by processor of the charges stamped from `from` to `to`, both inclusive, each optional.

        Those in the default currency stand first; where there are others, `currencies` holds their totals by code.
        """
        # A bound between two milliseconds takes in only what lies inside it; between the same two, nothing does.
        from_ms, to_ms = _bound(req, "from", Rounding.UP), _bound(req, "to", Rounding.DOWN)
        begun_ms = _bound(req, "from", Rounding.DOWN)
        if begun_ms is not None and to_ms is not None and begun_ms > to_ms:
            raise InvalidFieldError("from", "must not be later than to")
        try:
            summary = self._queries.summary(from_ms, to_ms)
        except ArchivedError as error:
            raise ProblemError(ProblemType.ARCHIVED, str(error)) from None
        resp.set_header(FINAL_HEADER, "true" if summary.final else "false")
        if summary.as_of_ms is not None:
            resp.set_header(AS_OF_HEADER, iso_from_ms(summary.as_of_ms))
        answer: dict[str, ChargedTotals | dict[str, Totals]] = {**_describe(summary.totals)}
        if summary.others:
            answer["currencies"] = {code: _describe(totals) for code, totals in summary.others.items()}
        write_body(req, resp, answer)


Totals = dict[str, ChargedTotals]
"""Totals by the processor's name."""


def _describe(totals: Mapping[str, ProcessorTotal]) -> Totals:
    return {
        name: {"totalRequests": total.requests, "totalAmount": total.amount.decimal} for name, total in totals.items()
    }


def _bound(req: falcon.Request, name: str, rounding: Rounding) -> int | None:
    value = query_value(req, name)
    if value is None:
        return None
    try:
        return ms_from_iso(value, rounding)
    except (ValueError, OverflowError):
        raise InvalidFieldError(
            name, "must be an ISO 8601 date and time in UTC, such as 2025-07-15T12:34:56.789Z"
        ) from None
