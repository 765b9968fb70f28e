"""What `GET /status` tells in situations that a page has to show; as docs/api.md describes it."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

Status = dict[str, Any]

NOW = datetime(2026, 11, 26, 8, 0, 0, 123000, tzinfo=UTC)
LAST_S = int(NOW.timestamp()) - 1
"""The newest second that the history tells of."""
SECONDS = 300
UNKNOWN_ID = "4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3"


def ago(seconds: float) -> str:
    """Write the instant so many seconds before the answer."""
    return (NOW - timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def series(value: float | None, *changes: tuple[int, float | None]) -> list[float | None]:
    """Make a series of one value, and of other ones from so many seconds before its end on."""
    made: list[float | None] = [value] * SECONDS
    for before_end, changed in changes:
        made[SECONDS - before_end :] = [changed] * before_end
    return made


def event(seconds: float, kind: str, tone: str, text: str, replica: str = "1") -> Status:
    return {"at": ago(seconds), "replica": replica, "kind": kind, "tone": tone, "text": text}


def rest() -> Status:
    """A gateway to which nothing has been posted for a while."""
    return {
        "at": ago(0),
        "replica": "1",
        "version": "0.1.0",
        "generation": 3,
        "controls": None,
        "allowed": {"resolve": True, "force": True},
        "story": {"tone": "good", "text": "all is well: nothing waits"},
        "parts": {"journal": "ok", "actors": "ok", "postgres": "ok", "redis": "ok"},
        "processors": {"default": processor(fee=0.05), "fallback": processor(fee=0.15)},
        "money": {"BRL": {"default": total(8_000, 0.05), "fallback": total(400, 0.15)}},
        "feesPaid": {"BRL": 9_154.00},
        "feesCheapest": {"BRL": 8_358.00},
        "waiting": {"held": 0, "charging": 0},
        "ended": {"declined": 0, "mismatched": 0, "disputes": 0, "unresolved": 0},
        "replicas": {name: replica() for name in "123"},
        "history": {
            "from": LAST_S - SECONDS + 1,
            "accepted": series(0),
            "settled": {"default": series(0), "fallback": series(0)},
            "waiting": series(0),
            "p50Ms": series(None),
            "p99Ms": series(None),
            "latencyMs": {"default": series(12.3), "fallback": series(14.0)},
            "down": {"default": series(0), "fallback": series(0)},
        },
        "events": [event(290, "replica", "good", "replica started")],
    }


def processor(**changes: Any) -> Status:  # noqa: ANN401  # of each field its own type
    """Describe a processor that does its work."""
    return {
        "charges": True,
        "fee": 0.05,
        "breaker": breaker("closed"),
        "underWay": 0,
        "limit": 266,
        "failureRate": 0.0,
        "slowRate": 0.0,
        "latencyMs": 12.3,
        "health": {"failing": False, "minResponseMs": 8, "at": ago(2.1)},
        **changes,
    }


def breaker(state: str, since_s: float | None = None, cause: str | None = None) -> Status:
    since = None if since_s is None else ago(since_s)
    return {"state": state, "since": since, "cause": cause, "byReplica": dict.fromkeys("123", state)}


def total(requests: int, fee: float) -> Status:
    amount = round(requests * 19.90, 2)
    return {"requests": requests, "amount": amount, "fees": round(amount * fee, 2)}


def replica(**changes: Any) -> Status:  # noqa: ANN401  # of each field its own type
    """Describe a replica that does its work."""
    return {
        "silentForS": 0.3,
        "upS": 1234.5,
        "leased": True,
        "waiting": 0,
        "journalBytes": 123_456,
        "memoryMb": 64.2,
        "memoryMaxMb": 84.0,
        "version": "0.1.0",
        "readiness": "ready",
        "answersPerS": 0.0,
        **changes,
    }


def load() -> Status:
    """Three hundred payments a second, all charged by the cheapest processor."""
    status = rest()
    status["story"]["text"] = "300 payments a second, all of them settled by default"
    status["processors"]["default"] |= {"underWay": 9, "latencyMs": 13.1}
    status["waiting"] |= {"charging": 9, "settling": 4}
    for each in status["replicas"].values():
        each |= {"answersPerS": 100.3, "waiting": 4, "memoryMb": 71.8}
    history = status["history"]
    history["accepted"] = [None if before_end > 200 else 300 + before_end % 7 for before_end in range(SECONDS, 0, -1)]
    history["settled"]["default"] = [each and each - 2 for each in history["accepted"]]
    history["waiting"] = [each and each % 13 for each in history["accepted"]]
    history["p50Ms"] = series(None, (200, 1.9), (90, 2.0))
    history["p99Ms"] = [each and each % 7 + 4.5 for each in history["accepted"]]
    return status


def down() -> Status:
    """The default processor is down, and payments wait for it."""
    status = load()
    status["story"] = {"tone": "warn", "text": "default is down for 4.2 s: 468 wait for it, fallback in 6.8 s"}
    status["processors"]["default"] |= {
        "breaker": breaker("open", 4.2, "5 failures in a row"),
        "underWay": 1,
        "failureRate": 1.0,
        "health": {"failing": True, "minResponseMs": 0, "at": ago(1.2)},
    }
    status["waiting"] |= {"held": 468, "pausing": 2, "charging": 1}
    for each in status["replicas"].values():
        each |= {"waiting": 157}
    history = status["history"]
    history["settled"]["default"][-4:] = [0] * 4
    history["waiting"][-4:] = [90, 220, 350, 468]
    history["down"]["default"][-4:] = [1] * 4
    status["events"].append(event(4.2, "breaker", "bad", "default opened: 5 failures in a row", "2"))
    return status


def switched() -> Status:
    """The default processor has been down for so long that payments go to the fallback."""
    status = down()
    status["story"] = {"tone": "warn", "text": "default is down for 41 s: fallback charges 298 a second instead"}
    status["processors"]["default"]["breaker"] = breaker("half-open", 0.4, "a probe is under way") | {
        "byReplica": {"1": "open", "2": "half-open", "3": "open"}
    }
    status["processors"]["fallback"] |= {"underWay": 7}
    status["waiting"] |= {"held": 0}
    history = status["history"]
    history["settled"]["default"][-41:] = [0] * 41
    history["settled"]["fallback"][-30:] = [620, 610, 590, 500, 400, *[298] * 25]
    history["waiting"][-41:] = [*range(300, 3300, 280), *range(3200, 1200, -420), *[12] * 25]
    history["down"]["default"][-41:] = [1] * 41
    status["events"].append(event(30, "breaker", "warn", "fallback charges while default is down"))
    return status


def recovered() -> Status:
    """The default processor works again."""
    status = load()
    status["story"]["text"] = "default charges again since 52 s: nothing waits"
    history = status["history"]
    history["settled"]["default"][-93:-52] = [0] * 41
    history["settled"]["fallback"][-82:-52] = [298] * 30
    history["waiting"][-93:-52] = [*range(300, 3300, 280), *range(3200, 1200, -420), *[12] * 25]
    history["down"]["default"][-93:-52] = [1] * 41
    status["processors"]["default"]["breaker"] = breaker("closed", 52.0, "2 probes were answered")
    status["events"] += [
        event(93, "breaker", "bad", "default opened: 5 failures in a row", "2"),
        event(52, "breaker", "good", "default closed: 2 probes were answered", "3"),
    ]
    return status


def killed() -> Status:
    """A replica was killed, and the others have taken over its payments."""
    status = load()
    status["story"] = {"tone": "bad", "text": "replica 2 is silent for 12 s; the others have adopted its 41 payments"}
    status["replicas"]["2"] |= {"silentForS": 12.4, "answersPerS": 0.0}
    status["events"] += [
        event(12.4, "replica", "bad", "replica 2 is silent"),
        event(2.5, "adoption", "warn", "adopted 41 payments of replica 2", "3"),
    ]
    return status


def unknown() -> Status:
    """One payment may or may not have been charged."""
    status = rest()
    status["story"] = {"tone": "warn", "text": "it is unknown for 95 s whether one payment was charged by default"}
    status["waiting"] |= {"looking up": 1}
    status["ended"] |= {"unresolved": 1}
    return status


def unknown_payment() -> Status:
    """What `GET /payments/{id}` answers of that payment."""
    return {
        "correlationId": UNKNOWN_ID,
        "amount": 19.90,
        "currency": "BRL",
        "state": "unknown",
        "processor": "default",
        "acceptedAt": ago(95.4),
        "requestedAt": None,
        "attempts": 2,
        "replica": "1",
        "waitsFor": "default has not answered whether it charged the payment; asked again in 2.1 s",
        "history": [
            step(95.4, "accepted", replica="1"),
            step(95.4, "journalled", replica="1"),
            step(95.3, "claimed", "default", "1"),
            step(95.3, "sent", "default", "1"),
            step(93.8, "no answer in time: unknown whether it was charged", "default", "1"),
            step(None, "looked up: no answer", "default", "1"),
        ],
    }


def step(seconds: float | None, what: str, processor: str | None = None, replica: str | None = None) -> Status:
    at = None if seconds is None else ago(seconds)
    return {"at": at, "what": what, "processor": processor, "replica": replica}


def crowded() -> Status:
    """Six digits everywhere, long names and causes, several currencies, and all events that there may be."""
    status = down()
    status["story"] = {
        "tone": "bad",
        "text": "a-processor-with-a-very-long-name is down for 123 min: 987,654 wait for it, fallback in 123.4 s",
    }
    status["processors"]["a-processor-with-a-very-long-name"] = processor(
        breaker=breaker("forced-open", 987_654, "an operator's order: " + "maintenance of everything " * 3),
        underWay=123_456,
        limit=234_567,
        failureRate=0.987,
        slowRate=0.876,
        latencyMs=123_456.7,
        health={"failing": False, "minResponseMs": 123_456, "at": ago(987)},
    )
    status["processors"]["old"] = processor(charges=False, health=None, latencyMs=None, failureRate=None, slowRate=None)
    for currency in ("USD", "JPY", "KWD"):
        status["money"][currency] = {name: total(987_654, 0.15) for name in status["processors"]}
        status["feesPaid"][currency], status["feesCheapest"][currency] = 2_948_147.19, 982_715.73
    status["waiting"] |= dict.fromkeys(
        ("held", "journalled", "claiming", "moving", "settling", "closing", "looking up", "stranded"), 987_654
    )
    status["ended"] |= {"declined": 123_456, "mismatched": 234_567, "disputes": 345_678, "unresolved": 456_789}
    status["parts"]["postgres"] = "the lease is not renewed for 123.4 s, and batches fail: read-only after a failover"
    long = {"waiting": 987_654, "journalBytes": 987_654_321, "memoryMb": 987.6, "memoryMaxMb": 999.9, "upS": 9_876_543}
    status["replicas"] |= {
        "gateway-replica-7f9c6d5b4-x2x9q": replica(**long, answersPerS=123_456.7, readiness="degraded", leased=False),
        "4": replica(silentForS=543.2),
    }
    history = status["history"]
    history["accepted"], history["waiting"] = series(123_456), series(987_654)
    history["settled"]["a-processor-with-a-very-long-name"] = series(123_456)
    history["p99Ms"] = series(987_654.3)
    status["events"] = [
        event(50 - index, "store", tone, f"Postgres does not answer for {index * 12_345} s: read-only after a failover")
        for index, tone in zip(range(50), ("good", "warn", "bad") * 17, strict=False)
    ]
    return status


SCENES = {make.__name__: make for make in (rest, load, down, switched, recovered, killed, unknown, crowded)}


def told_after(status: Status, after: int | None) -> Status:
    """Leave out the history up to and including a second, as the gateway does."""
    if after is None:
        return status
    told = copy.deepcopy(status)
    skipped = max(0, after + 1 - told["history"]["from"])
    told["history"] = {name: _without(value, skipped) for name, value in told["history"].items() if name != "from"}
    told["history"]["from"] = max(status["history"]["from"], after + 1)
    return told


def _without(value: Any, skipped: int) -> Any:  # noqa: ANN401  # a series, or a map of them
    return value[skipped:] if isinstance(value, list) else {name: each[skipped:] for name, each in value.items()}
