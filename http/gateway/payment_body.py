"""The body of a posted payment: JSON, MessagePack, or MessagePack's compact form.

The compact form is `[16 bytes of UUID, amount]` or `[16 bytes of UUID, amount, currency]`.
"""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Annotated
from uuid import UUID

import falcon
import msgspec
from gunicorn.http.errors import ParseException

from actors.domain.money import AMOUNT_MAX, DECIMALS, currency_code, minor_units
from actors.domain.payment import Payment
from actors.domain.processors import PostedCurrencies
from actors.errors import InvalidAmountError
from gateway.answers import Id, told
from gateway.foreign_page import is_of_another_page
from gateway.media import JSON, MSGPACK, MSGPACK_ALIASES
from gateway.packed_amount import packed_minor_units
from gateway.problem_types import ProblemType
from gateway.problems import InvalidFieldError
from gateway.repeated_keys import is_nested_too_deeply, refuse_repeated_keys

BODY_BYTES_MAX = 16 * 1024
AMOUNT_MIN = 10.0 ** -max(DECIMALS.values())
"""The smallest unit of all currencies."""
CODE_PATTERN = "^[A-Za-z]{3}$"


class PaymentBody(msgspec.Struct):
    """A payment as clients post it; other members are not read."""

    correlationId: Id  # noqa: N815  # the contract's name
    amount: Annotated[
        msgspec.Raw,
        told(
            "From the currency's smallest unit on, with at most its decimals.",
            19.9,
            type="number",
            minimum=AMOUNT_MIN,
            maximum=int(AMOUNT_MAX),
        ),
    ]
    currency: (
        Annotated[
            str,
            told(
                "Alphabetic code of ISO 4217, in upper or lower case; missing: `CURRENCY`.", "BRL", pattern=CODE_PATTERN
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET


class PaymentArray(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The compact form of a payment in MessagePack: the id's 16 bytes, the amount, and perhaps the currency."""

    correlationId: UUID  # noqa: N815  # the contract's name
    amount: msgspec.Raw
    currency: str | msgspec.UnsetType = msgspec.UNSET


_json_decoder = msgspec.json.Decoder(PaymentBody)
_msgpack_decoder = msgspec.msgpack.Decoder(PaymentBody)
_compact_decoder = msgspec.msgpack.Decoder(PaymentArray)

_FIELDS = PaymentBody.__struct_fields__
_ARRAY_TYPES = frozenset({*range(0x90, 0xA0), 0xDC, 0xDD})
"""First bytes of MessagePack arrays."""
_MAP_OF_TWO = 0x82
"""First byte of a MessagePack map of two members."""
_PLAIN_AMOUNT = re.compile(rb"([1-9][0-9]{0,10})\.([0-9]{2})")
"""Amounts from 1.00 to 99999999999.99 with two decimals, in two groups that are the minor units together."""
_PLAIN_DECIMALS = 2
_NOT_FINITE = re.compile(rb'"amount"\s*:\s*-?(?:NaN|Infinity)\b')
"""What some clients write for numbers that JSON does not have."""
_HALF_PAIR = re.compile(
    r"(?<!\\)(?:\\\\)*(?:"
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
"""An escape for half of a surrogate pair without its other half, which is no text."""
_QUOTES, _QUOTES_WITH_CURRENCY = 6, 10
"""The number of quotation marks in a JSON payment that holds its own members alone, each once."""


def read_payment(req: falcon.Request, currencies: PostedCurrencies, now_ms: Callable[[], int]) -> Payment:
    """Read the payment that a request carries; it is accepted once its last byte has come.

    Raises:
        InvalidFieldError: naming `correlationId`, `amount` or `currency`, `body` where the whole cannot be read or is
            over 16 KiB (413), `Content-Type` where it is neither JSON nor MessagePack (415).
    """
    is_msgpack = is_msgpack_body(req)
    body = read_body(req)
    return parse_payment(body, currencies, now_ms(), is_msgpack=is_msgpack)


def parse_payment(body: bytes, currencies: PostedCurrencies, accepted_at_ms: int, *, is_msgpack: bool) -> Payment:
    """Read a payment from a body.

    Raises:
        InvalidFieldError: naming `correlationId`, `amount`, `currency`, or `body` where the whole cannot be read.
    """
    if not body:
        raise InvalidFieldError("body", "is empty")
    try:
        posted = _unpack(body) if is_msgpack else _parse_json(body)
        currency = _currency(posted.currency, currencies)
        to_minor_units = packed_minor_units if is_msgpack else _written_minor_units
        return Payment(posted.correlationId, to_minor_units(bytes(posted.amount), currency), accepted_at_ms, currency)
    except InvalidAmountError as error:
        raise InvalidFieldError("amount", str(error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _problem(error, body, is_msgpack=is_msgpack) from error


def is_msgpack_body(req: falcon.Request) -> bool:
    """Tell whether the body is MessagePack rather than JSON; without a type it is JSON, unless of a foreign page."""
    content_type = req.content_type
    # A browser asks whether a foreign page may send one of these types, but not whether it may send none.
    if content_type == JSON or (content_type is None and not is_of_another_page(req)):
        return False
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type in MSGPACK_ALIASES:
        return True
    if media_type == JSON:
        return False
    raise InvalidFieldError("Content-Type", f"must be {JSON} or {MSGPACK}", ProblemType.UNSUPPORTED_MEDIA_TYPE)


def read_body(req: falcon.Request) -> bytes:
    """Read the whole body; one that is too large is not read to its end."""
    try:
        if (req.content_length or 0) <= BODY_BYTES_MAX:
            body: bytes = req.stream.read(BODY_BYTES_MAX + 1)
            if len(body) <= BODY_BYTES_MAX:
                return body
    except (OSError, ParseException) as error:
        # The server finds out here that the client went away, or sent malformed chunks.
        raise InvalidFieldError("body", "cannot be read to its end") from error
    raise InvalidFieldError("body", f"must have at most {BODY_BYTES_MAX} bytes", ProblemType.BODY_TOO_LARGE)


def _parse_json(body: bytes) -> PaymentBody:
    # As text, so that all of it must be UTF-8, members included that nobody reads.
    posted = _json_decoder.decode(body.decode())
    if body.count(b'"') != (_QUOTES if posted.currency is msgspec.UNSET else _QUOTES_WITH_CURRENCY):
        refuse_repeated_keys(body, is_msgpack=False)
    return posted


def _unpack(body: bytes) -> PaymentBody | PaymentArray:
    if body[0] in _ARRAY_TYPES:
        return _compact_decoder.decode(body)
    posted = _msgpack_decoder.decode(body)
    if body[0] != _MAP_OF_TWO + (posted.currency is not msgspec.UNSET):
        refuse_repeated_keys(body, is_msgpack=True)
    return posted


def _currency(text: str | msgspec.UnsetType, currencies: PostedCurrencies) -> str:
    if text is msgspec.UNSET:
        return currencies.default
    code = currency_code(text)
    if code is None:
        raise InvalidFieldError("currency", "must be the alphabetic code of a currency in ISO 4217, such as BRL")
    if code not in currencies.taken:
        raise InvalidFieldError("currency", f"no processor takes {code}")
    return code


def _written_minor_units(raw: bytes, currency: str) -> int:
    # Nearly all amounts are written like 19.90, and need no decimal arithmetic.
    if DECIMALS[currency] == _PLAIN_DECIMALS and (plain := _PLAIN_AMOUNT.fullmatch(raw)) is not None:
        return int(b"".join(plain.groups()))
    return minor_units(_json_amount(raw), currency)


def _json_amount(raw: bytes) -> Decimal:
    if raw[0] not in b"-0123456789":
        raise InvalidAmountError("must be a number")
    try:
        return Decimal(raw.decode())
    except InvalidOperation:
        raise InvalidAmountError("must not have so large an exponent") from None


def _problem(error: Exception, body: bytes, *, is_msgpack: bool) -> InvalidFieldError:
    """Tell in plain words why a body could not be read."""
    if isinstance(error, RecursionError) or (not is_msgpack and is_nested_too_deeply(body)):
        return InvalidFieldError("body", "is nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return InvalidFieldError("body", "must hold no text but UTF-8")
    if not is_msgpack and _NOT_FINITE.search(body):
        return InvalidFieldError("amount", "must be a finite number")
    if not is_msgpack and _HALF_PAIR.search(body.decode()):
        return InvalidFieldError("body", "has one half of a surrogate pair without the other")
    return InvalidFieldError(_field_of(str(error)), _plain(str(error)))


def _field_of(message: str) -> str:
    for place, field in enumerate(_FIELDS):
        if f"$[{place}]" in message:
            return field
    return next((field for field in _FIELDS if field in message), "body")


def _plain(message: str) -> str:
    return message.partition(" - at ")[0].replace("`", "'")
