"""What a process uses is read from the system it runs on."""

from pathlib import Path

from actors.adapters.own_usage import folder_bytes, memory_bytes, memory_bytes_max


def test_memory_is_that_of_this_process() -> None:
    assert 5_000_000 < memory_bytes() < 10**10


def test_a_limit_is_read_where_there_is_one(tmp_path: Path) -> None:
    second, first = tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"
    assert memory_bytes_max((second, first)) is None
    first.write_text("9223372036854771712\n")
    assert memory_bytes_max((second, first)) is None
    first.write_text("88080384\n")
    assert memory_bytes_max((second, first)) == 88_080_384
    second.write_text("max\n")
    assert memory_bytes_max((second,)) is None


def test_the_files_of_a_folder_are_added_up(tmp_path: Path) -> None:
    assert folder_bytes(tmp_path / "none") == 0
    (tmp_path / "a").write_bytes(b"1234")
    (tmp_path / "folder").mkdir()
    assert folder_bytes(tmp_path) == 4
