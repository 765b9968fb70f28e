"""Virtual time: due calls happen in order, and waiting takes no real time."""

from collections import deque
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any, Generic, TypeVar

from greenlet import getcurrent, greenlet

from actors.domain.wall_clock import WallClock

NOW_MS = 1_750_000_000_000
"""Wall clock at the beginning of virtual time, milliseconds since the epoch."""

Value = TypeVar("Value")
Job = Callable[[], object]
_Due = tuple[float, int, Job]
"""When a job is due, its number in the order of asking, and the job."""


class Clock:
    """A heap of due calls. Those of one moment happen in the order in which they were asked for.

    Each call runs in a greenlet, so that it may wait in a `Reply`. Fulfils `ops.simulator`'s `Timers`.
    """

    def __init__(self) -> None:
        self.time_s = 0.0
        self._due: list[_Due] = []
        self._numbers = count()
        self._workers: list[greenlet] = []
        """All greenlets that were made for calls; each is used again when its call has ended."""
        self._idle: list[greenlet] = []
        """Greenlets that have ended a call; making one for each call would cost several times as much."""

    def time(self) -> float:
        """Return the monotonic time in seconds."""
        return self.time_s

    def now_ms(self) -> int:
        """Return the wall clock in milliseconds since the epoch."""
        return NOW_MS + round(self.time_s * 1000)

    def call_later(self, delay_s: float, function: Callable[..., object], *args: object) -> None:
        """Call a function after a delay."""
        due: _Due = (self.time_s + delay_s, next(self._numbers), partial(function, *args))
        heappush(self._due, due)

    def run(self, until_s: float) -> None:
        """Let everything happen that is due by then."""
        while self._due and self._due[0][0] <= until_s:
            due_s, _, job = heappop(self._due)
            self.time_s = max(self.time_s, due_s)
            self.start(job)
        self.time_s = max(self.time_s, until_s)

    def start(self, job: Job) -> None:
        """Run a function to its end, or until it waits."""
        worker = self._idle.pop() if self._idle else self._make_worker()
        worker.parent = getcurrent()
        worker.switch(job)

    def close(self) -> None:
        """End every call that waits, and forget what is due; the clock's owner calls this once, at the end.

        Otherwise a suspended greenlet would keep all that its frames refer to in memory for ever.
        """
        for worker in self._workers:
            worker.parent = getcurrent()
            worker.throw()
        self._workers.clear()
        self._idle.clear()
        self._due.clear()

    def _make_worker(self) -> greenlet:
        worker = greenlet(self._work)
        self._workers.append(worker)
        return worker

    def _work(self, job: Job) -> None:
        while True:
            job()
            self._idle.append(getcurrent())
            job = _wait()


class SimulatedRuntime:
    """Fulfils `actors.ports.Runtime` for one process, which may stand still or end.

    If steps are taken by hand, spawned functions wait in `under_way` until they are run; otherwise they run at once.
    """

    def __init__(
        self, clock: Clock, *, system_ms: Callable[[], int], by_hand: bool, after_step: Callable[[], None]
    ) -> None:
        """`system_ms` is the clock of its machine; `after_step` is called after each function that it has run."""
        self.clock = WallClock(system_ms(), clock.time_s)
        self._system_ms = system_ms
        self.under_way: list[Job] = []
        self._clock = clock
        self._by_hand = by_hand
        self._after_step = after_step
        self._paused = self._ended = False
        self._late: deque[Job] = deque()
        """What was due while the process stood still."""

    def now_s(self) -> float:
        return self._clock.time_s

    def now_ms(self) -> int:
        return self.clock.now_ms(self._clock.time_s)

    def sample_clock(self) -> None:
        self.clock.sample(self._system_ms(), self._clock.time_s)

    def call_later(self, delay_s: float, function: Callable[..., object], *args: object) -> None:
        self._clock.call_later(delay_s, self._run, partial(function, *args))

    def spawn(self, function: Callable[..., object], *args: object) -> None:
        if self._by_hand:
            self.under_way.append(partial(function, *args))
        else:
            self.call_later(0, function, *args)

    def sleep(self, duration_s: float) -> None:
        Reply[None](self).wait(duration_s)

    def run_under_way(self, index: int) -> None:
        """Run one of the functions that were spawned, to its end or until it waits."""
        self._clock.start(partial(self._run, self.under_way.pop(index % len(self.under_way))))

    def pause(self) -> None:
        """Let the process stand still: what is due waits until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Let the process go on with what was due meanwhile."""
        self._paused = False
        while self._late:
            self._clock.call_later(0, self._run, self._late.popleft())

    def end(self) -> None:
        """End the process: nothing of it runs any more."""
        self._ended = True
        self._late.clear()
        self.under_way.clear()

    def _run(self, job: Job) -> None:
        if self._paused:
            self._late.append(job)
        elif not self._ended:
            job()
            self._after_step()


class Reply(Generic[Value]):
    """A value that a function of one process waits for, and that is given to it at most once."""

    def __init__(self, runtime: SimulatedRuntime) -> None:
        self._runtime = runtime
        self._value: Value | None = None
        self._waiter: greenlet | None = None
        self._is_over = False

    def give(self, value: Value | None) -> None:
        """Give the value, or None if there will be none."""
        if not self._is_over:
            self._value, self._is_over = value, True
            if self._waiter is not None:
                self._runtime.call_later(0, self._go_on)

    def wait(self, timeout_s: float) -> Value | None:
        """Wait for the value; None where there is none in time."""
        if not self._is_over:
            self._waiter = getcurrent()
            self._runtime.call_later(timeout_s, self._go_on)
            _wait()
            self._is_over = True
        return self._value

    def _go_on(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            # Control comes back here when the waiter ends or waits again.
            waiter.parent = getcurrent()
            waiter.switch()


def _wait() -> Any:  # noqa: ANN401  # whatever it is resumed with
    """Return control to the greenlet that has started or resumed this one, until this one is resumed."""
    parent = getcurrent().parent
    if parent is None:
        raise RuntimeError("only what the clock has called can wait")
    return parent.switch()
