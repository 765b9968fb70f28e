"""Scans the folder of a journal: gives what can be read, and keeps what cannot."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from actors.adapters.journal.folder import JournalFolder
from actors.adapters.journal.segment import (
    SegmentContent,
    decode_segment,
    encode_header,
    encode_record,
    holds_evidence,
    is_newer,
)
from actors.domain.payment import Payment
from actors.domain.records import LastPurge
from actors.logs import get_logger

logger = get_logger(__name__)


def scan(folder: JournalFolder, last_purge: LastPurge, *, own: bool) -> Iterator[tuple[Path, SegmentContent]]:
    """Read the segments that hold payments, oldest first, and clear away the others.

    Of a segment of an earlier generation, what was accepted up to the purge's instant is left out. A segment that
    holds nothing is deleted, or set aside where something is damaged in it. One that cannot be read now, or is of
    a newer format, is left as it is and noted in `unread`.

    Args:
        folder: of one journal, which this process has locked.
        last_purge: its generation is the one that counts.
        own: whether the journal is this replica's. Segments of a later generation count as well then, and those of
            which something is left out are rewritten without it.
    """
    folder.unread.clear()
    if own:
        for path in (*folder.files(".unfinished"), *folder.files(".rewritten")):
            folder.delete(path)
    for path in folder.files(".journal"):
        try:
            content = _recover(folder, path, last_purge, own=own)
        except OSError as error:
            logger.error(  # noqa: TRY400  # the cause is in the message
                "a segment cannot be read, and is left for a later start", path=str(path), reason=error.strerror
            )
            folder.unread.add(path)
            continue
        if content is not None:
            yield path, content


def peek(folder: JournalFolder, last_purge: LastPurge) -> Iterator[tuple[Path, Sequence[Payment]]]:
    """Give what the last purge has left of each segment, oldest first; change nothing, as another process owns them.

    Segments of a later generation are left out, because this replica has yet to hear of it.
    """
    for path in folder.files(".journal"):
        try:
            data = folder.disk.read(path)
        except FileNotFoundError:
            continue  # Its owner has deleted it meanwhile.
        except OSError as error:
            logger.error(  # noqa: TRY400  # as above
                "a segment cannot be read, and is left alone", path=str(path), reason=error.strerror
            )
            continue
        content = decode_segment(data)
        if content is None and is_newer(data):
            _tell_of_newer(path)
        elif content is not None and content.generation <= last_purge.generation:
            yield path, content.left_by(last_purge)


def purge_segment(folder: JournalFolder, path: Path, last_purge: LastPurge) -> None:
    """Delete what was accepted up to the purge's instant; the rest then belongs to the new generation.

    The segment's generation does not matter: the purge found it in its replica's own journal. A segment that cannot be
    read or deleted stays under its earlier generation, so that later readers leave out what was purged.

    Raises:
        OSError: what is kept could not be written. May be called again.
    """
    try:
        data = folder.disk.read(path)
    except OSError as error:
        logger.error("a segment cannot be read for the purge", path=str(path), reason=error.strerror)  # noqa: TRY400
        return
    content = decode_segment(data)
    if content is None and is_newer(data):
        # The release that can read it will leave out what was purged.
        _tell_of_newer(path)
        return
    kept = [each for each in content.payments if each.accepted_at_ms > last_purge.at_ms] if content else []
    if kept:
        _rewrite(folder, path, last_purge.generation, kept, data)
    else:
        folder.clear_away(path, is_damaged=holds_evidence(data, content))


def _recover(folder: JournalFolder, path: Path, last_purge: LastPurge, *, own: bool) -> SegmentContent | None:
    data = folder.disk.read(path)
    content = decode_segment(data)
    if content is None and is_newer(data):
        _tell_of_newer(path)
        folder.unread.add(path)
        return None
    if content is not None and content.generation > last_purge.generation and not own:
        return None
    kept = content.left_by(last_purge) if content else ()
    if content is None or not kept:
        folder.clear_away(path, is_damaged=holds_evidence(data, content))
        return None
    if content.damaged_bytes:
        logger.log(
            logging.ERROR if content.is_damaged else logging.WARNING,
            "bytes of a segment belong to no whole record",
            path=str(path),
            damaged_bytes=content.damaged_bytes,
        )
    if len(kept) == len(content.payments):
        return content
    return _rewrite(folder, path, last_purge.generation, kept, data) if own else replace(content, payments=kept)


def _rewrite(
    folder: JournalFolder, path: Path, generation: int, payments: Sequence[Payment], old: bytes
) -> SegmentContent:
    """Replace a segment in one step by one of this generation that holds these payments.

    If something is damaged in the old one, a copy of it is set aside.
    """
    if holds_evidence(old, decode_segment(old)):
        folder.keep_copy(path, old)
    data = encode_header(generation) + b"".join(map(encode_record, payments))
    folder.put(path, data)
    content = decode_segment(data)
    if content is None:
        raise AssertionError(f"{path} was written so that it cannot be read")
    return content


@cache
def _tell_of_newer(path: Path) -> None:
    """Log, once for each file, that a segment is left to a later release."""
    logger.error("a segment has a newer format than this release can read: it is left as it is", path=str(path))
