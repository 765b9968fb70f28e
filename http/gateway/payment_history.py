"""`GET /payments/{correlationId}/history`: the history of one payment, step by step, as far as replicas remember it."""

from collections.abc import Iterator
from typing import Protocol
from uuid import UUID

import falcon

from actors.domain.history_questions import ToldHistory
from actors.domain.instant import iso_from_ms
from actors.queries import PaymentStatus
from gateway.answers import HistoryStep, PaymentHistory
from gateway.media import write_body
from gateway.payments import PaymentLookUp, find_payment

ACCEPTED = "accepted: it is in a journal"


class HistoryLookUp(PaymentLookUp, Protocol):
    """What the question for the history of a payment needs of the gateway's queries."""

    def histories(self, correlation_id: UUID) -> tuple[ToldHistory, ...]:
        """Ask every replica what it has done with a payment."""


class PaymentHistoryResource:
    """Tells the history of one payment."""

    def __init__(self, queries: HistoryLookUp) -> None:
        self._queries = queries

    def on_get(self, req: falcon.Request, resp: falcon.Response, correlation_id: str) -> None:
        """Answer its steps, the oldest first, and what it waits for; 404 where nobody has accepted it."""
        status = find_payment(self._queries, correlation_id)
        histories = self._queries.histories(status.correlation_id)
        steps = sorted([*_recorded(status), *_remembered(histories)], key=lambda step: step[0])
        told: list[HistoryStep] = [
            {"at": iso_from_ms(at_ms), "what": what, "processor": processor, "replica": replica}
            for at_ms, what, processor, replica in steps
        ]
        waits_for = next((history.waits_for for history in histories if history.waits_for), None)
        if status.record is None and status.driven is None:
            told.insert(0, {"at": None, "what": ACCEPTED, "processor": None, "replica": None})
            waits_for = waits_for or "room in memory: it stands in a journal"
        answer: PaymentHistory = {"correlationId": status.correlation_id, "steps": told, "waitsFor": waits_for}
        write_body(req, resp, answer)


_Step = tuple[int, str, str | None, str | None]
"""Instant in milliseconds since the epoch, what happened, and the processor and the replica that it is of."""


def _recorded(status: PaymentStatus) -> Iterator[_Step]:
    """Give the steps that are recorded for good."""
    record = status.record
    payment = record.payment if record else status.driven.payment if status.driven else None
    if payment:
        yield payment.accepted_at_ms, ACCEPTED, None, None
    if record and record.settlement:
        settlement = record.settlement
        yield settlement.requested_at_ms, "charged under this instant", settlement.processor, None
        if settlement.answered_at_ms > settlement.requested_at_ms:
            yield settlement.answered_at_ms, "the processor had answered", settlement.processor, None
    if record and record.closing:
        closing = record.closing
        yield closing.closed_at_ms, f"ended without a charge: {closing.state.value}", closing.processor, None


def _remembered(histories: tuple[ToldHistory, ...]) -> Iterator[_Step]:
    for history in histories:
        for step in history.steps:
            yield step.at_ms, step.what, step.processor, history.replica
