"""The payments that wait for one processor to say whether it charged them, and how many look-ups run at once."""

from collections import deque
from math import inf
from uuid import UUID

from actors.domain.lifecycle import Lifecycle

LOOK_UPS_ASKED_MAX = 32
"""The most look-ups that are asked for and not answered yet, of a processor that answers."""
SILENT_ASKED_MAX = 8
"""The same of a processor that does not answer: each may hang."""
SILENT_ASK_S = 0.5
"""Time between two look-ups at a processor that does not answer. Its return is noticed within this time."""


class Asides:
    """The payments that are set aside until one processor has answered. Times are monotonic seconds.

    A processor that does not answer is asked for one payment now and then, and the others cost nothing meanwhile. Each
    answer doubles the number of look-ups at once, so that a processor that has come back is not flooded.
    """

    def __init__(self) -> None:
        self.pinned: deque[Lifecycle] = deque()
        """Payments that may be charged there again, or looked up."""
        self.only_asked: deque[Lifecycle] = deque()
        """Payments that may only be looked up."""
        self._asked: set[UUID] = set()
        """Payments whose look-ups are under way."""
        self._at_once = 1
        """How many look-ups may be under way at once while the processor answers."""
        self._ask_at_s = -inf
        """When one more look-up may start, whether the processor answers or not."""

    def add(self, life: Lifecycle, *, first: bool) -> None:
        """Queue a payment behind all others, or before them."""
        queue = self.only_asked if life.must_be_looked_up else self.pinned
        (queue.appendleft if first else queue.append)(life)

    def remove(self, life: Lifecycle) -> None:
        """Take a waiting payment out of its queue."""
        (self.only_asked if life in self.only_asked else self.pinned).remove(life)

    def clear(self) -> None:
        """Empty both queues."""
        self.pinned.clear()
        self.only_asked.clear()

    def may_ask(self, now_s: float, *, is_closed: bool, is_silent: bool) -> bool:
        """Tell whether one more look-up may start.

        While the breaker is closed, look-ups are not held back, since those without an answer have to open it. Once it
        is open, the processor counts as silent if it has not answered the last look-up.
        """
        if is_closed:
            return len(self._asked) < LOOK_UPS_ASKED_MAX
        if not is_silent and len(self._asked) < self._at_once:
            return True
        return now_s >= self._ask_at_s and len(self._asked) < SILENT_ASKED_MAX

    def asked(self, life: Lifecycle, now_s: float) -> None:
        """Note that the look-up of a payment starts."""
        self._asked.add(life.payment.correlation_id)
        self._ask_at_s = now_s + SILENT_ASK_S

    def ended(self, correlation_id: UUID, *, is_silent: bool) -> None:
        """Note the end of a look-up, and whether the processor is silent since then."""
        self._asked.discard(correlation_id)
        self._at_once = 1 if is_silent else min(2 * self._at_once, LOOK_UPS_ASKED_MAX)

    def asks_at_s(self, now_s: float) -> float | None:
        """Tell when time alone will allow one more look-up; None where it never does."""
        waits = (self.pinned or self.only_asked) and len(self._asked) < SILENT_ASKED_MAX
        return self._ask_at_s if waits and self._ask_at_s > now_s else None
