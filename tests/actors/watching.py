"""States of replicas, for the tests of what is told of them."""

from dataclasses import replace
from typing import Any

from actors.domain.replica_status import HeardStatus, ReplicaStatus, SeenProcessor
from actors.domain.seconds import Second

NOW_MS = 1_750_000_000_000
WORKING = SeenProcessor(
    charges=True,
    state="closed",
    since_ms=None,
    cause=None,
    under_way=0,
    limit=100,
    latency_s=0.01,
    failure_rate=0.0,
    slow_rate=0.0,
    health=None,
    waited_for_s=0.0,
)
DOWN = replace(WORKING, state="open", since_ms=NOW_MS - 4200, cause="failure rate", failure_rate=0.9)
CALM = ReplicaStatus(
    replica="1",
    at_ms=NOW_MS,
    started_at_ms=NOW_MS - 65_000,
    version="0.1.0",
    generation=0,
    readiness="ready",
    parts={"postgres": "ok", "redis": "ok", "clock": "ok"},
    waiting={"held": 0, "claiming": 0, "stranded": 0},
    unresolved=0,
    disputes=0,
    closed={"declined": 0, "mismatched": 0},
    adopted=0,
    answers_per_s=0.0,
    memory_bytes=65_000_000,
    memory_bytes_max=None,
    journal_bytes=4096,
    processors={"default": WORKING, "fallback": WORKING},
)
"""A replica to which nothing happens."""


def changed(**changes: Any) -> ReplicaStatus:  # noqa: ANN401  # any field
    return replace(CALM, **changes)


def heard(*names: str, silent_for_s: float = 0.3, **changes: Any) -> list[HeardStatus]:  # noqa: ANN401  # any field
    """Make replicas that are alike but for their names."""
    return [HeardStatus(replace(CALM, replica=name, **changes), silent_for_s) for name in names]


def second(at_s: int, accepted: int = 0, **changes: Any) -> Second:  # noqa: ANN401  # any field
    made = Second(at_s, accepted, 0, {"default": accepted}, {"default": 10.0}, (), (0, 0, 0))
    return replace(made, **changes)
