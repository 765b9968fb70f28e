"""Finds a folder for a server's unix socket whose path is not too long."""

import os
import secrets
import shutil
import tempfile
from pathlib import Path

SOCKET_PATH_BYTES_MAX = 100
"""The longest path of a unix socket that is safe everywhere; systems allow 103 to 107 bytes."""


class SocketDirectory:
    """The folder of a server's socket: `preferred`, or a private temporary one where that path is unsuitable."""

    def __init__(self, preferred: Path, longest_name: str) -> None:
        """`longest_name` is the longest file name that the server gives to a socket or its lock."""
        name = f"fiel-{secrets.token_hex(8)}"
        shortest = Path("/tmp") / name  # noqa: S108 - TMPDIR may be too long as well; its name cannot be guessed
        places = (preferred, Path(tempfile.gettempdir()) / name)
        self.path = next((each for each in places if _is_suitable(each / longest_name)), shortest)
        self._temporary = self.path != preferred

    def make(self, uid: int) -> Path:
        """Create the folder where it is missing, for the account `uid`, and return it."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._temporary:
            os.chown(self.path, uid, -1)
        return self.path

    def remove(self) -> None:
        """Delete the folder if it is the temporary one."""
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)


def _is_suitable(path: Path) -> bool:
    # For libpq a comma ends the host.
    return len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX and "," not in str(path)
