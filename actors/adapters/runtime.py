"""Provides time and concurrency with gevent and the system's clocks."""

import time
from collections.abc import Callable

import gevent


class GeventRuntime:
    """Fulfils `actors.ports.Runtime`."""

    def __init__(self) -> None:
        self._last_ms = 0

    def now_s(self) -> float:
        return time.monotonic()

    def now_ms(self) -> int:
        # If the clock is set back, the last instant is repeated until it has passed again.
        self._last_ms = max(self._last_ms, time.time_ns() // 1_000_000)
        return self._last_ms

    def call_later(self, delay_s: float, function: Callable[..., object], *args: object) -> None:
        gevent.spawn_later(delay_s, function, *args)

    def spawn(self, function: Callable[..., object], *args: object) -> None:
        gevent.spawn(function, *args)

    def sleep(self, duration_s: float) -> None:
        gevent.sleep(duration_s)
