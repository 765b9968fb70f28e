"""A small disk of one host, which can be filled and wiped.

It is a file system in memory: what was written survives the death of every process, and not the cluster's end.
"""

import contextlib
import os
import shutil
from pathlib import Path

from ops.clustertest.namespaces import program, run

BALLAST = "ballast"
"""Name of the file that fills a disk."""


class HostDisk:
    """One file system, mounted at `path` as long as the cluster runs."""

    def __init__(self, path: Path, size_mb: int) -> None:
        self.path = path
        self._size_mb = size_mb

    @property
    def free_bytes(self) -> int:
        """How many bytes can still be written."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    @property
    def used_bytes(self) -> int:
        """How many bytes are taken, the ballast included."""
        found = os.statvfs(self.path)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def mount(self) -> None:
        """Mount an empty disk, unless it is mounted."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.path.is_mount():
            options = f"size={self._size_mb}m,mode=0755"
            run(program("mount"), "-t", "tmpfs", "-o", options, "fiel-cluster", str(self.path))

    def unmount(self) -> None:
        """Give the disk and all that is on it up, where it is mounted; no process may use it."""
        if self.path.is_mount():
            run(program("umount"), str(self.path))

    def fill(self, left_bytes: int = 0) -> None:
        """Take all the room but `left_bytes`, so that writes fail with ENOSPC."""
        wanted = self.free_bytes - left_bytes
        if wanted > 0:
            ballast = os.open(self.path / BALLAST, os.O_WRONLY | os.O_CREAT, 0o600)
            # Others may write meanwhile; then there is no room left for that much, and it is full anyway.
            with contextlib.suppress(OSError):
                os.posix_fallocate(ballast, os.fstat(ballast).st_size, wanted)
            os.close(ballast)

    def empty(self) -> None:
        """Give back the room that `fill` took."""
        (self.path / BALLAST).unlink(missing_ok=True)

    def wipe(self) -> None:
        """Delete all that is on the disk; no process may use it."""
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
