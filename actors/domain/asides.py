"""The payments that wait for one processor to say whether it charged them, and how many it is asked for at once."""

from collections import deque
from uuid import UUID

from actors.domain.lifecycle import Lifecycle

ASKED_MAX = 32
"""Look-ups that a processor which answers is given at once: as many again as may be under way."""
SILENT_ASKED_MAX = 8
"""Look-ups that one which does not answer is given at once: they may hang until their timeout."""
SILENT_ASK_S = 0.5
"""Time between two look-ups at a processor that does not answer; as soon is its return noticed."""


class Asides:
    """The payments that are set aside until one processor has answered. Times are monotonic seconds.

    One that does not answer is asked for one of them now and then, and they cost nothing meanwhile. With each answer
    twice as many are asked for at once, so that a processor that has come back is not flooded either.
    """

    def __init__(self) -> None:
        self.pinned: deque[Lifecycle] = deque()
        """Those that it may be charged again, too."""
        self.only_asked: deque[Lifecycle] = deque()
        """Those that it may be asked for only."""
        self._asked: set[UUID] = set()
        """Those that it is asked for now."""
        self._at_once = 1
        """How many it may be asked for at once while it answers."""
        self._ask_at_s = 0.0
        """When it may be asked for one more, whether it answers or not."""

    def add(self, life: Lifecycle, *, first: bool) -> None:
        """Let a payment wait, behind all others or before them."""
        queue = self.only_asked if life.must_be_looked_up else self.pinned
        (queue.appendleft if first else queue.append)(life)

    def remove(self, life: Lifecycle) -> None:
        """Take a payment out that waits."""
        (self.only_asked if life in self.only_asked else self.pinned).remove(life)

    def clear(self) -> None:
        """Take all out that wait."""
        self.pinned.clear()
        self.only_asked.clear()

    def may_ask(self, now_s: float, *, is_closed: bool, is_silent: bool) -> bool:
        """Tell whether it may be asked for one more.

        While its breaker is closed, look-ups without an answer have to open it. Then it counts as silent where it has
        not answered the last one.
        """
        if is_closed:
            return len(self._asked) < ASKED_MAX
        if not is_silent and len(self._asked) < self._at_once:
            return True
        return now_s >= self._ask_at_s and len(self._asked) < SILENT_ASKED_MAX

    def asked(self, life: Lifecycle, now_s: float) -> None:
        """Note that it is asked for a payment."""
        self._asked.add(life.payment.correlation_id)
        self._ask_at_s = now_s + SILENT_ASK_S

    def ended(self, correlation_id: UUID, *, is_silent: bool) -> None:
        """Note the end of a look-up, and whether it is silent since."""
        self._asked.discard(correlation_id)
        self._at_once = 1 if is_silent else min(2 * self._at_once, ASKED_MAX)

    def asks_at_s(self, now_s: float) -> float | None:
        """Tell when time alone will let it be asked for one more; None where that never happens."""
        waits = (self.pinned or self.only_asked) and len(self._asked) < SILENT_ASKED_MAX
        return self._ask_at_s if waits and self._ask_at_s > now_s else None
