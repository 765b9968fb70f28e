"""Tells which payments of a journal have something in common, by their places in the order of arrival."""

from collections import deque


class JournalRuns:
    """Remembers runs of payments that lie between others, by the places at which they begin and end.

    The first payment that is appended has the place 0.
    """

    def __init__(self) -> None:
        self._runs: deque[tuple[int, int]] = deque()

    def mark(self, start: int, end: int) -> None:
        """Note that the payments from one place to before another form a run; it stands behind all others."""
        assert not self._runs or self._runs[-1][1] <= start, "runs are marked in the order of arrival"
        if self._runs and self._runs[-1][1] == start:
            start = self._runs.pop()[0]
        if start < end:
            self._runs.append((start, end))

    def next_run(self, place: int, waiting: int) -> tuple[bool, int]:
        """Tell whether the payment at a place belongs to a run, and how many of those that wait from there are like it.

        Whatever lies before that place is forgotten.
        """
        while self._runs and self._runs[0][1] <= place:
            self._runs.popleft()
        if not self._runs:
            return False, waiting
        start, end = self._runs[0]
        return (True, min(waiting, end - place)) if start <= place else (False, min(waiting, start - place))
