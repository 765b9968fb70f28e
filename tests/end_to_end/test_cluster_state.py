"""What a cluster that was killed has left on the machine is removed, and nothing that is another's."""

import json
import subprocess
from pathlib import Path

import pytest

from ops import OpsError
from ops.clustertest.disks import HostDisk
from ops.clustertest.namespaces import NAMESPACES, build_network, inside, pids, program, remove_network
from ops.clustertest.needs import missing
from ops.clustertest.plan import ClusterPlan
from ops.clustertest.state import ClusterState
from tests.waiting import wait_until

LACKING = missing(wrong_clocks=False)
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {'; and '.join(LACKING)}")


def started(folder: Path) -> tuple[ClusterState, ClusterPlan]:
    state = ClusterState(folder)
    plan = state.claim(1)
    build_network(plan)
    HostDisk(plan.disk_dir(plan.hosts[0], "journal"), 1).mount()
    return state, plan


def is_there(plan: ClusterPlan) -> bool:
    mounted = str(plan.disk_dir(plan.hosts[0], "journal")) in Path("/proc/mounts").read_text()
    found = {mounted, *((NAMESPACES / each.namespace).exists() for each in (*plan.hosts, plan.outside))}
    assert len(found) == 1, "half of it"
    return mounted


def test_what_a_killed_cluster_left_is_removed_and_another_ones_stays(tmp_path: Path) -> None:
    killed, left = started(tmp_path / "killed")
    other, others = started(tmp_path / "other")
    try:
        assert left.block != others.block
        sleeper = subprocess.Popen([*inside(left.hosts[0]), program("sleep"), "600"])  # noqa: S603 - ours
        # It enters the network some milliseconds after it was started.
        wait_until(lambda: pids(left.hosts[0]) == [sleeper.pid])
        # The kernel gives a lock back with the process that held it.
        killed.release()
        assert ClusterState(tmp_path / "killed").stop_running()
        assert sleeper.wait(30) == -9
        assert (is_there(left), is_there(others)) == (False, True)
        assert pids(left.hosts[0]) == []
        assert not ClusterState(tmp_path / "killed").stop_running()
    finally:
        other.clear()
        remove_network(left)
    assert not is_there(others)


def test_a_network_that_another_cluster_has_taken_meanwhile_stays(tmp_path: Path) -> None:
    other, others = started(tmp_path / "other")
    try:
        # Its own network had the number until the machine was restarted.
        (tmp_path / "cluster.json").write_text(json.dumps({"block": others.block, "switch": 0}))
        assert ClusterState(tmp_path).stop_running()
        assert is_there(others)
    finally:
        other.clear()


def test_two_clusters_cannot_have_one_folder(tmp_path: Path) -> None:
    first = ClusterState(tmp_path)
    first.claim(1)
    try:
        with pytest.raises(OpsError, match="another ops/cluster up runs"):
            ClusterState(tmp_path).claim(1)
    finally:
        first.clear()
