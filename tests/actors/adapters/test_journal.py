"""What an append has confirmed is replayed after any death; what it has refused never is."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.adapters.journal import (
    HEADER,
    MAGIC,
    ORPHAN_AFTER_S,
    RECORD_BYTES,
    SEGMENT_BYTES_MAX,
    FileJournal,
    FileJournalShelf,
    decode_segment,
    encode_header,
    encode_record,
)
from actors.domain.payment import Payment
from actors.errors import JournalLockedError, JournalUnavailableError
from tests.actors.fakes import NOW_MS, payment

ROOT = Path(__file__).parents[3]
GENERATION = 5
RECORDS_PER_SEGMENT = SEGMENT_BYTES_MAX // RECORD_BYTES + 1
"""After an append of so many, the next one begins a new segment."""

# Appends one payment, says so, and holds the folder until it is ended.
OWNER = """
import sys
from pathlib import Path
from actors.adapters.journal import FileJournal
from tests.actors.fakes import payment

journal = FileJournal(Path(sys.argv[1]), 5, None)
journal.append([payment(1)])
print("appended", flush=True)
sys.stdin.read()
"""

# A limit on the size of files stands for a full disk: a write is cut in the middle, the next one fails.
FULL_DISK = """
import os, resource, sys
from pathlib import Path
from actors.adapters.journal import HEADER, RECORD_BYTES, FileJournal
from actors.errors import JournalUnavailableError
from tests.actors.fakes import payment

journal = FileJournal(Path(sys.argv[1]), 5, os.fsync)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (HEADER.size + 3 * RECORD_BYTES + 10, hard))
for number in range(0, 12, 2):
    try:
        journal.append([payment(number), payment(number + 1)])
    except JournalUnavailableError:
        print("refused")
    else:
        print("kept")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def journal(folder: Path) -> Iterator[FileJournal]:
    with closing(FileJournal(folder, GENERATION, None)) as journal:
        yield journal


def some(count: int, first: int = 0) -> list[Payment]:
    return [payment(number) for number in range(first, first + count)]


def ids(payments: Sequence[Payment]) -> list[UUID]:
    return [each.correlation_id for each in payments]


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.journal"))


def after_a_crash(folder: Path, generation: int = GENERATION) -> list[Payment]:
    """Replay a copy of the files as they are while their owner still lives: what a crash would leave."""
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    try:
        with closing(FileJournal(copy, generation, None)) as journal:
            return list(journal.replay())
    finally:
        shutil.rmtree(copy)


