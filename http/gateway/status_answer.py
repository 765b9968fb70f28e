"""The answer of `GET /status`, as types."""

from decimal import Decimal
from typing import Annotated, TypedDict

from gateway.answers import instant, one_of, told

Column = list[int | None]
Tone = Annotated[str, one_of("How serious it is.", ["good", "warn", "bad"])]
BY_PROCESSOR = "By the processor's name."


class StoryAnswer(TypedDict):
    """The state of the gateway in one line."""

    tone: Tone
    text: str


class SharedBreaker(TypedDict):
    """A breaker as most replicas have it."""

    state: str | None
    since: Annotated[str | None, instant("When it entered this state.")]
    cause: str | None
    byReplica: dict[str, str]


class HealthAnswer(TypedDict):
    """The last answer of a processor's health endpoint."""

    failing: bool
    minResponseMs: int
    at: Annotated[str, instant("When it answered.")]


class SharedProcessor(TypedDict):
    """What all replicas know of a processor."""

    charges: bool
    fee: Annotated[Decimal, told("The share of each amount that it keeps.", 0.05)]
    breaker: SharedBreaker
    underWay: int
    limit: int
    failureRate: Annotated[float | None, told("The highest rate in any replica's breaker.")]
    slowRate: Annotated[float | None, told("The highest rate in any replica's breaker.")]
    latencyMs: float | None
    health: HealthAnswer | None


class ChargedMoney(TypedDict):
    """What is recorded of one processor in one currency."""

    requests: int
    amount: Decimal
    fees: Decimal


class MoneyAnswer(TypedDict):
    """What was charged and what that cost, by currency; null where Postgres does not answer."""

    money: Annotated[dict[str, dict[str, ChargedMoney]] | None, told("By currency and processor.")]
    feesPaid: Annotated[dict[str, Decimal] | None, told("What processors kept.")]
    feesCheapest: Annotated[dict[str, Decimal] | None, told("What the cheapest processor would have kept.")]


class ReplicaAnswer(TypedDict):
    """The state of one replica."""

    silentForS: Annotated[float, told("Seconds since its last report.")]
    upS: float
    leased: bool
    waiting: Annotated[int, told("Its unsettled payments.")]
    journalBytes: int
    memoryMb: float
    memoryMaxMb: float | None
    version: str
    readiness: str
    answersPerS: float


HistoryColumns = TypedDict(
    "HistoryColumns",
    {
        "from": Annotated[int, told("The second of the first value, since the epoch.")],
        "accepted": Column,
        "settled": Annotated[dict[str, Column], told(BY_PROCESSOR)],
        "waiting": Column,
        "p50Ms": list[float | None],
        "p99Ms": list[float | None],
        "latencyMs": Annotated[dict[str, list[float | None]], told(BY_PROCESSOR)],
        "down": Annotated[dict[str, list[int]], told("By the processor's name: 1 where it was down.")],
    },
)


class EventAnswer(TypedDict):
    """Something that happened to a replica."""

    at: Annotated[str, instant("When it happened.")]
    replica: str
    kind: str
    tone: Tone
    text: str


class AllowedOrders(TypedDict):
    """What the client may do without a token."""

    resolve: bool
    force: bool


class StatusAnswer(MoneyAnswer):
    """The states of all replicas, and what they did in the last five minutes."""

    at: Annotated[str, instant("The clock of the replica that answers.")]
    replica: Annotated[str, told("The replica that answers.", "1")]
    version: str
    generation: Annotated[int, told("The number of the last purge.")]
    controls: Annotated[str | None, told("The address of the controls of `ops/up`, for viewers on this machine.")]
    allowed: AllowedOrders
    story: StoryAnswer
    parts: dict[str, str]
    processors: Annotated[dict[str, SharedProcessor], told(BY_PROCESSOR)]
    waiting: Annotated[dict[str, int], told("Unsettled payments by what they wait for.")]
    ended: Annotated[dict[str, int], told("Counts since the replicas' start.")]
    replicas: Annotated[dict[str, ReplicaAnswer], told("By the replica's name.")]
    history: HistoryColumns
    events: list[EventAnswer]
