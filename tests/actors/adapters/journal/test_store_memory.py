"""The Postgres that was seen is remembered over the end of a process, and a bad disk keeps nobody from working."""

import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from actors.adapters.journal.store_memory import FILE_NAME, FileStoreMemory
from actors.domain.records import SeenStore, StoreIdentity

IDENTITY = StoreIdentity("7517", timeline=2, position=2**40, noted_position=5)
SEEN = SeenStore(IDENTITY, forgot_at_ms=1_752_582_896_789)


def test_nothing_is_remembered_at_first(tmp_path: Path) -> None:
    assert FileStoreMemory(tmp_path).seen() is None


def test_what_was_remembered_last_is_found_by_the_next_process(tmp_path: Path) -> None:
    memory = FileStoreMemory(tmp_path)
    memory.remember(SeenStore(StoreIdentity("7517", timeline=1, position=7, noted_position=5)))
    memory.remember(SEEN)
    assert FileStoreMemory(tmp_path).seen() == SEEN


def test_what_the_release_before_has_written_is_read(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps(asdict(IDENTITY)))
    assert FileStoreMemory(tmp_path).seen() == SeenStore(IDENTITY)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b'{"system_id": "1", "timeline": 1, "position": null}']
)
def test_a_file_that_cannot_be_read_is_said_to_be_and_written_anew(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    memory = FileStoreMemory(tmp_path)
    assert memory.seen() is None
    assert "cannot be read" in caplog.text
    memory.remember(SEEN)
    assert memory.seen() == SEEN


def test_a_disk_that_fails_is_told_once_and_leaves_what_was_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    folder = tmp_path / "journal"
    folder.mkdir()
    memory = FileStoreMemory(folder)
    memory.remember(SEEN)
    hidden = folder.rename(tmp_path / "hidden")
    for position in (1, 2):
        memory.remember(SeenStore(StoreIdentity("7517", timeline=2, position=2**40 + position, noted_position=5)))
    assert caplog.text.count("cannot be written") == 1
    hidden.rename(folder)
    assert memory.seen() == SEEN
    shutil.rmtree(folder)
