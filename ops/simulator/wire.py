"""How a processor's messages look on the wire."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar
from urllib.parse import parse_qs
from uuid import UUID

import msgspec

from ops.simulator.faults import Fault, Faults
from ops.simulator.ledger import Payment, Summary, amount_of, cents_of, fee_of

Body = TypeVar("Body")

_encode = msgspec.json.Encoder(decimal_format="number").encode


class WireError(Exception):
    """What came can't be understood; its text tells the sender why."""


class _PaymentBody(msgspec.Struct, frozen=True, rename="camel"):
    correlation_id: UUID
    amount: Decimal
    requested_at: datetime


_decode_payment = msgspec.json.Decoder(_PaymentBody).decode


def decode(content: bytes, kind: type[Body]) -> Body:
    """Read a JSON body.

    Raises:
        WireError: it isn't one, or not of this kind.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(str(error)) from error


def decode_payment(content: bytes) -> Payment:
    """Read the body of `POST /payments`.

    Raises:
        WireError: it is no payment.
    """
    try:
        body = _decode_payment(content)
        return Payment(body.correlation_id, cents_of(body.amount), _in_utc(body.requested_at))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, ArithmeticError) as error:
        raise WireError(str(error)) from error


def decode_window(query: str) -> tuple[datetime | None, datetime | None]:
    """Read `from` and `to` out of a query string.

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
    """Write the short answer that says what happened."""
    return _encode({"message": text})


def encode_health(*, failing: bool, delay_ms: int) -> bytes:
    """Write the answer of `GET /payments/service-health`."""
    return _encode({"failing": failing, "minResponseTime": delay_ms})


def encode_payment(payment: Payment) -> bytes:
    """Write the answer of `GET /payments/{id}`; its instant has neither zone nor trailing zeros."""
    instant = payment.requested_at.replace(tzinfo=None).isoformat()
    return _encode(
        {
            "correlationId": payment.correlation_id,
            "amount": amount_of(payment.amount_cents),
            "requestedAt": instant.rstrip("0") if "." in instant else instant,
        }
    )


def encode_summary(summary: Summary, fee: Decimal) -> bytes:
    """Write the answer of `GET /admin/payments-summary`, for a processor that takes `fee` of each amount."""
    return _encode(
        {
            "totalRequests": summary.total_requests,
            "totalAmount": amount_of(summary.total_cents),
            "totalFee": fee_of(summary.total_cents, fee),
            "feePerTransaction": fee,
        }
    )


def encode_audit(payments: Iterable[Payment]) -> bytes:
    """Write charges one to a line, instants with a zone and milliseconds (more digits only where they were sent)."""
    return b"".join(
        _encode(
            {
                "correlationId": payment.correlation_id,
                "amountCents": payment.amount_cents,
                "requestedAt": _instant(payment.requested_at),
            }
        )
        + b"\n"
        for payment in payments
    )


def encode_faults(faults: Faults, injected: Mapping[Fault, int]) -> bytes:
    """Write the answer of `GET /admin/faults`: the set, and how often each kind was injected so far."""
    counts = {fault.value: injected[fault] for fault in Fault}
    return _encode({**msgspec.to_builtins(faults), "injected": counts})


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    return instant.astimezone(UTC)


def _instant(instant: datetime) -> str:
    digits = "microseconds" if instant.microsecond % 1_000 else "milliseconds"
    return instant.replace(tzinfo=None).isoformat(timespec=digits) + "Z"
