"""A control group is a folder; here an ordinary one takes its place, in which the test writes what the kernel would."""

import os
from pathlib import Path

import pytest

from ops import OpsError
from ops.benchmarks.control_group import ControlGroup


def folder_of(parent: Path) -> Path:
    return parent / f"fiel-bench-{os.getpid()}"


@pytest.mark.parametrize("name", ["memory.peak", "memory.max_usage_in_bytes"])
def test_the_peak_is_read_in_both_versions(tmp_path: Path, name: str) -> None:
    with ControlGroup(tmp_path) as group:
        peak = folder_of(tmp_path) / name
        peak.write_text("70000000\n")
        assert group.peak_bytes() == 70_000_000
        peak.unlink()
    assert list(tmp_path.iterdir()) == []


def test_each_process_is_moved_once(tmp_path: Path) -> None:
    with ControlGroup(tmp_path) as group:
        members = folder_of(tmp_path) / "cgroup.procs"
        group.add([11])
        assert members.read_text() == "11"
        members.unlink()
        group.add([11])
        assert not members.exists()


def test_a_group_without_the_memory_controller_is_an_error(tmp_path: Path) -> None:
    with ControlGroup(tmp_path) as group, pytest.raises(OpsError, match="memory controller"):
        group.peak_bytes()


def test_where_no_group_can_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="cannot make the control group"), ControlGroup(tmp_path / "none"):
        pass
