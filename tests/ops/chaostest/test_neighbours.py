"""Bad neighbours come and go with their faults, and never outlast them."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from ops import OpsError
from ops.benchmarks.usage import environment
from ops.chaostest.neighbours import CrowdTarget, PlantedTarget, TwinTarget
from ops.chaostest.planted_faults import PlantedFaults
from ops.chaostest.schedule import ScheduledFault
from ops.stack.settings import StackOptions
from ops.stack.stack import Stack
from tests.ops.chaostest.conftest import Serve
from tests.waiting import wait_until


@pytest.fixture
def planted(tmp_path: Path) -> list[PlantedFaults]:
    return [PlantedFaults(tmp_path / f"replica-{number}") for number in (1, 2, 3)]


def test_slow_names_are_slow_for_all_replicas(planted: list[PlantedFaults]) -> None:
    names, slow = PlantedTarget("names", planted), ScheduledFault(0, "slow", "names", 1)
    names.begin(slow)
    assert [each.names_are_slow for each in planted] == [1, 1, 1]
    names.end(slow)
    assert [each.names_are_slow for each in planted] == [0, 0, 0]


def test_a_full_disk_is_that_of_one_replica_and_a_sync_fails_once(planted: list[PlantedFaults]) -> None:
    disk = PlantedTarget("disk", planted)
    full, failing = (ScheduledFault(0, fault, "disk", 0, {"replica": 2}) for fault in ("full", "failing"))
    disk.begin(full)
    disk.begin(failing)
    assert [each.disk_is_full for each in planted] == [0, 1, 0]
    disk.end(failing)
    disk.end(full)
    assert [(each.disk_is_full, each.failing_syncs) for each in planted] == [(0, 0), (0, 1), (0, 0)]
    disk.restore()
    assert planted[1].failing_syncs == 0


def test_a_fault_that_no_disk_knows_is_an_error(planted: list[PlantedFaults]) -> None:
    with pytest.raises(OpsError):
        PlantedTarget("disk", planted).begin(ScheduledFault(0, "kill", "disk", 0))


def test_a_crowd_comes_with_its_fault_and_tells_at_its_end_how_many_came(tmp_path: Path, serve: Serve) -> None:
    options = StackOptions(state_dir=tmp_path)
    stack = SimpleNamespace(url="http://127.0.0.1:1", replica_urls=[serve(lambda *_: None)], options=options)
    crowd = CrowdTarget(cast("Stack", stack), "idle", seed=1, scale=0.01)
    fault = ScheduledFault(0, "crowd", "idle", 1, {"members": 1000, "replica": 1})
    log = tmp_path / "log" / "crowd-idle.log"
    for comings in (1, 2):
        crowd.begin(fault)
        wait_until(lambda: log.exists() and log.read_text().count('"open": 10,') >= comings)  # noqa: B023 - at once
        crowd.end(fault)
        assert (crowd.open_max, crowd.opened) == (10, 10 * comings)
    crowd.restore()


def test_a_crowd_that_ended_by_itself_is_told_of(tmp_path: Path) -> None:
    options = StackOptions(state_dir=tmp_path)
    stack = SimpleNamespace(url="no address", replica_urls=[], options=options)
    crowd = CrowdTarget(cast("Stack", stack), "nobody", seed=1, scale=1)
    fault = ScheduledFault(0, "crowd", "nobody", 1, {"members": 1})
    crowd.begin(fault)
    process = crowd.process
    assert process is not None
    wait_until(lambda: process.exit_status is not None)
    with pytest.raises(OpsError, match="ended with exit status 2"):
        crowd.end(fault)


def test_a_twin_has_the_name_of_the_first_replica_and_nothing_else_of_it(tmp_path: Path) -> None:
    options = StackOptions.on_reserved_ports(tmp_path)
    env = {**os.environ, "JOURNAL_DIR": str(tmp_path / "journal"), "DATABASE_URL": "none"}
    stack = SimpleNamespace(options=options, replica_environment=lambda: env)
    twin = TwinTarget(cast("Stack", stack))
    fault = ScheduledFault(0, "start", "twin", 1)
    twin.begin(fault)
    try:
        pid = twin.process.pid
        assert pid is not None
        # Linux tells of no environment for a moment within each exec, and the launcher executes gunicorn.
        wait_until(lambda: "REPLICA" in environment(pid))
        given = environment(pid)
    finally:
        twin.end(fault)
    assert twin.process.pid is None
    assert (given["REPLICA"], given["JOURNAL_DIR"]) == ("1", str(tmp_path / "twin" / "journal"))
    assert twin.process.port not in options.replica_ports
    assert str(options.port) not in given["BIND"]
