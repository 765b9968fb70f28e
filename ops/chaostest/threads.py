"""Starts and stops the threads that work beside a chaos run."""

import threading
from collections.abc import Callable
from typing import Protocol


class Worker(Protocol):
    """Something that works beside a chaos run, from `start` to `stop`."""

    def start(self) -> None:
        """Begin; called once."""

    def stop(self) -> None:
        """End and return when nothing of it works any more; may be called again."""


class ThreadGroup:
    """Threads that are started together and run until they are asked to stop.

    Each thread has to look at `stopping` often enough, usually by waiting on it where it would sleep.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def add(self, name: str, target: Callable[..., None], *arguments: object) -> None:
        """Add a thread that calls `target(*arguments)` after `start`."""
        self._threads.append(threading.Thread(target=target, args=arguments, name=name))

    def start(self) -> None:
        """Start all threads; may be called once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Set `stopping` and wait until every thread that was started has ended; may be called again."""
        self.stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
