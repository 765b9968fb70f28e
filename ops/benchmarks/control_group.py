"""A Linux control group whose peak memory the kernel keeps, page cache and kernel memory included."""

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from ops import OpsError

PEAK_FILES = ("memory.peak", "memory.max_usage_in_bytes")
"""Where version 2 and version 1 keep the peak, in bytes."""


class ControlGroup:
    """A group below one in which the caller may make groups; it exists within a `with` statement.

    Processes that its members start join by themselves. What a process used before it was added is not counted here.
    """

    def __init__(self, parent: Path) -> None:
        """Prepare a group below the folder `parent`, such as one below /sys/fs/cgroup/memory."""
        self._folder = parent / f"fiel-bench-{os.getpid()}"
        self._members: set[int] = set()

    def __enter__(self) -> Self:
        """Make the group.

        Raises:
            OpsError: it cannot be made.
        """
        try:
            self._folder.mkdir()
        except OSError as error:
            raise OpsError(f"cannot make the control group {self._folder}: {error.strerror}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Remove the group, whose processes have ended."""
        self._folder.rmdir()

    def add(self, pids: Iterable[int]) -> None:
        """Move processes into the group, each once."""
        for pid in set(pids) - self._members:
            (self._folder / "cgroup.procs").write_text(str(pid))
            self._members.add(pid)

    def peak_bytes(self) -> int:
        """Read the peak memory of all processes in the group together.

        Raises:
            OpsError: the kernel does not keep it for this group.
        """
        for name in PEAK_FILES:
            if (self._folder / name).exists():
                return int((self._folder / name).read_text())
        raise OpsError(f"{self._folder} keeps no peak: the memory controller is not on for it")
