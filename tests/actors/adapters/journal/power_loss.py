"""What a loss of power may leave of a journal: its system calls are recorded, and every state of the disk is derived.

What was synced is there. Of what was not, each change of names may have happened or not, whatever came before it, and
what was written to a file may be there whole, cut at any byte, as zeros or garbage, or not at all.
"""

import errno
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from actors.adapters.journal.disk import Disk
from actors.domain.payment import Payment
from actors.domain.records import LastPurge

SUBSETS_MAX = 6
"""Up to as many unsynced changes of names in one folder, each subset of them may have happened. Of more, the first ones
may have, or all but one."""
GARBAGE = b"\xa5"


@dataclass(frozen=True, slots=True)
class Renamed:
    """One change of names in a folder, which happens whole or not at all."""

    folder: Path
    names: tuple[tuple[str, int | None], ...]
    """What each name stands for from now on."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A file has other contents, as far as it was not synced before."""

    file: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Synced:
    """What a file, or the names in a folder, are now is durable."""

    what: int | Path


@dataclass(frozen=True, slots=True)
class Expected:
    """What has to be found from now on."""

    promised: frozenset[Payment]
    possible: frozenset[Payment]
    """What may be found: what was promised, what was refused, and what is committed."""
    last_purge: LastPurge
    last_number: int
    """Highest number of a segment that payments were promised from."""


Event = Renamed | Changed | Synced | Expected
Tree = tuple[tuple[Path, bytes | None], ...]
"""The paths that stand on a disk, and the contents of those that are files."""


class RecordingDisk(Disk):
    """Carries out each call below a root, and writes down what it means for the loss of power."""

    def __init__(self, root: Path) -> None:
        self.events: list[Event] = []
        self.failing_syncs = 0
        """How many of the next syncs fail."""
        self.last_segment: Path | None = None
        self.root = root
        self._files: dict[Path, int] = {}
        self._contents: dict[int, bytes] = {}
        self._by_fd: dict[int, int] = {}

    def create(self, path: Path, *, anew: bool = True) -> int:
        fd = super().create(path, anew=anew)
        if path.suffix == ".journal":
            self.last_segment = path
        if path in self._files:
            self._change(self._files[path], b"")
        else:
            self._files[path] = len(self._contents)
            self._contents[self._files[path]] = b""
            self.events.append(Renamed(self._relative(path.parent), ((path.name, self._files[path]),)))
        self._by_fd[fd] = self._files[path]
        return fd

    def write(self, fd: int, data: bytes | memoryview) -> int:
        self._change(self._by_fd[fd], self._contents[self._by_fd[fd]] + bytes(data))
        return super().write(fd, data)

    def sync(self, fd: int) -> None:
        if self.failing_syncs:
            self.failing_syncs -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.events.append(Synced(self._by_fd[fd]))

    def truncate(self, fd: int, size_bytes: int) -> None:
        super().truncate(fd, size_bytes)
        self._change(self._by_fd[fd], self._contents[self._by_fd[fd]][:size_bytes])

    def rename(self, path: Path, to: Path) -> None:
        super().rename(path, to)
        self._files[to] = self._files.pop(path)
        self.events.append(Renamed(self._relative(path.parent), ((path.name, None), (to.name, self._files[to]))))

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        if self._files.pop(path, None) is not None:
            self.events.append(Renamed(self._relative(path.parent), ((path.name, None),)))

    def make_folder(self, folder: Path) -> None:
        if not folder.exists():
            super().make_folder(folder)
            self.events.append(Renamed(self._relative(folder.parent), ((folder.name, -1),)))

    def sync_folder(self, folder: Path) -> None:
        if folder.is_relative_to(self.root):
            self.events.append(Synced(self._relative(folder)))

    def name_of(self, fd: int) -> str:
        """Name the file that was opened under a descriptor, as long as it bears that name."""
        return next(path.name for path, file in self._files.items() if file == self._by_fd[fd])

    def _change(self, file: int, content: bytes) -> None:
        self._contents[file] = content
        self.events.append(Changed(file, content))

    def _relative(self, path: Path) -> Path:
        return path.relative_to(self.root)


