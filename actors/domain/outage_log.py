"""Decides when a repeated failure is worth a line in the log: when it begins, now and then, and when it ends."""

from dataclasses import dataclass
from enum import Enum

QUIET_S = 10.0
"""How long all has to be well until an outage is over. A failure before that continues the outage."""
REMIND_S = 60.0
"""Time between two lines about an outage that lasts."""


class Turn(Enum):
    """What a line about an outage tells."""

    BEGAN = "began"
    """It has failed for the first time."""
    LASTS = "lasts"
    """It has lasted for another `REMIND_S`."""
    ENDED = "ended"
    """All has been well for `QUIET_S`."""


@dataclass(frozen=True, slots=True)
class OutageNews:
    """What is to be told of an outage."""

    turn: Turn
    failures: int
    """The number of failures since its beginning."""
    untold: int
    """The number of failures since the last line about it."""
    lasted_s: float
    """How long it has lasted; if it has ended, until all was well again."""


class OutageLog:
    """Decides which of many failures become lines: one at the beginning of an outage, one a minute, one at its end."""

    def __init__(self, quiet_s: float = QUIET_S, remind_s: float = REMIND_S) -> None:
        self._quiet_s = quiet_s
        self._remind_s = remind_s
        self._began_s: float | None = None
        self._well_since_s: float | None = None
        """Since when nothing has failed; None while the last thing that was noted is a failure."""
        self._told_at_s = 0.0
        self._failures = 0
        self._untold = 0

    @property
    def is_open(self) -> bool:
        """Whether an outage has begun, and its end was not told."""
        return self._began_s is not None

    def failed(self, now_s: float, count: int = 1, *, is_new: bool = False) -> OutageNews | None:
        """Note a failure, or several at once; return what is to be told. A failure that `is_new` is told at once."""
        self._untold += count
        if self._began_s is None or self._is_over(now_s):
            self._began_s, self._well_since_s, self._failures = now_s, None, count
            return self._tell(Turn.BEGAN, now_s)
        self._well_since_s = None
        self._failures += count
        return self._tell(Turn.LASTS, now_s) if is_new else self._remind(now_s)

    def succeeded(self, now_s: float) -> OutageNews | None:
        """Note that all is well; return what is to be told."""
        if self._began_s is not None and self._well_since_s is None:
            self._well_since_s = now_s
        return self.check(now_s)

    def check(self, now_s: float) -> OutageNews | None:
        """Return what is to be told by now, where nothing was noted meanwhile."""
        if self._began_s is None:
            return None
        if self._is_over(now_s):
            assert self._well_since_s is not None
            news = self._tell(Turn.ENDED, self._well_since_s)
            self._began_s = self._well_since_s = None
            return news
        return self._remind(now_s)

    def _is_over(self, now_s: float) -> bool:
        return self._well_since_s is not None and now_s - self._well_since_s >= self._quiet_s

    def _remind(self, now_s: float) -> OutageNews | None:
        return self._tell(Turn.LASTS, now_s) if now_s - self._told_at_s >= self._remind_s else None

    def _tell(self, turn: Turn, now_s: float) -> OutageNews:
        assert self._began_s is not None
        news = OutageNews(turn, self._failures, self._untold, now_s - self._began_s)
        self._told_at_s, self._untold = now_s, 0
        return news
