"""Asks once more for payments that were settled elsewhere, where a late charge would be a second one."""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from uuid import UUID

from actors.domain.lifecycle_events import LookUpEnded
from actors.domain.payment import Payment, Settlement
from actors.domain.records import LookUpResult

RECHECKS_MAX = 1000
"""Look-ups that are due or under way at once; beyond that a payment is not asked for again."""


@dataclass(frozen=True, slots=True)
class Recheck:
    """A settled payment, and another processor that an attempt was sent to of which nothing proves that it ended."""

    payment: Payment
    processor: str
    attempts: int
    horizon_s: float


class Rechecks:
    """The payments that are asked for again. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Recheck]] = []
        """A heap by when they are due; the numbers keep equal times in order."""
        self._numbers = count()
        self._asked: dict[tuple[UUID, str], Recheck] = {}

    def add(self, recheck: Recheck, now_s: float) -> None:
        """Let a payment be asked for a horizon from now on."""
        if len(self._due) + len(self._asked) < RECHECKS_MAX:
            heappush(self._due, (now_s + recheck.horizon_s, next(self._numbers), recheck))

    def due(self, now_s: float) -> Iterator[Recheck]:
        """Give those that are due, each once; each has to be asked for."""
        while self._due and self._due[0][0] <= now_s:
            yield heappop(self._due)[2]

    def asked(self, recheck: Recheck) -> None:
        """Note that its processor is asked."""
        self._asked[recheck.payment.correlation_id, recheck.processor] = recheck

    def answered(self, end: LookUpEnded, now_s: float) -> Settlement | None:
        """Take in an answer; give the second charge where there was one."""
        recheck = self._asked.pop((end.correlation_id, end.processor), None)
        if recheck is None:
            return None
        if end.result is LookUpResult.NO_ANSWER:
            self.add(recheck, now_s)
        if end.requested_at_ms is None:
            return None
        at_ms = end.requested_at_ms
        return Settlement(recheck.payment, recheck.processor, at_ms, recheck.attempts, answered_at_ms=at_ms)

    @property
    def next_s(self) -> float | None:
        """When the next one is due; None where none waits."""
        return self._due[0][0] if self._due else None
