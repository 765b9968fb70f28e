"""CPU time, context switches and memory of process trees, as Linux tells them under /proc."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
KIB = 1024
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CPU_FIELDS = slice(11, 15)
"""User and system time of a process and of its children that have ended, counted from the state in /proc/PID/stat."""
SWITCHES = ("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a set of processes has used since each of them started."""

    cpu_s: float
    """CPU time, with that of children that have ended."""
    switches_by_thread: dict[int, int]
    """Voluntary and involuntary context switches of the threads that are alive, by thread id."""

    def cpu_s_since(self, earlier: "Usage") -> float:
        """Return the CPU time spent since `earlier`, in seconds."""
        return self.cpu_s - earlier.cpu_s

    def switches_since(self, earlier: "Usage") -> int:
        """Count the context switches since `earlier`; threads that ended in between are left out."""
        before = earlier.switches_by_thread
        return sum(count - before.get(thread, 0) for thread, count in self.switches_by_thread.items())


def process_tree(pid: int) -> list[int]:
    """List a process and all its descendants that are alive now, the process itself first."""
    found = [pid]
    for parent in found:
        found += children(parent)
    return found


def children(pid: int) -> list[int]:
    """List the children that a process has now, whichever of its threads started them; none where it has ended."""
    pids: list[int] = []
    for task in _tasks(pid):
        pids += map(int, _read(task / "children").split())
    return pids


def command_line(pid: int) -> list[str]:
    """Return the words of the command that a process runs; none where it has ended."""
    return _read(PROC / str(pid) / "cmdline").split("\0")


def executable(pid: int) -> str:
    """Return the name of the file that a process executes; nothing where it has ended."""
    try:
        return (PROC / str(pid) / "exe").readlink().name
    except OSError:
        return ""


def environment(pid: int) -> dict[str, str]:
    """Return the environment variables that a process started with."""
    words = _read(PROC / str(pid) / "environ").split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def read_usage(pids: Iterable[int]) -> Usage:
    """Add up what processes and their descendants have used so far.

    A child that ends between two readings is not lost: its parent's figures take its CPU time over.
    """
    cpu_s, switches = 0.0, {}
    for pid in (each for root in pids for each in process_tree(root)):
        cpu_s += _cpu_s(_read(PROC / str(pid) / "stat"))
        for task in _tasks(pid):
            fields = _fields(_read(task / "status"))
            switches[int(task.name)] = sum(int(fields.get(name, "0")) for name in SWITCHES)
    return Usage(cpu_s, switches)


def peak_pss_bytes(pid: int) -> int:
    """Estimate the peak memory of a process and its descendants, shared pages divided among their users.

    The kernel keeps the peak of the resident size alone. What is added to today's proportional size (PSS) is how far
    the resident size has fallen since, so the sum is exact where the shared part has not changed, and an upper bound
    where the processes had their peaks at different moments.
    """
    return sum(_peak_pss_bytes(each) for each in process_tree(pid))


def pss_bytes(pid: int) -> int:
    """Read the memory of a process and its descendants now, shared pages divided among their users."""
    return sum(_rollup_bytes(each, "Pss") for each in process_tree(pid))


def private_bytes(pid: int) -> int:
    """Read the memory that a process and its descendants share with no other process now."""
    return sum(_rollup_bytes(each, "Private_Clean", "Private_Dirty") for each in process_tree(pid))


def _rollup_bytes(pid: int, *names: str) -> int:
    fields = _fields(_read(PROC / str(pid) / "smaps_rollup"))
    return sum(_bytes(fields.get(name)) for name in names)


def _peak_pss_bytes(pid: int) -> int:
    status = _fields(_read(PROC / str(pid) / "status"))
    pss = _fields(_read(PROC / str(pid) / "smaps_rollup"))
    return _bytes(pss.get("Pss")) + _bytes(status.get("VmHWM")) - _bytes(status.get("VmRSS"))


def _cpu_s(stat: str) -> float:
    # The name of the command stands in parentheses and may hold spaces and parentheses of its own.
    return sum(map(int, stat.rpartition(")")[2].split()[CPU_FIELDS])) / TICKS_PER_S


def _bytes(kibibytes: str | None) -> int:
    return int(kibibytes.split()[0]) * KIB if kibibytes else 0


def _fields(text: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def _tasks(pid: int) -> list[Path]:
    try:
        return list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    """Read a file of /proc; empty where its process has ended."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
