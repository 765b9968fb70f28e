"""Keeps how long a processor may take to book a payment, by all that is known of it.

A processor may book a payment long after its client has given up. That a payment is missing there proves nothing until
this time has passed, however short the operator has set it. It is pure: what was seen and the time go in.
"""

from collections import deque

SEEN_S = 3600.0
"""The least time for which an observation counts."""
BUCKETS = 6
"""Observations are forgotten in this many steps per `SEEN_S`."""
REPORTED_S_MAX = 600.0
"""A processor that reports a longer delay than this is not believed: no look-up would ever free a payment."""


class SlidingMaximum:
    """The greatest of the values that were seen within the last hour. `now_s` is monotonic time."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[int, float]] = deque()
        """The number and the greatest value of each part of the hour with an observation, the oldest first."""

    def record(self, value: float, now_s: float) -> None:
        """Record a value."""
        number = self._forget(now_s)
        if self._buckets and self._buckets[-1][0] == number:
            value = max(value, self._buckets.pop()[1])
        self._buckets.append((number, value))

    def at(self, now_s: float) -> float:
        """Tell the greatest value; 0 where none was seen."""
        self._forget(now_s)
        return max((value for _, value in self._buckets), default=0.0)

    def _forget(self, now_s: float) -> int:
        number = int(now_s / (SEEN_S / BUCKETS))
        while self._buckets and self._buckets[0][0] < number - BUCKETS:
            self._buckets.popleft()
        return number


class ProcessorDelay:
    """What one replica knows of the delay of one processor. Durations are seconds, `now_s` is monotonic time."""

    def __init__(self, setting_s: float, timeout_s: float, lease_s: float) -> None:
        """`setting_s` is the delay that the operator allows for.

        `timeout_s` bounds a whole call, and `lease_s` the time for which a replica may send after others have heard of
        it last.
        """
        self.setting_s = setting_s
        self._timeout_s = timeout_s
        self._lease_s = lease_s
        self._own = SlidingMaximum()
        self._told = SlidingMaximum()

    def call_ended(self, duration_s: float, now_s: float) -> None:
        """Record how long a charge of this replica took; one that was given up counts with its deadline."""
        self._own.record(min(duration_s, self._timeout_s), now_s)

    def told(self, delay_s: float, now_s: float) -> None:
        """Record a delay that the processor's health endpoint reports, or that another replica has seen."""
        self._told.record(min(delay_s, REPORTED_S_MAX), now_s)

    def excess_s(self, now_s: float) -> float:
        """Tell how long the longest charge of this replica took, if it exceeds the setting: the others must know it."""
        own_s = self._own.at(now_s)
        return own_s if own_s > self.setting_s else 0.0

    def longest_s(self, now_s: float) -> float:
        """Tell how long the processor may take."""
        return max(self.setting_s, self._own.at(now_s), self._told.at(now_s))

    def horizon_s(self, now_s: float) -> float:
        """Tell how long after the end of an attempt the processor may still book it."""
        return self.longest_s(now_s) + self._timeout_s + self._lease_s
