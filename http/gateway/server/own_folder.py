"""Finds a journal folder for a replica that was given no name, and gives it the name of that folder."""

import errno
import fcntl
import os
import re
from pathlib import Path
from uuid import uuid4

from actors.errors import SettingsError

ID_CHARS = 8
MARK = "own"
"""The file that is locked for as long as the process lives."""

_held: list[int] = []
"""Descriptors of the locked files: closed when the process ends, however it ends."""


def take_own_name(journal_dir: Path, host: str) -> str:
    """Give a name that no other process of this host has; if there is one from before a restart, that.

    It is the host's name alone if a folder is called so already. Otherwise it ends in an id, so that it differs from
    the names on other hosts of the same name, wherever their journals are. It is held until this process and those that
    it forks have ended.

    Raises:
        SettingsError: the folder of all journals cannot be read or written.
    """
    is_own = re.compile(rf"{re.escape(host)}(-[0-9a-f]{{{ID_CHARS}}})?").fullmatch
    try:
        journal_dir.mkdir(parents=True, exist_ok=True)
        for folder in sorted(each for each in journal_dir.iterdir() if is_own(each.name)):
            if _take(folder):
                return folder.name
        while True:
            folder = journal_dir / f"{host}-{uuid4().hex[:ID_CHARS]}"
            folder.mkdir()
            if _take(folder):  # Unless another process has found it in this moment.
                return folder.name
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return host  # The journal tells of the disk, and waits.
        raise SettingsError(f"JOURNAL_DIR={str(journal_dir)!r} cannot be written: {error.strerror}") from error


def _take(folder: Path) -> bool:
    fd = os.open(folder / MARK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return False
    _held.append(fd)
    return True
