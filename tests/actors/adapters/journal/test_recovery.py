"""Of a damaged segment every whole record is given, and the file is kept for an operator."""

import logging
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest

from actors.adapters.journal.orphans import OrphanJournal
from actors.adapters.journal.reader import READ_TRIES_MAX
from actors.adapters.journal.segment import FORMAT, HEADER, RECORD_BYTES, decode_segment
from actors.adapters.journal.writer import FileJournal
from actors.domain.records import LastPurge
from actors.errors import JournalUnavailableError
from tests.actors.adapters.journal.faulty_disk import FaultyDisk
from tests.actors.adapters.journal.journals import (
    GENERATION,
    LAST_PURGE,
    NEWER_SEGMENT,
    ids,
    purge,
    segment,
    segments,
    some,
)
from tests.actors.fakes import NOW_MS, payment

FIRST = "000000000001.journal"
EARLIER_PURGE = LastPurge(GENERATION, NOW_MS - 1)
"""A purge that forgets none of the payments here."""


def flipped(data: bytes, offset: int) -> bytes:
    damaged = bytearray(data)
    damaged[offset] ^= 1
    return bytes(damaged)


IN_THE_MIDDLE = flipped(segment(some(3)), HEADER.size + RECORD_BYTES + 9)
AT_THE_END = flipped(segment(some(3)), HEADER.size + 2 * RECORD_BYTES + 9)
IN_THE_HEADER = [flipped(segment(some(3)), offset) for offset in range(HEADER.size)]


def left(folder: Path, data: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / FIRST).write_bytes(data)


