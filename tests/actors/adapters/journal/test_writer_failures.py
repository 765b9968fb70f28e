"""What an append has refused is never found again, whichever way the disk failed."""

import errno
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from actors.adapters.journal.writer import FileJournal
from actors.errors import JournalUnavailableError
from tests.actors.adapters.journal.journals import GENERATION, LAST_PURGE, after_a_crash, ids, purge, segments, some
from tests.actors.fakes import payment

ROOT = Path(__file__).parents[4]

# A limit on the size of files stands for a full disk: a write is cut in the middle, the next one fails.
FULL_DISK = """
import os, resource, sys
from pathlib import Path
from actors.adapters.journal.segment import HEADER, RECORD_BYTES
from actors.adapters.journal.writer import FileJournal
from actors.domain.records import LastPurge
from actors.errors import JournalUnavailableError
from tests.actors.fakes import payment

journal = FileJournal(Path(sys.argv[1]), LastPurge(5, 0), os.fsync)
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


class FailingSync:
    """Fails while it is told to."""

    def __init__(self) -> None:
        self.failing = False

    def __call__(self, fd: int) -> None:
        if self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(fd)


def test_what_could_not_be_synced_is_not_found(folder: Path) -> None:
    sync = FailingSync()
    with closing(FileJournal(folder, LAST_PURGE, sync)) as journal:
        journal.append(some(2))
        sync.failing = True
        for _ in range(2):
            with pytest.raises(JournalUnavailableError):
                journal.append(some(2, first=2))
            assert after_a_crash(folder) == some(2)
        sync.failing = False
        journal.append(some(2, first=4))
        assert after_a_crash(folder) == [*some(2), *some(2, first=4)]
        journal.committed(ids(journal.take(4)))
    assert segments(folder) == []


def test_after_a_failed_sync_nothing_is_written_to_the_same_file(folder: Path) -> None:
    sync = FailingSync()
    with closing(FileJournal(folder, LAST_PURGE, sync)) as journal:
        journal.append(some(1))
        sync.failing = True
        with pytest.raises(JournalUnavailableError):
            journal.append(some(1, first=1))
        sync.failing = False
        before = (folder / "000000000001.journal").read_bytes()
        journal.append(some(1, first=2))
        assert (folder / "000000000001.journal").read_bytes() == before


class StoppedError(BaseException):
    """Stands for whatever ends a greenlet that waits for a sync."""


def test_what_was_being_synced_when_its_writer_was_stopped_is_not_kept(folder: Path) -> None:
    stopping = False

    def sync(fd: int) -> None:  # noqa: ARG001  # as in the journal
        if stopping:
            raise StoppedError

    with closing(FileJournal(folder, LAST_PURGE, sync, memory_max=0)) as journal:
        journal.append(some(1))
        stopping = True
        with pytest.raises(StoppedError):
            journal.append(some(2, first=1))
        stopping = False
        journal.append(some(1, first=3))
        assert journal.take(9) == [payment(0), payment(3)]
        assert after_a_crash(folder) == [payment(0), payment(3)]


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


def test_a_rewind_that_was_unavailable_has_lost_nothing(journal: FileJournal, folder: Path) -> None:
    journal.append(some(2))
    hidden = folder.rename(folder.with_name("hidden"))
    for call in (lambda: list(journal.rewind()), journal.trouble):
        with pytest.raises(JournalUnavailableError, match="journal"):
            call()
    hidden.rename(folder)
    assert list(journal.rewind()) == some(2)


def test_a_purge_that_was_unavailable_can_be_repeated(journal: FileJournal, folder: Path) -> None:
    journal.append(some(2))
    hidden = folder.rename(folder.with_name("hidden"))
    with pytest.raises(JournalUnavailableError, match="journal"):
        journal.purge(purge(GENERATION + 1))
    hidden.rename(folder)
    journal.purge(purge(GENERATION + 1))
    assert (segments(folder), list(journal.rewind())) == ([], [])
