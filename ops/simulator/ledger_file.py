"""The charges on disk, so that a restarted processor still knows them."""

import os
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

from ops.simulator.ledger import Payment


class LedgerFileError(Exception):
    """The ledger's file can't be read as one."""


class LedgerFile:
    """An append-only file, one line to a charge: id, cents, instant.

    A line is in the kernel's hands when `append` returns; it survives the death of the process, not the loss of power.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a+b", buffering=0)

    def __enter__(self) -> Self:
        """Use the file for a while."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def load(self) -> list[Payment]:
        """Read all charges; a last line that was torn by a crash is cut off the file.

        Raises:
            LedgerFileError: another line than the last is broken.
        """
        self._file.seek(0)
        content = self._file.read()
        whole_bytes = content.rfind(b"\n") + 1
        if whole_bytes < len(content):
            self._file.truncate(whole_bytes)
        lines = content[:whole_bytes].decode("ascii", "replace").splitlines()
        return [self._parse(number, line) for number, line in enumerate(lines, 1)]

    def append(self, payment: Payment) -> None:
        """Write one charge.

        Raises:
            OSError: it could not be written whole; what was written of it is taken back.
        """
        line = f"{payment.correlation_id} {payment.amount_cents} {payment.requested_at.isoformat()}\n".encode()
        written_bytes = self._file.write(line)
        if written_bytes != len(line):
            self._file.truncate(os.fstat(self._file.fileno()).st_size - written_bytes)
            raise OSError(f"{self._path}: the disk took {written_bytes} of {len(line)} bytes")

    def purge(self) -> None:
        """Forget everything."""
        self._file.truncate(0)

    def close(self) -> None:
        """Close the file; may be called again."""
        self._file.close()

    def _parse(self, number: int, line: str) -> Payment:
        try:
            correlation_id, cents, requested_at = line.split(" ")
            return Payment(UUID(correlation_id), int(cents), datetime.fromisoformat(requested_at))
        except ValueError as error:
            raise LedgerFileError(f"{self._path}:{number}: not a line of a ledger: {line!r}") from error
