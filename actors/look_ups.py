"""Asks one processor which payments it has charged, a few at once."""

from collections import deque
from collections.abc import Callable, Iterable
from math import inf

from actors.domain.lifecycle_events import LookUpEnded
from actors.domain.payment import Payment
from actors.domain.processor_delay import ProcessorDelay
from actors.domain.records import LookUpAnswer, LookUpResult
from actors.ports import ProcessorClient, Runtime

LOOK_UPS_MAX = 16
"""Look-ups under way at once."""
LOOK_UP_PAUSE_S = 0.25
"""After look-ups of which none was answered, the processor is asked for nothing until this time has passed."""
_NO_ANSWER = LookUpAnswer(LookUpResult.NO_ANSWER)


class LookUps:
    """The look-ups of one processor's actor: those that wait, that are under way, and that have ended."""

    def __init__(
        self, name: str, client: ProcessorClient, delay: ProcessorDelay, runtime: Runtime, ended: Callable[[], None]
    ) -> None:
        """`ended` is called after each look-up, on another greenlet."""
        self._name = name
        self._client = client
        self._delay = delay
        self._runtime = runtime
        self._ended = ended
        self._waiting: deque[Payment] = deque()
        self._under_way = 0
        self._ends: list[LookUpEnded] = []
        self._answered_s = -inf
        """When the latest look-up was asked that was answered."""
        self._unanswered_until_s = -inf
        """Until then look-ups end without an answer, and are not made."""

    def add(self, payments: Iterable[Payment]) -> None:
        """Take payments that are to be looked up."""
        self._waiting.extend(payments)

    def start(self) -> tuple[LookUpEnded, ...]:
        """Start as many as may be under way; give those that end at once, because others were not answered just now.

        So whoever waits for an answer is not held up by a processor that gives none, and does not flood it either.
        """
        now_s = self._runtime.now_s()
        if now_s < self._unanswered_until_s:
            unasked = tuple(self._end(payment, _NO_ANSWER, now_s) for payment in self._waiting)
            self._waiting.clear()
            return unasked
        while self._waiting and self._under_way < LOOK_UPS_MAX:
            self._under_way += 1
            self._runtime.spawn(self._look_up, self._waiting.popleft())
        return ()

    def take_ends(self) -> tuple[LookUpEnded, ...]:
        """Give those that have ended since the last call."""
        ends, self._ends = tuple(self._ends), []
        if ends:
            self._under_way -= len(ends)
            answered = (end.asked_at_s for end in ends if end.result is not LookUpResult.NO_ANSWER)
            self._answered_s = max([self._answered_s, *answered])
            # What was asked before one that was answered tells nothing of now: it may have hung since then.
            is_silent = all(end.asked_at_s > self._answered_s for end in ends)
            self._unanswered_until_s = self._runtime.now_s() + LOOK_UP_PAUSE_S if is_silent else -inf
        return ends

    def _look_up(self, payment: Payment) -> None:
        answer, asked_at_s = _NO_ANSWER, self._runtime.now_s()
        try:
            answer = self._client.look_up(payment)
        finally:
            self._ends.append(self._end(payment, answer, asked_at_s))
            self._ended()

    def _end(self, payment: Payment, answer: LookUpAnswer, asked_at_s: float) -> LookUpEnded:
        key, horizon_s = payment.correlation_id, self._delay.horizon_s(self._runtime.now_s())
        return LookUpEnded(key, self._name, answer.result, answer.requested_at_ms, asked_at_s, horizon_s)
