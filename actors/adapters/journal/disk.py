"""The system calls of a journal, so that a test can let each of them fail, and can tell what a loss of power leaves."""

import os
from pathlib import Path


class Disk:
    """Makes, changes and reads the files of a journal. Each method may raise OSError."""

    def create(self, path: Path, *, anew: bool = True) -> int:
        """Open a file to be appended to; it must be new, or is emptied where `anew` is false."""
        once = os.O_EXCL if anew else os.O_TRUNC
        return os.open(path, os.O_WRONLY | os.O_CREAT | once | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Append some of the data, and tell how many bytes."""
        return os.write(fd, data)

    def truncate(self, fd: int, size_bytes: int) -> None:
        """Cut an open file."""
        os.ftruncate(fd, size_bytes)

    def close(self, fd: int) -> None:
        """Close a file. The descriptor is gone also where an error is raised."""
        os.close(fd)

    def read(self, path: Path) -> bytes:
        """Read a whole file."""
        return path.read_bytes()

    def read_part(self, path: Path, length_bytes: int, offset_bytes: int) -> bytes:
        """Read a part of a file; less where it ends before."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(fd, length_bytes, offset_bytes)
        finally:
            os.close(fd)

    def rename(self, path: Path, to: Path) -> None:
        """Give a file another name in one step, replacing any file of that name."""
        path.replace(to)

    def unlink(self, path: Path) -> None:
        """Delete a file, if it is there."""
        path.unlink(missing_ok=True)

    def empty(self, path: Path) -> None:
        """Cut a file to nothing by its name."""
        os.truncate(path, 0)

    def make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, where they are missing."""
        folder.mkdir(parents=True, exist_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """Make new names in a folder durable: a file survives the loss of power only with the entry that names it."""
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)