def set_aside(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.damaged")}


@pytest.mark.parametrize(("data", "lost"), [(IN_THE_MIDDLE, {1}), (AT_THE_END, {2}), *((x, ()) for x in IN_THE_HEADER)])
def test_all_whole_records_are_given_and_the_file_is_set_aside_once_they_are_committed(
    folder: Path, caplog: pytest.LogCaptureFixture, data: bytes, lost: set[int]
) -> None:
    left(folder, data)
    expected = [each for number, each in enumerate(some(3)) if number not in lost]
    with closing(FileJournal(folder, EARLIER_PURGE, None)) as journal:
        assert list(journal.rewind()) == expected
        assert set_aside(folder) == {}
        assert journal.take(9) == expected
        journal.committed(ids(expected))
        assert (segments(folder), set_aside(folder)) == ([], {"000000000001.damaged": data})
        assert journal.trouble() == "1 damaged files were set aside"
    assert any(record.levelno == logging.ERROR for record in caplog.records)
    with closing(FileJournal(folder, EARLIER_PURGE, None)) as journal:
        assert list(journal.rewind()) == []
        assert set_aside(folder) == {"000000000001.damaged": data}
        (folder / "000000000001.damaged").unlink()
        assert journal.trouble() is None


@pytest.mark.parametrize(
    "data",
    [
        *(segment(some(2)) + segment(some(1))[HEADER.size :][:cut] for cut in range(RECORD_BYTES)),
        segment(some(2)) + bytes(10 * RECORD_BYTES),
        segment(some(3))[:-5] + bytes(5 + 4 * RECORD_BYTES),
    ],
)
def test_a_tail_that_was_torn_by_a_loss_of_power_is_no_damage(folder: Path, data: bytes) -> None:
    left(folder, data)
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        assert list(journal.rewind()) == some(2)
        journal.committed(ids(journal.take(2)))
        assert (segments(folder), set_aside(folder), journal.trouble()) == ([], {}, None)


@pytest.mark.parametrize("data", [bytes(5), bytes(500), segment([]), segment([]) + bytes(500), segment(some(1))[:-1]])
def test_a_segment_whose_first_group_was_never_synced_is_no_damage(folder: Path, data: bytes) -> None:
    left(folder, data)
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        assert list(journal.rewind()) == []
        assert (segments(folder), set_aside(folder)) == ([], {})


@pytest.mark.parametrize("data", [b"SOMETHING ELSE ENTIRELY", IN_THE_MIDDLE, IN_THE_HEADER[9]])
def test_a_purge_keeps_what_is_damaged(folder: Path, data: bytes) -> None:
    left(folder, data)
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        journal.purge(purge(GENERATION + 1))
        assert (list(journal.rewind()), set_aside(folder)) == ([], {"000000000001.damaged": data})


def test_a_damaged_segment_of_which_a_purge_leaves_something_is_copied_before_it_is_rewritten(folder: Path) -> None:
    late = replace(payment(1), accepted_at_ms=NOW_MS + 1)
    data = flipped(segment([payment(0), late, payment(2)]), HEADER.size + 9)
    disk = FaultyDisk()
    for _ in range(2):
        left(folder, data)
        with closing(FileJournal(folder, LAST_PURGE, None, disk=disk)) as journal:
            disk.fail("rename", times=2, name=".journal")
            for _ in range(2):
                with pytest.raises(JournalUnavailableError):
                    journal.purge(purge(GENERATION + 1))
            journal.purge(purge(GENERATION + 1))
            assert (list(journal.rewind()), set_aside(folder)) == ([late], {"000000000001.damaged": data})
        folder.rename(folder.with_name("done"))
        for path in folder.with_name("done").iterdir():
            path.unlink()
        folder.with_name("done").rmdir()


def test_a_file_that_was_set_aside_is_never_written_over(folder: Path) -> None:
    left(folder, b"SOMETHING ELSE ENTIRELY")
    (folder / "000000000001.damaged").write_bytes(b"EVIDENCE")
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        assert list(journal.rewind()) == []
    assert set_aside(folder) == {
        "000000000001.damaged": b"EVIDENCE",
        "000000000001.1.damaged": b"SOMETHING ELSE ENTIRELY",
    }


def test_a_damaged_segment_that_cannot_be_renamed_stays(folder: Path) -> None:
    left(folder, IN_THE_MIDDLE)
    disk = FaultyDisk()
    disk.fail("rename", name=".damaged")
    with closing(FileJournal(folder, LAST_PURGE, None, disk=disk)) as journal:
        given = list(journal.rewind())
        journal.committed(ids(journal.take(len(given))))
    assert (folder / FIRST).read_bytes() == IN_THE_MIDDLE


@pytest.mark.parametrize("valid", [False, True])
def test_a_newer_format_is_left_alone_told_and_numbers_go_on_above_it(folder: Path, *, valid: bool) -> None:
    head = FORMAT + b"9" + GENERATION.to_bytes(8, "little")
    # It may write the same records under another header.
    data = head + crc32(head).to_bytes(4, "little") + segment(some(2))[HEADER.size :] if valid else NEWER_SEGMENT
    left(folder, data)
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        assert (list(journal.rewind()), journal.unread_segments) == ([], 1)
        assert journal.trouble() == "1 segments cannot be read by this release or now"
        journal.append(some(1))
        journal.purge(purge(GENERATION + 1))
        journal.append(some(1))
        assert segments(folder) == [FIRST, "000000000003.journal"]
    with closing(OrphanJournal(folder, LAST_PURGE)) as orphan:
        assert list(orphan.replay()) == []
        orphan.took(0)
    assert (folder / FIRST).read_bytes() == data


def test_numbers_rise_though_all_segments_were_committed_set_aside_or_deleted_by_hand(folder: Path) -> None:
    given = []
    for _ in range(4):
        with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
            journal.append(some(1))
            given += segments(folder)
            if len(given) < 3:
                journal.committed(ids(journal.take(1)))
        for path in (*folder.glob("*.journal"), *folder.glob("*.damaged")):
            path.unlink()
    assert given == [f"{number:012d}.journal" for number in (1, 2, 3, 4)]
    assert [path.name for path in folder.glob("*.number")] == ["000000000004.number"]


def test_a_file_that_appears_under_the_next_number_is_left_and_the_number_after_it_is_given(
    journal: FileJournal, folder: Path
) -> None:
    (folder / FIRST).write_bytes(b"put there by hand")
    for path in folder.glob("*.number"):
        path.unlink()
    journal.append(some(1))
    assert segments(folder) == [FIRST, "000000000002.journal"]


def test_a_segment_that_was_deleted_by_hand_while_it_waits_keeps_none_behind_it_waiting(folder: Path) -> None:
    with closing(FileJournal(folder, LAST_PURGE, None, memory_max=0, segment_bytes_max=HEADER.size)) as journal:
        for number in range(3):
            journal.append([payment(number)])
        (folder / "000000000002.journal").unlink()
        assert (journal.take(9), journal.waiting, journal.held) == ([payment(0), payment(2)], 0, 2)


def test_a_segment_that_stays_unreadable_while_it_waits_keeps_none_behind_it_waiting_for_ever(folder: Path) -> None:
    disk = FaultyDisk()
    limits = {"memory_max": 0, "segment_bytes_max": HEADER.size}
    with closing(FileJournal(folder, LAST_PURGE, None, disk=disk, **limits)) as journal:
        journal.append([payment(1)])
        journal.append([payment(2)])
        unreadable = (folder / FIRST).read_bytes()
        disk.fail("read_part", name=FIRST)
        for _ in range(READ_TRIES_MAX - 1):
            with pytest.raises(JournalUnavailableError):
                journal.take(9)
        assert (journal.take(9), journal.held) == ([payment(2)], 1)
    assert set_aside(folder) == {"000000000001.damaged": unreadable}


def test_an_orphan_leaves_what_is_damaged_to_an_operator(tmp_path: Path) -> None:
    left(tmp_path / "a", IN_THE_MIDDLE)
    with closing(OrphanJournal(tmp_path / "a", LAST_PURGE)) as orphan:
        assert list(orphan.replay()) == [payment(0), payment(2)]
        orphan.took(2)
    assert set_aside(tmp_path / "a") == {"000000000001.damaged": IN_THE_MIDDLE}


def test_of_a_segment_with_a_damaged_header_only_what_the_last_purge_left_is_given(folder: Path) -> None:
    late = replace(payment(1), accepted_at_ms=NOW_MS + 1)
    left(folder, flipped(segment([payment(0), late]), 10))
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        assert list(journal.rewind()) == [late]
    rewritten = decode_segment((folder / FIRST).read_bytes())
    assert rewritten is not None
    assert (rewritten.generation, rewritten.payments, rewritten.is_damaged) == (GENERATION, (late,), False)
    assert len(set_aside(folder)) == 1