@dataclass
class _Pending:
    """What of the events so far is durable, and what is not."""

    names: dict[Path, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    """Durable names by folder."""
    renamed: dict[Path, list[Renamed]] = field(default_factory=lambda: defaultdict(list))
    contents: dict[int, bytes] = field(default_factory=lambda: defaultdict(bytes))
    """Durable contents by file."""
    changed: dict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    def add(self, event: Renamed | Changed | Synced) -> None:
        match event:
            case Renamed(folder):
                self.renamed[folder].append(event)
            case Changed(file, content):
                self.changed[file].append(content)
            case Synced(int() as file):
                self.contents[file] = self.changed.pop(file, [self.contents[file]])[-1]
            case Synced(Path() as folder):
                self.names[folder] = _renamed(self.names[folder], self.renamed.pop(folder, ()))

    def trees(self, step_bytes: int) -> Iterator[Tree]:
        """Derive every state of the disk that the loss of power may leave now."""
        folders = sorted({*self.names, *self.renamed})
        for chosen in product(*(self._names_left(folder) for folder in folders)):
            names = dict(zip(folders, chosen, strict=True))
            standing = [
                (folder / name, file)
                for folder in folders
                if folder == Path() or names[folder.parent].get(folder.name) == -1
                for name, file in names[folder].items()
            ]
            files = sorted({file for _, file in standing if file >= 0 and self.changed.get(file)})
            for contents in self._contents_left(files, step_bytes):
                yield tuple(
                    (path, None if file < 0 else contents.get(file, self.contents[file])) for path, file in standing
                )

    def _names_left(self, folder: Path) -> Iterator[dict[str, int]]:
        pending = self.renamed.get(folder, [])
        for happened in _subsets(pending):
            yield _renamed(self.names[folder], happened)

    def _contents_left(self, files: list[int], step_bytes: int) -> Iterator[dict[int, bytes]]:
        """Tear one file in every way while each of the others is as it was synced or as it was written."""
        if not files:
            yield {}
        for torn in files:
            others = [each for each in files if each != torn]
            for whole in product((True, False), repeat=len(others)):
                left = {
                    file: self.changed[file][-1] if is_whole else self.contents[file]
                    for file, is_whole in zip(others, whole, strict=True)
                }
                for content in _torn(self.contents[torn], self.changed[torn], step_bytes):
                    yield left | {torn: content}


def _subsets(changes: list[Renamed]) -> Iterator[list[Renamed]]:
    if len(changes) <= SUBSETS_MAX:
        for happened in product((True, False), repeat=len(changes)):
            yield [change for change, was_done in zip(changes, happened, strict=True) if was_done]
        return
    yield changes
    for number in range(len(changes)):
        yield changes[:number]
        yield changes[:number] + changes[number + 1 :]


def _renamed(names: dict[str, int], changes: Iterable[Renamed]) -> dict[str, int]:
    after: dict[str, int | None] = {**names}
    for change in changes:
        after.update(change.names)
    return {name: file for name, file in after.items() if file is not None}


def _torn(durable: bytes, versions: list[bytes], step_bytes: int) -> Iterator[bytes]:
    yield durable
    for version in versions:
        yield version
        for cut in range(len(durable), len(version), step_bytes):
            missing = len(version) - cut
            yield version[:cut]
            yield version[:cut] + bytes(missing)
            yield version[:cut] + GARBAGE * missing
            # The sectors of one write reach the disk in any order.
            yield durable + bytes(cut - len(durable)) + version[cut:]


def states(events: Iterable[Event], step_bytes: int) -> Iterator[tuple[Tree, Expected]]:
    """Derive every state that the loss of power may leave between two of these events, and what is to be found in it.

    There are none before the first expectation. What was not synced is cut at every `step_bytes`.
    """
    pending, expected = _Pending(), None
    for event in events:
        if isinstance(event, Expected):
            expected = event
        else:
            pending.add(event)
        if expected is not None:
            yield from ((tree, expected) for tree in pending.trees(step_bytes))


def lay_out(tree: Tree, root: Path) -> None:
    """Put such a state onto a real disk."""
    for path, content in sorted(tree):
        if content is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(content)
