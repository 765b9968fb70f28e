"""What an append has confirmed is found again after any death, until all of its segment is committed."""

import os
import struct
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from zlib import crc32

from actors.adapters.journal.segment import HEADER, RECORD_BYTES, encode_header
from actors.adapters.journal.writer import FileJournal
from actors.domain.payment import JOURNAL_BODIES, Payment
from tests.actors.adapters.journal.journals import (
    GENERATION,
    LAST_PURGE,
    NEWER_SEGMENT,
    RECORDS_PER_SEGMENT,
    after_a_crash,
    ids,
    purge,
    segments,
    some,
)
from tests.actors.fakes import NOW_MS, payment


def test_an_empty_folder_holds_nothing(journal: FileJournal) -> None:
    assert list(journal.rewind()) == []


def test_what_was_appended_is_found_in_order(journal: FileJournal, folder: Path) -> None:
    journal.append(some(3))
    journal.append(some(2, first=3))
    assert after_a_crash(folder) == some(5)
    assert list(journal.rewind()) == some(5)


def test_a_second_rewind_gives_the_same(journal: FileJournal) -> None:
    journal.append(some(3))
    assert [list(journal.rewind()), list(journal.rewind())] == [some(3), some(3)]


def test_what_is_appended_after_a_rewind_follows_it(journal: FileJournal, folder: Path) -> None:
    journal.append(some(2))
    list(journal.rewind())
    journal.append(some(2, first=2))
    assert after_a_crash(folder) == some(4)


def test_a_closed_journal_is_found_by_the_next_owner(folder: Path) -> None:
    for number in range(3):
        with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
            assert list(journal.rewind()) == some(number)
            journal.append([payment(number)])


def test_a_full_segment_is_followed_by_a_new_one(journal: FileJournal, folder: Path) -> None:
    journal.append(some(RECORDS_PER_SEGMENT))
    journal.append(some(1, first=RECORDS_PER_SEGMENT))
    assert segments(folder) == ["000000000001.journal", "000000000002.journal"]
    assert after_a_crash(folder) == some(RECORDS_PER_SEGMENT + 1)


def test_a_segment_disappears_once_all_of_it_is_committed(journal: FileJournal, folder: Path) -> None:
    first, second = some(RECORDS_PER_SEGMENT), some(1, first=RECORDS_PER_SEGMENT)
    journal.append(first)
    journal.append(second)
    assert journal.take(len(first)) == first
    journal.committed(ids(first[1:]))
    assert len(segments(folder)) == 2
    journal.committed(ids(first[:1]))
    assert segments(folder) == ["000000000002.journal"]
    assert after_a_crash(folder) == second


def test_the_segment_in_use_stays_until_the_journal_is_closed(folder: Path) -> None:
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        journal.append(some(2))
        journal.committed(ids(journal.take(2)))
        journal.append(some(1, first=2))
        assert payment(2) in after_a_crash(folder)
        journal.committed(ids(journal.take(1)))
    assert segments(folder) == []


def test_segments_of_an_earlier_run_disappear_when_they_are_committed(folder: Path) -> None:
    for number in range(2):
        with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
            list(journal.rewind())
            journal.append([payment(number)])
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        assert list(journal.rewind()) == some(2)
        assert journal.take(2) == some(2)
        journal.committed(ids(some(1)))
        assert segments(folder) == ["000000000002.journal"]
        journal.committed(ids(some(2)))
        assert segments(folder) == []
        journal.append([payment(2)])
        assert after_a_crash(folder) == [payment(2)]


def test_a_segment_in_the_middle_disappears_too(journal: FileJournal, folder: Path) -> None:
    for number in range(3):
        journal.append(some(RECORDS_PER_SEGMENT, first=number * RECORDS_PER_SEGMENT))
    journal.take(RECORDS_PER_SEGMENT)
    journal.committed(ids(journal.take(RECORDS_PER_SEGMENT)))
    assert segments(folder) == ["000000000001.journal", "000000000003.journal"]


def test_what_was_not_taken_is_not_committed(journal: FileJournal, folder: Path) -> None:
    journal.append(some(RECORDS_PER_SEGMENT))
    journal.append(some(1, first=RECORDS_PER_SEGMENT))
    journal.committed(ids(some(RECORDS_PER_SEGMENT)))
    assert (journal.waiting, journal.held, len(segments(folder))) == (RECORDS_PER_SEGMENT + 1,) * 2 + (2,)


def test_unknown_ids_are_ignored(journal: FileJournal, folder: Path) -> None:
    journal.append(some(1))
    journal.take(1)
    journal.committed(ids(some(5, first=10)))
    assert after_a_crash(folder) == some(1)


