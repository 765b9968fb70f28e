"""How many calls a processor takes: pure state machines that know neither clock nor socket."""

from collections import deque
from collections.abc import Hashable
from enum import Enum, auto
from typing import Generic, TypeVar

Caller = TypeVar("Caller")
HashableCaller = TypeVar("HashableCaller", bound=Hashable)

AT_ONCE_MAX = 800
QUEUED_MAX = 500
HEALTH_WINDOW_S = 5.0
HEALTH_QUEUED_MAX = 2


class Admission(Enum):
    """What becomes of a call that arrives."""

    NOW = auto()
    LATER = auto()
    REFUSED = auto()


class ConcurrencyLimiter(Generic[Caller]):
    """So many calls at once, so many waiting in the order of their arrival, the rest refused."""

    def __init__(self, at_once_max: int = AT_ONCE_MAX, queued_max: int = QUEUED_MAX) -> None:
        self._at_once_max = at_once_max
        self._queued_max = queued_max
        self._running = 0
        self._waiting: deque[Caller] = deque()

    def enter(self, caller: Caller) -> Admission:
        """Let a call in, make it wait, or refuse it."""
        if self._running < self._at_once_max:
            self._running += 1
            return Admission.NOW
        if len(self._waiting) < self._queued_max:
            self._waiting.append(caller)
            return Admission.LATER
        return Admission.REFUSED

    def leave(self) -> Caller | None:
        """End one running call; the caller that takes its place, if one waits, is running from now on."""
        if self._waiting:
            return self._waiting.popleft()
        self._running -= 1
        return None


class HealthLimiter(Generic[HashableCaller]):
    """One call per fixed window; a few more wait, one for each window to come.

    Windows are counted from `started_at_s`, whether or not anybody calls. Instants are monotonic seconds.
    """

    def __init__(
        self, started_at_s: float, window_s: float = HEALTH_WINDOW_S, queued_max: int = HEALTH_QUEUED_MAX
    ) -> None:
        self._started_at_s = started_at_s
        self._window_s = window_s
        self._queued_max = queued_max
        self._spent_window = -1
        # A dict for its order, and because a caller that hangs up is taken out of the middle.
        self._waiting: dict[HashableCaller, None] = {}

    def arrive(self, caller: HashableCaller, now_s: float) -> Admission:
        """Answer a call now, in a later window, or refuse it; nobody overtakes those who wait."""
        if not self._waiting and self._spend(now_s):
            return Admission.NOW
        if len(self._waiting) < self._queued_max:
            self._waiting[caller] = None
            return Admission.LATER
        return Admission.REFUSED

    def release(self, now_s: float) -> HashableCaller | None:
        """Take the caller that is to be answered now, where one waits and the window is unspent."""
        if not self._waiting or not self._spend(now_s):
            return None
        caller = next(iter(self._waiting))
        del self._waiting[caller]
        return caller

    def hang_up(self, caller: HashableCaller) -> None:
        """Give up a caller's place in the queue, if it has one."""
        self._waiting.pop(caller, None)

    def wait_s(self, now_s: float) -> float | None:
        """Tell how long until `release` has somebody; None while nobody waits."""
        if not self._waiting:
            return None
        return max(0.0, self._started_at_s + (self._spent_window + 1) * self._window_s - now_s)

    def _spend(self, now_s: float) -> bool:
        window = int((now_s - self._started_at_s) // self._window_s)
        if window <= self._spent_window:
            return False
        self._spent_window = window
        return True
