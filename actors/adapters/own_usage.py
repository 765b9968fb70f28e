"""What this process uses of the machine: memory, and the files of its journal."""

import os
from pathlib import Path

LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where version 2 and version 1 of control groups tell the limit of this process' own."""
LIMIT_BYTES_MAX = 2**50
"""Version 1 tells a limit beyond this where there is none."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_RESIDENT_FIELD = 1


def memory_bytes() -> int:
    """Read the resident memory of this process; that of gunicorn's master is not in it."""
    return int(Path("/proc/self/statm").read_text().split()[_RESIDENT_FIELD]) * _PAGE_BYTES


def memory_bytes_max(limits: tuple[Path, ...] = LIMITS) -> int | None:
    """Read the memory limit of this process' control group; None where there is none, or it is not told."""
    for path in limits:
        text = path.read_text().strip() if path.exists() else ""
        if text.isdecimal() and int(text) < LIMIT_BYTES_MAX:
            return int(text)
    return None


def folder_bytes(folder: Path) -> int:
    """Add up the sizes of the files in a folder; 0 where there is none."""
    try:
        with os.scandir(folder) as files:
            return sum(file.stat().st_size for file in files if file.is_file())
    except OSError:
        return 0
