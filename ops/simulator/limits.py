"""The limits on the calls that a processor takes, as pure state machines without clock or sockets."""

from collections import deque
from collections.abc import Hashable
from enum import Enum, auto
from typing import Generic, TypeVar

Caller = TypeVar("Caller")
HashableCaller = TypeVar("HashableCaller", bound=Hashable)

RUNNING_MAX = 800
QUEUED_MAX = 500
HEALTH_WINDOW_S = 5.0
HEALTH_QUEUED_MAX = 2


class Admission(Enum):
    """What is done with a new call: run it now, let it wait, or refuse it."""

    NOW = auto()
    LATER = auto()
    REFUSED = auto()


class ConcurrencyLimiter(Generic[Caller]):
    """Limits how many calls run and how many wait, in the order of their arrival; any others are refused."""

    def __init__(self, running_max: int = RUNNING_MAX, queued_max: int = QUEUED_MAX) -> None:
        self._running_max = running_max
        self._queued_max = queued_max
        self._running = 0
        self._waiting: deque[Caller] = deque()

    def enter(self, caller: Caller) -> Admission:
        """Decide about a new call, and count it as running or waiting."""
        if self._running < self._running_max:
            self._running += 1
            return Admission.NOW
        if len(self._waiting) < self._queued_max:
            self._waiting.append(caller)
            return Admission.LATER
        return Admission.REFUSED

    def leave(self) -> Caller | None:
        """End one running call; return the waiting caller that runs now in its place, or None."""
        if self._waiting:
            return self._waiting.popleft()
        self._running -= 1
        return None


class HealthLimiter(Generic[HashableCaller]):
    """Allows one call per window of fixed length, and lets a few more wait for one of the next windows each.

    The first window starts at `started_at_s`. All instants are monotonic seconds.
    """

    def __init__(
        self, started_at_s: float, window_s: float = HEALTH_WINDOW_S, queued_max: int = HEALTH_QUEUED_MAX
    ) -> None:
        self._started_at_s = started_at_s
        self._window_s = window_s
        self._queued_max = queued_max
        self._spent_window = -1
        # A dict keeps the order, and lets a caller that hangs up be removed from the middle.
        self._waiting: dict[HashableCaller, None] = {}

    def arrive(self, caller: HashableCaller, now_s: float) -> Admission:
        """Decide about a new call; it never overtakes one that waits."""
        if not self._waiting and self._spend(now_s):
            return Admission.NOW
        if len(self._waiting) < self._queued_max:
            self._waiting[caller] = None
            return Admission.LATER
        return Admission.REFUSED

    def release(self, now_s: float) -> HashableCaller | None:
        """Return the caller to answer now, or None while nobody waits or the window has had its call."""
        if not self._waiting or not self._spend(now_s):
            return None
        caller = next(iter(self._waiting))
        del self._waiting[caller]
        return caller

    def cancel(self, caller: HashableCaller) -> None:
        """Remove a caller from the queue, if it is in there."""
        self._waiting.pop(caller, None)

    def wait_s(self, now_s: float) -> float | None:
        """Return the seconds until `release` has a caller to answer; None while nobody waits."""
        if not self._waiting:
            return None
        return max(0.0, self._started_at_s + (self._spent_window + 1) * self._window_s - now_s)

    def _spend(self, now_s: float) -> bool:
        window = int((now_s - self._started_at_s) // self._window_s)
        if window <= self._spent_window:
            return False
        self._spent_window = window
        return True
