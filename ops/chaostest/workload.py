"""The workload: which payments are offered to the gateway, and what their clients saw of each."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from http import HTTPStatus
from random import Random
from uuid import UUID

import msgspec

AMOUNT_MINOR_MAX = 1_000_000
REPEAT_SHARE = 1 / 20
"""Share of the payments that are posted once more."""
REPEAT_AT_ONCE_SHARE = 0.4
"""Share of these repeated payments that are posted twice at the same time."""
REPEAT_AFTER_S_MAX = 20.0
OTHER_AMOUNT_SHARE = 1 / 100
"""Share of the payments whose id is posted with another amount or currency too."""
OTHER_CURRENCY_SHARE = 1 / 2
"""Share of these payments that are posted with the first amount in another currency."""
DEFAULT_CURRENCY = "BRL"
"""The default of the gateway, which clients may leave out, and which it does not name to processors."""
CURRENCY_SHARES = {"": 0.90, DEFAULT_CURRENCY: 0.04, "JPY": 0.03, "KWD": 0.03}
"""Share of the payments in each currency; the empty code stands for the default where it is left out."""
DECIMALS = {"": 2, DEFAULT_CURRENCY: 2, "JPY": 0, "KWD": 3, "CLF": 4}
PERHAPS_KEPT = "the journal does not answer"
"""The detail of the only 503 after which a payment may be kept all the same."""
RIVAL_SHARE = 1 / 2
"""Share of payments with another amount that is posted at the same time, so that either of the two may count."""
HUGE_UNITS = 10**12
"""The largest amount that a payment may have, in units of its currency."""
GIVES_UP_SHARE = 1 / 10
"""Share of the payments whose client does not try again."""


@dataclass(frozen=True, slots=True)
class OfferedAmount:
    """An amount as a client posts it."""

    minor: int
    """The amount in minor units of the currency."""
    currency: str = ""
    """The alphabetic code; empty where the client leaves it out."""

    @property
    def code(self) -> str:
        """The code of the currency that is meant."""
        return self.currency or DEFAULT_CURRENCY


class BodyFormat(Enum):
    """The format of the body in which a payment is posted."""

    JSON = "json"
    MAP = "map"
    """MessagePack, a map with the keys of the JSON object."""
    ARRAY = "array"
    """MessagePack, an array of the id's 16 bytes, the amount and, where it is named, the currency."""

    @property
    def content_type(self) -> str:
        """The value of the Content-Type header."""
        return "application/json" if self is BodyFormat.JSON else "application/msgpack"

    def encode(self, correlation_id: UUID, offered: OfferedAmount) -> bytes:
        """Encode one payment as the body of `POST /payments`."""
        amount = offered.minor / 10 ** DECIMALS[offered.currency]
        fields = {"correlationId": str(correlation_id), "amount": amount}
        currency = {"currency": offered.currency} if offered.currency else {}
        match self:
            case BodyFormat.JSON:
                return json.dumps({**fields, **currency}).encode()
            case BodyFormat.MAP:
                return msgspec.msgpack.encode({**fields, **currency})
            case BodyFormat.ARRAY:
                return msgspec.msgpack.encode([correlation_id.bytes, amount, *currency.values()])


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that posted a payment, and its answer."""

    at_ms: int
    """Wall-clock time at which it was sent, in milliseconds since the epoch."""
    url: str
    amount: OfferedAmount
    status: int | None
    """Status of the answer; None where there was none, or one that is not HTTP."""
    error: str = ""
    answered_at_ms: int | None = None
    """Wall-clock time at which the answer, or the error, was there."""
    took_s: float = 0.0
    """Seconds from the moment at which it was sent until then, by a clock that is never set."""
    says_when: bool = False
    """Whether the answer has `Retry-After`."""

    @property
    def refused(self) -> bool:
        """Whether the answer promises that nothing of the request is kept: 4xx, and 503 with one exception."""
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return PERHAPS_KEPT not in self.error
        return self.status is not None and HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(slots=True)
class OfferedPayment:
    """A payment, how its client behaves, and every attempt to post it."""

    correlation_id: UUID
    amount: OfferedAmount
    body_format: BodyFormat = BodyFormat.JSON
    repeat_after_s: float | None = None
    """Seconds after which it is posted once more; None for never."""
    other_amount: OfferedAmount | None = None
    """Another amount or currency, posted under the id once the first amount is committed; it must never be charged."""
    is_rival: bool = False
    """Whether the other amount is posted at the same time instead: one of the two is charged."""
    gives_up: bool = False
    """Whether its client stops after an attempt that brought no definite answer."""
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def amounts(self) -> tuple[OfferedAmount, ...]:
        """The amounts of which one, and only one, may be charged."""
        return (self.amount, self.other_amount) if self.is_rival and self.other_amount else (self.amount,)

    @property
    def accepted(self) -> bool:
        """Whether the gateway promised a client that it will charge one of these amounts."""
        return any(each.status == HTTPStatus.ACCEPTED and each.amount in self.amounts for each in self.attempts)

    @property
    def refused(self) -> bool:
        """Whether every answer promised that nothing is kept, so that it must never be charged."""
        return bool(self.attempts) and all(each.refused for each in self.attempts)


def draw_workload(seed: int, huge_share: float = 0.0) -> Iterator[OfferedPayment]:
    """Draw an endless sequence of payments that depends on the seed and the share of huge amounts alone.

    No two have the same id. No two have the same amount either, until half a million amounts have been used.
    """
    rng = Random(f"{seed} offers")  # noqa: S311 - it has to repeat
    amounts: set[int] = set()
    while True:
        (currency,) = rng.choices(list(CURRENCY_SHARES), list(CURRENCY_SHARES.values()))
        amount = OfferedAmount(_new_amount(rng, amounts), currency)
        if huge_share and rng.random() < huge_share:
            amount = replace(amount, minor=HUGE_UNITS * 10 ** DECIMALS[currency] - amount.minor)
        offer = OfferedPayment(UUID(int=rng.getrandbits(128), version=4), amount, rng.choice(list(BodyFormat)))
        draw = rng.random()
        if draw < REPEAT_SHARE:
            at_once = rng.random() < REPEAT_AT_ONCE_SHARE
            offer.repeat_after_s = 0 if at_once else rng.uniform(0, REPEAT_AFTER_S_MAX)
        elif draw < REPEAT_SHARE + OTHER_AMOUNT_SHARE:
            offer.other_amount = _other_amount(rng, amounts, amount)
            offer.is_rival = draw < REPEAT_SHARE + OTHER_AMOUNT_SHARE * RIVAL_SHARE
        offer.gives_up = rng.random() < GIVES_UP_SHARE
        yield offer


def _other_amount(rng: Random, amounts: set[int], amount: OfferedAmount) -> OfferedAmount:
    # A huge amount would be too large in a currency with fewer decimals.
    if rng.random() < OTHER_CURRENCY_SHARE and amount.minor <= AMOUNT_MINOR_MAX:
        return replace(amount, currency="KWD" if amount.currency == "JPY" else "JPY")
    return replace(amount, minor=_new_amount(rng, amounts))


def _new_amount(rng: Random, amounts: set[int]) -> int:
    if len(amounts) >= AMOUNT_MINOR_MAX // 2:
        amounts.clear()
    while True:
        minor = rng.randint(1, AMOUNT_MINOR_MAX)
        if minor not in amounts:
            amounts.add(minor)
            return minor
