from collections.abc import Callable
from dataclasses import replace

import pytest

from actors.domain.records import LastPurge
from actors.domain.wall_clock import ClockReading, PeerClock
from actors.errors import GatewayUnavailableError
from actors.messages.lease import GetForgotten
from actors.messages.router import RouterStats
from actors.messages.trouble import GetTrouble
from actors.readiness import OK, Readiness, check_readiness
from actors.settings import Durability, Settings
from actors.supervisor import RestartLimits, Supervisor
from tests.actors.fakes import NOW_MS, MemoryBoard, VirtualRuntime
from tests.actors.fakes_system import (
    SETTINGS,
    MemoryDatabase,
    MemoryOwnedJournal,
    ScriptedSystem,
    memory_parts,
)

PARTS = ("journal", "segments", "actors", "postgres", "records", "redis", "clock", "payments")
BUSY = RouterStats(unsettled={"held": 3}, unresolved=0, decisions={})


class Started:
    """A replica whose actors have started, as its readiness sees it."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        runtime = VirtualRuntime()
        self.parts = memory_parts(runtime)
        self.journal = MemoryOwnedJournal()
        self.system = ScriptedSystem(self.parts, settings)
        children = self.system.children(self.journal, LastPurge(0, 0), lambda: None, lambda: None)
        self.supervisor = Supervisor(children, runtime, RestartLimits(), pytest.fail)
        self.supervisor.start()
        self.stats: Callable[[], RouterStats] = lambda: BUSY
        self.obstacle: str | None = None

    def check(self) -> Readiness:
        return check_readiness(self.system, self.journal, self.supervisor, self.stats, self.obstacle)


def test_a_replica_with_which_nothing_is_wrong_is_ready() -> None:
    readiness = Started().check()
    assert (readiness.ready, readiness.degraded, readiness.parts) == (True, False, dict.fromkeys(PARTS, OK))


def test_before_its_start_a_replica_is_not_ready() -> None:
    started = Started()
    readiness = check_readiness(started.system, None, None, started.stats, None)
    assert (readiness.ready, readiness.degraded) == (False, False)
    assert readiness.parts["journal"] == "not open yet: waiting for Postgres"
    assert readiness.parts["actors"] == "not started yet"


def test_a_replica_whose_journal_cannot_be_written_is_not_ready() -> None:
    started = Started()
    started.journal.broken = True
    readiness = started.check()
    assert (readiness.ready, readiness.parts["journal"]) == (False, "planted")


def test_a_replica_with_a_dead_actor_is_not_ready_and_names_it() -> None:
    started = Started()
    started.system.addresses["router"].alive = False
    started.system.addresses["fallback"].alive = False
    readiness = started.check()
    assert (readiness.ready, readiness.parts["actors"]) == (False, "dead: router, fallback")


def leave_a_segment_unread(started: Started) -> None:
    started.journal.unread_segments = 1


def lose_postgres(started: Started) -> None:
    assert isinstance(started.parts.database, MemoryDatabase)
    started.parts.database.gone = True


def lose_redis(started: Started) -> None:
    assert isinstance(started.parts.board, MemoryBoard)
    started.parts.board.gone = True


def step_the_clock(started: Started) -> None:
    runtime = started.parts.runtime
    assert isinstance(runtime, VirtualRuntime)
    runtime.clock.join(0)
    runtime.clock_ahead_ms = -3_600_000
    runtime.sample_clock()


def trouble(name: str) -> Callable[[Started], None]:
    """Keep an actor from its work, though the store that it uses answers."""
    return lambda started: started.system.answer(name, {GetTrouble: f"{name}: planted"})


def forget_records(started: Started) -> None:
    started.system.answer("lease", {GetForgotten: "lease: planted"})


def leave_payments_unresolved(started: Started) -> None:
    started.stats = lambda: RouterStats(unsettled={}, unresolved=2, decisions={})


def silence_the_router(started: Started) -> None:
    def ask() -> RouterStats:
        raise GatewayUnavailableError("router does not answer")

    started.stats = ask


@pytest.mark.parametrize(
    ("harm", "part", "told"),
    [
        (leave_a_segment_unread, "segments", "1 segments cannot be read"),
        (lose_postgres, "postgres", "planted"),
        (lose_redis, "redis", "planted"),
        (step_the_clock, "clock", "the system's clock has stepped and is 3600.0 s behind"),
        (trouble("lease"), "postgres", "lease: planted"),
        (forget_records, "records", "lease: planted"),
        (trouble("persistence"), "postgres", "persistence: planted"),
        (trouble("health"), "redis", "health: planted"),
        (trouble("gossip"), "redis", "gossip: planted"),
        (leave_payments_unresolved, "payments", "of 2 it is unknown for over 60 s whether they were charged"),
        (silence_the_router, "payments", "router does not answer"),
    ],
)
def test_a_replica_that_payments_are_accepted_by_all_the_same_is_degraded(
    harm: Callable[[Started], None], part: str, told: str
) -> None:
    started = Started()
    harm(started)
    readiness = started.check()
    assert (readiness.ready, readiness.degraded) == (True, True)
    assert readiness.parts == dict.fromkeys(PARTS, OK) | {part: told}


def test_a_replica_that_its_clock_keeps_from_joining_is_not_ready_and_tells_why() -> None:
    started = Started()
    runtime = started.parts.runtime
    peer = PeerClock("2", ClockReading(NOW_MS + 3_000, NOW_MS + 3_000), age_ms_min=0, age_ms_max=250)
    runtime.clock.compare([peer], runtime.now_s())
    readiness = started.check()
    assert not readiness.ready
    assert readiness.parts["clock"] == "the clock of replica 2 is 3.0 s ahead; this one does not join before they agree"
    runtime.clock.compare([], runtime.now_s())
    assert started.check().ready


def test_an_actor_that_does_not_answer_is_named() -> None:
    started = Started()
    started.system.addresses["health"].alive = False
    assert started.check().parts["redis"] == "health does not answer"


def test_a_draining_replica_is_not_ready() -> None:
    started = Started()
    started.obstacle = "draining"
    readiness = started.check()
    assert (readiness.ready, readiness.degraded) == (False, False)
    assert readiness.parts == {**dict.fromkeys(PARTS, OK), "gateway": "draining"}


class SilentError(GatewayUnavailableError):
    """An error without a word."""


def test_an_error_without_a_word_is_told_by_its_name() -> None:
    started = Started()

    def ask() -> RouterStats:
        raise SilentError

    started.stats = ask
    assert started.check().parts["payments"] == "SilentError"


@pytest.mark.parametrize("durability", Durability)
def test_a_replica_takes_payments_after_postgres_has_forgotten_something(durability: Durability) -> None:
    started = Started(replace(SETTINGS, durability=durability))
    forget_records(started)
    assert started.check().ready


@pytest.mark.parametrize("harm", [lose_postgres, trouble("persistence"), trouble("lease")])
@pytest.mark.parametrize("durability", Durability)
def test_without_postgres_a_replica_is_unready_where_nothing_else_makes_payments_durable(
    harm: Callable[[Started], None], durability: Durability
) -> None:
    started = Started(replace(SETTINGS, durability=durability))
    assert started.check().ready
    harm(started)
    assert started.check().ready == (durability is not Durability.LEDGER)
