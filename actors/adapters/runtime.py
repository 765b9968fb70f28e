"""Provides time and concurrency with gevent and the system's clocks."""

import sys
import time
from collections.abc import Callable

import gevent
from gevent.queue import SimpleQueue

from actors.domain.wall_clock import WallClock

STANDING_MAX = 32
"""How many greenlets stay and wait for the next function. Further ones are made while they are needed."""
SAMPLING_S_MAX = 0.001
"""Where reading both clocks took longer, the process stood still in between, and the sample says nothing."""

Job = tuple[Callable[..., object], tuple[object, ...]]


class GeventRuntime:
    """Fulfils `actors.ports.Runtime`. A spawned function runs in a standing greenlet if one is free."""

    def __init__(self, system_s: Callable[[], float] = time.time) -> None:
        """`system_s` is the system's clock, seconds since the epoch."""
        self._system_s = system_s
        self.clock = WallClock(system_s() * 1000, time.monotonic())
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._free = 0
        """How many greenlets wait that no job in the queue is for."""

    def now_s(self) -> float:
        return time.monotonic()

    def now_ms(self) -> int:
        return self.clock.now_ms(time.monotonic())

    def sample_clock(self) -> None:
        before_s = time.monotonic()
        system_ms = self._system_s() * 1000
        if time.monotonic() - before_s <= SAMPLING_S_MAX:
            self.clock.sample(system_ms, before_s)

    def call_later(self, delay_s: float, function: Callable[..., object], *args: object) -> None:
        # In the event loop itself: a greenlet for each timer would cost several times as much.
        timer = gevent.get_hub().loop.timer(max(0.0, delay_s))

        def fire() -> None:
            timer.close()
            function(*args)

        timer.start(fire)

    def spawn(self, function: Callable[..., object], *args: object) -> None:
        self._jobs.put((function, args))
        if self._free:
            self._free -= 1
        else:
            gevent.spawn(self._run_jobs)

    def sleep(self, duration_s: float) -> None:
        gevent.sleep(duration_s)

    def _run_jobs(self) -> None:
        while True:
            function, args = self._jobs.get()
            try:
                function(*args)
            except Exception:  # noqa: BLE001  # it is shown, and others need the greenlet
                gevent.get_hub().handle_error(self, *sys.exc_info())
            if self._free >= STANDING_MAX:
                return
            self._free += 1
