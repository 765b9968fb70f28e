"""`GET /status`: the states of all replicas and what they did in the last five minutes; the data of the live page."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import falcon

from actors.domain.happenings import Happening
from actors.domain.instant import iso_from_ms
from actors.domain.processors import Processor
from actors.domain.records import ProcessorTotal
from actors.domain.replica_status import HeardStatus, ReplicaStatus
from actors.domain.seconds import Series
from actors.domain.version import VERSION
from actors.overview import Look
from gateway.media import write_body
from gateway.operators import OperatorRight, Operators
from gateway.own_machine import is_local
from gateway.problems import InvalidFieldError
from gateway.query import query_value
from gateway.status_answer import (
    ChargedMoney,
    EventAnswer,
    HistoryColumns,
    MoneyAnswer,
    ReplicaAnswer,
    SharedProcessor,
    StatusAnswer,
)

FEE_DECIMALS = Decimal("0.0001")
AFTER_DIGITS_MAX = 12


class StatusOverview(Protocol):
    """What the status needs of the overview."""

    def look(self) -> Look:
        """Give the states of all replicas."""

    def series(self, processors: Sequence[str], after_s: int | None) -> Series:
        """Give the seconds after `after_s`, or all that are kept."""


class StatusResource:
    """Answers the state of the whole gateway."""

    def __init__(
        self,
        overview: StatusOverview,
        replica: str,
        processors: Sequence[Processor],
        controls_url: str,
        operators: Operators,
    ) -> None:
        """`processors` are those that are configured."""
        self._overview = overview
        self._replica = replica
        self._processors = {processor.name: processor for processor in processors}
        self._controls_url = controls_url or None
        self._operators = operators

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the state of all replicas; `after` leaves out the seconds up to this one, since the epoch."""
        after_s = _read_after(req)
        look = self._overview.look()
        series = self._overview.series(tuple(self._processors), after_s)
        own = next(each.status for each in look.heard if each.status.replica == self._replica)
        living = [each.status for each in look.heard if not each.is_silent]
        parts = dict(own.parts) if look.trouble is None else {**own.parts, "redis": look.trouble}
        body: StatusAnswer = {
            "at": iso_from_ms(own.at_ms),
            "replica": self._replica,
            "version": VERSION,
            "generation": own.generation,
            # Both are for viewers on this machine, who need no token.
            "controls": self._controls_url if is_local(req) else None,
            "allowed": {
                "resolve": self._operators.may_without_token(req, OperatorRight.RESOLVE),
                "force": self._operators.may_without_token(req, OperatorRight.FORCE),
            },
            "story": {"tone": look.story.tone, "text": look.story.text},
            "parts": parts,
            "processors": {name: _processor(processor, living) for name, processor in self._processors.items()},
            **_money(look.totals, self._processors),
            "waiting": dict(_summed(each.waiting for each in living)),
            "ended": {
                **_summed(each.closed for each in living),
                "disputes": sum(each.disputes for each in living),
                "unresolved": sum(each.unresolved for each in living),
            },
            "replicas": {each.status.replica: _replica(each) for each in look.heard},
            "history": _history(series),
            "events": [_event(each) for each in look.happenings],
        }
        resp.cache_control = ["no-store"]
        write_body(req, resp, body)


def _read_after(req: falcon.Request) -> int | None:
    after = query_value(req, "after")
    if after is None:
        return None
    # Python refuses to convert very many digits.
    if not (after.isascii() and after.isdecimal() and len(after) <= AFTER_DIGITS_MAX):
        raise InvalidFieldError("after", "must be a whole number of seconds since the epoch")
    return int(after)


