"""What is told of a payment: as the answer to a question for it, in lists, and as an event."""

from decimal import Decimal
from typing import Annotated, NotRequired, TypedDict

from actors.domain.feed import EventKind, FeedEvent
from actors.domain.instant import iso_from_ms
from actors.domain.lifecycle import State
from actors.domain.records import PaymentState
from actors.queries import PaymentStatus
from gateway.answers import Currency, Id, instant, one_of, told
from gateway.event_cursor import write_cursor

StateText = Annotated[str, one_of("The state of a payment.", [state.value for state in PaymentState])]


class RefusedAmount(TypedDict):
    """Another amount under an id, in another currency than the payment's."""

    amount: Decimal
    currency: Currency


class PaymentAnswer(TypedDict):
    """How far one payment is; what is not known is null."""

    correlationId: Id
    amount: Annotated[Decimal, told("The amount, in the currency's major unit.", 19.9)]
    currency: Currency
    state: StateText
    processor: Annotated[str | None, told("The only processor that may have charged it.", "default")]
    acceptedAt: Annotated[str | None, instant("When it was accepted.")]
    requestedAt: Annotated[str | None, instant("The instant under which it was charged.")]
    attempts: Annotated[int | None, told("How many times it was sent to a processor.", 1)]
    replica: Annotated[str | None, told("The replica that drives it.", "1")]
    archived: NotRequired[
        Annotated[bool, told("Whether its settlement is archived, with its processor, instant and attempts.")]
    ]
    refusedAmounts: NotRequired[
        Annotated[
            list[Decimal | RefusedAmount],
            told("Other amounts that were posted under this id, and not charged; those in its currency are numbers."),
        ]
    ]


class PaymentsPage(TypedDict):
    """Some of the payments in one state."""

    payments: list[PaymentAnswer]
    next: Annotated[str | None, told("The cursor of the next page; null on the last one.")]


class PaymentEvent(TypedDict):
    """The end of a payment, or a purge, which has `type`, `at` and `cursor` alone."""

    type: Annotated[str, one_of("What happened.", [kind.value for kind in EventKind])]
    at: Annotated[str, instant("When the processor had answered, the end was decided, or the purge was asked for.")]
    cursor: Annotated[str, told("The place after this event; events with the same cursor are the same event.")]
    correlationId: NotRequired[Id]
    amount: NotRequired[Annotated[Decimal, told("The amount, in the currency's major unit.", 19.9)]]
    currency: NotRequired[Currency]
    processor: NotRequired[Annotated[str | None, told("The processor that charged or ended it.", "default")]]
    requestedAt: NotRequired[Annotated[str | None, instant("The instant under which it was charged.")]]


class PaymentEvents(TypedDict):
    """Events that follow each other."""

    events: list[PaymentEvent]
    next: Annotated[str, told("The `after` of the next request, also if there was no event.")]
    behindMs: Annotated[int, told("For how long an open transaction has held the feed back; 0 if none does.", 0)]


def describe_payment(status: PaymentStatus) -> PaymentAnswer:
    """Make the map that `GET /payments/{correlationId}` answers; what nobody knows yet is null."""
    record, driven = status.record, status.driven
    payment = record.payment if record else driven.payment if driven else None
    settlement = record.settlement if record else None
    end = record.settlement or record.closing if record else None
    answer: PaymentAnswer = {
        "correlationId": status.correlation_id,
        "amount": status.money.decimal,
        "currency": status.money.currency,
        "state": _state(status),
        "processor": record.processor if record else None,
        "acceptedAt": iso_from_ms(payment.accepted_at_ms) if payment else None,
        "requestedAt": iso_from_ms(settlement.requested_at_ms) if settlement else None,
        "attempts": end.attempts if end else driven.attempts if driven else None,
        "replica": record.owner if record else None,
    }
    if record and record.archived:
        answer["archived"] = True
    if record and record.conflicting_amounts:
        answer["refusedAmounts"] = [
            refused.decimal
            if refused.currency == status.money.currency
            else {"amount": refused.decimal, "currency": refused.currency}
            for refused in record.conflicting_amounts
        ]
    return answer


def _state(status: PaymentStatus) -> str:
    """Tell how far a payment is: its end by Postgres, otherwise what its replica knows or has noted in the row."""
    record, driven = status.record, status.driven
    if record and (record.settlement or record.archived):
        return "settled"
    if record and record.closing:
        return record.closing.state.value
    if driven and driven.state is State.STRANDED:
        return "stranded"
    if driven:
        return "unknown" if driven.pinned else "accepted"
    return (record and record.marked) or "accepted"


def describe_event(event: FeedEvent, feed_id: int) -> PaymentEvent:
    """Make the map that the feed tells an event by; `feed_id` goes into its cursor."""
    body: PaymentEvent = {
        "type": event.kind.value,
        "at": iso_from_ms(event.at_ms),
        "cursor": write_cursor(feed_id, event.place),
    }
    if event.money is None:
        return body
    requested_at = None if event.requested_at_ms is None else iso_from_ms(event.requested_at_ms)
    return {
        **body,
        "correlationId": event.place.correlation_id,
        "amount": event.money.decimal,
        "currency": event.money.currency,
        "processor": event.processor,
        "requestedAt": requested_at,
    }
