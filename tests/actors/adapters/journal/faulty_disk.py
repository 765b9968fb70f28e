"""A disk that fails at the calls that a test names."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from actors.adapters.journal.disk import Disk

FOR_EVER = 10**9


class FaultyDisk(Disk):
    """Fails with an error as often as it is told to; every other call is carried out."""

    def __init__(self) -> None:
        self._faults: dict[str, tuple[int, int, str]] = {}
        self.created: list[str] = []
        """Names of the segments that were created, in order."""
        self.write_bytes_max = FOR_EVER
        """How much one write takes."""

    def fail(self, call: str, code: int = errno.EIO, times: int = FOR_EVER, name: str = "") -> None:
        """Let a call fail, for all files or for those whose name ends like this."""
        assert hasattr(self, call)
        self._faults[call] = (code, times, name)

    def heal(self) -> None:
        self._faults.clear()

    def create(self, path: Path, *, anew: bool = True) -> int:
        self._may_fail("create", path.name)
        if path.suffix == ".journal":
            self.created.append(path.name)
        return super().create(path, anew=anew)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        self._may_fail("write")
        return super().write(fd, data[: self.write_bytes_max])

    def sync(self, fd: int) -> None:
        self._may_fail("sync")
        os.fdatasync(fd)

    def truncate(self, fd: int, size_bytes: int) -> None:
        self._may_fail("truncate")
        super().truncate(fd, size_bytes)

    def close(self, fd: int) -> None:
        super().close(fd)
        self._may_fail("close")

    def read(self, path: Path) -> bytes:
        self._may_fail("read", path.name)
        return super().read(path)

    def read_part(self, path: Path, length_bytes: int, offset_bytes: int) -> bytes:
        self._may_fail("read_part", path.name)
        return super().read_part(path, length_bytes, offset_bytes)

    def rename(self, path: Path, to: Path) -> None:
        self._may_fail("rename", to.name)
        super().rename(path, to)

    def unlink(self, path: Path) -> None:
        self._may_fail("unlink", path.name)
        super().unlink(path)

    def empty(self, path: Path) -> None:
        self._may_fail("empty", path.name)
        super().empty(path)

    def make_folder(self, folder: Path) -> None:
        self._may_fail("make_folder")
        super().make_folder(folder)

    def sync_folder(self, folder: Path) -> None:
        self._may_fail("sync_folder")
        super().sync_folder(folder)

    def _may_fail(self, call: str, name: str = "") -> None:
        code, times, wanted = self._faults.get(call, (0, 0, ""))
        if times and name.endswith(wanted):
            self._faults[call] = (code, times - 1, wanted)
            raise OSError(code, os.strerror(code))


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def attempt(call: Callable[[], None], error: type[Exception]) -> bool:
    """Call, and tell whether it succeeded rather than raised this error."""
    try:
        call()
    except error:
        return False
    return True