def test_an_id_in_two_segments_is_committed_in_both(journal: FileJournal, folder: Path) -> None:
    journal.append(some(RECORDS_PER_SEGMENT))
    journal.append([*some(1), *some(RECORDS_PER_SEGMENT, first=RECORDS_PER_SEGMENT)])
    journal.append([payment(10**6)])
    assert len(journal.take(2 * RECORDS_PER_SEGMENT + 1)) == 2 * RECORDS_PER_SEGMENT + 1
    journal.committed(ids(some(2 * RECORDS_PER_SEGMENT)))
    assert after_a_crash(folder) == [payment(10**6)]


def test_everything_is_synced_before_an_append_returns(folder: Path) -> None:
    synced_bytes: list[int] = []
    with closing(FileJournal(folder, LAST_PURGE, lambda fd: synced_bytes.append(os.fstat(fd).st_size))) as journal:
        for number in range(3):
            journal.append(some(2, first=2 * number))
            assert synced_bytes[-1] == HEADER.size + 2 * (number + 1) * RECORD_BYTES


def test_a_group_is_synced_once(folder: Path) -> None:
    syncs: list[int] = []
    with closing(FileJournal(folder, LAST_PURGE, syncs.append)) as journal:
        journal.append(some(1))
        syncs.clear()
        journal.append(some(100, first=1))
        assert len(syncs) == 1


def test_a_purged_journal_holds_only_what_comes_after(journal: FileJournal, folder: Path) -> None:
    journal.append(some(2))
    journal.purge(purge(GENERATION + 1))
    assert segments(folder) == []
    assert (journal.take(9), journal.waiting, journal.held, list(journal.rewind())) == ([], 0, 0, [])
    journal.append(some(1, first=2))
    assert after_a_crash(folder, GENERATION + 1) == some(1, first=2)
    assert after_a_crash(folder, GENERATION + 2) == []


def test_a_purge_leaves_a_segment_of_a_newer_format(journal: FileJournal, folder: Path) -> None:
    (folder / "000000000001.journal").write_bytes(NEWER_SEGMENT)
    journal.purge(purge(GENERATION + 1))
    assert (folder / "000000000001.journal").read_bytes() == NEWER_SEGMENT


def test_a_segment_of_the_release_before_is_replayed_in_reais_and_new_payments_follow_it(folder: Path) -> None:
    folder.mkdir()
    old = some(300)
    bodies = [JOURNAL_BODIES[1].pack(each.correlation_id.bytes, each.amount_minor, each.accepted_at_ms) for each in old]
    records = b"".join(struct.pack("<I", crc32(body)) + body for body in bodies)
    (folder / "000000000007.journal").write_bytes(encode_header(GENERATION, version=1) + records)
    new = [payment(1000, 1990, "JPY"), payment(1001, 1234, "KWD")]
    with closing(FileJournal(folder, LAST_PURGE, None, memory_max=10)) as journal:
        assert list(journal.rewind()) == old
        journal.append(new)
        assert [each for _ in range(4) for each in journal.take(100)] == [*old, *new]
        assert {each.currency for each in old} == {"BRL"}
        journal.committed(ids(old))
        assert segments(folder) == ["000000000008.journal"]
    assert after_a_crash(folder) == new


def accepted_later(number: int) -> Payment:
    """Make a payment that was accepted after the instant of the purges here."""
    return replace(payment(number), accepted_at_ms=NOW_MS + 1)


def test_a_purge_keeps_what_was_accepted_after_its_instant(folder: Path) -> None:
    with closing(FileJournal(folder, LAST_PURGE, os.fsync)) as journal:
        journal.append([payment(0), accepted_later(1), payment(2)])
        journal.take(2)
        journal.append([accepted_later(3)])
        for generation in (GENERATION + 1, GENERATION + 2):
            journal.purge(purge(generation))
            assert (journal.waiting, journal.held) == (0, 0)
            assert list(journal.rewind()) == [accepted_later(1), accepted_later(3)]
        journal.append([payment(4)])
        assert journal.take(9) == [accepted_later(1), accepted_later(3), payment(4)]
        journal.committed(ids([accepted_later(1), accepted_later(3)]))
        assert after_a_crash(folder, GENERATION + 2) == [payment(4)]


def test_who_finds_at_its_start_that_it_was_cut_off_during_a_purge_keeps_what_it_accepted_after_it(
    folder: Path,
) -> None:
    with closing(FileJournal(folder, LAST_PURGE, None)) as journal:
        journal.append([payment(0), accepted_later(1)])
    for _ in range(2):
        with closing(FileJournal(folder, purge(GENERATION + 1), None)) as journal:
            assert list(journal.rewind()) == [accepted_later(1)]
    with closing(FileJournal(folder, purge(GENERATION + 2, NOW_MS + 1), None)) as journal:
        assert list(journal.rewind()) == []
