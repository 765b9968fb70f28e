"""Gathers the states of all replicas and what they did, for the live page; all its viewers share one reading."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from actors.domain.happenings import Happening
from actors.domain.records import ProcessorTotal
from actors.domain.replica_status import HeardStatus
from actors.domain.seconds import KEPT_S, Seconds, Series
from actors.domain.shared_status import SharedStatus
from actors.domain.story import Story, tell
from actors.errors import GatewayUnavailableError, LedgerUnavailableError, StatusUnavailableError
from actors.monitor import Monitor
from actors.ports import Runtime, StatusBoard
from actors.summaries import Turns

SHARED_S = 0.9
"""How old a reading may be that a further viewer is given."""
TURN_S_MAX = 1.0
"""How long a viewer waits for the end of another's reading; then it is given the one before."""
LATE_S = 5
"""How many seconds late a replica may share what it did."""


class RecordedTotals(Protocol):
    """What the overview asks of the gateway's queries."""

    def recorded(self) -> tuple[ProcessorTotal, ...]:
        """Add up all charges that are recorded."""


@dataclass(frozen=True, slots=True)
class Look:
    """The state of the whole gateway at one reading."""

    heard: tuple[HeardStatus, ...]
    """The replicas, this one included, by name."""
    happenings: tuple[Happening, ...]
    totals: tuple[ProcessorTotal, ...] | None
    """All that is recorded; None where Postgres does not tell."""
    story: Story
    trouble: str | None
    """Why only the state of this replica is known; None where all are."""


class Overview:
    """Reads the states of all replicas."""

    def __init__(
        self,
        *,
        name: str,
        monitor: Monitor,
        board: StatusBoard,
        queries: RecordedTotals,
        bounds_s: Sequence[float],
        runtime: Runtime,
        make_turns: Callable[[int], Turns],
    ) -> None:
        """`name` is this replica's, `bounds_s` are those of the histograms in the seconds."""
        self._name = name
        self._monitor = monitor
        self._board = board
        self._queries = queries
        self._runtime = runtime
        self._turns = make_turns(1)
        self._seconds = Seconds(bounds_s)
        self._looked_at_s = -inf
        self._look: Look | None = None

    def look(self) -> Look:
        """Give the states of all replicas, as they were read within the last second.

        Raises:
            GatewayUnavailableError: this replica has only just started, or the reading of somebody else takes long.
        """
        if not self._turns.acquire(timeout=TURN_S_MAX):
            if self._look is not None:
                return self._look
            raise GatewayUnavailableError("the state of the replicas is not read in time")
        try:
            if self._look is None or self._runtime.now_s() - self._looked_at_s >= SHARED_S:
                self._look = self._read()
            return self._look
        finally:
            self._turns.release()

    def series(self, processors: Sequence[str], after_s: int | None) -> Series:
        """Give the seconds that the last reading knew, after `after_s` or all that are kept."""
        return self._seconds.series(processors, after_s, self._now_s())

    def _read(self) -> Look:
        own = self._monitor.status
        if own is None:
            raise GatewayUnavailableError("this replica has only just started")
        missed_s = min(self._runtime.now_s() - self._looked_at_s, KEPT_S)
        # All viewers would wait for a Postgres that hangs.
        totals = self._totals() if own.parts.get("postgres") == "ok" else None
        seconds_max = min(int(missed_s) + LATE_S, KEPT_S)
        shared, trouble = self._hear(seconds_max)
        # Redis may have lost what this replica has shared, but the replica still knows it.
        silent_for_s = max(0.0, (self._runtime.now_ms() - own.at_ms) / 1000)
        others = (each for each in shared.heard if each.status.replica != self._name)
        heard = tuple(sorted((HeardStatus(own, silent_for_s), *others), key=lambda each: each.status.replica))
        own_seconds = tuple(self._monitor.seconds)[-seconds_max:]
        for replica, seconds in {**shared.seconds, self._name: own_seconds}.items():
            self._seconds.add(replica, seconds, self._now_s())
        happenings = shared.happenings or tuple(self._monitor.happenings)
        story = tell(heard, self._settled_per_s(heard))
        self._looked_at_s = self._runtime.now_s()
        return Look(heard, happenings, totals, story, trouble)

    def _hear(self, seconds_max: int) -> tuple[SharedStatus, str | None]:
        try:
            return self._board.hear(seconds_max), None
        except StatusUnavailableError as error:
            return SharedStatus((), {}, ()), str(error)

    def _totals(self) -> tuple[ProcessorTotal, ...] | None:
        try:
            return self._queries.recorded()
        except (LedgerUnavailableError, GatewayUnavailableError):
            return None

    def _settled_per_s(self, heard: Sequence[HeardStatus]) -> float | None:
        """Average the last seconds that all replicas have told of."""
        names = sorted({name for each in heard for name in each.status.processors})
        series = self._seconds.series(names, self._now_s() - LATE_S, self._now_s())
        charged = [count for counts in series.settled.values() for count in counts if count is not None]
        return sum(charged) / len(series.accepted) if series.accepted else None

    def _now_s(self) -> int:
        return self._runtime.now_ms() // 1000
