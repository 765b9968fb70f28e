"""The folder of a journal: its lock, its files and its errors."""

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from actors.adapters.journal.disk import Disk
from actors.errors import JournalLockedError, JournalUnavailableError, SettingsError
from actors.logs import get_logger

logger = get_logger(__name__)

UNDELETED_MAX = 256
"""With this many files that are not needed and could not be deleted, no further segment is begun."""
PARENTS_SYNCED = 3
"""How many folders above the journal are synced at a start: they may have been made a moment ago."""
PROBE_BYTES = 64 * 1024
"""Length of the file that is written to see whether the disk takes payments again: more than the largest group."""


@contextlib.contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Turn errors of the operating system into `JournalUnavailableError`."""
    try:
        yield
    except OSError as error:
        raise JournalUnavailableError(f"{folder}: {error.strerror}") from error


def check_journal_dir(folder: Path) -> None:
    """Make the folder of all journals where it is missing, and check that this process may write into it.

    Raises:
        SettingsError: it may not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        # A full disk is no fault of the setting: the journal tells of it, and waits.
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise SettingsError(f"JOURNAL_DIR={str(folder)!r} cannot be written: {error.strerror}") from error


class JournalFolder:
    """The files of one journal. Unless a method says otherwise, it raises OSError where the disk fails."""

    def __init__(self, path: Path, sync: Callable[[int], None] | None, disk: Disk) -> None:
        """`sync` makes what was written to a file descriptor durable; None leaves that to the operating system."""
        self.path = path
        self.disk = disk
        self.unread: set[Path] = set()
        """Segments that the last scan had to leave as they are, because it could not read them."""
        self._sync = sync
        self._undeleted: list[Path] = []

    def lock(self) -> int:
        """Take the folder for this process, making it where it is missing.

        Returns:
            A file descriptor that holds the lock until it is closed.

        Raises:
            JournalLockedError: another process has it.
            JournalUnavailableError: the folder cannot be written.
        """
        with translated(self.path):
            self.disk.make_folder(self.path)
            if self._sync:
                self.disk.sync_folder(self.path.parent)
                for parent in self.path.parent.parents[: PARENTS_SYNCED - 1]:
                    with contextlib.suppress(OSError):  # A folder that it may not read was not made by this process.
                        self.disk.sync_folder(parent)
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise JournalLockedError(f"another process has the journal in {self.path}") from error
        return fd

    def files(self, suffix: str) -> list[Path]:
        """List the files that bear a number and this suffix, lowest number first."""
        return sorted(path for path in self.path.iterdir() if path.suffix == suffix and path.stem.isdecimal())

    def last_number(self) -> int:
        """Find the highest number that any file of the journal bears; 0 where there is none."""
        return max((int(path.stem) for path in self.path.iterdir() if path.stem.isdecimal()), default=0)

    def clear_away(self, path: Path, *, is_damaged: bool) -> bool:
        """Delete a segment that holds nothing that is needed, or set a damaged one aside. Raises nothing.

        Returns:
            Whether the segment is gone.
        """
        if not is_damaged:
            return self.delete(path)
        aside = next(each for each in self._names_aside(path) if not each.exists())
        try:
            self.disk.rename(path, aside)
        except OSError as error:
            logger.error(  # noqa: TRY400  # the cause is in the message
                "a file is damaged and cannot be set aside", path=str(path), reason=error.strerror
            )
            return False
        logger.error("a file was damaged: it is kept for an operator", path=str(path), kept_as=aside.name)
        return True

    def delete(self, path: Path) -> bool:
        """Delete a file, or empty it at least. Raises nothing.

        Returns:
            Whether it is gone. If not, it is tried again when the next file is deleted.
        """
        try:
            self.disk.unlink(path)
        except OSError as error:
            # If it cannot be emptied either, the next scan gives its payments once more, and Postgres knows them.
            logger.warning("a file that is not needed cannot be deleted", path=str(path), reason=error.strerror)
            with contextlib.suppress(OSError):
                self.disk.empty(path)
            if path not in self._undeleted and len(self._undeleted) < UNDELETED_MAX:
                self._undeleted.append(path)
            return False
        if self._undeleted:
            self._delete_the_undeleted()
        return True

    def assert_writable(self) -> None:
        """Raise JournalUnavailableError where no further segment may be begun: too many could not be deleted."""
        if len(self._undeleted) >= UNDELETED_MAX:
            self._delete_the_undeleted()
            if self._undeleted:
                raise JournalUnavailableError(f"{self.path}: {len(self._undeleted)} files cannot be deleted")

    def probe(self) -> None:
        """Write and sync a file as large as a group, and delete it, to see whether the disk takes payments."""
        self.assert_writable()
        path = self.path / "probe"
        fd = self.disk.create(path, anew=False)
        try:
            self.write(fd, bytes(PROBE_BYTES))
        finally:
            self.close(fd)
            self.delete(path)

    def trouble(self) -> str | None:
        """Tell what an operator should look at although payments are accepted; None where there is nothing."""
        told = {
            "damaged files were set aside": sum(path.suffix == ".damaged" for path in self.path.iterdir()),
            "segments cannot be read by this release or now": len(self.unread),
            "files cannot be deleted": len(self._undeleted),
        }
        return ", ".join(f"{number} {what}" for what, number in told.items() if number) or None

    def write(self, fd: int, data: bytes, *, synced: bool = True) -> None:
        """Write all of it, and sync it if it is to be `synced` and that is not left to the operating system."""
        view = memoryview(data)
        while view:
            view = view[self.disk.write(fd, view) :]
        if synced:
            self.sync(fd)

    def sync(self, fd: int) -> None:
        """Make what was written to a file durable, unless that is left to the operating system."""
        if self._sync:
            self._sync(fd)

    def close(self, fd: int) -> None:
        """Close a file that was synced, or whose content nobody was promised. Raises nothing."""
        with contextlib.suppress(OSError):
            self.disk.close(fd)

    def sync_names(self) -> None:
        """Make new names in the folder durable, unless that is left to the operating system."""
        if self._sync:
            self.disk.sync_folder(self.path)

    def put(self, path: Path, data: bytes) -> None:
        """Write and sync a file so that it appears as a whole, replacing any file of its name."""
        unfinished = path.with_suffix(".unfinished")
        fd = self.disk.create(unfinished, anew=False)
        try:
            self.write(fd, data)
        except BaseException:
            self.delete(unfinished)
            raise
        finally:
            self.close(fd)
        self.disk.rename(unfinished, path)
        self.sync_names()

    def keep_copy(self, path: Path, data: bytes) -> None:
        """Set a copy of a damaged segment aside, unless an earlier attempt has done so."""
        for aside in self._names_aside(path):
            if not aside.exists():
                self.put(aside, data)
                return
            if self.disk.read(aside) == data:
                return

    @staticmethod
    def _names_aside(path: Path) -> Iterator[Path]:
        """Give one name after another: an operator may have put a file back that was set aside before."""
        return (path.with_suffix(f".{number}.damaged" if number else ".damaged") for number in count())

    def _delete_the_undeleted(self) -> None:
        with contextlib.suppress(OSError):
            while self._undeleted:
                self.disk.unlink(self._undeleted[0])
                self._undeleted.pop(0)
