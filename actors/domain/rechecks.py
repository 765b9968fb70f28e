"""Looks up ended payments once more at processors that may have charged them late."""

from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from math import inf
from uuid import UUID

from actors.domain.lifecycle_events import LookUpEnded
from actors.domain.payment import Payment, Settlement
from actors.domain.records import LookUpResult

RECHECKS_MAX = 1000
"""The most look-ups that wait or are under way at once; beyond that payments are dropped."""
DROPPED_TOLD_S = 10.0
"""The shortest time between two reports of dropped payments."""
POSTPONED_S = 10.0
"""The pause before a payment is looked up again whose processor has not answered."""


@dataclass(frozen=True, slots=True)
class Recheck:
    """A payment that has ended, and a processor that may still book an attempt to charge it that was sent before."""

    payment: Payment
    processor: str
    attempts: int
    horizon_s: float


class Rechecks:
    """The payments that are looked up once more. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Recheck]] = []
        """A heap by when they are due; the numbers keep equal times in order."""
        self._numbers = count()
        self._asked: dict[tuple[UUID, str], Recheck] = {}
        self._dropped = 0
        """Payments that were dropped since the last report."""
        self._told_at_s = -inf

    def __len__(self) -> int:
        """Count the look-ups that are due or under way."""
        return len(self._due) + len(self._asked)

    def add(self, recheck: Recheck, now_s: float) -> None:
        """Let a payment be looked up a horizon from now, or drop it where too many wait."""
        if len(self) < RECHECKS_MAX:
            self._wait(recheck, now_s + recheck.horizon_s)
        else:
            self._dropped += 1

    def take_dropped(self, now_s: float) -> int:
        """Tell how many payments were dropped since the last report; 0 where that is too recent."""
        if not self._dropped or now_s - self._told_at_s < DROPPED_TOLD_S:
            return 0
        dropped, self._dropped, self._told_at_s = self._dropped, 0, now_s
        return dropped

    def postpone(self, recheck: Recheck, now_s: float) -> None:
        """Let a payment that was due be looked up later."""
        self._wait(recheck, now_s + POSTPONED_S)

    def due(self, now_s: float) -> list[Recheck]:
        """Take out the payments that are due; each has to be looked up."""
        due = []
        while self._due and self._due[0][0] <= now_s:
            due.append(heappop(self._due)[2])
        return due

    def asked(self, recheck: Recheck) -> None:
        """Note that its processor is asked."""
        self._asked[recheck.payment.correlation_id, recheck.processor] = recheck

    def answered(self, end: LookUpEnded, now_s: float) -> Settlement | None:
        """Record an answer; return the late charge where it tells of one."""
        recheck = self._asked.pop((end.correlation_id, end.processor), None)
        if recheck is None:
            return None
        if end.result is LookUpResult.NO_ANSWER:
            self.postpone(recheck, now_s)
        if end.requested_at_ms is None:
            return None
        at_ms = end.requested_at_ms
        return Settlement(recheck.payment, recheck.processor, at_ms, recheck.attempts, answered_at_ms=at_ms)

    def _wait(self, recheck: Recheck, due_s: float) -> None:
        heappush(self._due, (due_s, next(self._numbers), recheck))

    @property
    def next_s(self) -> float | None:
        """When the next look-up is due; None where none waits."""
        return self._due[0][0] if self._due else None
