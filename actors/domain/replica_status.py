"""The state of one replica at a moment. Replicas share theirs, so that each can show all of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from actors.domain.breaker_causes import Cause


@dataclass(frozen=True, slots=True)
class HealthTold:
    """The last answer of a processor's health endpoint that reached a replica."""

    failing: bool
    response_time_s_min: float
    at_ms: int
    """When it was asked, milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class SeenProcessor:
    """What one replica knows of one processor."""

    charges: bool
    """False if it is only asked about payments that it may have charged before."""
    state: str
    """The state of its breaker: `closed`, `open`, `half-open`, `forced-open` or `forced-closed`."""
    since_ms: int | None
    """When the breaker entered its state, or when the present outage began; None where it never changed."""
    cause: str | None
    under_way: int
    limit: int
    latency_s: float | None
    """Smoothed duration of a charge; None where none has ended yet."""
    failure_rate: float | None
    """Share of the calls of the breaker's window that failed, and next the share that was slow; None without calls."""
    slow_rate: float | None
    health: HealthTold | None
    waited_for_s: float
    """How much longer payments wait for it rather than go to a dearer one; 0 where they do not."""

    @property
    def is_down(self) -> bool:
        """Whether payments are held back from it. A processor that an operator has just released is not down."""
        is_tried = self.state == "half-open" and self.cause == Cause.OPERATOR.value
        return self.charges and self.state in {"open", "half-open", "forced-open"} and not is_tried


@dataclass(frozen=True, slots=True)
class ReplicaUsage:
    """What the process uses of the machine now."""

    memory_bytes: int
    memory_bytes_max: int | None
    """The limit of its control group; None where there is none."""
    journal_bytes: int


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """The state of one replica."""

    replica: str
    at_ms: int
    """Its wall clock, milliseconds since the epoch."""
    started_at_ms: int
    version: str
    generation: int
    """The number of the last purge that it has followed."""
    readiness: str
    """`ready`, `degraded` or `unready`."""
    parts: Mapping[str, str]
    """State of each of its parts; `ok` where nothing is wrong."""
    waiting: Mapping[str, int]
    """Its unsettled payments by what they wait for."""
    unresolved: int
    """Payments of unknown outcome for over a minute."""
    disputes: int
    """Charges that it has found since its start of payments that another charge had settled."""
    closed: Mapping[str, int]
    """Payments that it has ended without a charge since its start, by their end state."""
    adopted: int
    """Payments that it has taken over from rows since its start."""
    answers_per_s: float
    memory_bytes: int
    memory_bytes_max: int | None
    """The limit of its control group, where there is one."""
    journal_bytes: int
    processors: Mapping[str, SeenProcessor]

    @property
    def is_leased(self) -> bool:
        """Whether it may charge, as far as it knows."""
        return self.parts.get("postgres") == "ok" and "gateway" not in self.parts

    @property
    def waiting_count(self) -> int:
        """How many payments of its own are not settled."""
        return sum(self.waiting.values())


@dataclass(frozen=True, slots=True)
class HeardStatus:
    """The latest state that a replica has told."""

    status: ReplicaStatus
    silent_for_s: float
    """How long ago it told this."""

    @property
    def is_silent(self) -> bool:
        """Whether it should have told a newer state by now."""
        return self.silent_for_s > SILENT_S


SILENT_S = 3.0
"""A replica tells its state once a second; after this time without it, it is called silent."""
