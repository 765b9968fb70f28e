"""A folder has one owner, and what is damaged in it costs as little as can be."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from actors.adapters.journal.folder import check_journal_dir
from actors.adapters.journal.segment import HEADER, RECORD_BYTES
from actors.adapters.journal.writer import FileJournal
from actors.domain.payment import Payment
from actors.errors import JournalLockedError, JournalUnavailableError, SettingsError
from tests.actors.adapters.journal.journals import (
    GENERATION,
    LAST_PURGE,
    NEWER_SEGMENT,
    after_a_crash,
    purge,
    records_in,
    rewound,
    segment,
    segments,
    some,
)
from tests.actors.fakes import payment

ROOT = Path(__file__).parents[4]

# Appends one payment, says so, and holds the folder until it is ended.
OWNER = """
import sys
from pathlib import Path
from actors.adapters.journal.writer import FileJournal
from actors.domain.records import LastPurge
from tests.actors.fakes import payment

journal = FileJournal(Path(sys.argv[1]), LastPurge(5, 0), None)
journal.append([payment(1)])
print("appended", flush=True)
sys.stdin.read()
"""


def test_a_cut_at_any_byte_loses_the_records_behind_it_alone(folder: Path) -> None:
    data = segment(some(3))
    found = {cut: rewound(folder, data[:cut]) for cut in range(len(data) + 1)}
    assert found == {cut: some(records_in(cut)) for cut in range(len(data) + 1)}


def test_a_torn_tail_is_not_written_on(folder: Path) -> None:
    assert rewound(folder, segment(some(2))[:-1]) == some(1)
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        list(journal.rewind())
        journal.append([payment(7)])
    assert after_a_crash(folder) == [payment(0), payment(7)]


def test_a_flipped_bit_loses_the_record_that_it_is_in_alone(folder: Path) -> None:
    data = segment(some(3))
    for offset in range(HEADER.size, len(data)):
        flipped = bytearray(data)
        flipped[offset] ^= 1 << offset % 8
        hit = (offset - HEADER.size) // RECORD_BYTES
        assert rewound(folder, bytes(flipped)) == [each for number, each in enumerate(some(3)) if number != hit]


def test_a_flipped_bit_in_a_header_deletes_nothing(folder: Path) -> None:
    data = segment(some(2))
    kept = {}
    for bit in range(HEADER.size * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        rewound(folder, bytes(flipped))
        kept[bit] = [path.stat().st_size for path in folder.iterdir() if path.name != "lock"]
    assert kept == {bit: [len(data)] for bit in range(HEADER.size * 8)}


def test_a_segment_with_a_foreign_header_is_set_aside(folder: Path) -> None:
    assert rewound(folder, b"SOMETHING ELSE ENTIRELY") == []
    assert sorted(path.name for path in folder.iterdir()) == ["000000000001.damaged", "lock"]


def test_a_segment_of_a_newer_format_is_left_as_it_is(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert rewound(folder, NEWER_SEGMENT) == []
        assert (folder / "000000000001.journal").read_bytes() == NEWER_SEGMENT
    assert len([record for record in caplog.records if "newer format" in record.getMessage()]) == 1


def test_numbers_that_were_given_are_not_given_again(folder: Path) -> None:
    rewound(folder, NEWER_SEGMENT)
    (folder / "000000000004.damaged").touch()
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        journal.append(some(1))
        assert segments(folder) == ["000000000001.journal", "000000000005.journal"]
        assert list(journal.rewind()) == some(1)


@pytest.mark.parametrize("name", ["file/journal", "file"])
def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalUnavailableError, match="file"):
        FileJournal(tmp_path / name, LAST_PURGE, None)


@pytest.mark.usefixtures("journal")
def test_a_second_owner_in_the_same_process_is_refused(folder: Path) -> None:
    with pytest.raises(JournalLockedError, match="journal"):
        FileJournal(folder, LAST_PURGE, None)


def test_a_refused_owner_changes_nothing(journal: FileJournal, folder: Path) -> None:
    journal.append(some(1))
    with pytest.raises(JournalLockedError):
        FileJournal(folder, purge(GENERATION + 1), None)
    assert after_a_crash(folder) == some(1)


def test_another_owner_is_refused_while_the_first_process_lives_and_finds_all_of_it_after(folder: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as owner:  # noqa: S603  # our own script
        try:
            assert owner.stdout is not None
            assert owner.stdout.readline() == b"appended\n"
            with pytest.raises(JournalLockedError):
                FileJournal(folder, LAST_PURGE, None)
        finally:
            owner.kill()
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        assert list(journal.rewind()) == [payment(1)]


@pytest.mark.parametrize(
    ("later", "expected"), [(GENERATION - 1, some(2)), (GENERATION, some(2)), (GENERATION + 1, [])]
)
def test_segments_of_an_earlier_generation_are_deleted(folder: Path, later: int, expected: list[Payment]) -> None:
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        journal.append(some(2))
    with closing(FileJournal(folder, purge(later), None)) as journal:
        assert list(journal.rewind()) == expected
    assert bool(segments(folder)) == bool(expected)


def test_a_folder_that_is_missing_is_made_and_left_empty(tmp_path: Path) -> None:
    check_journal_dir(tmp_path / "volume" / "journal")
    assert list((tmp_path / "volume" / "journal").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_by_the_name_of_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for impossible in (tmp_path / "file", tmp_path / "file" / "journal"):
        with pytest.raises(SettingsError, match=r"JOURNAL_DIR=.* cannot be written"):
            check_journal_dir(impossible)
