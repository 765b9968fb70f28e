"""Carries a plan of faults out on a running stack, and lifts them all at the end."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ops import OpsError
from ops.process import Process
from ops.stack import Stack
from ops.trial.plan import PlannedFault
from ops.trial.targets import PostgresTarget, ProcessorTarget, ProcessTarget, RedisTarget, Target

CHECK_S = 0.5


class Injector:
    """One thread for each target. `start` once, then `lift` or `stop`."""

    def __init__(self, stack: Stack, plan: Sequence[PlannedFault], say: Callable[[str], None]) -> None:
        self._stack = stack
        self._plan = plan
        self._say = say
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._current: list[PlannedFault] = []
        self._ends: list[str] = []
        self._replicas = {replica.name: replica.url for replica in stack.replicas}
        self._targets = {target.name: target for target in _targets(stack)}
        self._threads = [threading.Thread(target=self._run, args=(name,), name=name) for name in self._targets]
        self._began_s = 0.0

    @property
    def counts(self) -> Counter[str]:
        """How many faults of each kind have begun, processors' requests aside."""
        with self._lock:
            return self._counts.copy()

    @property
    def current(self) -> list[PlannedFault]:
        """The faults that are on now."""
        with self._lock:
            return list(self._current)

    @property
    def unexpected_ends(self) -> list[str]:
        """Names of the parts that ended though no fault met them, one for each time."""
        with self._lock:
            return list(self._ends)

    def live_urls(self) -> list[str]:
        """The addresses of the replicas that are not away now."""
        away = {fault.target for fault in self.current}
        return [url for name, url in self._replicas.items() if name not in away]

    def start(self) -> None:
        """Begin with the plan's first second."""
        self._began_s = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let nothing begin or end any more. May be called again."""
        self._stopped.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def lift(self) -> None:
        """Stop; end every fault but those that are for ever, and start what isn't alive, without waiting for it."""
        self.stop()
        with self._lock:
            self._current = [fault for fault in self._current if fault.duration_s is None]
        for name, target in self._targets.items():
            if all(fault.target != name for fault in self._current):
                target.lift()

    def parts_up(self) -> list[Process]:
        """List the parts that are not away now."""
        away = {fault.target for fault in self.current}
        return [part for part in self._stack.parts if part.name not in away]

    def _run(self, name: str) -> None:
        target = self._targets[name]
        for at_s, fault, begins in _events(fault for fault in self._plan if fault.target == name):
            while not self._stopped.wait(min(CHECK_S, max(0.0, self._began_s + at_s - time.monotonic()))):
                if time.monotonic() >= self._began_s + at_s:
                    break
                self._check(target)
            if self._stopped.is_set():
                return
            with self._reporting(target):
                self._carry_out(target, fault, begins=begins)
        while not self._stopped.wait(CHECK_S):
            self._check(target)

    def _carry_out(self, target: Target, fault: PlannedFault, *, begins: bool) -> None:
        if begins:
            with self._lock:
                self._current.append(fault)
                if isinstance(target, ProcessTarget):
                    self._counts[fault.kind] += 1
            target.begin(fault)
        else:
            try:
                target.end(fault)
            finally:
                with self._lock:
                    self._current.remove(fault)

    def _check(self, target: Target) -> None:
        """Start a part again that ended without a fault, as whatever runs it in earnest would."""
        if all(fault.target != target.name for fault in self.current):
            end = target.unexpected_end()
            if end is not None:
                self._say(end)
                with self._lock:
                    self._ends.append(target.name)
                with self._reporting(target):
                    target.lift()

    @contextmanager
    def _reporting(self, target: Target) -> Iterator[None]:
        """Say what went wrong, and go on: `lift` comes, and the next check."""
        try:
            yield
        except OpsError as error:
            self._say(f"{target.name}: {error}")


def _events(faults: Iterator[PlannedFault]) -> list[tuple[float, PlannedFault, bool]]:
    """List begins and ends in their order; what ends at a moment does so before something begins."""
    events = []
    for fault in faults:
        events.append((fault.at_s, 1, fault))
        if fault.duration_s is not None:
            # What lasts no time has its end behind its begin.
            events.append((fault.ends_at_s, 0 if fault.duration_s else 2, fault))
    events.sort(key=lambda event: event[:2])
    return [(at_s, fault, order == 1) for at_s, order, fault in events]


def _targets(stack: Stack) -> Iterator[Target]:
    for replica in stack.replicas:
        yield ProcessTarget(replica)
    for simulator in stack.simulators:
        yield ProcessorTarget(simulator)
    if stack.postgres is not None:
        yield PostgresTarget(stack.postgres)
    if stack.redis is not None:
        yield RedisTarget(stack.redis)
