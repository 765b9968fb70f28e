"""Decides which rows are marked, so that readers see which payments do not settle by themselves."""

from collections import deque
from uuid import UUID

from actors.domain.lifecycle import ENDED, ENDING, Lifecycle, State
from actors.domain.payment import Mark

UNKNOWN_TOLD_S = 1.0
"""A payment that has been pinned for this long is marked as unknown; most are resolved before, and cost no write."""


class RowMarks:
    """Follows the payments that are pinned, stranded and free again. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._pins: deque[tuple[float, Lifecycle]] = deque()
        """Payments in the order in which they were pinned, with the time; some may be free since."""
        self._stranded: list[tuple[float, Lifecycle]] = []
        self._freed: list[Lifecycle] = []
        self._marked: set[UUID] = set()

    def pinned(self, life: Lifecycle, now_s: float) -> None:
        """Note a payment that is pinned from now on."""
        self._pins.append((now_s, life))

    def stranded(self, life: Lifecycle, now_s: float) -> None:
        """Note a payment that only an operator can resolve."""
        self._stranded.append((now_s, life))

    def freed(self, life: Lifecycle, _now_s: float) -> None:
        """Note a payment that is pinned no more."""
        if life.payment.correlation_id in self._marked:
            self._marked.remove(life.payment.correlation_id)
            self._freed.append(life)

    def take(self, now_s: float, now_ms: int) -> list[Mark]:
        """Give the marks that rows bear from now on, each once; `now_ms` is the same instant on the wall clock."""

        def wall_ms(since_s: float) -> int:
            return now_ms - round((now_s - since_s) * 1000)

        marks = [
            Mark(life.payment.correlation_id, None, now_ms)
            for life in self._freed
            # For the others, what is written clears the mark or deletes the row.
            if life.state not in {State.MOVING, *ENDING, *ENDED}
        ]
        self._freed = []
        while self._pins and self._pins[0][0] + UNKNOWN_TOLD_S <= now_s:
            since_s, life = self._pins.popleft()
            if life.pinned_since_s == since_s and life.state not in {State.STRANDED, *ENDING, *ENDED}:
                marks.append(self._mark(life, "unknown", wall_ms(since_s)))
        for since_s, life in self._stranded:
            if life.state is State.STRANDED:
                marks.append(self._mark(life, "stranded", wall_ms(since_s)))
        self._stranded = []
        return marks

    def _mark(self, life: Lifecycle, state: str, since_ms: int) -> Mark:
        self._marked.add(life.payment.correlation_id)
        return Mark(life.payment.correlation_id, state, since_ms)

    def forgotten(self, correlation_id: UUID) -> None:
        """Note a payment that is not driven any more."""
        self._marked.discard(correlation_id)

    @property
    def next_s(self) -> float | None:
        """When time alone will change what a row says; None where it never does."""
        return self._pins[0][0] + UNKNOWN_TOLD_S if self._pins else None
