"""Whenever power is lost, every promised payment is found again, once and with its amount, and the journal goes on."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from tempfile import mkdtemp
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.adapters.journal.orphans import OrphanJournal
from actors.adapters.journal.segment import HEADER, RECORD_BYTES
from actors.adapters.journal.writer import FileJournal
from actors.domain.payment import Payment
from actors.domain.records import LastPurge
from actors.errors import JournalUnavailableError
from tests.actors.adapters.journal.journals import ids
from tests.actors.adapters.journal.power_loss import Expected, RecordingDisk, Tree, lay_out, states
from tests.actors.fakes import NOW_MS

BYTES_MAX = HEADER.size + 2 * RECORD_BYTES
"""Segments hold two records here."""


class World:
    """A replica's journal, that of another replica which is gone, and what clients and Postgres know."""

    def __init__(self, root: Path, disk: RecordingDisk) -> None:
        self.disk = disk
        self.root = root
        self.attempts = 0
        self.promised: dict[UUID, Payment] = {}
        self.possible: set[Payment] = set()
        self.last_purge = LastPurge(1, 0)
        self.last_number = 0
        """Highest number of a segment of its own that promised payments stand in."""
        with closing(self._opened("other")) as self.journal:
            self.append()
        self.journal = self._opened("own")

    def append(self) -> None:
        self._append(1)

    def append_two(self) -> None:
        self._append(2)

    def fail_to_append(self) -> None:
        self.disk.failing_syncs = 1
        self._append(1)
        self.disk.failing_syncs = 0

    def commit(self) -> None:
        taken = self.journal.take(2)
        for payment in taken:
            self.promised.pop(payment.correlation_id, None)
        self.expect()
        self.journal.committed(ids(taken))

    def restart(self) -> None:
        self.journal.close()
        self.journal = self._opened("own")

    def purge(self) -> None:
        """Forget all but the payment that came last."""
        at_ms = NOW_MS + self.attempts - 1
        self.last_purge = LastPurge(self.last_purge.generation + 1, at_ms)
        self.possible = {each for each in self.possible if each.accepted_at_ms > at_ms}
        self.promised = {key: each for key, each in self.promised.items() if each in self.possible}
        self.expect()
        self.journal.purge(self.last_purge)
        list(self.journal.rewind())

    def take_over(self) -> None:
        with closing(OrphanJournal(self.root / "other", self.last_purge, disk=self.disk)) as orphan:
            if payments := list(orphan.replay()):
                self.journal.append(payments)
            orphan.took(len(payments))

    def expect(self) -> None:
        promised, possible = frozenset(self.promised.values()), frozenset(self.possible)
        self.disk.events.append(Expected(promised, possible, self.last_purge, self.last_number))

    def _append(self, count: int) -> None:
        numbers = range(self.attempts + 1, self.attempts + count + 1)
        payments = [Payment(UUID(int=number), 100 + number, NOW_MS + number) for number in numbers]
        self.attempts += count
        self.possible |= set(payments)
        self.expect()
        try:
            self.journal.append(payments)
        except JournalUnavailableError:
            return
        self.promised |= {each.correlation_id: each for each in payments}
        if self.disk.last_segment is not None and self.disk.last_segment.parent.name == "own":
            self.last_number = int(self.disk.last_segment.stem)
        self.expect()

    def _opened(self, name: str) -> FileJournal:
        sync, disk = self.disk.sync, self.disk
        journal = FileJournal(self.root / name, self.last_purge, sync, segment_bytes_max=BYTES_MAX, disk=disk)
        list(journal.rewind())
        return journal


Step = Callable[[World], None]
STEPS: tuple[Step, ...] = (
    World.append,
    World.append_two,
    World.fail_to_append,
    World.commit,
    World.restart,
    World.purge,
    World.take_over,
)


