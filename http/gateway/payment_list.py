"""`GET /payments?state=…`: the payments in one state, page by page."""

from typing import Protocol
from uuid import UUID

import falcon

from actors.domain.records import FIRST, PaymentState, Position
from actors.queries import PaymentStatus
from gateway.problems import InvalidFieldError
from gateway.query import query_value, whole_number

LIMIT_MAX = 500
LIMIT_DEFAULT = 100


class PaymentLister(Protocol):
    """What lists need of the gateway's queries."""

    def payments(self, state: PaymentState, after: Position, payments_max: int) -> tuple[PaymentStatus, ...]:
        """Read payments in one state, the oldest first."""


def read_page(req: falcon.Request) -> tuple[PaymentState, Position, int]:
    """Read which page of which list is wanted.

    Raises:
        InvalidFieldError: a parameter is missing or malformed.
    """
    given = query_value(req, "state") or ""
    try:
        state = PaymentState(given)
    except ValueError:
        known = ", ".join(each.value for each in PaymentState)
        raise InvalidFieldError("state", f"must be one of {known}") from None
    limit = whole_number(req, "limit", LIMIT_DEFAULT, (1, LIMIT_MAX))
    cursor = query_value(req, "cursor")
    return state, FIRST if cursor is None else _read_cursor(cursor), limit


def cursor_of(position: Position) -> str:
    """Write a position as the cursor that a client is given, and gives back."""
    return f"{position.at_ms}.{position.correlation_id}"


def _read_cursor(cursor: str) -> Position:
    at_ms, _, correlation_id = cursor.partition(".")
    try:
        position = Position(int(at_ms), UUID(correlation_id))
    except ValueError:
        position = None
    if position is None or cursor_of(position) != cursor or abs(position.at_ms) >= 2**63:
        raise InvalidFieldError("cursor", "must be the value of next in an earlier answer")
    return position
