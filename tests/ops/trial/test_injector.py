"""Faults of a plan begin, end and are lifted on real processes."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from ops.process import Process
from ops.stack import Stack
from ops.trial.injector import Injector
from ops.trial.plan import PlannedFault

DEADLINE_S = 30
FOR_LONG_S = 600.0


class FakeStack:
    """One process in the place of a replica, and nothing else."""

    postgres = redis = None
    simulators = ()

    def __init__(self, replica: Process) -> None:
        self.replicas = self.parts = [replica]


class FakeReplica(Process):
    url = "http://127.0.0.1:1"


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Process]:
    part = FakeReplica("replica-1", [sys.executable, "-c", "import signal; signal.pause()"], log=tmp_path / "log")
    part.start()
    yield part
    part.kill()


@pytest.fixture
def inject(replica: Process) -> Iterator[Callable[..., Injector]]:
    injectors: list[Injector] = []

    def start(*plan: PlannedFault) -> Injector:
        injectors.append(Injector(cast("Stack", FakeStack(replica)), plan, said.append))
        injectors[-1].start()
        return injectors[-1]

    said: list[str] = []
    yield start
    for injector in injectors:
        injector.stop()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline_s
        threading.Event().wait(0.01)


def is_paused(part: Process) -> bool:
    return part.pid is not None and Path(f"/proc/{part.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_killed_process_comes_back_after_its_time(replica: Process, inject: Callable[..., Injector]) -> None:
    first = replica.pid
    injector = inject(PlannedFault(0, "kill", "replica-1", 0.3))
    wait_until(lambda: replica.pid not in (None, first))
    wait_until(lambda: not injector.current)
    assert injector.counts == {"kill_replica": 1}


def test_a_replica_that_is_away_is_not_asked(replica: Process, inject: Callable[..., Injector]) -> None:
    injector = inject(PlannedFault(0, "pause", "replica-1", FOR_LONG_S))
    wait_until(lambda: is_paused(replica))
    assert injector.live_urls() == []
    injector.lift()
    assert injector.live_urls() == ["http://127.0.0.1:1"]
    wait_until(lambda: not is_paused(replica))


def test_lifting_starts_what_is_away_but_not_what_never_returns(
    replica: Process, inject: Callable[..., Injector]
) -> None:
    injector = inject(PlannedFault(0, "kill", "replica-1", FOR_LONG_S))
    wait_until(lambda: replica.pid is None)
    injector.lift()
    assert replica.pid is not None

    injector = inject(PlannedFault(0, "kill", "replica-1", None))
    wait_until(lambda: replica.pid is None)
    injector.lift()
    assert replica.pid is None
    assert injector.parts_up() == []


def test_what_ends_without_a_fault_is_started_again(replica: Process, inject: Callable[..., Injector]) -> None:
    first = replica.pid
    inject()
    replica.kill()
    wait_until(lambda: replica.pid not in (None, first))
