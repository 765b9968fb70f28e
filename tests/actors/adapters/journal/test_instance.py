from pathlib import Path

import pytest

from actors.adapters.journal.instance import FILE_NAME, own_instance
from actors.errors import JournalUnavailableError


def test_an_instance_is_written_once(tmp_path: Path) -> None:
    instance = own_instance(tmp_path)
    assert own_instance(tmp_path) == instance
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_two_journals_belong_to_two_instances(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert own_instance(tmp_path / "a") != own_instance(tmp_path / "b")


@pytest.mark.parametrize("content", [b"", b"8f3c", b"\xff" * 36])
def test_what_cannot_be_read_is_another_instance_from_now_on(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert own_instance(tmp_path) == own_instance(tmp_path)
    assert len(caplog.records) == 1


def test_a_folder_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(JournalUnavailableError):
        own_instance(tmp_path)
    with pytest.raises(JournalUnavailableError):
        own_instance(tmp_path / "missing")
