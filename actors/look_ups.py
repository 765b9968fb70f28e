"""Asks one processor which payments it has charged, a few at once."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from math import inf

from actors.domain.level import Level
from actors.domain.lifecycle_events import LookUpEnded
from actors.domain.payment import Payment
from actors.domain.processor_delay import ProcessorDelay
from actors.domain.rate_limiter import RateLimiter, RateLimits
from actors.domain.records import LookUpAnswer, LookUpResult
from actors.logs import get_logger
from actors.ports import ProcessorClient, Runtime

logger = get_logger(__name__)

LOOK_UPS_MAX = 16
"""Look-ups under way at once."""
LOOK_UPS_PER_S = 1000.0
"""Look-ups that start in a second, so that thousands of payments that others have left cost new ones little CPU."""
LOOK_UP_PAUSE_S = 0.25
"""How long no look-up is made after some of which none was answered."""
PROOF_S = 20.0
"""How long after an answer that only a processor gives it is believed that it does not know a payment. A gateway in
front of it may say so too, or a host at a mistyped address."""
OWN_PROOF_S = 10.0
"""Time between two questions for the processor's health, where nothing else has shown that it is the processor."""
POLLED_S = 15.0
"""Where replicas share the processor's health, this one waits so long after its start before it asks by itself: the
health endpoint lets calls hang that follow each other quickly."""
_NO_ANSWER = LookUpAnswer(LookUpResult.NO_ANSWER)


def distrust_missing(end: LookUpEnded) -> LookUpEnded:
    """Turn a look-up that found nothing into one without an answer, because that cannot be believed."""
    return replace(end, result=LookUpResult.NO_ANSWER) if end.result is LookUpResult.MISSING else end


class LookUps:
    """The look-ups of one processor's actor: those that wait, that are under way, and that have ended."""

    def __init__(
        self,
        name: str,
        client: ProcessorClient,
        delay: ProcessorDelay,
        runtime: Runtime,
        ended: Callable[[], None],
        *,
        is_polled: bool,
    ) -> None:
        """`ended` is called after each look-up, and when the next may start, on another greenlet.

        `is_polled` tells whether replicas share its health.
        """
        self._name = name
        self._client = client
        self._delay = delay
        self._runtime = runtime
        self._ended = ended
        self._waiting: deque[Payment] = deque()
        self._under_way = 0
        self._rate = RateLimiter(RateLimits(per_s_initial=LOOK_UPS_PER_S, burst=LOOK_UPS_MAX))
        self._is_start_due = False
        """Whether a timer is set for when the rate allows the next ones."""
        self._ends: list[LookUpEnded] = []
        self._answered_s = -inf
        """When the latest look-up was asked that was answered."""
        self._unanswered_until_s = -inf
        """Until then no look-up is made: each ends without an answer."""
        self.unanswered_at_s: tuple[float, ...] = ()
        """When the look-ups were asked that had no answer, of those that were taken last."""
        self._proven_at_s = -inf
        """When the processor last gave an answer that only a processor gives."""
        self._ask_from_s = runtime.now_s() + (POLLED_S if is_polled else 0.0)
        self._is_doubted = False
        """Whether it was logged that the processor is not believed, and it has not been believed since."""

    def add(self, payments: Iterable[Payment]) -> None:
        """Take payments that are to be looked up."""
        self._waiting.extend(payments)

    @property
    def level(self) -> Level:
        """How many are under way."""
        return Level(self._under_way, LOOK_UPS_MAX)

    def proven(self, at_s: float) -> None:
        """Note that the processor gave an answer which only a processor gives."""
        self._proven_at_s = max(self._proven_at_s, at_s)

    def start(self) -> tuple[LookUpEnded, ...]:
        """Start as many as may be under way; give those that end at once, because others were not answered just now.

        So a processor that gives no answer holds nobody up who waits for one, and is not flooded either.
        """
        now_s = self._runtime.now_s()
        if now_s < self._unanswered_until_s:
            unasked = tuple(self._end(payment, _NO_ANSWER, now_s) for payment in self._waiting)
            self._waiting.clear()
            return unasked
        while self._waiting and self._under_way < LOOK_UPS_MAX and self._may_start(now_s):
            self._under_way += 1
            self._runtime.spawn(self._look_up, self._waiting.popleft())
        return ()

    def _may_start(self, now_s: float) -> bool:
        if self._rate.take(now_s):
            return True
        if not self._is_start_due:
            self._is_start_due = True
            self._runtime.call_later(self._rate.next_at_s(now_s) - now_s, self._start_later)
        return False

    def _start_later(self) -> None:
        self._is_start_due = False
        self._ended()

    def take_ends(self) -> tuple[LookUpEnded, ...]:
        """Give those that have ended since the last call."""
        ends, self._ends = tuple(self._ends), []
        # Answers that are not believed do not say that the processor is down.
        self.unanswered_at_s = tuple(end.asked_at_s for end in ends if end.result is LookUpResult.NO_ANSWER)
        if not self._is_believed():
            ends = tuple(distrust_missing(end) for end in ends)
        if ends:
            self._under_way -= len(ends)
            answered = (end.asked_at_s for end in ends if end.result is not LookUpResult.NO_ANSWER)
            self._answered_s = max([self._answered_s, *answered])
            # An unanswered look-up that is older than an answered one tells nothing of now: it may have hung since.
            is_silent = all(end.asked_at_s > self._answered_s for end in ends)
            self._unanswered_until_s = self._runtime.now_s() + LOOK_UP_PAUSE_S if is_silent else -inf
        return ends

    def _look_up(self, payment: Payment) -> None:
        answer, asked_at_s = _NO_ANSWER, self._runtime.now_s()
        try:
            answer = self._client.look_up(payment)
            if answer.result is LookUpResult.MISSING:
                self._ask_for_proof()
            elif answer.result is not LookUpResult.NO_ANSWER:
                self.proven(self._runtime.now_s())
        finally:
            self._ends.append(self._end(payment, answer, asked_at_s))
            self._ended()

    def _is_believed(self) -> bool:
        return self._runtime.now_s() - self._proven_at_s <= PROOF_S

    def _ask_for_proof(self) -> None:
        """Ask for the processor's health, unless it is believed, or was asked a moment ago."""
        now_s = self._runtime.now_s()
        if self._is_believed() or now_s < self._ask_from_s:
            return
        self._ask_from_s = now_s + OWN_PROOF_S
        if self._client.answers_health():
            self.proven(now_s)
            self._is_doubted = False
        elif not self._is_doubted:
            self._is_doubted = True
            logger.warning(
                "the processor answers 404 to look-ups and nothing to health calls: it is not believed",
                processor=self._name,
            )

    def _end(self, payment: Payment, answer: LookUpAnswer, asked_at_s: float) -> LookUpEnded:
        key, horizon_s = payment.correlation_id, self._delay.horizon_s(self._runtime.now_s())
        return LookUpEnded(key, self._name, answer.result, answer.requested_at_ms, asked_at_s, horizon_s)
