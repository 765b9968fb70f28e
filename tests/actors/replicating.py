"""A replica over parts in memory, whose actors are played by the test."""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from actors.domain.breaker import BreakerState
from actors.domain.records import NOTHING_MISSING, LastPurge
from actors.errors import (
    FielError,
)
from actors.messages.persistence import GetUnwritten
from actors.messages.processor import GetUnreported, ProcessorStatus
from actors.messages.router import GetBeingWritten, GetRouterStats, RouterStats
from actors.ports import OwnedJournal
from actors.replica import Replica
from actors.settings import Settings
from ops.simulation.purges import MemoryPurge
from ops.simulation.tables import MemoryFence, MemoryTables
from tests.actors.fakes import VirtualRuntime
from tests.actors.fakes_system import SETTINGS, MemoryDatabase, MemoryOwnedJournal, ScriptedSystem, memory_parts

AT_REST: Mapping[str, Mapping[type, object]] = {
    "default": {GetUnreported: NOTHING_MISSING},
    "fallback": {GetUnreported: NOTHING_MISSING},
    "router": {GetBeingWritten: 0},
    "persistence": {GetUnwritten: 0},
}
ACTORS = ["persistence", "router", "default", "fallback", "intake", "gossip", "lease", "health"]
"""In the order of their start."""
SETTLE_S_MAX = 7.0
"""How long its end lets payments be settled."""
STATS = RouterStats(unsettled={"held": 3}, unresolved=0, decisions={})
STATUS = ProcessorStatus(
    charges=True,
    state=BreakerState.CLOSED,
    under_way=0,
    limit=8,
    latency_s=None,
    starts_per_s_max=800.0,
    transitions=(),
    transitions_by_cause={},
)


class Process:
    """A replica over parts in memory, whose actors are played by the test."""

    def __init__(self, accept_s_max: float = 5.0, settings: Settings = SETTINGS) -> None:
        self.runtime = VirtualRuntime()
        self.tables = MemoryTables()
        self.journal = MemoryOwnedJournal()
        self.journal_errors: deque[FielError] = deque()
        """Raised one after another when the journal is to be opened."""
        self.opened: list[int] = []
        """Generations for which the journal was opened."""
        parts = memory_parts(self.runtime, self.tables, self.open_journal)
        self.purges, self.database = MemoryPurge(self.tables, MemoryFence("1")), MemoryDatabase()
        self.system = ScriptedSystem(replace(parts, purges=self.purges, database=self.database), settings)
        self.system.answer("router", {GetRouterStats: STATS})
        self.ends: list[str] = []
        """Reasons for which the process was to end."""
        self.replica = Replica(self.system, self.ends.append, accept_s_max, settle_s_max=SETTLE_S_MAX)

    def open_journal(self, last_purge: LastPurge) -> OwnedJournal:
        if self.journal_errors:
            raise self.journal_errors.popleft()
        self.opened.append(last_purge.generation)
        return self.journal

    def start(self) -> "Process":
        self.replica.start()
        self.runtime.run_spawned()
        return self

    def started(self) -> "Process":
        """Start it, with actors that have nothing to do."""
        for name, answers in AT_REST.items():
            self.system.answer(name, answers)
        self.start()
        self.system.log.clear()
        return self

    def told(self, *types: type) -> list[tuple[str, object]]:
        """Give what the actors were told and asked of these types, in order."""
        return [(name, message) for name, message in self.system.log if isinstance(message, types)]
