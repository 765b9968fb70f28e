"""A journal of its own for each test."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from actors.adapters.journal.writer import FileJournal
from tests.actors.adapters.journal.journals import LAST_PURGE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(folder: Path) -> Iterator[FileJournal]:
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        yield journal
