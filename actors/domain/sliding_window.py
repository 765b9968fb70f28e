"""Failure and slow-call rates over the calls that ended recently."""

from collections import deque
from dataclasses import dataclass

BUCKETS = 10
"""Buckets per `window_s`: the window slides by one bucket at a time."""


@dataclass(slots=True)
class _Bucket:
    number: int
    calls: int = 0
    failures: int = 0
    slow: int = 0


class SlidingWindow:
    """Counts the calls that ended recently, in buckets of a tenth of `window_s`.

    The window covers the last `window_s`. If that holds fewer than `calls_min` calls, it reaches further back, up to
    `window_s_max`. So it forgets quickly under load, and still sees an outage when calls are rare.
    """

    def __init__(self, window_s: float, window_s_max: float, calls_min: int) -> None:
        self._bucket_s = window_s / BUCKETS
        self._buckets: deque[_Bucket] = deque()
        self._buckets_max = round(window_s_max / self._bucket_s)
        self._calls_min = calls_min

    def record(self, now_s: float, *, failed: bool, slow: bool) -> None:
        """Count a call that ended at `now_s`."""
        number = int(now_s / self._bucket_s)
        if not self._buckets or self._buckets[-1].number != number:
            self._buckets.append(_Bucket(number))
        current = self._buckets[-1]
        current.calls += 1
        current.failures += failed
        current.slow += slow
        while self._buckets[0].number <= number - self._buckets_max:
            self._buckets.popleft()

    def rates(self, now_s: float) -> tuple[int, float, float]:
        """Return the number of calls, the share of them that failed, and the share that was slow."""
        number = int(now_s / self._bucket_s)
        calls = failures = slow = 0
        for bucket in reversed(self._buckets):
            age = number - bucket.number
            if age >= self._buckets_max or (age >= BUCKETS and calls >= self._calls_min):
                break
            calls += bucket.calls
            failures += bucket.failures
            slow += bucket.slow
        return (calls, failures / calls, slow / calls) if calls else (0, 0.0, 0.0)

    def clear(self) -> None:
        """Forget all calls."""
        self._buckets.clear()
