"""Whatever call of the disk fails, once or for ever: what was promised is kept, and the journal goes on by itself."""

import errno
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from actors.adapters.journal.folder import UNDELETED_MAX
from actors.adapters.journal.segment import HEADER, RECORD_BYTES
from actors.adapters.journal.writer import FileJournal
from actors.domain.payment import Payment
from actors.domain.records import LastPurge
from actors.errors import JournalUnavailableError
from tests.actors.adapters.journal.faulty_disk import FOR_EVER, FaultyDisk, attempt, open_descriptors
from tests.actors.adapters.journal.journals import (
    GENERATION,
    LAST_PURGE,
    after_a_crash,
    ids,
    purge,
    segment,
    segments,
    some,
)
from tests.actors.fakes import NOW_MS, payment

RECORDS = 3
"""How many records the segments have here."""


def opened(folder: Path, disk: FaultyDisk, memory_max: int = 1000, last_purge: LastPurge = LAST_PURGE) -> FileJournal:
    bytes_max = HEADER.size + RECORDS * RECORD_BYTES
    return FileJournal(folder, last_purge, disk.sync, memory_max=memory_max, segment_bytes_max=bytes_max, disk=disk)


def append(journal: FileJournal, number: int) -> bool:
    return attempt(partial(journal.append, some(2, first=number)), JournalUnavailableError)


def is_ready(journal: FileJournal) -> bool:
    return attempt(journal.check, JournalUnavailableError)


@pytest.mark.parametrize(
    ("code", "times"), [(errno.EIO, 1), (errno.EDQUOT, 2), (errno.EACCES, FOR_EVER), (errno.ENOSPC, FOR_EVER)]
)
@pytest.mark.parametrize(
    "calls",
    [
        *(("create",), ("write",), ("sync",), ("sync_folder",), ("rename",), ("unlink",), ("close",)),
        *(("sync", "close"), ("sync", "unlink"), ("sync", "truncate"), ("unlink", "empty"), ("write", "truncate")),
    ],
    ids=" and ".join,
)
def test_what_was_promised_is_found_and_the_journal_goes_on(
    folder: Path, calls: tuple[str, ...], code: int, times: int
) -> None:
    disk = FaultyDisk()
    before = open_descriptors()
    promised: list[Payment] = []
    with closing(opened(folder, disk)) as journal:
        for number in range(0, 60, 2):
            if number == 10:
                for call in calls:
                    disk.fail(call, code, times)
            if number == 40:
                disk.heal()
            if append(journal, number):
                promised += some(2, first=number)
                assert is_ready(journal)
            else:
                assert 10 <= number < 40
            if number % 6 == 0:
                journal.committed(ids(journal.take(4)))
        assert set(ids(some(20, first=40))) <= set(ids(promised))
        found = after_a_crash(folder)
        assert set(ids(promised[-journal.held :])) <= set(ids(found))
        assert len(set(ids(found))) == len(found)
        assert disk.created == sorted(set(disk.created))
        assert set(found) <= set(some(60))
    assert open_descriptors() == before


def test_unless_cutting_fails_too_what_was_refused_is_not_found(folder: Path) -> None:
    disk = FaultyDisk()
    with closing(opened(folder, disk)) as journal:
        append(journal, 0)
        for call in ("write", "sync", "create", "sync_folder"):
            disk.fail(call)
            refused = [append(journal, number) for number in range(2, 10, 2)]
            assert (refused, after_a_crash(folder)) == ([False] * 4, some(2))
            disk.heal()


def test_writes_that_take_one_byte_at_a_time_are_whole(folder: Path) -> None:
    disk = FaultyDisk()
    disk.write_bytes_max = 1
    with closing(opened(folder, disk)) as journal:
        assert append(journal, 0)
        assert after_a_crash(folder) == some(2)


