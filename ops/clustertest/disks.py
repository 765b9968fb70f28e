"""A small disk of one host, which can be filled and wiped.

It is a file system in memory: what was written survives the death of every process, and not the cluster's end.
"""

import contextlib
import os
import shutil
from pathlib import Path

from ops import OpsError
from ops.clustertest.namespaces import program, run

FILL_TRIES = 20


class HostDisk:
    """One file system, mounted at `path` as long as the cluster runs."""

    def __init__(self, path: Path, size_mb: int) -> None:
        self.path = path
        self._size_mb = size_mb

    @property
    def used_bytes(self) -> int:
        """How many bytes are taken."""
        found = os.statvfs(self.path)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def mount(self) -> None:
        """Mount an empty disk, unless it is mounted."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.path.is_mount():
            options = f"size={self._size_mb}m,mode=0755"
            run(program("mount"), "-t", "tmpfs", "-o", options, "fiel-cluster", str(self.path))

    def unmount(self) -> None:
        """Unmount the disk, if it is mounted, and lose all that is on it; no process may use it."""
        if self.path.is_mount():
            run(program("umount"), str(self.path))

    def fill(self, left_bytes: int = 0) -> None:
        """Leave room for only `left_bytes` more, so that further writes fail with ENOSPC.

        The disk is made smaller rather than written to, which would take as much memory.

        Raises:
            OpsError: it cannot be made smaller.
        """
        for _ in range(FILL_TRIES - 1):
            # Others may write in between; then the size would be too small for what is there, and is refused.
            with contextlib.suppress(OpsError):
                self._resize(self.used_bytes + left_bytes)
                return
        self._resize(self.used_bytes + left_bytes)

    def empty(self) -> None:
        """Give back the room that `fill` took."""
        self._resize(self._size_mb << 20)

    def _resize(self, size_bytes: int) -> None:
        run(program("mount"), "-o", f"remount,size={size_bytes}", str(self.path))

    def wipe(self) -> None:
        """Delete all that is on the disk; no process may use it."""
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