class Trial:
    """Plays histories, and recovers from each state that the loss of power may leave, once."""

    def __init__(self, root: Path, step_bytes: int, make_disk: Callable[[Path], RecordingDisk] = RecordingDisk) -> None:
        self._root = root
        self._step_bytes = step_bytes
        self._make_disk = make_disk
        self._seen: set[tuple[Tree, Expected]] = set()
        self.recovered = 0

    def play(self, steps: Sequence[Step]) -> None:
        """Play a history.

        Raises:
            AssertionError: a loss of power in it would lose or invent something.
        """
        live = Path(mkdtemp(dir=self._root))
        disk = self._make_disk(live)
        world = World(live, disk)
        with closing(world.journal):
            for step in steps:
                step(world)
        shutil.rmtree(live)
        for tree, expected in states(disk.events, self._step_bytes):
            if (tree, expected) not in self._seen:
                self._seen.add((tree, expected))
                self.recovered += 1
                self._recover(tree, expected)

    def _recover(self, tree: Tree, expected: Expected) -> None:
        root = Path(mkdtemp(dir=self._root))
        lay_out(tree, root)
        found = []
        if (root / "other").exists():
            with closing(OrphanJournal(root / "other", expected.last_purge)) as orphan:
                found = list(orphan.replay())
        with closing(FileJournal(root / "own", expected.last_purge, None)) as journal:
            own = list(journal.rewind())
            assert len(ids(own)) == len(set(ids(own))), "found twice"
            assert not expected.promised.difference(found, own), "lost"
            assert expected.possible.issuperset([*found, *own]), "invented"
            new = Payment(UUID(int=10**6), 1, NOW_MS + 10**6)
            journal.append([new])
            assert journal.take(100) == [*own, new]
            assert max(int(path.stem) for path in (root / "own").glob("*.journal")) > expected.last_number, (
                "numbered anew"
            )
        with closing(FileJournal(root / "own", expected.last_purge, None)) as journal:
            assert list(journal.rewind()) == [*own, new]
        shutil.rmtree(root)


@pytest.mark.parametrize(("length", "step_bytes", "recovered_min"), [(1, 1, 1000), (2, 17, 800)])
def test_nothing_is_lost_or_invented_by_a_loss_of_power_in_any_short_history(
    tmp_path: Path, length: int, step_bytes: int, recovered_min: int
) -> None:
    trial = Trial(tmp_path, step_bytes)
    for steps in product(STEPS, repeat=length):
        trial.play(steps)
    assert trial.recovered > recovered_min


@settings(deadline=None, max_examples=5)
@given(st.lists(st.sampled_from(STEPS), min_size=3, max_size=6))
def test_nothing_is_lost_or_invented_by_a_loss_of_power_in_longer_histories(steps: list[Step]) -> None:
    root = Path(mkdtemp())
    try:
        Trial(root, step_bytes=RECORD_BYTES // 2).play(steps)
    finally:
        shutil.rmtree(root)


# What a journal would be that forgot one thing: the trial has to find each of them.


class WithoutFolderSync(RecordingDisk):
    def sync_folder(self, folder: Path) -> None:
        if folder == self.root:
            super().sync_folder(folder)


class WithoutSyncOfItsFolder(RecordingDisk):
    def sync_folder(self, folder: Path) -> None:
        if folder != self.root:
            super().sync_folder(folder)


class WithoutSync(RecordingDisk):
    def sync(self, fd: int) -> None:
        """Leave it to the operating system."""


class WithoutSyncOfWhatIsRewritten(RecordingDisk):
    def sync(self, fd: int) -> None:
        if self.name_of(fd).endswith(".journal"):
            super().sync(fd)


class RewritingInPlace(RecordingDisk):
    def rename(self, path: Path, to: Path) -> None:
        self.unlink(to)
        super().rename(path, to)


class NumberingAnew(RecordingDisk):
    def create(self, path: Path, *, anew: bool = True) -> int:
        fd = super().create(path, anew=anew)
        if path.suffix == ".number":
            self.unlink(path)
        return fd


def commit_too_early(world: World) -> None:
    world.journal.committed(ids(world.journal.take(2)))


def take_over_backwards(world: World) -> None:
    with closing(OrphanJournal(world.root / "other", world.last_purge, disk=world.disk)) as orphan:
        payments = list(orphan.replay())
        orphan.took(len(payments))
        world.journal.append(payments)


@pytest.mark.parametrize(
    ("make_disk", "steps", "found"),
    [
        (WithoutFolderSync, [World.append], "lost"),
        (WithoutSyncOfItsFolder, [World.append], "lost"),
        (WithoutSync, [World.append], "lost"),
        (WithoutSyncOfWhatIsRewritten, [World.append_two, World.purge], "lost"),
        (RewritingInPlace, [World.append_two, World.purge], "lost"),
        (
            NumberingAnew,
            [World.append_two, World.append_two, World.commit, World.commit, World.restart],
            "numbered anew",
        ),
        (RecordingDisk, [World.append_two, World.append_two, commit_too_early], "lost"),
        (RecordingDisk, [take_over_backwards], "lost"),
    ],
)
def test_a_planted_bug_is_found(
    tmp_path: Path, make_disk: Callable[[Path], RecordingDisk], steps: Sequence[Step], found: str
) -> None:
    with pytest.raises(AssertionError, match=found):
        Trial(tmp_path, RECORD_BYTES // 2, make_disk).play(steps)
