"""What a gateway uses is found from its port, or read from its containers' control groups."""

import os
import socket
from pathlib import Path

import pytest

from ops.loadtest.parts import WatchedPart, container, find_parts, group_folders, group_periods, stack_pids
from ops.loadtest.sampler import sample


def test_where_no_stack_listens_the_player_alone_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert stack_pids(port) == {}
        player = find_parts(port, os.getpid())["player"]
        assert player.memory_bytes() > 1_000_000
        assert player.cpu_s() > 0


def test_the_folders_of_both_versions_of_control_groups_are_read() -> None:
    first = "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/\n"
    groups = Path("/sys/fs/cgroup")
    assert group_folders(first)["memory"] == groups / "memory/docker/abc"
    assert group_folders(first)["cpuacct"] == groups / "cpuacct/docker/abc"
    assert group_folders("0::/system.slice/docker-abc.scope\n") == {"": groups / "system.slice/docker-abc.scope"}


def test_a_container_has_the_limits_that_docker_tells() -> None:
    limited = container({"State": {"Pid": 0}, "HostConfig": {"Memory": 88_000_000, "NanoCpus": 350_000_000}})
    assert (limited.bytes_max, limited.cpus_max) == (88_000_000, 0.35)
    free = container({"State": {"Pid": 0}, "HostConfig": {"Memory": 0, "NanoCpus": 0}})
    assert (free.bytes_max, free.cpus_max) == (None, None)
    assert (free.memory_bytes(), free.cpu_s(), free.periods()) == (0, 0, (0, 0))


@pytest.mark.parametrize("version", [1, 2])
def test_the_periods_of_a_cpu_limit_are_read_from_both_versions(tmp_path: Path, version: int) -> None:
    text = {1: "nr_periods 618\nnr_throttled 3\n", 2: "usage_usec 5\nnr_periods 618\nnr_throttled 3\n"}[version]
    group = {1: "4:cpu,cpuacct:/one\n", 2: "0::/one\n"}[version]
    folder = tmp_path / ("cpu/one" if version == 1 else "one")
    folder.mkdir(parents=True)
    (folder / "cpu.stat").write_text(text)
    assert group_periods(group_folders(group, tmp_path)) == (618, 3)


def test_a_sample_has_the_use_and_the_limits() -> None:
    taken = sample(WatchedPart(lambda: 1.5, lambda: 20, bytes_max=30, cpus_max=0.5, periods=lambda: (10, 2)))
    assert taken.pop("at_s")
    assert taken == {"cpu_s": 1.5, "bytes": 20, "bytes_max": 30, "cpus_max": 0.5, "periods": 10, "throttled": 2}
