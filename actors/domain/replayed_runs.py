"""Tells which payments of a journal were not accepted by this run of this replica."""

from collections import deque


class ReplayedRuns:
    """Counts what is appended and taken, in order: runs of replayed payments lie between others.

    A replayed payment comes from an earlier run, or from another replica's journal.
    """

    def __init__(self) -> None:
        self._appended = 0
        self._runs: deque[tuple[int, int]] = deque()
        """The positions at which runs of replayed payments that wait begin and end."""

    def appended(self, count: int, *, replayed: bool) -> None:
        """Note payments behind all others."""
        start, self._appended = self._appended, self._appended + count
        if replayed and self._runs and self._runs[-1][1] == start:
            start = self._runs.pop()[0]
        if replayed:
            self._runs.append((start, self._appended))

    def next_run(self, waiting: int) -> tuple[bool, int]:
        """Tell whether the next of the payments that wait is replayed, and how many in a row are like it."""
        position = self._appended - waiting
        while self._runs and self._runs[0][1] <= position:
            self._runs.popleft()
        if not self._runs:
            return False, waiting
        start, end = self._runs[0]
        return (True, end - position) if start <= position else (False, start - position)
