"""Decides whether a processor is slow. It is pure: what was seen and the time go in."""

from collections.abc import Iterable
from math import inf


class Pace:
    """What one replica knows of how fast one processor answers. Durations are seconds, times are monotonic.

    A processor is slow after a slow call, until a call that began later is fast: the duration of a call says how fast
    the processor was when the call began. So one slow call among fast ones changes nothing.
    """

    def __init__(self, slow_s: float) -> None:
        """A call that takes at least `slow_s` is slow."""
        self._slow_s = slow_s
        self._slow_from_s = -inf
        """When the latest slow call began."""
        self._fast_from_s = -inf
        """When the latest fast call began."""
        self.told_fast_s = -inf
        """When its health endpoint last said that it is fast. Then a payment tries it; only a fast call proves it."""

    @property
    def is_slow(self) -> bool:
        """Whether the latest call whose duration is known was slow."""
        return self._slow_from_s > self._fast_from_s

    def call_ended(self, started_s: float, ended_s: float, *, charged: bool) -> None:
        """Record a call that was sent; only one that charged can show that the processor is fast."""
        if ended_s - started_s >= self._slow_s:
            self._slow_from_s = max(self._slow_from_s, started_s)
        elif charged:
            self._fast_from_s = max(self._fast_from_s, started_s)

    def under_way(self, started_s: Iterable[float], now_s: float) -> None:
        """Record when the calls that are under way began: one that takes too long already is slow."""
        slow_from_s = max((each_s for each_s in started_s if now_s - each_s >= self._slow_s), default=-inf)
        self._slow_from_s = max(self._slow_from_s, slow_from_s)

    def told(self, response_s: float, asked_at_s: float) -> None:
        """Record the shortest time that a call takes, as its health endpoint answered when asked at `asked_at_s`."""
        if response_s >= self._slow_s:
            self._slow_from_s = max(self._slow_from_s, asked_at_s)
        else:
            self.told_fast_s = max(self.told_fast_s, asked_at_s)
