"""The id of the instance that a journal belongs to, in a file beside it."""

import os
from pathlib import Path
from uuid import UUID, uuid4

from actors.adapters.journal.disk import Disk
from actors.adapters.journal.folder import JournalFolder, translated
from actors.logs import get_logger

logger = get_logger(__name__)

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
            # The lease that was taken with the old id is waited for, as if it were another instance's.
            logger.error("a file cannot be read: it is written again", path=str(path))  # noqa: TRY400  # there is no more to say
        instance = uuid4()
        JournalFolder(folder, os.fsync, Disk()).put(path, str(instance).encode())
    return instance