def test_a_full_disk_leaves_no_file_for_each_attempt_and_payments_are_taken_once_there_is_room(folder: Path) -> None:
    disk = FaultyDisk()
    with closing(opened(folder, disk)) as journal:
        append(journal, 0)
        disk.fail("write", errno.ENOSPC)
        for _ in range(2000):
            assert not append(journal, 2)
            assert len(segments(folder)) == 1
        assert not is_ready(journal)
        disk.heal()
        assert append(journal, 4)
        assert (is_ready(journal), after_a_crash(folder)) == (True, [*some(2), *some(2, first=4)])


def test_where_nothing_can_be_written_or_deleted_the_number_of_files_has_an_end(folder: Path) -> None:
    disk = FaultyDisk()
    with closing(opened(folder, disk)) as journal:
        disk.fail("write", errno.ENOSPC)
        disk.fail("unlink")
        for _ in range(2 * UNDELETED_MAX):
            assert not append(journal, 0)
        assert len(segments(folder)) == UNDELETED_MAX
        assert not is_ready(journal)
        assert journal.trouble() == f"{UNDELETED_MAX} files cannot be deleted"
        disk.heal()
        assert append(journal, 0)
        assert (len(segments(folder)), journal.trouble(), is_ready(journal)) == (1, None, True)


def test_it_is_unready_after_a_failed_append_until_a_write_succeeds(folder: Path) -> None:
    disk = FaultyDisk()
    with closing(opened(folder, disk)) as journal:
        assert is_ready(journal)
        disk.fail("sync")
        assert not append(journal, 0)
        before = open_descriptors()
        for call in ("sync", "write", "create"):
            disk.heal()
            disk.fail(call)
            with pytest.raises(JournalUnavailableError, match="Input/output error"):
                journal.check()
        disk.heal()
        assert is_ready(journal)
        assert (open_descriptors(), segments(folder), (folder / "probe").exists()) == (before, [], False)


@pytest.mark.parametrize("left", [b"", segment([]), segment(some(1))[:-1]])
def test_a_rewind_goes_on_where_an_empty_segment_cannot_be_deleted(folder: Path, left: bytes) -> None:
    folder.mkdir()
    (folder / "000000000001.journal").write_bytes(left)
    (folder / "000000000002.journal").write_bytes(segment(some(2)))
    disk = FaultyDisk()
    disk.fail("unlink")
    with closing(opened(folder, disk)) as journal:
        assert list(journal.rewind()) == some(2)
        assert journal.trouble() == "1 files cannot be deleted"
        disk.heal()
        journal.committed(ids(journal.take(2)))
        assert (segments(folder), journal.trouble()) == ([], None)


def test_what_cannot_be_deleted_is_emptied_so_that_no_start_gives_it_again(folder: Path) -> None:
    disk = FaultyDisk()
    disk.fail("unlink")
    with closing(opened(folder, disk)) as journal:
        for number in range(0, 12, 4):
            assert append(journal, number)
            assert append(journal, number + 2)
            journal.committed(ids(journal.take(4)))
    assert [path.stat().st_size for path in folder.glob("*.journal")] == [0, 0, 0]
    assert after_a_crash(folder) == []


def test_a_segment_that_cannot_be_read_is_left_for_a_later_start_and_the_others_are_given(folder: Path) -> None:
    folder.mkdir()
    for number in (1, 2, 3):
        (folder / f"{number:012d}.journal").write_bytes(segment([payment(number)]))
    disk = FaultyDisk()
    disk.fail("read", name="2.journal")
    with closing(opened(folder, disk)) as journal:
        assert list(journal.rewind()) == [payment(1), payment(3)]
        assert (journal.unread_segments, journal.held) == (1, 2)
        assert journal.trouble() == "1 segments cannot be read by this release or now"
        journal.purge(LastPurge(GENERATION + 1, 0))
        disk.heal()
        assert list(journal.rewind()) == some(3, first=1)
        assert (journal.unread_segments, journal.trouble()) == (0, None)


