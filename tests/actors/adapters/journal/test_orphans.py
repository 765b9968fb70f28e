"""A journal that nobody drives is taken over by another replica; one that somebody may drive is left alone."""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from uuid import UUID

import pytest

from actors.adapters.journal.orphans import LOOK_AGAIN_S, ORPHAN_AFTER_S, FileJournalShelf, OrphanJournal
from actors.adapters.journal.segment import encode_header, encode_record
from actors.adapters.journal.writer import FileJournal
from actors.domain.payment import Payment
from actors.errors import JournalLockedError
from tests.actors.adapters.journal.faulty_disk import FaultyDisk
from tests.actors.adapters.journal.journals import GENERATION, LAST_PURGE, NEWER_SEGMENT, purge, segments, some
from tests.actors.fakes import NOW_MS, payment


def left_behind(folder: Path, payments: Sequence[Payment], age_s: float) -> None:
    """Make a journal that was written so long before `NOW_MS` and that nobody holds."""
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        if payments:
            journal.append(payments)
    for path in folder.glob("*.journal"):
        os.utime(path, times=(NOW_MS / 1000 - age_s,) * 2)


def orphans(shelf: Path) -> dict[UUID, list[Payment]]:
    """What can be taken over there, by its first payment."""
    found = {}
    for orphan in FileJournalShelf(shelf, "own", LAST_PURGE, lambda: NOW_MS).orphans(()):
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


def test_a_journal_that_was_written_before_the_clock_was_set_back_is_offered(tmp_path: Path) -> None:
    left_behind(tmp_path / "a", some(2), -3600.0)
    assert orphans(tmp_path) == {payment(0).correlation_id: some(2)}


def test_a_journal_whose_owner_lives_is_not_offered(tmp_path: Path) -> None:
    left_behind(tmp_path / "a", some(1), 2 * ORPHAN_AFTER_S)
    with closing(FileJournal(tmp_path / "a", LAST_PURGE, None)):
        assert orphans(tmp_path) == {}


def test_an_orphan_is_held_while_it_is_open_and_gone_once_it_is_cleared(tmp_path: Path) -> None:
    left_behind(tmp_path / "a", some(1), 2 * ORPHAN_AFTER_S)
    (orphan,) = FileJournalShelf(tmp_path, "own", LAST_PURGE, lambda: NOW_MS).orphans(())
    with closing(orphan):
        with pytest.raises(JournalLockedError):
            FileJournal(tmp_path / "a", LAST_PURGE, None)
        assert list(orphan.replay()) == some(1)
        orphan.took(1)
    assert orphans(tmp_path) == {}


def test_a_journal_that_there_is_little_room_for_is_taken_in_parts_and_each_segment_goes_when_all_of_it_is_taken(
    tmp_path: Path,
) -> None:
    left_behind(tmp_path / "a", some(3), 2 * ORPHAN_AFTER_S)
    left_behind(tmp_path / "a", some(3, first=3), 2 * ORPHAN_AFTER_S)
    first, second = segments(tmp_path / "a")
    shelf = FileJournalShelf(tmp_path, "own", LAST_PURGE, lambda: NOW_MS)
    left = []
    for taken in (some(2), some(2, first=2), some(2, first=4)):
        (orphan,) = shelf.orphans(())
        with closing(orphan):
            assert list(islice(orphan.replay(), 2)) == taken
            orphan.took(2)
        left.append(segments(tmp_path / "a"))
    assert left == [[first, second], [second], []]


def test_a_part_of_a_journal_that_is_not_taken_is_given_again(tmp_path: Path) -> None:
    left_behind(tmp_path / "a", some(3), 2 * ORPHAN_AFTER_S)
    shelf = FileJournalShelf(tmp_path, "own", LAST_PURGE, lambda: NOW_MS)
    for _ in range(2):
        (orphan,) = shelf.orphans(())
        with closing(orphan):
            assert list(orphan.replay()) == some(3)


def test_the_journal_of_a_process_that_has_lost_its_lease_is_read_once_and_left_as_it_is(tmp_path: Path) -> None:
    shelf = FileJournalShelf(tmp_path, "own", LAST_PURGE, lambda: NOW_MS)
    with closing(FileJournal(tmp_path / "other", LAST_PURGE, sync=None)) as held:
        held.append(some(2))
        make_old(tmp_path / "other")
        assert list(shelf.orphans(())) == []
        (frozen,) = shelf.orphans(("other",))
        assert list(frozen.replay()) == some(2)
        frozen.took(2)
        frozen.close()
        assert list(shelf.orphans(("other",))) == []
        held.append(some(1, first=2))
        make_old(tmp_path / "other", seconds=50)
        (frozen,) = shelf.orphans(("other",))
        assert list(frozen.replay()) == some(1, first=2), "those before it were taken"


def test_an_orphan_gives_up_what_was_replayed_and_nothing_else(tmp_path: Path) -> None:
    left_behind(tmp_path / "a", some(1), 2 * ORPHAN_AFTER_S)
    later = tmp_path / "a" / "000000000002.journal"
    later.write_bytes(encode_header(GENERATION + 1) + encode_record(payment(1)))
    newer = tmp_path / "a" / "000000000003.journal"
    newer.write_bytes(NEWER_SEGMENT)
    with closing(OrphanJournal(tmp_path / "a", LAST_PURGE)) as orphan:
        assert list(orphan.replay()) == some(1)
        orphan.took(1)
    assert segments(tmp_path / "a") == [later.name, newer.name]


