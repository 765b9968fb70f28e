"""What does not wait in memory waits on the disk, whatever its number, and is taken in its order."""

import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from actors.adapters.journal.segment import HEADER, RECORD_BYTES
from actors.adapters.journal.writer import MEMORY_MAX, FileJournal
from actors.errors import JournalUnavailableError
from tests.actors.adapters.journal.journals import LAST_PURGE, RECORDS_PER_SEGMENT, ids, segments, some


def test_what_waits_in_memory_is_taken_without_the_disk(journal: FileJournal, folder: Path) -> None:
    journal.append(some(MEMORY_MAX))
    folder.rename(folder.with_name("hidden"))
    assert journal.take(MEMORY_MAX) == some(MEMORY_MAX)
    folder.with_name("hidden").rename(folder)


def test_a_backlog_over_several_segments_is_taken_in_order_while_more_arrives(journal: FileJournal) -> None:
    backlog = 3 * RECORDS_PER_SEGMENT
    taken = []
    for first in range(0, backlog, 500):
        journal.append(some(500, first))
        taken += journal.take(100)
    assert journal.waiting == journal.held - len(taken)
    while payments := journal.take(700):
        taken += payments
    assert taken == some(len(taken))
    assert len(taken) >= backlog


def test_once_the_backlog_was_read_payments_wait_in_memory_again(journal: FileJournal, folder: Path) -> None:
    journal.append(some(MEMORY_MAX + 1))
    assert len(journal.take(MEMORY_MAX + 1)) == MEMORY_MAX + 1
    journal.append(some(1))
    folder.rename(folder.with_name("hidden"))
    assert journal.take(1) == some(1)
    folder.with_name("hidden").rename(folder)


def test_a_segment_that_was_read_and_committed_disappears(journal: FileJournal, folder: Path) -> None:
    for number in range(3):
        journal.append(some(RECORDS_PER_SEGMENT, first=number * RECORDS_PER_SEGMENT))
    for left in (3, 2, 1):
        assert len(segments(folder)) == left
        journal.committed(ids(journal.take(RECORDS_PER_SEGMENT)))
    assert (segments(folder), journal.held) == (["000000000003.journal"], 0)


def test_payments_that_cannot_be_read_now_are_taken_later(folder: Path) -> None:
    with closing(FileJournal(folder, LAST_PURGE, None, memory_max=2)) as journal:
        journal.append(some(5))
        hidden = folder.rename(folder.with_name("hidden"))
        with pytest.raises(JournalUnavailableError):
            journal.take(3)
        assert (journal.take(1), journal.waiting, journal.held) == (some(1), 4, 5)
        hidden.rename(folder)
        assert journal.take(5) == some(4, first=1)


@pytest.mark.parametrize("damaged", [2, 3, 4])
def test_a_record_that_is_damaged_while_it_waits_is_left_out(folder: Path, damaged: int) -> None:
    with closing(FileJournal(folder, LAST_PURGE, None, memory_max=2)) as journal:
        journal.append(some(5))
        with (folder / "000000000001.journal").open("r+b") as file:
            file.seek(HEADER.size + damaged * RECORD_BYTES)
            file.write(b"damage")
        expected = [payment for number, payment in enumerate(some(5)) if number != damaged]
        assert (journal.take(9), journal.waiting, journal.held) == (expected, 0, 4)
        journal.append(some(1, first=5))
        journal.committed(ids([*expected, *journal.take(1)]))
        assert journal.held == 0
    assert segments(folder) == []


def test_a_file_that_was_cut_while_it_waits_ends_there(folder: Path) -> None:
    with closing(FileJournal(folder, LAST_PURGE, None, memory_max=0)) as journal:
        journal.append(some(3))
        (path,) = folder.glob("*.journal")
        path.write_bytes(path.read_bytes()[: HEADER.size + RECORD_BYTES + 1])
        assert (journal.take(9), journal.waiting, journal.held) == (some(1), 0, 1)


def test_memory_is_flat_whatever_waits(journal: FileJournal) -> None:
    def fill(count: int) -> int:
        for first in range(0, count, 500):
            journal.append(some(500, first))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = fill(2000)
        after = fill(20_000)
        list(journal.rewind())
        rewound = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert journal.waiting == 22_000
    assert after - before < 10_000
    assert rewound < before