def _summed(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


def _event(happening: Happening) -> EventAnswer:
    return {
        "at": iso_from_ms(happening.at_ms),
        "replica": happening.replica,
        "kind": happening.kind,
        "tone": happening.tone,
        "text": happening.text,
    }


def _processor(processor: Processor, living: Sequence[ReplicaStatus]) -> SharedProcessor:
    """Join what the replicas know of one processor, with its breaker as most of them have it."""
    seen = [(each.replica, known) for each in living if (known := each.processors.get(processor.name)) is not None]
    states = Counter(each.state for _, each in seen)
    state = states.most_common(1)[0][0] if states else None
    typical = [each for _, each in seen if each.state == state]
    since_ms = min((each.since_ms for each in typical if each.since_ms is not None), default=None)
    told = [each.health for _, each in seen if each.health is not None]
    health = max(told, key=lambda each: each.at_ms, default=None)
    latencies_s = [each.latency_s for _, each in seen if each.latency_s is not None]
    return {
        "charges": processor.charges,
        "fee": processor.fee,
        "breaker": {
            "state": state,
            "since": None if since_ms is None else iso_from_ms(since_ms),
            "cause": next((each.cause for each in typical if each.cause), None),
            "byReplica": {replica: each.state for replica, each in seen},
        },
        "underWay": sum(each.under_way for _, each in seen),
        "limit": sum(each.limit for _, each in seen),
        "failureRate": max((each.failure_rate for _, each in seen if each.failure_rate is not None), default=None),
        "slowRate": max((each.slow_rate for _, each in seen if each.slow_rate is not None), default=None),
        "latencyMs": round(sum(latencies_s) / len(latencies_s) * 1000, 1) if latencies_s else None,
        "health": None
        if health is None
        else {
            "failing": health.failing,
            "minResponseMs": round(health.response_time_s_min * 1000),
            "at": iso_from_ms(health.at_ms),
        },
    }


def _money(totals: Sequence[ProcessorTotal] | None, processors: Mapping[str, Processor]) -> MoneyAnswer:
    """Tell what was charged on each processor by currency, its fees, and what the cheapest one would have kept."""
    if totals is None:
        return {"money": None, "feesPaid": None, "feesCheapest": None}
    money: dict[str, dict[str, ChargedMoney]] = {}
    paid: dict[str, Decimal] = {}
    cheapest: dict[str, Decimal] = {}
    for each in totals:
        amount, currency = each.amount.decimal, each.amount.currency
        processor = processors.get(each.processor)
        fees = amount * processor.fee if processor else Decimal(0)
        lowest = min((one.fee for one in processors.values() if currency in one.currencies), default=Decimal(0))
        totals_of: ChargedMoney = {"requests": each.requests, "amount": amount, "fees": _rounded(fees)}
        money.setdefault(currency, {})[each.processor] = totals_of
        paid[currency] = paid.get(currency, Decimal(0)) + fees
        cheapest[currency] = cheapest.get(currency, Decimal(0)) + amount * lowest
    return {
        "money": money,
        "feesPaid": {currency: _rounded(fees) for currency, fees in paid.items()},
        "feesCheapest": {currency: _rounded(fees) for currency, fees in cheapest.items()},
    }


def _rounded(fees: Decimal) -> Decimal:
    return fees.quantize(FEE_DECIMALS).normalize() + 0


def _replica(heard: HeardStatus) -> ReplicaAnswer:
    status: ReplicaStatus = heard.status
    return {
        "silentForS": round(heard.silent_for_s, 1),
        "upS": round((status.at_ms - status.started_at_ms) / 1000, 1),
        "leased": status.is_leased,
        "waiting": status.waiting_count,
        "journalBytes": status.journal_bytes,
        "memoryMb": round(status.memory_bytes / 1e6, 1),
        "memoryMaxMb": None if status.memory_bytes_max is None else round(status.memory_bytes_max / 1e6, 1),
        "version": status.version,
        "readiness": status.readiness,
        "answersPerS": status.answers_per_s,
    }


def _history(series: Series) -> HistoryColumns:
    return {
        "from": series.from_s,
        "accepted": series.accepted,
        "settled": series.settled,
        "waiting": series.waiting,
        "p50Ms": series.quantiles_ms.get(0.5, []),
        "p99Ms": series.quantiles_ms.get(0.99, []),
        "latencyMs": series.latency_ms,
        "down": series.down,
    }
