"""Writes few lines about what fails many times: one when it begins, one a minute, one when it is over."""

from collections.abc import Callable
from typing import Any

from actors.domain.outage_log import REMIND_S, OutageLog, OutageNews, Turn
from actors.logs import BoundLogger
from actors.ports import Runtime

CHECK_S = 5.0
"""Time between two checks whether an outage is over or a reminder is due."""


class OutageReporter:
    """Logs one kind of failure under one event name.

    `failed` and `succeeded` are called as often as they happen: the lines bear `outage`, which is "began", "lasts" or
    "ended", `failures` and `lasted_s`. `occurred` is for an incident that has no opposite: the first one is a line, and
    after it at most one line a minute tells how many more there were (`count`).

    Each of these calls also looks whether the outage is over or a reminder is due. `check` does that alone.
    """

    def __init__(
        self,
        logger: BoundLogger,
        event: str,
        now_s: Callable[[], float],
        level: str = "warning",
        **constant: Any,  # noqa: ANN401  # as a logger takes them
    ) -> None:
        """`level` is that of the lines, but the end of an outage is no error. `constant` are fields of all lines."""
        self._logger = logger
        self._event = event
        self._now_s = now_s
        self._level = level
        self._constant = constant
        self._log = OutageLog()
        self._fields: dict[str, Any] = {}
        """The fields of the latest failure."""
        self._has_opposite = True

    @property
    def is_open(self) -> bool:
        """Whether the end of an outage is not told yet."""
        return self._log.is_open

    def failed(self, count: int = 1, *, is_new: bool = False, **fields: Any) -> None:  # noqa: ANN401  # the same
        """Note a failure; `fields` are those of the line, if one is due. A failure that `is_new` is told at once."""
        self._fields = fields
        self._tell(self._log.failed(self._now_s(), count, is_new=is_new))

    def succeeded(self, **fields: Any) -> None:  # noqa: ANN401  # the same
        """Note that all is well; `fields` are those of the line about the end, if it is told now."""
        if self._log.is_open:
            self._tell(self._log.succeeded(self._now_s()), **fields)

    def occurred(self, count: int = 1, **fields: Any) -> None:  # noqa: ANN401  # the same
        """Note an incident that has no opposite: it is over when it has not occurred for a while."""
        self._has_opposite = False
        self.failed(count, **fields)
        self._log.succeeded(self._now_s())

    def check(self) -> None:
        """Tell what is to be told by now."""
        if self._log.is_open:
            self._tell(self._log.check(self._now_s()))

    def _tell(self, news: OutageNews | None, **fields: Any) -> None:  # noqa: ANN401  # the same
        if news is None or (news.turn is Turn.ENDED and not news.untold and not self._has_opposite):
            return
        told: dict[str, Any] = {}
        if self._has_opposite:
            told["outage"] = news.turn.value
            if news.turn is not Turn.BEGAN:
                told |= {"failures": news.failures, "lasted_s": round(news.lasted_s, 3)}
        elif news.turn is not Turn.BEGAN or news.untold > 1:
            told["count"] = news.untold
        is_end = news.turn is Turn.ENDED
        level = "warning" if is_end and self._level == "error" else self._level
        latest = fields if is_end and self._has_opposite else self._fields
        getattr(self._logger, level)(self._event, **{**self._constant, **latest, **told})


class TimedOutageReporter(OutageReporter):
    """Checks by itself, every `CHECK_S`, whether an outage is over or a reminder is due."""

    def __init__(
        self,
        logger: BoundLogger,
        event: str,
        runtime: Runtime,
        level: str = "warning",
        **constant: Any,  # noqa: ANN401  # as a logger takes them
    ) -> None:
        super().__init__(logger, event, runtime.now_s, level, **constant)
        self._runtime = runtime
        self._is_watching = False
        self._failed_at_s = 0.0

    def failed(self, count: int = 1, *, is_new: bool = False, **fields: Any) -> None:  # noqa: ANN401  # the same
        """Note a failure, and watch from now on."""
        super().failed(count, is_new=is_new, **fields)
        self._failed_at_s = self._runtime.now_s()
        if not self._is_watching:
            self._is_watching = True
            self._watch_on()

    def _watch_on(self) -> None:
        # In a greenlet of its own: the event loop itself must not wait for a lock of `logging`.
        self._runtime.call_later(CHECK_S, self._runtime.spawn, self._look)

    def _look(self) -> None:
        self.check()
        # The caller may have ended, so that nothing more is noted.
        self._is_watching = self.is_open and self._runtime.now_s() - self._failed_at_s < 2 * REMIND_S
        if self._is_watching:
            self._watch_on()
