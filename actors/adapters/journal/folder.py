"""The folder of a journal: its lock, its files and its errors."""

import contextlib
import errno
import fcntl
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from actors.adapters.journal.segment import (
    HEADER,
    VERSION,
    SegmentContent,
    decode_segment,
    encode_header,
    encode_record,
    is_newer,
    record_bytes,
)
from actors.domain.payment import Payment
from actors.domain.records import LastPurge
from actors.errors import JournalLockedError, JournalUnavailableError, SettingsError

logger = logging.getLogger(__name__)


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


def scan(folder: Path, last_purge: LastPurge, *, later: bool) -> Iterator[tuple[Path, SegmentContent]]:
    """Read the segments that hold payments, oldest first, and clear away the others.

    Of a segment of an earlier generation, what was accepted up to the purge's instant is left out; where nothing else
    is in it, it is deleted, and so is one that ended before its first record was whole. One that cannot be decoded is
    renamed to `.damaged`. One of a newer format is left as it is.

    Args:
        folder: of one journal, which this process has locked.
        last_purge: its generation is the one that counts.
        later: whether segments of a later generation count as well; they are left as they are where not.
    """
    for path in segment_paths(folder):
        data = path.read_bytes()
        content = decode_segment(data)
        if content is None and is_newer(data):
            tell_of_newer(path)
        elif content is not None and content.generation < last_purge.generation:
            kept = tuple(each for each in content.payments if not last_purge.forgets(each, content.generation))
            if kept:
                yield path, replace(content, payments=kept)
            else:
                path.unlink()
        elif content is not None and content.generation > last_purge.generation and not later:
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


def purge_segment(path: Path, last_purge: LastPurge, sync: Callable[[int], None] | None) -> None:
    """Delete what was accepted up to the purge's instant; the rest is of the new generation then.

    The generation that the segment is of does not matter: the purge found it in its replica's own journal.

    Raises:
        OSError: the disk failed. May be called again.
    """
    data = path.read_bytes()
    content = decode_segment(data)
    if content is None and is_newer(data):
        # The release that can read it finds what was purged of it.
        tell_of_newer(path)
        return
    kept = [each for each in content.payments if each.accepted_at_ms > last_purge.at_ms] if content else []
    if kept:
        rewrite(path, last_purge.generation, kept, sync)
    else:
        path.unlink()


def rewrite(
    path: Path, generation: int, payments: Sequence[Payment], sync: Callable[[int], None] | None
) -> SegmentContent:
    """Put a segment of this generation that holds these payments in the place of another, at once.

    Raises:
        OSError: the disk failed; the old segment stands.
    """
    data = encode_header(generation) + b"".join(map(encode_record, payments))
    written = path.with_suffix(".rewritten")
    fd = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_whole(fd, data, sync)
    finally:
        os.close(fd)
    written.replace(path)
    if sync:
        sync_folder(path.parent)
    return SegmentContent(VERSION, generation, tuple(payments), len(data), damaged_bytes=0)


def write_whole(fd: int, data: bytes, sync: Callable[[int], None] | None) -> None:
    """Write all of it, and sync it unless that is left to the operating system."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    if sync:
        sync(fd)


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable: a file survives the loss of power only with the entry that names it."""
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder_fd)
    finally:
        os.close(folder_fd)


@cache
def tell_of_newer(path: Path) -> None:
    """Log, once for each file, that a segment is left to a later release."""
    logger.warning("%s has a newer format than this release can read: it is left as it is", path)