def test_what_was_purged_stays_so_where_its_segment_could_not_be_read_or_deleted(folder: Path) -> None:
    disk = FaultyDisk()
    with closing(opened(folder, disk)) as journal:
        append(journal, 0)
        append(journal, 2)
        append(journal, 4)
        disk.fail("read", times=1)
        disk.fail("unlink")
        disk.fail("empty")
        journal.purge(purge(GENERATION + 1))
        assert list(journal.rewind()) == []
        disk.heal()
        assert list(journal.rewind()) == []
    assert segments(folder) == []


def test_a_journal_whose_folder_could_not_be_read_can_be_opened_afterwards(folder: Path) -> None:
    folder.mkdir()
    before = open_descriptors()
    disk = FaultyDisk()
    for call in ("make_folder", "sync_folder"):
        disk.fail(call, times=1)
        with pytest.raises(JournalUnavailableError):
            opened(folder, disk)
    unreadable = UnreadableFolder(folder)
    with pytest.raises(JournalUnavailableError):
        opened(unreadable, disk)
    assert open_descriptors() == before
    opened(folder, disk).close()


class UnreadableFolder(type(Path())):  # type: ignore[misc]  # the class of paths depends on the system
    """A folder whose names cannot be listed."""

    def iterdir(self) -> list[Path]:
        raise OSError(errno.EIO, "planted")


def test_a_segment_that_cannot_be_rewritten_is_left_for_a_later_start(folder: Path) -> None:
    old, late = payment(0), Payment(payment(1).correlation_id, 1, NOW_MS + 5)
    folder.mkdir()
    (folder / "000000000001.journal").write_bytes(segment([old, late]))
    disk = FaultyDisk()
    disk.fail("write", errno.ENOSPC)
    with closing(opened(folder, disk, last_purge=purge(GENERATION + 1))) as journal:
        assert (list(journal.rewind()), journal.unread_segments) == ([], 1)
        disk.heal()
        assert (list(journal.rewind()), journal.unread_segments) == ([late], 0)
    assert not list(folder.glob("*.unfinished"))


def test_what_is_not_synced_at_once_is_by_the_next_sync(folder: Path) -> None:
    disk = FaultyDisk()
    syncs: list[int] = []
    with closing(FileJournal(folder, LAST_PURGE, syncs.append, disk=disk)) as journal:
        journal.append(some(2))
        before = len(syncs)
        journal.append(some(2, first=2), synced=False)
        assert len(syncs) == before
        journal.sync()
        assert len(syncs) == before + 1
        journal.sync()
        assert len(syncs) == before + 1, "there is nothing to sync any more"
        assert ids(journal.take(9)) == ids(some(4))


def test_a_segment_is_synced_before_it_ends(folder: Path) -> None:
    disk = FaultyDisk()
    with closing(opened(folder, disk)) as journal:
        journal.append(some(RECORDS), synced=False)
        disk.fail("sync", times=1)
        journal.append(some(1, first=RECORDS), synced=False)
        assert len(segments(folder)) == 2
        with pytest.raises(JournalUnavailableError):
            journal.sync()
        journal.sync()  # It is told of once: those who relied on it were told otherwise.


def test_a_sync_that_fails_is_told_of(folder: Path) -> None:
    disk = FaultyDisk()
    with closing(opened(folder, disk)) as journal:
        journal.append(some(1), synced=False)
        disk.fail("sync", times=1)
        with pytest.raises(JournalUnavailableError):
            journal.sync()


def test_what_was_written_before_a_sync_that_failed_with_a_later_group_may_be_lost_as_well(folder: Path) -> None:
    """A disk may tell of it once: the next sync of the same file succeeds, though nothing was written again."""
    disk = FaultyDisk()
    with closing(opened(folder, disk)) as journal:
        journal.append(some(1), synced=False)
        disk.fail("sync", times=1)
        with pytest.raises(JournalUnavailableError):
            journal.append(some(1, first=1))
        with pytest.raises(JournalUnavailableError):
            journal.sync()
        assert ids(journal.take(9)) == ids(some(1)), "it was kept, as far as anybody knows"
