"""`POST /payments` and `GET /payments/{correlationId}`."""

from decimal import Decimal
from http import HTTPStatus
from typing import Protocol
from uuid import UUID

import falcon
import msgspec

from actors.domain.instant import iso_from_ms
from actors.domain.messages import AcceptAnswer
from actors.domain.payment import Payment, amount_cents, decimal_amount
from actors.errors import InvalidAmountError
from actors.system import PaymentStatus
from gateway.media import read_body, sent_msgpack, write_body
from gateway.problems import InvalidFieldError, unavailable


class _Posted(msgspec.Struct):
    correlationId: UUID  # noqa: N815  # the contract's name
    amount: msgspec.Raw


class _PostedCompact(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    correlationId: UUID  # noqa: N815  # the contract's name
    amount: msgspec.Raw


_json_decoder = msgspec.json.Decoder(_Posted)
_msgpack_decoder = msgspec.msgpack.Decoder(_Posted)
_compact_decoder = msgspec.msgpack.Decoder(_PostedCompact)

FIELDS = ("correlationId", "amount")
_ARRAY_TYPES = frozenset({*range(0x90, 0xA0), 0xDC, 0xDD})
"""First bytes of MessagePack arrays."""


class PaymentGateway(Protocol):
    """What these resources need of the gateway."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since the epoch."""

    def accept(self, payment: Payment) -> AcceptAnswer:
        """Make a payment durable."""

    def payment(self, correlation_id: UUID) -> PaymentStatus | None:
        """Tell how far a payment is."""


class PaymentsResource:
    """Accepts payments."""

    def __init__(self, gateway: PaymentGateway) -> None:
        self._gateway = gateway

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer 202 once the payment is durable."""
        correlation_id, cents = parse_payment(read_body(req), is_msgpack=sent_msgpack(req))
        match self._gateway.accept(Payment(correlation_id, cents, self._gateway.now_ms())):
            case AcceptAnswer.ACCEPTED | AcceptAnswer.REPEATED:
                resp.status = HTTPStatus.ACCEPTED
                resp.set_header("Location", f"/payments/{correlation_id}")
            case AcceptAnswer.CONFLICT:
                raise falcon.HTTPConflict(
                    title="Another amount", description=f"{correlation_id} was accepted with another amount before"
                )
            case AcceptAnswer.OVERLOADED:
                raise unavailable("too many payments are waiting")
            case AcceptAnswer.JOURNAL_UNAVAILABLE:
                raise unavailable("the payment could not be made durable")


class PaymentResource:
    """Tells how far one payment is."""

    def __init__(self, gateway: PaymentGateway) -> None:
        self._gateway = gateway

    def on_get(self, req: falcon.Request, resp: falcon.Response, correlation_id: str) -> None:
        """Answer the payment's state, processor, instants and attempts."""
        try:
            parsed = UUID(correlation_id)
        except ValueError:
            raise InvalidFieldError("correlationId", "must be a UUID") from None
        status = self._gateway.payment(parsed)
        if status is None:
            raise falcon.HTTPNotFound(
                title="Unknown payment",
                description=f"{parsed} is not in the books; one accepted just now is, as soon as its batch is written",
            )
        write_body(req, resp, describe(status))


def parse_payment(body: bytes, *, is_msgpack: bool) -> tuple[UUID, int]:
    """Read a posted payment: its id and its amount in cents.

    Raises:
        InvalidFieldError: naming `correlationId`, `amount`, or `body` where the whole cannot be read.
    """
    if not body:
        raise InvalidFieldError("body", "is empty")
    try:
        if not is_msgpack:
            posted = _json_decoder.decode(body)
            return posted.correlationId, amount_cents(_json_amount(bytes(posted.amount)))
        if body[0] in _ARRAY_TYPES:
            compact = _compact_decoder.decode(body)
            return compact.correlationId, amount_cents(_msgpack_amount(bytes(compact.amount)))
        posted = _msgpack_decoder.decode(body)
        return posted.correlationId, amount_cents(_msgpack_amount(bytes(posted.amount)))
    except InvalidAmountError as error:
        raise InvalidFieldError("amount", str(error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidFieldError(_field_of(str(error)), _plain(str(error))) from error


def describe(status: PaymentStatus) -> dict[str, object]:
    """Make the map that `GET /payments/{correlationId}` answers."""
    record, progress = status.record, status.progress
    settlement = record.settlement
    answer: dict[str, object] = {
        "correlationId": record.payment.correlation_id,
        "amount": decimal_amount(record.payment.amount_cents),
        "state": "settled" if settlement else "unknown" if progress and progress.pinned else "accepted",
        "processor": record.processor,
        "acceptedAt": iso_from_ms(record.payment.accepted_at_ms),
        "requestedAt": iso_from_ms(settlement.requested_at_ms) if settlement else None,
        "attempts": settlement.attempts if settlement else progress.attempts if progress else None,
        "replica": record.owner,
    }
    if record.conflicting_amounts_cents:
        answer["refusedAmounts"] = [decimal_amount(cents) for cents in record.conflicting_amounts_cents]
    return answer


def _json_amount(raw: bytes) -> Decimal:
    if raw[0] not in b"-0123456789":
        raise InvalidAmountError("must be a number")
    return Decimal(raw.decode())


def _msgpack_amount(raw: bytes) -> Decimal:
    value = msgspec.msgpack.decode(raw)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidAmountError("must be a number")
    # The shortest decimal that means the same double is the one that was written.
    return Decimal(repr(value))


def _field_of(message: str) -> str:
    if "$[0]" in message:
        return FIELDS[0]
    return next((field for field in FIELDS if field in message), "body")


def _plain(message: str) -> str:
    return message.partition(" - at ")[0].replace("`", "'")
