"""Retries after failures: pauses grow, and have a random length so that payments do not come back in step."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf
from random import Random
from uuid import UUID

from actors.domain.backoff import Backoff


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How failures are tried again."""

    failures: Backoff = field(default_factory=lambda: Backoff(first_s=0.1, longest_s=5.0))
    jitter: float = 0.25
    """Each pause is longer or shorter by a random share up to this."""


class Pauses:
    """The payments that pause after a failure. Times are monotonic seconds."""

    def __init__(self, limits: RetryLimits, rng: Random) -> None:
        """`rng` draws the jitter."""
        self._limits = limits
        self._rng = rng
        self._ends: list[tuple[float, int, UUID]] = []
        """A heap of the times at which pauses end; the numbers keep equal times in order."""
        self._numbers = count()

    def begin(self, correlation_id: UUID, failures_in_row: int, now_s: float, longest_s: float = inf) -> float:
        """Let a payment pause, for longer after more failures in a row, up to `longest_s`; give when it ends."""
        jitter = self._rng.uniform(1 - self._limits.jitter, 1 + self._limits.jitter)
        end_s = now_s + min(self._limits.failures.pause_s(failures_in_row), longest_s) * jitter
        heappush(self._ends, (end_s, next(self._numbers), correlation_id))
        return end_s

    def ended(self, now_s: float) -> Iterator[UUID]:
        """Give the payments whose pauses have ended, each once, in the order of their ends."""
        while self._ends and self._ends[0][0] <= now_s:
            yield heappop(self._ends)[2]

    @property
    def next_end_s(self) -> float | None:
        """When the next pause ends; None where no payment pauses."""
        return self._ends[0][0] if self._ends else None
