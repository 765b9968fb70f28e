"""What the API answers, as types: the resources build these, and `/openapi.json` is made from them."""

from decimal import Decimal
from typing import Annotated, Any, TypedDict
from uuid import UUID

from msgspec import Meta

from actors.domain.breaker import BreakerState

INSTANT_EXAMPLE = "2025-07-15T12:34:56.789Z"
ID_EXAMPLE = "4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3"


def told(description: str, *examples: object, **schema: Any) -> Meta:  # noqa: ANN401  # what JSON Schema has
    """Describe a member of an answer; `schema` are further keywords of JSON Schema."""
    return Meta(description=description, examples=list(examples) or None, extra_json_schema=schema or None)


def instant(description: str) -> Meta:
    """Describe an instant in UTC, to the millisecond."""
    return told(description, INSTANT_EXAMPLE, format="date-time")


def one_of(description: str, values: list[str]) -> Meta:
    """Describe a text that is one of some values."""
    return told(description, values[0], enum=values)


Id = Annotated[UUID, told("The id that the client gave the payment, which is its idempotency key.", ID_EXAMPLE)]
Currency = Annotated[str, told("Alphabetic code of ISO 4217.", "BRL")]
_BREAKER_STATES = [state.value for state in BreakerState]
BreakerStateText = Annotated[str, one_of("The state of the breaker.", _BREAKER_STATES)]


class HistoryStep(TypedDict):
    """What happened to a payment at one instant."""

    at: Annotated[str | None, instant("When it happened; null where that is not known.")]
    what: Annotated[str, told("What happened; the words may change from release to release.", "charge ended: failed")]
    processor: str | None
    replica: str | None


class PaymentHistory(TypedDict):
    """The history of one payment, as far as replicas remember it."""

    correlationId: Id
    steps: list[HistoryStep]
    waitsFor: Annotated[
        str | None, told("What it waits for; null if it has ended.", "waits: the outage has only just begun")
    ]


class ResolutionResult(TypedDict):
    """What became of an operator's decision on a payment."""

    correlationId: Id
    resolution: Annotated[str, told("Always `applied`: a refusal is answered with a problem.", "applied")]


class ChargedTotals(TypedDict):
    """What one processor charged in one currency."""

    totalRequests: Annotated[int, told("The number of charges.", 2)]
    totalAmount: Annotated[Decimal, told("Their sum.", 39.8)]


BreakerChange = TypedDict(
    "BreakerChange",
    {
        "at": Annotated[str, instant("When it changed.")],
        "from": BreakerStateText,
        "to": BreakerStateText,
        "cause": Annotated[str, told("Why it changed.", "failure rate")],
    },
)


class BreakerAnswer(TypedDict):
    """The breaker of a processor, as one replica has it."""

    state: BreakerStateText
    changes: Annotated[list[BreakerChange], told("The latest changes, the newest last.")]


class ProcessorAnswer(TypedDict):
    """What one replica knows of a processor."""

    charges: Annotated[bool, told("False if it is only asked about payments that it may have charged before.")]
    breaker: BreakerAnswer
    underWay: Annotated[int, told("Charges that have not ended.")]
    limit: Annotated[int, told("How many charges may be under way at once.")]
    latencyMs: Annotated[float | None, told("Smoothed duration of a charge; null where none has ended yet.", 12.3)]
    startsPerSecondMax: Annotated[float, told("How many charges a second may start.", 800.0)]


class OrderReached(TypedDict):
    """How far an order for a breaker has come."""

    replicas: Annotated[int, told("How many replicas report that they apply the order.", 3)]
    of: Annotated[int, told("How many replicas are alive.", 3)]


class LivenessAnswer(TypedDict):
    """Whether the process does its work."""

    status: Annotated[str, one_of("Whether all actors live.", ["ok", "failing"])]
    deadActors: tuple[str, ...]


class ReadinessAnswer(TypedDict):
    """Whether the replica takes payments."""

    status: Annotated[str, one_of("`degraded` if a part has a problem.", ["ready", "degraded", "unready"])]
    parts: Annotated[dict[str, str], told("Each part: `ok`, or what is wrong with it.", {"journal": "ok"})]
