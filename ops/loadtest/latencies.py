"""Latencies of a game: percentiles of all, by stage and by second."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ops.benchmarks.stages import Table

_MS = 1000


@dataclass(frozen=True, slots=True)
class PostedPayment:
    """One post of a payment; moments are in seconds from the begin of the game."""

    intended_s: float
    """When it was to be sent."""
    sent_s: float
    """When it was sent: later than intended if its connection had to be made first, or the player was late."""
    ended_s: float
    """When its answer had come, or the client gave it up."""
    status: int
    """The status of its answer; 0 where there is none."""

    @property
    def is_accepted(self) -> bool:
        """Tell whether the event counts it as accepted."""
        return self.status in (200, 201, 202, 204)

    @property
    def sent_ms(self) -> float:
        """The latency from the send, which the event counts."""
        return (self.ended_s - self.sent_s) * _MS

    @property
    def intended_ms(self) -> float:
        """The latency from the intended moment, which no slow gateway can hide."""
        # Timers of the event loop count whole milliseconds, so a payment may be sent up to one too early.
        return (self.ended_s - min(self.intended_s, self.sent_s)) * _MS


@dataclass(frozen=True, slots=True)
class LatencyFigures:
    """Percentiles and other figures of latencies, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """Interpolate between the two neighbours of a rank, as k6 does; 0 if there are no values."""
    if not ordered:
        return 0.0
    rank = share * (len(ordered) - 1)
    below = int(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)


def latency_figures(latencies_ms: Sequence[float]) -> LatencyFigures:
    """Sum up latencies in any order."""
    ordered = sorted(latencies_ms)
    p50, p95, p99, longest = (round(percentile(ordered, share), 2) for share in (0.5, 0.95, 0.99, 1))
    return LatencyFigures(len(ordered), p50, p95, p99, longest)


def by_stage(
    posts: Sequence[PostedPayment], stages: Table, latency_ms: Callable[[PostedPayment], float]
) -> list[LatencyFigures]:
    """Sum up the accepted payments of each stage, which are those that were intended within it."""
    ends_s = [*(stage.from_s for stage in stages[1:]), float("inf")]
    return [
        latency_figures(
            [latency_ms(post) for post in posts if post.is_accepted and stage.from_s <= post.intended_s < end_s]
        )
        for stage, end_s in zip(stages, ends_s, strict=True)
    ]


def by_second(posts: Sequence[PostedPayment], seconds: int) -> list[LatencyFigures]:
    """Sum up the accepted payments that were intended in each second, from the send."""
    groups: list[list[float]] = [[] for _ in range(seconds)]
    for post in posts:
        if post.is_accepted:
            groups[min(int(post.intended_s), seconds - 1)].append(post.sent_ms)
    return [latency_figures(group) for group in groups]
