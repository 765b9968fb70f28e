"""Virtual time, and payment processors in it that behave as the event's do."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from random import Random

from actors.domain.outcome import Outcome
from ops.benchmarks.stages import Condition

SERVICE_S = 0.003
"""What a charge takes without a delay: the network and the processor's INSERT."""
AT_ONCE_MAX, QUEUED_MAX = 800, 500
"""Requests that a processor works on, and that wait there; the rest is answered with 429."""
TIMEOUT_S = 10.0
"""Then a charge is given up; the processor may book it all the same."""


class Simulation:
    """A clock, and what is to happen, in the order of time; at one moment in the order in which it was asked for."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._due: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._numbers = count()

    def call_at(self, at_s: float, function: Callable[..., object], *arguments: object) -> None:
        """Call a function when it is so late."""
        heappush(self._due, (at_s, next(self._numbers), function, arguments))

    def call_later(self, pause_s: float, function: Callable[..., object], *arguments: object) -> None:
        """Call a function after a pause."""
        self.call_at(self.now_s + pause_s, function, *arguments)

    def run(self, until_s: float) -> None:
        """Let everything happen that is due by then."""
        while self._due and self._due[0][0] <= until_s:
            self.now_s, _, function, arguments = heappop(self._due)
            function(*arguments)
        self.now_s = until_s


@dataclass(slots=True)
class _Request:
    number: int
    answer: Callable[[Outcome], None]
    sent_s: float
    answered: bool = False

    def end(self, outcome: Outcome) -> None:
        if not self.answered:
            self.answered = True
            self.answer(outcome)


class SimulatedProcessor:
    """Delays, then fails, then books, each id once; what it has begun it also ends."""

    def __init__(self, simulation: Simulation, conditions: Sequence[tuple[float, Condition]], chance: Random) -> None:
        """`conditions` tell how it behaves from which moment on."""
        self._simulation = simulation
        self._chance = chance
        self._condition = Condition()
        self._under_way = 0
        self._queue: deque[_Request] = deque()
        self.booked: set[int] = set()
        """Numbers of the payments that were charged here."""
        self.calls = 0
        for from_s, condition in conditions:
            simulation.call_at(from_s, self._behave, condition)

    @property
    def failing(self) -> bool:
        """What its health endpoint says: a partial failure is none."""
        return self._condition.failure_rate >= 1

    def charge(self, number: int, answer: Callable[[Outcome], None]) -> None:
        """Take a request; `answer` is called once, later, with what its client sees."""
        self.calls += 1
        request = _Request(number, answer, self._simulation.now_s)
        if self._under_way < AT_ONCE_MAX:
            self._begin(request)
        elif len(self._queue) < QUEUED_MAX:
            self._queue.append(request)
            self._simulation.call_later(TIMEOUT_S, request.end, Outcome.UNKNOWN)
        else:
            self._simulation.call_later(SERVICE_S, request.end, Outcome.OVERLOADED)

    def _behave(self, condition: Condition) -> None:
        self._condition = condition

    def _begin(self, request: _Request) -> None:
        self._under_way += 1
        duration_s = SERVICE_S + self._condition.delay_s
        if duration_s > TIMEOUT_S:
            self._simulation.call_later(TIMEOUT_S, request.end, Outcome.UNKNOWN)
        self._simulation.call_later(duration_s, self._end, request)

    def _end(self, request: _Request) -> None:
        rate = self._condition.failure_rate
        if rate and self._chance.random() < rate:
            request.end(Outcome.FAILED)
        elif request.number in self.booked:
            request.end(Outcome.ALREADY_CHARGED)
        else:
            self.booked.add(request.number)
            request.end(Outcome.SETTLED)
        self._under_way -= 1
        if self._queue:
            self._begin(self._queue.popleft())
