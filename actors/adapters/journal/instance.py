"""The id of the instance that a journal belongs to, in a file beside it."""

import logging
import os
from pathlib import Path
from uuid import UUID, uuid4

from actors.adapters.journal.folder import sync_folder, translated, write_whole

logger = logging.getLogger(__name__)

FILE_NAME = "instance"


def own_instance(folder: Path) -> UUID:
    """Read the id that stands beside a journal, which this process has locked; write a new one where there is none.

    Two hosts that were given the same name by mistake have journals of their own, and so differ by it.

    Raises:
        JournalUnavailableError: it can be neither read nor written.
    """
    path = folder / FILE_NAME
    with translated(folder):
        try:
            return UUID(path.read_text(encoding="ascii"))
        except FileNotFoundError:
            pass
        except ValueError:
            # The lease that was taken with the old one is waited for, as a stranger's.
            logger.error("%s cannot be read: it is written anew", path)  # noqa: TRY400  # there is no more to say
        instance = uuid4()
        unfinished = path.with_suffix(".unfinished")
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            write_whole(fd, str(instance).encode(), os.fsync)
        finally:
            os.close(fd)
        unfinished.replace(path)
        sync_folder(folder)
    return instance
