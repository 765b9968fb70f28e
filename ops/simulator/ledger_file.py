"""Keeps the charges of a processor on disk, so that it knows them after a restart."""

import os
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

from ops.simulator.ledger import LedgerEntry


class LedgerFileError(Exception):
    """The file is not a valid ledger."""


class LedgerFile:
    """An append-only file with one line per charge: id, minor units, instant and, where the request gave one, currency.

    What `append` has written survives the death of the process, but not a loss of power.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a+b", buffering=0)

    def __enter__(self) -> Self:
        """Return the file itself."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def load(self) -> list[LedgerEntry]:
        """Read all charges; an incomplete last line, left by a crash, is removed from the file.

        Raises:
            LedgerFileError: a line before the last is invalid.
        """
        self._file.seek(0)
        content = self._file.read()
        whole_bytes = content.rfind(b"\n") + 1
        if whole_bytes < len(content):
            self._file.truncate(whole_bytes)
        lines = content[:whole_bytes].decode("ascii", "replace").splitlines()
        return [self._parse(number, line) for number, line in enumerate(lines, 1)]

    def append(self, payment: LedgerEntry) -> None:
        """Write one charge.

        Raises:
            OSError: the line could not be written completely; the part that was written is removed again.
        """
        currency = f" {payment.currency}" if payment.currency else ""
        entry = f"{payment.correlation_id} {payment.amount_minor} {payment.requested_at.isoformat()}{currency}"
        line = f"{entry}\n".encode()
        written_bytes = self._file.write(line)
        if written_bytes != len(line):
            self._file.truncate(os.fstat(self._file.fileno()).st_size - written_bytes)
            raise OSError(f"{self._path}: the disk took {written_bytes} of {len(line)} bytes")

    def purge(self) -> None:
        """Delete all charges."""
        self._file.truncate(0)

    def close(self) -> None:
        """Close the file; may be called again."""
        self._file.close()

    def _parse(self, number: int, line: str) -> LedgerEntry:
        try:
            correlation_id, minor, requested_at, *currency = line.split(" ", 3)
            code = currency[0] if currency else ""
            return LedgerEntry(UUID(correlation_id), int(minor), datetime.fromisoformat(requested_at), code)
        except ValueError as error:
            raise LedgerFileError(f"{self._path}:{number}: not a line of a ledger: {line!r}") from error
