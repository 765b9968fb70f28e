"""The body of a posted payment: JSON, MessagePack, or MessagePack's compact form.

The compact form is `[16 bytes of UUID, amount]` or `[16 bytes of UUID, amount, currency]`.
"""

import re
from decimal import Decimal, InvalidOperation
from uuid import UUID

import falcon
import msgspec
from gunicorn.http.errors import ParseException

from actors.domain.money import DECIMALS, Money, currency_code, minor_units
from actors.domain.processors import PostedCurrencies
from actors.errors import InvalidAmountError
from gateway.media import JSON, MSGPACK, MSGPACK_ALIASES
from gateway.problems import InvalidFieldError

BODY_BYTES_MAX = 16 * 1024


class _Posted(msgspec.Struct):
    correlationId: UUID  # noqa: N815  # the contract's name
    amount: msgspec.Raw
    currency: str | msgspec.UnsetType = msgspec.UNSET


class _PostedCompact(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    correlationId: UUID  # noqa: N815  # the contract's name
    amount: msgspec.Raw
    currency: str | msgspec.UnsetType = msgspec.UNSET


_json_decoder = msgspec.json.Decoder(_Posted)
_msgpack_decoder = msgspec.msgpack.Decoder(_Posted)
_compact_decoder = msgspec.msgpack.Decoder(_PostedCompact)

_FIELDS = ("correlationId", "amount", "currency")
_ARRAY_TYPES = frozenset({*range(0x90, 0xA0), 0xDC, 0xDD})
"""First bytes of MessagePack arrays."""
_NUMBER_TYPES = frozenset({*range(0x80), *range(0xCA, 0xD4), *range(0xE0, 0x100)})
"""First bytes of MessagePack integers and floats."""
_PLAIN_AMOUNT = re.compile(rb"([1-9][0-9]{0,10})\.([0-9]{2})")
"""Amounts from 1.00 to 99999999999.99 with two decimals, in two groups that are the minor units together."""
_PLAIN_DECIMALS = 2
_NOT_FINITE = re.compile(rb'"amount"\s*:\s*-?(?:NaN|Infinity)\b')
"""What some clients write for numbers that JSON does not have."""


def read_payment(req: falcon.Request, currencies: PostedCurrencies) -> tuple[UUID, Money]:
    """Read the id and the amount of the payment that a request carries.

    Raises:
        InvalidFieldError: naming `correlationId`, `amount` or `currency`, `body` where the whole cannot be read or is
            over 16 KiB (413), `Content-Type` where it is neither JSON nor MessagePack (415).
    """
    is_msgpack = is_msgpack_body(req)
    return parse_payment(read_body(req), currencies, is_msgpack=is_msgpack)


def parse_payment(body: bytes, currencies: PostedCurrencies, *, is_msgpack: bool) -> tuple[UUID, Money]:
    """Read the id and the amount from a body.

    Raises:
        InvalidFieldError: naming `correlationId`, `amount`, `currency`, or `body` where the whole cannot be read.
    """
    if not body:
        raise InvalidFieldError("body", "is empty")
    try:
        if not is_msgpack:
            # As text, so that all of it must be UTF-8, members included that nobody reads.
            posted = _json_decoder.decode(body.decode())
            currency = _currency(posted.currency, currencies)
            raw = bytes(posted.amount)
            # Nearly all amounts are written like 19.90, and need no decimal arithmetic.
            if DECIMALS[currency] == _PLAIN_DECIMALS and (plain := _PLAIN_AMOUNT.fullmatch(raw)) is not None:
                return posted.correlationId, Money(int(b"".join(plain.groups())), currency)
            return posted.correlationId, Money(minor_units(_json_amount(raw), currency), currency)
        decoder = _compact_decoder if body[0] in _ARRAY_TYPES else _msgpack_decoder
        packed: _Posted | _PostedCompact = decoder.decode(body)
        currency = _currency(packed.currency, currencies)
        return packed.correlationId, Money(minor_units(_msgpack_amount(bytes(packed.amount)), currency), currency)
    except InvalidAmountError as error:
        raise InvalidFieldError("amount", str(error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if not is_msgpack and _NOT_FINITE.search(body):
            raise InvalidFieldError("amount", "must be a finite number") from error
        raise InvalidFieldError(_field_of(str(error)), _plain(str(error))) from error


def is_msgpack_body(req: falcon.Request) -> bool:
    """Tell whether the body is MessagePack rather than JSON; a body without a type is JSON."""
    content_type = req.content_type
    if content_type is None or content_type == JSON:
        return False
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in MSGPACK_ALIASES:
        return True
    if media_type == JSON:
        return False
    raise InvalidFieldError("Content-Type", f"must be {JSON} or {MSGPACK}", falcon.HTTP_415)


def read_body(req: falcon.Request) -> bytes:
    """Read the whole body; of one that is too large, the rest is left."""
    try:
        if (req.content_length or 0) <= BODY_BYTES_MAX:
            body: bytes = req.stream.read(BODY_BYTES_MAX + 1)
            if len(body) <= BODY_BYTES_MAX:
                return body
    except (OSError, ParseException) as error:
        # The server finds out here that the client went away, or sent malformed chunks.
        raise InvalidFieldError("body", "cannot be read to its end") from error
    raise InvalidFieldError("body", f"must have at most {BODY_BYTES_MAX} bytes", falcon.HTTP_413)


def _currency(text: str | msgspec.UnsetType, currencies: PostedCurrencies) -> str:
    if text is msgspec.UNSET:
        return currencies.default
    code = currency_code(text)
    if code is None:
        raise InvalidFieldError("currency", "must be the alphabetic code of a currency in ISO 4217, such as BRL")
    if code not in currencies.taken:
        raise InvalidFieldError("currency", f"no processor takes {code}")
    return code


def _json_amount(raw: bytes) -> Decimal:
    if raw[0] not in b"-0123456789":
        raise InvalidAmountError("must be a number")
    try:
        return Decimal(raw.decode())
    except InvalidOperation:
        raise InvalidAmountError("must not have such an exponent") from None


def _msgpack_amount(raw: bytes) -> Decimal:
    if raw[0] not in _NUMBER_TYPES:
        raise InvalidAmountError("must be a number")
    # The shortest decimal that means the same double is the one that was written.
    return Decimal(repr(msgspec.msgpack.decode(raw)))


def _field_of(message: str) -> str:
    for place, field in enumerate(_FIELDS):
        if f"$[{place}]" in message:
            return field
    return next((field for field in _FIELDS if field in message), "body")


def _plain(message: str) -> str:
    return message.partition(" - at ")[0].replace("`", "'")
