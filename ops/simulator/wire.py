"""Decodes the requests to a processor and encodes its answers."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, TypeVar
from urllib.parse import parse_qs
from uuid import UUID

import msgspec

from ops.simulator.faults import Fault, Faults
from ops.simulator.ledger import LedgerEntry, Summary, amount_of, fee_of, minor_of

Body = TypeVar("Body")
EPOCH, MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)

_encode = msgspec.json.Encoder(decimal_format="number").encode


class WireError(Exception):
    """A request is malformed; the message tells its sender why."""


class _PaymentBody(msgspec.Struct, frozen=True, rename="camel"):
    correlation_id: UUID
    amount: Decimal
    requested_at: datetime
    currency: Annotated[str, msgspec.Meta(pattern="^([A-Z]{3})?$")] = ""


_decode_payment = msgspec.json.Decoder(_PaymentBody).decode


def decode(content: bytes, kind: type[Body]) -> Body:
    """Decode a JSON body into an object of type `kind`.

    Raises:
        WireError: the body is no JSON, or does not fit the type.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(str(error)) from error


def decode_payment(content: bytes) -> LedgerEntry:
    """Decode the body of `POST /payments`.

    Raises:
        WireError: the body is no payment.
    """
    try:
        body = _decode_payment(content)
        amount_minor = minor_of(body.amount, body.currency)
        return LedgerEntry(body.correlation_id, amount_minor, _in_utc(body.requested_at), body.currency)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, ArithmeticError) as error:
        raise WireError(str(error)) from error


def decode_window(query: str) -> tuple[datetime | None, datetime | None]:
    """Decode `from` and `to` of a query string; None stands for a missing one.

    Raises:
        WireError: one of them is no instant.
    """
    fields = parse_qs(query)
    try:
        since, until = (
            _in_utc(msgspec.convert(fields[name][0], datetime)) if name in fields else None for name in ("from", "to")
        )
    except (msgspec.ValidationError, OverflowError) as error:
        raise WireError(f"from and to are instants as in 2025-07-15T12:34:56.789Z: {error}") from error
    return since, until


def encode_message(text: str) -> bytes:
    """Encode an answer that says in one sentence what happened."""
    return _encode({"message": text})


def encode_health(*, failing: bool, delay_ms: int) -> bytes:
    """Encode the answer to `GET /payments/service-health`."""
    return _encode({"failing": failing, "minResponseTime": delay_ms})


def encode_configurations(delay_ms: int, fee: Decimal, *, failing: bool) -> bytes:
    """Encode the answer to `GET /admin/configurations`: what was configured last, except the token."""
    return _encode({"delay": delay_ms, "failure": failing, "fee": fee})


def encode_payment(payment: LedgerEntry) -> bytes:
    """Encode the answer to `GET /payments/{id}`, with an instant without zone and trailing zeros."""
    instant = payment.requested_at.replace(tzinfo=None).isoformat()
    return _encode(
        {
            "correlationId": payment.correlation_id,
            "amount": amount_of(payment.amount_minor, payment.currency),
            "requestedAt": instant.rstrip("0") if "." in instant else instant,
            **_currency(payment),
        }
    )


def encode_summaries(summaries: Mapping[str, Summary], fee: Decimal) -> bytes:
    """Encode the answer to `GET /admin/payments-summary`; `fee` is the share of each amount.

    The default currency, whose code is empty, keeps the event's form. Others stand beside it in one form each.
    """
    answer, *others = (
        {
            "totalRequests": summary.total_requests,
            "totalAmount": amount_of(summary.total_minor, code),
            "totalFee": fee_of(summary.total_minor, fee, code),
            "feePerTransaction": fee,
        }
        for code, summary in summaries.items()
    )
    return _encode({**answer, "currencies": dict(zip(list(summaries)[1:], others, strict=True))} if others else answer)


def encode_charges(payments: Iterable[LedgerEntry]) -> bytes:
    """Encode charges, one JSON object per line; instants have microseconds only where the request had them."""
    return b"".join(
        _encode(
            {
                "correlationId": payment.correlation_id,
                "amountMinor": payment.amount_minor,
                "requestedAt": _instant(payment.requested_at),
                **_currency(payment),
                **_booking(payment),
            }
        )
        + b"\n"
        for payment in payments
    )


def encode_requests(asked: Mapping[UUID, Fault | None]) -> bytes:
    """Encode which payments were asked for, and the fault that each id caused, one JSON object per line."""
    return b"".join(
        _encode({"correlationId": correlation_id, "fault": fault.value if fault else None}) + b"\n"
        for correlation_id, fault in asked.items()
    )


def encode_faults(faults: Faults, injected: Mapping[Fault, int]) -> bytes:
    """Encode the answer to `GET /admin/faults`: the faults, and how often each kind has been injected."""
    counts = {fault.value: injected[fault] for fault in Fault}
    return _encode({**msgspec.to_builtins(faults), "injected": counts})


def _currency(payment: LedgerEntry) -> dict[str, str]:
    return {"currency": payment.currency} if payment.currency else {}


def _booking(payment: LedgerEntry) -> dict[str, object]:
    if not payment.booked_at_ms:
        return {}
    return {"bookedAt": _instant(EPOCH + payment.booked_at_ms * MILLISECOND), "answered": payment.answered}


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    return instant.astimezone(UTC)


def _instant(instant: datetime) -> str:
    digits = "microseconds" if instant.microsecond % 1_000 else "milliseconds"
    return instant.replace(tzinfo=None).isoformat(timespec=digits) + "Z"