def replay_of(folder: Path, data: bytes) -> list[Payment]:
    """Replay a folder that holds one segment with these bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "000000000001.journal").write_bytes(data)
    with closing(FileJournal(folder, GENERATION, None)) as journal:
        return list(journal.replay())


def generation_of(data: bytes) -> int:
    return int.from_bytes(data[len(MAGIC) : len(MAGIC) + 8], "little")


def segment(payments: Sequence[Payment]) -> bytes:
    return encode_header(GENERATION) + b"".join(map(encode_record, payments))


@settings(deadline=None)
@given(st.lists(st.builds(Payment, st.uuids(), st.integers(1, 10**14), st.integers(0, 2**63 - 1)), max_size=5))
def test_payments_survive_the_way_to_bytes_and_back(payments: list[Payment]) -> None:
    content = decode_segment(segment(payments))
    assert content is not None
    assert (content.generation, content.payments, content.damaged_bytes) == (GENERATION, tuple(payments), 0)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda rest: encode_header(1) + rest)))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    content = decode_segment(data)
    assert (content is not None) == (len(data) >= HEADER.size and data.startswith(encode_header(generation_of(data))))


def test_an_empty_folder_holds_nothing(journal: FileJournal) -> None:
    assert list(journal.replay()) == []


def test_what_was_appended_is_replayed_in_order(journal: FileJournal, folder: Path) -> None:
    journal.append(some(3))
    journal.append(some(2, first=3))
    assert after_a_crash(folder) == some(5)
    assert list(journal.replay()) == some(5)


def test_a_second_replay_gives_the_same(journal: FileJournal) -> None:
    journal.append(some(3))
    assert [list(journal.replay()), list(journal.replay())] == [some(3), some(3)]


def test_what_is_appended_after_a_replay_follows_it(journal: FileJournal, folder: Path) -> None:
    journal.append(some(2))
    list(journal.replay())
    journal.append(some(2, first=2))
    assert after_a_crash(folder) == some(4)


def test_a_closed_journal_is_replayed_by_the_next_owner(folder: Path) -> None:
    for number in range(3):
        with closing(FileJournal(folder, GENERATION, None)) as journal:
            assert list(journal.replay()) == some(number)
            journal.append([payment(number)])


def test_a_cut_at_any_byte_loses_the_records_behind_it_alone(folder: Path) -> None:
    data = segment(some(3))
    replayed = {cut: replay_of(folder, data[:cut]) for cut in range(len(data) + 1)}
    assert replayed == {cut: some(max(0, (cut - HEADER.size) // RECORD_BYTES)) for cut in range(len(data) + 1)}


def test_a_torn_tail_is_not_written_on(folder: Path) -> None:
    assert replay_of(folder, segment(some(2))[:-1]) == some(1)
    with closing(FileJournal(folder, GENERATION, None)) as journal:
        list(journal.replay())
        journal.append([payment(7)])
    assert after_a_crash(folder) == [payment(0), payment(7)]


def test_a_flipped_bit_loses_the_record_that_it_is_in_alone(folder: Path) -> None:
    data = segment(some(3))
    for offset in range(HEADER.size, len(data)):
        flipped = bytearray(data)
        flipped[offset] ^= 1 << offset % 8
        hit = (offset - HEADER.size) // RECORD_BYTES
        assert replay_of(folder, bytes(flipped)) == [each for number, each in enumerate(some(3)) if number != hit]


def test_a_flipped_bit_in_a_header_deletes_nothing(folder: Path) -> None:
    data = segment(some(2))
    kept = {}
    for bit in range(HEADER.size * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        replay_of(folder, bytes(flipped))
        kept[bit] = [path.stat().st_size for path in folder.iterdir() if path.name != "lock"]
    assert kept == {bit: [len(data)] for bit in range(HEADER.size * 8)}


def test_a_segment_with_a_foreign_header_is_set_aside(folder: Path) -> None:
    assert replay_of(folder, b"SOMETHING ELSE ENTIRELY") == []
    assert sorted(path.name for path in folder.iterdir()) == ["000000000001.damaged", "lock"]


def test_a_full_segment_is_followed_by_a_new_one(journal: FileJournal, folder: Path) -> None:
    journal.append(some(RECORDS_PER_SEGMENT))
    journal.append(some(1, first=RECORDS_PER_SEGMENT))
    assert segments(folder) == ["000000000001.journal", "000000000002.journal"]
    assert after_a_crash(folder) == some(RECORDS_PER_SEGMENT + 1)


def test_a_segment_disappears_once_all_of_it_is_committed(journal: FileJournal, folder: Path) -> None:
    first, second = some(RECORDS_PER_SEGMENT), some(1, first=RECORDS_PER_SEGMENT)
    journal.append(first)
    journal.append(second)
    journal.committed(ids(first[1:]))
    assert len(segments(folder)) == 2
    journal.committed(ids(first[:1]))
    assert segments(folder) == ["000000000002.journal"]
    assert after_a_crash(folder) == second


def test_the_segment_in_use_stays_until_the_journal_is_closed(folder: Path) -> None:
    with closing(FileJournal(folder, GENERATION, None)) as journal:
        journal.append(some(2))
        journal.committed(ids(some(2)))
        journal.append(some(1, first=2))
        assert payment(2) in after_a_crash(folder)
        journal.committed(ids(some(1, first=2)))
    assert segments(folder) == []


def test_segments_of_an_earlier_run_disappear_when_they_are_committed(folder: Path) -> None:
    for number in range(2):
        with closing(FileJournal(folder, GENERATION, None)) as journal:
            list(journal.replay())
            journal.append([payment(number)])
    with closing(FileJournal(folder, GENERATION, None)) as journal:
        assert list(journal.replay()) == some(2)
        journal.committed(ids(some(1)))
        assert segments(folder) == ["000000000002.journal"]
        journal.committed(ids(some(2)))
        assert segments(folder) == []
        journal.append([payment(2)])
        assert after_a_crash(folder) == [payment(2)]


def test_unknown_ids_are_ignored(journal: FileJournal, folder: Path) -> None:
    journal.append(some(1))
    journal.committed(ids(some(5, first=10)))
    assert after_a_crash(folder) == some(1)


def test_an_id_in_two_segments_is_committed_in_both(journal: FileJournal, folder: Path) -> None:
    journal.append(some(RECORDS_PER_SEGMENT))
    journal.append([*some(1), *some(RECORDS_PER_SEGMENT, first=RECORDS_PER_SEGMENT)])
    journal.append([payment(10**6)])
    journal.committed(ids(some(2 * RECORDS_PER_SEGMENT)))
    assert after_a_crash(folder) == [payment(10**6)]


def test_everything_is_synced_before_an_append_returns(folder: Path) -> None:
    synced_bytes: list[int] = []
    with closing(FileJournal(folder, GENERATION, lambda fd: synced_bytes.append(os.fstat(fd).st_size))) as journal:
        for number in range(3):
            journal.append(some(2, first=2 * number))
            assert synced_bytes[-1] == HEADER.size + 2 * (number + 1) * RECORD_BYTES


def test_a_group_is_synced_once(folder: Path) -> None:
    syncs: list[int] = []
    with closing(FileJournal(folder, GENERATION, syncs.append)) as journal:
        journal.append(some(1))
        syncs.clear()
        journal.append(some(100, first=1))
        assert len(syncs) == 1


class FailingSync:
    """Fails while it is told to."""

    def __init__(self) -> None:
        self.failing = False

    def __call__(self, fd: int) -> None:
        if self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(fd)


def test_what_could_not_be_synced_is_not_replayed(folder: Path) -> None:
    sync = FailingSync()
    with closing(FileJournal(folder, GENERATION, sync)) as journal:
        journal.append(some(2))
        sync.failing = True
        for _ in range(2):
            with pytest.raises(JournalUnavailableError):
                journal.append(some(2, first=2))
            assert after_a_crash(folder) == some(2)
        sync.failing = False
        journal.append(some(2, first=4))
        assert after_a_crash(folder) == [*some(2), *some(2, first=4)]
        journal.committed(ids([*some(2), *some(2, first=4)]))
    assert segments(folder) == []


def test_after_a_failed_sync_nothing_is_written_to_the_same_file(folder: Path) -> None:
    sync = FailingSync()
    with closing(FileJournal(folder, GENERATION, sync)) as journal:
        journal.append(some(1))
        sync.failing = True
        with pytest.raises(JournalUnavailableError):
            journal.append(some(1, first=1))
        sync.failing = False
        before = (folder / "000000000001.journal").read_bytes()
        journal.append(some(1, first=2))
        assert (folder / "000000000001.journal").read_bytes() == before


def test_of_a_full_disk_groups_are_kept_whole_or_not_at_all(folder: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)  # noqa: S603  # our own script
    outcomes = done.stdout.split()
    assert set(outcomes) == {"kept", "refused"}
    kept = [number for number, outcome in enumerate(outcomes) if outcome == "kept"]
    assert after_a_crash(folder) == [each for number in kept for each in some(2, first=2 * number)]


def test_a_folder_that_was_taken_away_is_unavailable_until_it_is_back(journal: FileJournal, folder: Path) -> None:
    journal.check()
    hidden = folder.rename(folder.with_name("hidden"))
    with pytest.raises(JournalUnavailableError):
        journal.check()
    with pytest.raises(JournalUnavailableError):
        journal.append(some(1))
    hidden.rename(folder)
    journal.check()
    journal.append(some(1, first=1))
    assert after_a_crash(folder) == some(1, first=1)


def test_a_segment_that_cannot_be_read_or_deleted_is_unavailable(journal: FileJournal, folder: Path) -> None:
    journal.append(some(1))
    (folder / "000000000002.journal").mkdir()
    for call in (lambda: list(journal.replay()), lambda: journal.purge(GENERATION + 1)):
        with pytest.raises(JournalUnavailableError, match="journal"):
            call()


def test_a_replay_that_was_unavailable_has_lost_nothing(journal: FileJournal, folder: Path) -> None:
    journal.append(some(2))
    obstacle = folder / "000000000000.journal"
    obstacle.mkdir()
    with pytest.raises(JournalUnavailableError):
        list(journal.replay())
    obstacle.rmdir()
    assert list(journal.replay()) == some(2)


@pytest.mark.parametrize("name", ["file/journal", "file"])
def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalUnavailableError, match="file"):
        FileJournal(tmp_path / name, GENERATION, None)


@pytest.mark.usefixtures("journal")
def test_a_second_owner_in_the_same_process_is_refused(folder: Path) -> None:
    with pytest.raises(JournalLockedError, match="journal"):
        FileJournal(folder, GENERATION, None)


def test_a_refused_owner_changes_nothing(journal: FileJournal, folder: Path) -> None:
    journal.append(some(1))
    with pytest.raises(JournalLockedError):
        FileJournal(folder, GENERATION + 1, None)
    assert after_a_crash(folder) == some(1)


def test_another_owner_is_refused_while_the_first_process_lives_and_finds_all_of_it_after(folder: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as owner:  # noqa: S603  # our own script
        try:
            assert owner.stdout is not None
            assert owner.stdout.readline() == b"appended\n"
            with pytest.raises(JournalLockedError):
                FileJournal(folder, GENERATION, None)
        finally:
            owner.kill()
    with closing(FileJournal(folder, GENERATION, None)) as journal:
        assert list(journal.replay()) == [payment(1)]


@pytest.mark.parametrize(
    ("later", "expected"), [(GENERATION - 1, some(2)), (GENERATION, some(2)), (GENERATION + 1, [])]
)
def test_segments_of_an_earlier_generation_are_purged_at_replay(
    folder: Path, later: int, expected: list[Payment]
) -> None:
    with closing(FileJournal(folder, GENERATION, None)) as journal:
        journal.append(some(2))
    with closing(FileJournal(folder, later, None)) as journal:
        assert list(journal.replay()) == expected
    assert bool(segments(folder)) == bool(expected)


def test_a_purged_journal_holds_only_what_comes_after(journal: FileJournal, folder: Path) -> None:
    journal.append(some(2))
    journal.purge(GENERATION + 1)
    assert segments(folder) == []
    assert list(journal.replay()) == []
    journal.append(some(1, first=2))
    assert after_a_crash(folder, GENERATION + 1) == some(1, first=2)
    assert after_a_crash(folder, GENERATION + 2) == []


def left_behind(folder: Path, payments: Sequence[Payment], age_s: float) -> None:
    """Make a journal that was written so long before `NOW_MS` and that nobody holds."""
    with closing(FileJournal(folder, GENERATION, None)) as journal:
        if payments:
            journal.append(payments)
    for path in folder.glob("*.journal"):
        os.utime(path, times=(NOW_MS / 1000 - age_s,) * 2)


def orphans(shelf: Path) -> dict[UUID, list[Payment]]:
    """What can be taken over there, by its first payment."""
    found = {}
    for orphan in FileJournalShelf(shelf, "own", GENERATION, lambda: NOW_MS).orphans(()):
        with closing(orphan):
            payments = list(orphan.replay())
            found[payments[0].correlation_id] = payments
    return found


def test_a_journal_that_was_left_is_offered_to_others(tmp_path: Path) -> None:
    left_behind(tmp_path / "a", some(2), 2 * ORPHAN_AFTER_S)
    left_behind(tmp_path / "b", some(1, first=2), 2 * ORPHAN_AFTER_S)
    assert orphans(tmp_path) == {payment(0).correlation_id: some(2), payment(2).correlation_id: some(1, first=2)}


def test_ones_own_journal_an_empty_one_and_one_in_recent_use_are_not_offered(tmp_path: Path) -> None:
    left_behind(tmp_path / "own", some(1), 2 * ORPHAN_AFTER_S)
    left_behind(tmp_path / "empty", [], 2 * ORPHAN_AFTER_S)
    left_behind(tmp_path / "recent", some(1, first=1), ORPHAN_AFTER_S / 2)
    (tmp_path / "no folder").touch()
    assert orphans(tmp_path) == {}


def test_a_journal_whose_owner_lives_is_not_offered(tmp_path: Path) -> None:
    left_behind(tmp_path / "a", some(1), 2 * ORPHAN_AFTER_S)
    with closing(FileJournal(tmp_path / "a", GENERATION, None)):
        assert orphans(tmp_path) == {}


def test_an_orphan_is_held_while_it_is_open_and_gone_once_it_is_cleared(tmp_path: Path) -> None:
    left_behind(tmp_path / "a", some(1), 2 * ORPHAN_AFTER_S)
    (orphan,) = FileJournalShelf(tmp_path, "own", GENERATION, lambda: NOW_MS).orphans(())
    with closing(orphan):
        with pytest.raises(JournalLockedError):
            FileJournal(tmp_path / "a", GENERATION, None)
        assert list(orphan.replay()) == some(1)
        orphan.clear()
    assert orphans(tmp_path) == {}


def test_the_journal_of_a_process_that_stands_still_is_read_once_and_left_as_it_is(tmp_path: Path) -> None:
    shelf = FileJournalShelf(tmp_path, "own", GENERATION, lambda: NOW_MS)
    with closing(FileJournal(tmp_path / "other", GENERATION, sync=None)) as held:
        held.append(some(2))
        make_old(tmp_path / "other")
        assert list(shelf.orphans(())) == []
        (standing,) = shelf.orphans(("other",))
        assert list(standing.replay()) == some(2)
        standing.clear()
        standing.close()
        assert list(shelf.orphans(("other",))) == []
        held.append(some(1, first=2))
        make_old(tmp_path / "other", seconds=50)
        (standing,) = shelf.orphans(("other",))
        assert list(standing.replay()) == some(3)


def make_old(folder: Path, seconds: int = 100) -> None:
    for path in folder.glob("*.journal"):
        os.utime(path, (NOW_MS / 1000 - seconds, NOW_MS / 1000 - seconds))
