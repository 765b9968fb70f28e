"""The folder of a journal: its lock, its files and its errors."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from actors.adapters.journal.segment import HEADER, SegmentContent, decode_segment, is_newer, record_bytes
from actors.errors import JournalLockedError, JournalUnavailableError

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Turn errors of the operating system into `JournalUnavailableError`."""
    try:
        yield
    except OSError as error:
        raise JournalUnavailableError(f"{folder}: {error.strerror}") from error


def lock(folder: Path) -> int:
    """Take the folder for this process, making it where it is missing.

    Returns:
        A file descriptor that holds the lock until it is closed.

    Raises:
        JournalLockedError: another process has it.
        JournalUnavailableError: the folder cannot be written.
    """
    with translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise JournalLockedError(f"another process has the journal in {folder}") from error
    return fd


def segment_paths(folder: Path) -> list[Path]:
    """List the segments, oldest first."""
    return sorted(folder.glob("*.journal"))


def last_number(folder: Path) -> int:
    """Find the highest number that a file of the journal bears, also one that was set aside; 0 where there is none."""
    return max((int(path.stem) for path in folder.iterdir() if path.stem.isdecimal()), default=0)


def scan(folder: Path, generation: int, *, later: bool) -> Iterator[tuple[Path, SegmentContent]]:
    """Read the segments that hold payments, oldest first, and clear away the others.

    A segment of an earlier generation was purged, and is deleted, and so is one that ended before its first record was
    whole. One that cannot be decoded is renamed to `.damaged`. One of a newer format is left as it is.

    Args:
        folder: of one journal, which this process has locked.
        generation: the one that counts.
        later: whether segments of a later generation count as well; they are left as they are where not.
    """
    for path in segment_paths(folder):
        data = path.read_bytes()
        content = decode_segment(data)
        if content is None and is_newer(data):
            tell_of_newer(path)
        elif content is not None and content.generation < generation:
            path.unlink()
        elif content is not None and content.generation > generation and not later:
            continue
        elif content is not None and content.payments:
            if content.damaged_bytes:
                logger.warning("%s: %d bytes belong to no whole record", path, content.damaged_bytes)
            yield path, content
        elif len(data) > HEADER.size and (content is None or content.damaged_bytes >= record_bytes(content.version)):
            logger.error("%s cannot be read: it is kept as .damaged, and not replayed", path)
            path.rename(path.with_suffix(".damaged"))
        else:
            path.unlink()


@cache
def tell_of_newer(path: Path) -> None:
    """Log, once for each file, that a segment is left to a later release."""
    logger.warning("%s has a newer format than this release can read: it is left as it is", path)
