"""Scheduled faults start, end and are all ended with the load, on real processes."""

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from ops.chaostest.nemesis import Nemesis
from ops.chaostest.planted_faults import PlantedFaults
from ops.chaostest.schedule import ScheduledFault
from ops.stack.process import ManagedProcess
from ops.stack.stack import Stack
from tests.waiting import wait_until

LONG_S = 600.0


class FakeStack:
    """A stack whose only service is one process that stands for a replica."""

    postgres = redis = None
    simulators = ()

    def __init__(self, replica: ManagedProcess) -> None:
        self.replicas = self.services = [replica]


class FakeReplica(ManagedProcess):
    url = "http://127.0.0.1:1"


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[ManagedProcess]:
    part = FakeReplica("replica-1", [sys.executable, "-c", "import signal; signal.pause()"], log=tmp_path / "log")
    part.start()
    yield part
    part.kill()


@pytest.fixture
def inject(replica: ManagedProcess) -> Iterator[Callable[..., Nemesis]]:
    nemeses: list[Nemesis] = []

    def start(*schedule: ScheduledFault, planted_dir: Path | None = None) -> Nemesis:
        nemeses.append(Nemesis(cast("Stack", FakeStack(replica)), schedule, said.append, planted_dir))
        nemeses[-1].start()
        return nemeses[-1]

    said: list[str] = []
    yield start
    for nemesis in nemeses:
        nemesis.stop()


def is_paused(part: ManagedProcess) -> bool:
    return part.pid is not None and Path(f"/proc/{part.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_killed_process_is_started_again_when_its_fault_ends(
    replica: ManagedProcess, inject: Callable[..., Nemesis]
) -> None:
    first = replica.pid
    nemesis = inject(ScheduledFault(0, "kill", "replica-1", 0.3))
    wait_until(lambda: replica.pid not in (None, first))
    wait_until(lambda: not nemesis.current)
    assert nemesis.counts == {"kill_replica": 1}


def test_a_replica_with_an_active_fault_is_not_among_the_live_ones(
    replica: ManagedProcess, inject: Callable[..., Nemesis]
) -> None:
    nemesis = inject(ScheduledFault(0, "pause", "replica-1", LONG_S))
    wait_until(lambda: is_paused(replica))
    assert (nemesis.live_urls(), nemesis.quiet_s()) == ([], 0.0)
    nemesis.end_all()
    assert 0 < nemesis.quiet_s() < math.inf
    assert nemesis.live_urls() == ["http://127.0.0.1:1"]
    wait_until(lambda: not is_paused(replica))


def test_ending_all_faults_starts_a_killed_process_unless_its_fault_lasts_for_ever(
    replica: ManagedProcess, inject: Callable[..., Nemesis]
) -> None:
    nemesis = inject(ScheduledFault(0, "kill", "replica-1", LONG_S))
    wait_until(lambda: replica.pid is None)
    nemesis.end_all()
    assert replica.pid is not None

    nemesis = inject(ScheduledFault(0, "kill", "replica-1", None))
    wait_until(lambda: replica.pid is None)
    nemesis.end_all()
    assert replica.pid is None
    assert nemesis.healthy_services() == []


def test_a_replica_whose_clock_steps_stays_at_work_until_the_clock_steps_back(
    replica: ManagedProcess, inject: Callable[..., Nemesis], tmp_path: Path
) -> None:
    clock, first = PlantedFaults(tmp_path / "replica-1"), replica.pid
    nemesis = inject(ScheduledFault(0, "step", "replica-1", LONG_S, {"clockMs": 3_600_000}), planted_dir=tmp_path)
    wait_until(lambda: clock.clock_offset_ms == 3_600_000)
    assert nemesis.live_urls() == ["http://127.0.0.1:1"]
    nemesis.end_all()
    assert (clock.clock_offset_ms, replica.pid) == (0, first)
    assert nemesis.counts == {"step_replica": 1}


def test_a_replica_that_rejoins_starts_anew_with_a_wrong_clock(
    replica: ManagedProcess, inject: Callable[..., Nemesis], tmp_path: Path
) -> None:
    clock, first = PlantedFaults(tmp_path / "replica-1"), replica.pid
    nemesis = inject(ScheduledFault(0, "rejoin", "replica-1", LONG_S, {"clockMs": -3000}), planted_dir=tmp_path)
    wait_until(lambda: replica.pid not in (None, first))
    assert clock.clock_offset_ms == -3000
    assert nemesis.live_urls() == []
    nemesis.end_all()
    assert clock.clock_offset_ms == 0


def test_a_process_that_ends_without_a_fault_is_started_again(
    replica: ManagedProcess, inject: Callable[..., Nemesis]
) -> None:
    first = replica.pid
    nemesis = inject()
    assert nemesis.quiet_s() == math.inf
    replica.kill()
    wait_until(lambda: replica.pid not in (None, first))
