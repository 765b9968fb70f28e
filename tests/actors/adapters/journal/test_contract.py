"""The journal on disk and the one in memory are the same queue, compared with a plain list in any order of calls."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Protocol
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.adapters.journal.segment import HEADER, RECORD_BYTES, decode_segment
from actors.adapters.journal.writer import FileJournal
from actors.domain.payment import Payment
from actors.domain.records import LastPurge
from actors.errors import JournalUnavailableError
from tests.actors.adapters.journal.journals import LAST_PURGE
from tests.actors.fakes import NOW_MS
from tests.actors.fakes_journal import MemoryJournal

some_ids = st.lists(st.integers(0, 11).map(lambda number: UUID(int=number)), max_size=7)


@dataclass
class Record:
    """What the list knows of one payment; no two are equal, also where their ids are."""

    payment: Payment
    taken: bool = False
    committed: bool = False


class Breakable(Protocol):
    """A sync, or a journal in memory, that fails while it is told to."""

    broken: bool


class AnyOrder(RuleBasedStateMachine):
    """The rules that both journals keep."""

    journal: FileJournal | MemoryJournal
    failure: Breakable

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Record] = []
        self.appended = 0
        self.last_purge = LAST_PURGE

    @rule(ids=some_ids)
    def append(self, ids: list[UUID]) -> None:
        payments = self.new(ids)
        self.journal.append(payments)
        self.records += map(Record, payments)

    @rule(ids=some_ids)
    def fail_to_append(self, ids: list[UUID]) -> None:
        self.failure.broken = True
        with pytest.raises(JournalUnavailableError):
            self.journal.append(self.new(ids))
        self.failure.broken = False

    @rule(payments_max=st.integers(0, 9))
    def take(self, payments_max: int) -> None:
        expected = [record for record in self.records if not record.taken][:payments_max]
        assert self.journal.take(payments_max) == [record.payment for record in expected]
        for record in expected:
            record.taken = True

    @rule(ids=some_ids)
    def commit(self, ids: list[UUID]) -> None:
        self.journal.committed(ids)
        for record in self.records:
            record.committed |= record.taken and record.payment.correlation_id in ids

    @rule()
    def commit_all_that_was_taken(self) -> None:
        self.commit([record.payment.correlation_id for record in self.records if record.taken])

    @rule()
    def rewind(self) -> None:
        found = list(self.journal.rewind())
        lost = {record.payment for record in self.records if not record.committed}.difference(found)
        assert not lost
        assert found == [record.payment for record in self.records if record.payment in found]
        self.records = [Record(payment) for payment in found]

    @rule(later=st.integers(0, 20))
    def purge(self, later: int) -> None:
        self.begin_purge(later)
        self.journal.purge(self.last_purge)
        self.rewind()

    def begin_purge(self, later: int) -> None:
        """Begin a purge that forgets all but so many of what was accepted last."""
        at_ms = max(self.last_purge.at_ms, NOW_MS + self.appended - later)
        self.last_purge = LastPurge(self.last_purge.generation + 1, at_ms)
        self.records = [record for record in self.records if record.payment.accepted_at_ms > at_ms]

    @invariant()
    def it_counts_what_waits_and_what_it_holds(self) -> None:
        uncommitted = [record for record in self.records if not record.committed]
        assert self.journal.held == len(uncommitted)
        assert self.journal.waiting == sum(not record.taken for record in uncommitted)

    def new(self, ids: Sequence[UUID]) -> list[Payment]:
        first_ms = NOW_MS + self.appended
        self.appended += len(ids)
        return [Payment(each, 1990, first_ms + number) for number, each in enumerate(ids)]


class InMemory(AnyOrder):
    def __init__(self) -> None:
        super().__init__()
        self.journal = self.failure = MemoryJournal()


class Sync:
    """Fails while it is told to."""

    broken = False

    def __call__(self, fd: int) -> None:  # noqa: ARG002  # as in the journal
        if self.broken:
            raise OSError(5, os.strerror(5))


class OnDisk(AnyOrder):
    journal: FileJournal

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(mkdtemp())
        self.failure = self.sync = Sync()
        self.runs = 0

    @initialize(memory_max=st.integers(0, 5), records_per_segment=st.integers(1, 8))
    def open(self, memory_max: int, records_per_segment: int) -> None:
        self.limits = memory_max, HEADER.size + RECORD_BYTES * records_per_segment
        self.journal = self.opened()

    @rule()
    def close_and_reopen(self) -> None:
        self.journal.close()
        self.journal = self.opened()
        self.rewind()

    @rule(later=st.integers(0, 20))
    def be_away_during_a_purge(self, later: int) -> None:
        self.begin_purge(later)
        self.close_and_reopen()

    @rule()
    def crash_and_reopen(self) -> None:
        folder = self.folder
        self.runs += 1
        shutil.copytree(folder, self.folder)
        self.journal.close()
        self.journal = self.opened()
        self.rewind()

    @invariant()
    def no_segment_stays_that_holds_nothing_but_the_one_that_is_written(self) -> None:
        needed = {record.payment for record in self.records if not record.committed}
        for path in sorted(self.folder.glob("*.journal"))[:-1]:
            content = decode_segment(path.read_bytes())
            assert content is not None
            assert needed.intersection(content.payments)

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
        shutil.rmtree(self.root)

    @property
    def folder(self) -> Path:
        return self.root / str(self.runs)

    def opened(self) -> FileJournal:
        memory_max, segment_bytes_max = self.limits
        return FileJournal(
            self.folder, self.last_purge, self.sync, memory_max=memory_max, segment_bytes_max=segment_bytes_max
        )


TestInMemory, TestOnDisk = InMemory.TestCase, OnDisk.TestCase
TestInMemory.settings = settings(deadline=None, max_examples=50)
TestOnDisk.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)
