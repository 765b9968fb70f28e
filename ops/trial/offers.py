"""The payments that a trial offers, and what their client saw of each."""

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
REPEAT_AT_ONCE_SHARE = 0.4
REPEAT_AFTER_S_MAX = 20.0
OTHER_AMOUNT_SHARE = 1 / 200
GIVES_UP_SHARE = 1 / 10


class Form(Enum):
    """How a payment is written."""

    JSON = "json"
    MAP = "map"
    ARRAY = "array"
    """In MessagePack, as the map."""

    @property
    def content_type(self) -> str:
        """What is said of it in a request."""
        return "application/json" if self is Form.JSON else "application/msgpack"

    def encode(self, correlation_id: UUID, amount_cents: int) -> bytes:
        """Write one payment."""
        amount = amount_cents / 100
        match self:
            case Form.JSON:
                return json.dumps({"correlationId": str(correlation_id), "amount": amount}).encode()
            case Form.MAP:
                return msgspec.msgpack.encode({"correlationId": str(correlation_id), "amount": amount})
            case Form.ARRAY:
                return msgspec.msgpack.encode([correlation_id.bytes, amount])


@dataclass(frozen=True, slots=True)
class Attempt:
    """One post and its answer."""

    at_ms: int
    url: str
    amount_cents: int
    status: int | None
    """None: no answer, or none that makes sense."""
    error: str = ""


@dataclass(slots=True)
class Offer:
    """One payment, what its client intends, and what came of it."""

    correlation_id: UUID
    amount_cents: int
    form: Form
    repeat_after_s: float | None = None
    """When it is posted once more; None: never."""
    other_cents: int | None = None
    """An amount that is posted under its id once the first is in the books; it may never be charged."""
    gives_up: bool = False
    """Its client does not try again after an attempt without a definite answer."""
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        """Whether a client was told that this amount is durable."""
        return any(
            each.status == HTTPStatus.ACCEPTED and each.amount_cents == self.amount_cents for each in self.attempts
        )


def draw_offers(seed: int) -> Iterator[Offer]:
    """Draw payments without end, no two with the same id or amount, until a million amounts are used up."""
    chance = Random(f"{seed} offers")  # noqa: S311 - it has to repeat
    amounts: set[int] = set()
    while True:
        cents = _new_amount(chance, amounts)
        offer = Offer(UUID(int=chance.getrandbits(128), version=4), cents, chance.choice(list(Form)))
        lot = chance.random()
        if lot < REPEAT_SHARE:
            at_once = chance.random() < REPEAT_AT_ONCE_SHARE
            offer.repeat_after_s = 0 if at_once else chance.uniform(0, REPEAT_AFTER_S_MAX)
        elif lot < REPEAT_SHARE + OTHER_AMOUNT_SHARE:
            offer.other_cents = _new_amount(chance, amounts)
        offer.gives_up = chance.random() < GIVES_UP_SHARE
        yield offer


def _new_amount(chance: Random, amounts: set[int]) -> int:
    if len(amounts) >= AMOUNT_CENTS_MAX // 2:
        amounts.clear()
    while True:
        cents = chance.randint(1, AMOUNT_CENTS_MAX)
        if cents not in amounts:
            amounts.add(cents)
            return cents
