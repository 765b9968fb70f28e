"""Finds the processes or containers of a gateway on this machine, and reads what each uses."""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.benchmarks.usage import PROC, children, command_line, environment, executable, pss_bytes, read_usage

LISTENS = "0A"
"""The state of a listening socket in /proc/net/tcp."""
SERVERS = {"postgres": "postgres", "redis-server": "redis", "valkey-server": "redis"}
"""The names of servers in figures, by their executables."""
DOCKER_S_MAX = 5.0
GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class WatchedPart:
    """One process with its descendants, or one container."""

    cpu_s: Callable[[], float]
    """Reads the CPU time that it has used so far."""
    memory_bytes: Callable[[], int]
    """Reads its memory now: shared pages of processes are divided among them, a container's count as in its limit."""
    bytes_max: int | None = None
    cpus_max: float | None = None
    periods: Callable[[], tuple[int, int]] = lambda: (0, 0)
    """Reads in how many periods of its CPU limit it has run so far, and in how many of them it was throttled."""


def find_parts(port: int, player_pid: int) -> dict[str, WatchedPart]:
    """Find the parts of the gateway that listens on a port, by name, and the player, as far as they can be seen."""
    pids = stack_pids(port)
    parts = {name: _process(pid) for name, pid in pids.items()} if pids else _containers()
    return {**parts, "player": _process(player_pid)}


def stack_pids(port: int) -> dict[str, int]:
    """Find the processes of the `ops/up` that listens on a port, by name; none if nothing of it listens there."""
    for owner in _listening(port):
        above = _parent(owner)
        while above > 1 and "ops.stack" not in command_line(above):
            above = _parent(above)
        if above > 1:
            return {_name(pid): pid for pid in children(above)}
    return {}


def _name(pid: int) -> str:
    command = command_line(pid)
    if "gunicorn" in command:
        return f"replica {environment(pid).get('REPLICA', pid)}"
    if "ops.controls" in command:
        return "controls"
    named = [word.removeprefix("--name=") for word in command if word.startswith("--name=")]
    return named[0] if named else SERVERS.get(executable(pid), f"{executable(pid)} {pid}")


def _process(pid: int) -> WatchedPart:
    return WatchedPart(lambda: read_usage([pid]).cpu_s, lambda: pss_bytes(pid))


def _listening(port: int) -> list[int]:
    """List the processes that listen on a port, as far as this user may see them."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        for line in _read(PROC / "net" / table).splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    return [
        int(process.name)
        for process in PROC.iterdir()
        if process.name.isdecimal() and not sockets.isdisjoint(_descriptors(process / "fd"))
    ]


def _descriptors(folder: Path) -> set[str]:
    try:
        return {str(each.readlink()) for each in folder.iterdir()}
    except OSError:
        return set()


def _parent(pid: int) -> int:
    fields = _read(PROC / str(pid) / "stat").rpartition(")")[2].split()
    return int(fields[1]) if fields else 0


def _containers() -> dict[str, WatchedPart]:
    """Find all containers that run, where Docker can be asked."""
    try:
        running = _docker("ps", "--quiet").split()
        found = json.loads(_docker("inspect", *running)) if running else []
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
    return {each["Name"].strip("/"): container(each) for each in found}


def container(inspected: Mapping[str, object]) -> WatchedPart:
    """Find the files of a container's figures and limits from the output of `docker inspect`."""
    state, limits = inspected["State"], inspected["HostConfig"]
    assert isinstance(state, Mapping)  # noqa: S101 - Docker's format
    assert isinstance(limits, Mapping)  # noqa: S101 - the same
    folders = group_folders(_read(PROC / str(state["Pid"]) / "cgroup"))
    return WatchedPart(
        lambda: _group_cpu_s(folders),
        lambda: _group_bytes(folders),
        int(limits["Memory"]) or None,
        int(limits["NanoCpus"]) / 1e9 or None,
        lambda: group_periods(folders),
    )


def group_folders(text: str, groups: Path = GROUPS) -> dict[str, Path]:
    """Read /proc/PID/cgroup: the folder of each controller in version 1; that of version 2 under an empty name."""
    folders = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            folders[name] = groups / name / path.lstrip("/")
    return folders


def _group_cpu_s(folders: Mapping[str, Path]) -> float:
    if "cpuacct" in folders:
        return int(_read(folders["cpuacct"] / "cpuacct.usage") or 0) / 1e9
    return _cpu_stat(folders).get("usage_usec", 0) / 1e6


def group_periods(folders: Mapping[str, Path]) -> tuple[int, int]:
    """Read in how many periods of its CPU limit a group has run, and in how many of them it was throttled."""
    fields = _cpu_stat(folders)
    return fields.get("nr_periods", 0), fields.get("nr_throttled", 0)


def _cpu_stat(folders: Mapping[str, Path]) -> dict[str, int]:
    folder = folders.get("cpu", folders.get(""))
    lines = [] if folder is None else _read(folder / "cpu.stat").splitlines()
    return {name: int(value) for name, value in map(str.split, lines)}


def _group_bytes(folders: Mapping[str, Path]) -> int:
    if "memory" in folders:
        return int(_read(folders["memory"] / "memory.usage_in_bytes") or 0)
    return int(_read(folders[""] / "memory.current") or 0) if "" in folders else 0


def _docker(*arguments: str) -> str:
    command = ["docker", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=DOCKER_S_MAX)  # noqa: S603 - ours
    return done.stdout


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
