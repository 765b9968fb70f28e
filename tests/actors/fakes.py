"""The world as actors see it, in memory and in virtual time: fakes for the ports that no simulation needs."""

from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import UUID

from actors.actor import Actor
from actors.domain.feed import LAST_ID, FeedPlace
from actors.domain.outcome import Outcome
from actors.domain.payment import Payment
from actors.domain.records import LookUpAnswer, LookUpResult, ProcessorHealth, Watermarks
from actors.domain.wall_clock import ClockReading, WallClock
from ops.simulation.clock import NOW_MS
from ops.simulation.peers import MemoryBoard, MemoryChannel

__all__ = [
    "LAST_PLACE",
    "NOW_MS",
    "READING",
    "MemoryBoard",
    "MemoryChannel",
    "Recorder",
    "ScriptedProbe",
    "ScriptedProcessor",
    "VirtualRuntime",
    "both",
    "deliver",
    "payment",
]


READING = ClockReading(NOW_MS, NOW_MS)
LAST_PLACE = FeedPlace(2**63 - 1, LAST_ID)
"""The last one that a cursor can name, which no feed reaches."""


def payment(number: int, amount_minor: int = 1990, currency: str = "BRL") -> Payment:
    """Make the payment with this number."""
    return Payment(UUID(int=number), amount_minor, NOW_MS, currency)


def both(at_ms: int) -> Watermarks:
    """Make watermarks that are equal."""
    return Watermarks(at_ms, at_ms)


def deliver(actor: Actor) -> None:
    """Let an actor that is not started handle its messages until its mailbox is empty."""
    while not actor.actor_inbox.empty():
        actor.handle_waiting()


class Recorder:
    """A recipient that keeps what it is told, and answers questions by the type of the message."""

    def __init__(self, answers: dict[type, object] | None = None) -> None:
        self.messages: list[object] = []
        self.answers = answers or {}

    def tell(self, message: object) -> None:
        self.messages.append(message)

    def ask(self, message: object, timeout_s: float) -> Any:  # noqa: ANN401, ARG002  # as in the protocol
        answer = self.answers[type(message)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def take(self) -> list[object]:
        """Give what was told since the last call."""
        messages, self.messages = self.messages, []
        return messages


class VirtualRuntime:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.time_s = 1000.0
        self.clock = WallClock(NOW_MS, self.time_s)
        self.clock_ahead_ms = 0
        """How far the system's clock is ahead of the true time."""
        self.timers: list[tuple[float, Callable[..., object], tuple[object, ...]]] = []
        self.spawned: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()

    def now_s(self) -> float:
        return self.time_s

    def now_ms(self) -> int:
        return self.clock.now_ms(self.time_s)

    def sample_clock(self) -> None:
        self.clock.sample(NOW_MS + (self.time_s - 1000.0) * 1000 + self.clock_ahead_ms, self.time_s)

    def call_later(self, delay_s: float, function: Callable[..., object], *args: object) -> None:
        self.timers.append((self.time_s + delay_s, function, args))

    def spawn(self, function: Callable[..., object], *args: object) -> None:
        self.spawned.append((function, args))

    def sleep(self, duration_s: float) -> None:
        self.advance(duration_s)

    def advance(self, seconds: float) -> None:
        """Let time pass, calling what is due in its order."""
        end_s = self.time_s + seconds
        while due := [timer for timer in self.timers if timer[0] <= end_s]:
            timer = min(due, key=lambda timer: timer[0])
            self.timers.remove(timer)
            self.time_s = max(self.time_s, timer[0])
            timer[1](*timer[2])
        self.time_s = end_s

    def run_spawned(self) -> None:
        """Run what was spawned to its end."""
        while self.spawned:
            function, args = self.spawned.popleft()
            function(*args)


class ScriptedProcessor:
    """A processor whose answers a test lays out in advance; after them it settles everything."""

    def __init__(self) -> None:
        self.outcomes: deque[Outcome] = deque()
        self.look_ups: deque[LookUpAnswer] = deque()
        self.charges: list[tuple[Payment, int]] = []
        self.looked_up: list[UUID] = []
        self.accepts = True
        """Whether it accepts a connection that is opened ahead."""
        self.knocks = 0
        self.tells_health = True
        """Whether it answers when it is asked for its health."""
        self.health_asked_at: list[int] = []
        """How many look-ups were made before each question for its health."""
        self.error: Exception | None = None
        """Raised by every call, though the protocol allows none."""

    def charge(self, payment: Payment, requested_at_ms: int) -> Outcome:
        self._fail()
        self.charges.append((payment, requested_at_ms))
        return self.outcomes.popleft() if self.outcomes else Outcome.SETTLED

    def look_up(self, payment: Payment) -> LookUpAnswer:
        self._fail()
        self.looked_up.append(payment.correlation_id)
        return self.look_ups.popleft() if self.look_ups else LookUpAnswer(LookUpResult.MISSING)

    def knock(self) -> bool:
        self._fail()
        self.knocks += 1
        return self.accepts

    def answers_health(self) -> bool:
        self._fail()
        self.health_asked_at.append(len(self.looked_up))
        return self.tells_health

    def close(self) -> None:
        self.error = ConnectionError("closed")

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


class ScriptedProbe:
    """Health endpoints that answer what a test puts in."""

    def __init__(self) -> None:
        self.answers: dict[str, ProcessorHealth] = {}
        self.asked: list[str] = []

    def ask(self, processor: str) -> ProcessorHealth | None:
        self.asked.append(processor)
        return self.answers.get(processor)

    def close(self) -> None:
        self.answers.clear()
