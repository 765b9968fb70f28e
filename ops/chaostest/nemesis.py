"""The nemesis: injects the scheduled faults into a running stack, and ends them all when the load is over."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops import OpsError
from ops.chaostest.faults import (
    FaultTarget,
    PostgresTarget,
    ProcessorTarget,
    ProcessTarget,
    RedisTarget,
    ReplicaTarget,
)
from ops.chaostest.planted_faults import PlantedFaults
from ops.chaostest.schedule import ScheduledFault
from ops.chaostest.threads import ThreadGroup
from ops.stack.process import ManagedProcess
from ops.stack.stack import Stack

CHECK_STEP_S = 0.5
"""How often each target is checked for an end without a fault."""


@dataclass(slots=True)
class InjectedFault:
    """A fault that was injected, and when that really was, in seconds since the start of the load."""

    fault: ScheduledFault
    began_s: float
    ended_s: float | None = None
    """None while it is active, and where it lasts for ever."""


class Nemesis:
    """Injects faults with one thread per target; call `start` once, then `end_all` or `stop`."""

    def __init__(
        self,
        stack: Stack,
        schedule: Sequence[ScheduledFault],
        say: Callable[[str], None],
        planted_dir: Path | None = None,
        neighbours: Sequence[FaultTarget] = (),
    ) -> None:
        """Inject nothing yet; `planted_dir` holds the replicas' `PlantedFaults`, where they have them."""
        self._stack = stack
        self._schedule = schedule
        self._say = say
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._current: list[ScheduledFault] = []
        self._injected: list[InjectedFault] = []
        self._ends: list[str] = []
        self._replicas = {replica.name: replica.url for replica in stack.replicas}
        self._targets = {target.name: target for target in (*_targets(stack, planted_dir), *neighbours)}
        self._threads = ThreadGroup()
        for name in self._targets:
            self._threads.add(name, self._run, name)
        self._began_s = 0.0
        self._disturbed_at_s = -math.inf
        """When the last fault in anything but a processor began or ended."""

    @property
    def counts(self) -> Counter[str]:
        """How many faults of each kind were injected, not counting those of processors."""
        with self._lock:
            return self._counts.copy()

    @property
    def current(self) -> list[ScheduledFault]:
        """The faults that are active at the moment."""
        with self._lock:
            return list(self._current)

    @property
    def injected(self) -> list[InjectedFault]:
        """All faults so far, in the order of their starts."""
        with self._lock:
            return list(self._injected)

    def quiet_s(self) -> float:
        """Tell the seconds since the last fault in anything but a processor ended; 0 while there is one."""
        with self._lock:
            if any(not isinstance(self._targets[fault.target], ProcessorTarget) for fault in self._current):
                return 0.0
            return time.monotonic() - self._disturbed_at_s

    @property
    def unexpected_ends(self) -> list[str]:
        """Names of the services that ended although no fault was injected into them, one entry for each time."""
        with self._lock:
            return list(self._ends)

    def live_urls(self) -> list[str]:
        """Return the addresses of the replicas without a fault, or with one that leaves them at work."""
        faulty = {fault.target for fault in self.current if fault.fault != "step"}
        return [url for name, url in self._replicas.items() if name not in faulty]

    def start(self) -> None:
        """Start the clock of the schedule."""
        self._began_s = time.monotonic()
        self._threads.start()

    def stop(self) -> None:
        """Stop following the schedule and leave active faults as they are; may be called again."""
        self._threads.stop()

    def end_all(self) -> None:
        """Stop, end every fault except those that last for ever, and restart dead services without waiting for them."""
        self.stop()
        with self._lock:
            for fault in self._current:
                if fault.duration_s is not None:
                    self._note_end(fault)
            self._current = [fault for fault in self._current if fault.duration_s is None]
        for name, target in self._targets.items():
            if all(fault.target != name for fault in self._current):
                target.restore()

    def healthy_services(self) -> list[ManagedProcess]:
        """Return the services that no fault is active on."""
        faulty = {fault.target for fault in self.current}
        return [service for service in self._stack.services if service.name not in faulty]

    def _run(self, name: str) -> None:
        target = self._targets[name]
        for at_s, fault, begins in _events(fault for fault in self._schedule if fault.target == name):
            while not self._threads.stopping.wait(min(CHECK_STEP_S, max(0.0, self._began_s + at_s - time.monotonic()))):
                if time.monotonic() >= self._began_s + at_s:
                    break
                self._check(target)
            if self._threads.stopping.is_set():
                return
            with self._reporting(target):
                self._carry_out(target, fault, begins=begins)
        while not self._threads.stopping.wait(CHECK_STEP_S):
            self._check(target)

    def _carry_out(self, target: FaultTarget, fault: ScheduledFault, *, begins: bool) -> None:
        disturbs = not isinstance(target, ProcessorTarget)
        if begins:
            with self._lock:
                self._current.append(fault)
                self._injected.append(InjectedFault(fault, time.monotonic() - self._began_s))
                if disturbs:
                    self._counts[fault.kind] += 1
                    self._disturbed_at_s = time.monotonic()
            target.begin(fault)
        else:
            try:
                target.end(fault)
            finally:
                with self._lock:
                    self._current.remove(fault)
                    self._note_end(fault)
                    if disturbs:
                        self._disturbed_at_s = time.monotonic()

    def _note_end(self, fault: ScheduledFault) -> None:
        for each in self._injected:
            if each.fault is fault:
                each.ended_s = time.monotonic() - self._began_s

    def _check(self, target: FaultTarget) -> None:
        """Restart a service that ended without a fault, as a service manager would in production."""
        if all(fault.target != target.name for fault in self.current):
            end = target.unexpected_end()
            if end is not None:
                self._say(end)
                with self._lock:
                    self._ends.append(target.name)
                with self._reporting(target):
                    target.restore()

    @contextmanager
    def _reporting(self, target: FaultTarget) -> Iterator[None]:
        """Report an error and continue, because the next check and `end_all` try again."""
        try:
            yield
        except OpsError as error:
            self._say(f"{target.name}: {error}")


def _events(faults: Iterator[ScheduledFault]) -> list[tuple[float, ScheduledFault, bool]]:
    """List starts (True) and ends (False) of faults in order; at the same instant, ends come before starts."""
    events = []
    for fault in faults:
        events.append((fault.at_s, 1, fault))
        if fault.duration_s is not None:
            # A fault without duration ends after it has started.
            events.append((fault.ends_at_s, 0 if fault.duration_s else 2, fault))
    events.sort(key=lambda event: event[:2])
    return [(at_s, fault, order == 1) for at_s, order, fault in events]


def _targets(stack: Stack, planted_dir: Path | None) -> Iterator[FaultTarget]:
    for replica in stack.replicas:
        yield (
            ReplicaTarget(replica, PlantedFaults(planted_dir / replica.name)) if planted_dir else ProcessTarget(replica)
        )
    for simulator in stack.simulators:
        yield ProcessorTarget(simulator)
    if stack.postgres is not None:
        yield PostgresTarget(stack.postgres)
    if stack.redis is not None:
        yield RedisTarget(stack.redis)
