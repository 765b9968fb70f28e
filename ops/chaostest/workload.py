"""The workload: which payments are offered to the gateway, and what their clients saw of each."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from random import Random
from uuid import UUID

import msgspec

AMOUNT_CENTS_MAX = 1_000_000
REPEAT_SHARE = 1 / 20
"""Share of the payments that are posted once more."""
REPEAT_AT_ONCE_SHARE = 0.4
"""Share of those that are posted twice at the same time."""
REPEAT_AFTER_S_MAX = 20.0
OTHER_AMOUNT_SHARE = 1 / 200
"""Share of the payments whose id is posted later with another amount."""
GIVES_UP_SHARE = 1 / 10
"""Share of the payments whose client does not try again."""


class BodyFormat(Enum):
    """The format of the body in which a payment is posted."""

    JSON = "json"
    MAP = "map"
    """MessagePack, a map with the keys of the JSON object."""
    ARRAY = "array"
    """MessagePack, an array of the id's 16 bytes and the amount."""

    @property
    def content_type(self) -> str:
        """The value of the Content-Type header."""
        return "application/json" if self is BodyFormat.JSON else "application/msgpack"

    def encode(self, correlation_id: UUID, amount_cents: int) -> bytes:
        """Encode one payment as the body of `POST /payments`."""
        amount = amount_cents / 100
        match self:
            case BodyFormat.JSON:
                return json.dumps({"correlationId": str(correlation_id), "amount": amount}).encode()
            case BodyFormat.MAP:
                return msgspec.msgpack.encode({"correlationId": str(correlation_id), "amount": amount})
            case BodyFormat.ARRAY:
                return msgspec.msgpack.encode([correlation_id.bytes, amount])


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that posted a payment, and its answer."""

    at_ms: int
    """Wall-clock time at which it was sent, in milliseconds since the epoch."""
    url: str
    amount_cents: int
    status: int | None
    """Status of the answer; None where there was none, or one that is not HTTP."""
    error: str = ""


@dataclass(slots=True)
class OfferedPayment:
    """A payment, how its client behaves, and every attempt to post it."""

    correlation_id: UUID
    amount_cents: int
    body_format: BodyFormat = BodyFormat.JSON
    repeat_after_s: float | None = None
    """Seconds after which it is posted once more; None for never."""
    other_cents: int | None = None
    """Another amount, posted under the same id once the first amount is committed; it must never be charged."""
    gives_up: bool = False
    """Whether its client stops after an attempt that brought no definite answer."""
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        """Whether the gateway promised a client that it will charge this amount."""
        return any(
            each.status == HTTPStatus.ACCEPTED and each.amount_cents == self.amount_cents for each in self.attempts
        )


def draw_workload(seed: int) -> Iterator[OfferedPayment]:
    """Draw an endless sequence of payments that depends on the seed alone.

    No two have the same id. No two have the same amount either, until half a million amounts have been used.
    """
    rng = Random(f"{seed} offers")  # noqa: S311 - it has to repeat
    amounts: set[int] = set()
    while True:
        cents = _new_amount(rng, amounts)
        offer = OfferedPayment(UUID(int=rng.getrandbits(128), version=4), cents, rng.choice(list(BodyFormat)))
        draw = rng.random()
        if draw < REPEAT_SHARE:
            at_once = rng.random() < REPEAT_AT_ONCE_SHARE
            offer.repeat_after_s = 0 if at_once else rng.uniform(0, REPEAT_AFTER_S_MAX)
        elif draw < REPEAT_SHARE + OTHER_AMOUNT_SHARE:
            offer.other_cents = _new_amount(rng, amounts)
        offer.gives_up = rng.random() < GIVES_UP_SHARE
        yield offer


def _new_amount(rng: Random, amounts: set[int]) -> int:
    if len(amounts) >= AMOUNT_CENTS_MAX // 2:
        amounts.clear()
    while True:
        cents = rng.randint(1, AMOUNT_CENTS_MAX)
        if cents not in amounts:
            amounts.add(cents)
            return cents