def test_an_orphan_that_cannot_be_cleared_away_is_taken_over_once(tmp_path: Path) -> None:
    left_behind(tmp_path / "a", some(1), 2 * ORPHAN_AFTER_S)
    shelf = FileJournalShelf(tmp_path, "own", LAST_PURGE, lambda: NOW_MS)
    data = (tmp_path / "a" / "000000000001.journal").read_bytes()
    for expected in ([some(1)], [], []):
        found = []
        for orphan in shelf.orphans(()):
            found.append(list(orphan.replay()))
            # Nothing is deleted where something else stands in its place.
            (tmp_path / "a" / "000000000001.journal").unlink()
            (tmp_path / "a" / "000000000001.journal").mkdir()
            make_old(tmp_path / "a")
            orphan.took(len(found[-1]))
            orphan.close()
        assert found == expected
    (tmp_path / "a" / "000000000001.journal").rmdir()
    (tmp_path / "a" / "000000000001.journal").write_bytes(data)
    make_old(tmp_path / "a", seconds=50)
    for orphan in shelf.orphans(()):
        assert list(orphan.replay()) == []
        orphan.took(0)
        orphan.close()
    assert list((tmp_path / "a").glob("*.journal")) == []


def test_an_orphan_that_cannot_be_read_is_looked_at_again_after_a_while_or_when_it_changes(tmp_path: Path) -> None:
    now_ms = [NOW_MS]
    left_behind(tmp_path / "a", some(1), 2 * ORPHAN_AFTER_S)
    (tmp_path / "a" / "000000000001.journal").write_bytes(NEWER_SEGMENT)
    make_old(tmp_path / "a")
    shelf = FileJournalShelf(tmp_path, "own", LAST_PURGE, lambda: now_ms[0])

    def look() -> list[list[Payment]]:
        found = []
        for orphan in shelf.orphans(()):
            with closing(orphan):
                found.append(list(orphan.replay()))
                orphan.took(len(found[-1]))
        return found

    assert (look(), look()) == ([[]], [])
    now_ms[0] += round(1000 * LOOK_AGAIN_S)
    assert (look(), look()) == ([[]], [])
    (tmp_path / "a" / "000000000002.journal").write_bytes(encode_header(GENERATION) + encode_record(payment(1)))
    make_old(tmp_path / "a", seconds=50)
    assert (look(), look()) == ([some(1, first=1)], [])


def test_an_orphan_whose_segments_cannot_be_deleted_is_emptied(tmp_path: Path) -> None:
    left_behind(tmp_path / "a", some(2), 2 * ORPHAN_AFTER_S)
    disk = FaultyDisk()
    disk.fail("unlink")
    given = []
    for _ in range(3):
        with closing(OrphanJournal(tmp_path / "a", LAST_PURGE, disk=disk)) as orphan:
            replayed = list(orphan.replay())
            orphan.took(len(replayed))
            given += replayed
    assert given == some(2)


def make_old(folder: Path, seconds: int = 100) -> None:
    for path in folder.glob("*.journal"):
        os.utime(path, (NOW_MS / 1000 - seconds, NOW_MS / 1000 - seconds))


def slept_through_a_purge(shelf: Path) -> Payment:
    """Leave a journal of which a purge forgets all but the payment that is given."""
    later = replace(payment(1), accepted_at_ms=NOW_MS + 1)
    left_behind(shelf / "a", [payment(0), later, payment(2)], 2 * ORPHAN_AFTER_S)
    return later


def test_of_an_orphan_that_slept_through_a_purge_only_what_was_accepted_later_is_offered(tmp_path: Path) -> None:
    later = slept_through_a_purge(tmp_path)
    shelf = FileJournalShelf(tmp_path, "own", purge(GENERATION + 1), lambda: NOW_MS)
    (orphan,) = shelf.orphans(())
    with closing(orphan):
        assert list(orphan.replay()) == [later]
        orphan.took(1)
    assert (segments(tmp_path / "a"), list(shelf.orphans(()))) == ([], [])


def test_of_a_journal_whose_process_sleeps_through_a_purge_only_what_was_accepted_later_is_read(tmp_path: Path) -> None:
    later = slept_through_a_purge(tmp_path)
    shelf = FileJournalShelf(tmp_path, "own", purge(GENERATION + 1), lambda: NOW_MS)
    with closing(FileJournal(tmp_path / "a", LAST_PURGE, None)):
        (frozen,) = shelf.orphans(("a",))
        assert list(frozen.replay()) == [later]


def test_journals_that_hold_nothing_are_named_as_far_as_they_can_be_read(tmp_path: Path) -> None:
    shelf = FileJournalShelf(tmp_path, "own", LAST_PURGE, lambda: NOW_MS)
    left_behind(tmp_path / "holds", some(1), 0.0)
    for name in ("own", "emptied"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock").touch()
    (tmp_path / "no folder").touch()
    assert shelf.emptied() == {"emptied"}
    for orphan in shelf.orphans(()):
        raise AssertionError(f"{orphan} was written just now")
    left_behind(tmp_path / "holds", (), 2 * ORPHAN_AFTER_S)
    for orphan in shelf.orphans(()):
        orphan.took(len(list(orphan.replay())))
        orphan.close()
    assert shelf.emptied() == {"emptied", "holds"}
    assert FileJournalShelf(tmp_path / "missing", "own", LAST_PURGE, lambda: NOW_MS).emptied() == frozenset()
