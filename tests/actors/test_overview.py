"""Who watches is told of all replicas, by readings that all who watch share."""

import pytest

from actors.domain.money import Money
from actors.domain.records import ProcessorTotal
from actors.domain.replica_status import ReplicaUsage
from actors.errors import GatewayUnavailableError, LedgerUnavailableError, StatusUnavailableError
from actors.monitor import Monitor, PostAnswers
from actors.overview import SHARED_S, Overview
from ops.simulation.peers import MemoryStatusBoard
from tests.actors.fakes import VirtualRuntime
from tests.actors.test_monitor import Watched
from tests.actors.watching import changed, second

TOTALS = (ProcessorTotal("default", 3, Money(597, "BRL")),)


class OneTurn:
    """A semaphore that somebody else may hold."""

    def __init__(self) -> None:
        self.is_taken = False

    def acquire(self, *, timeout: float) -> bool:  # noqa: ARG002  # as the protocol has it
        return not self.is_taken

    def release(self) -> None:
        assert not self.is_taken


class Watching:
    """An overview of a replica, beside whatever others tell."""

    def __init__(self) -> None:
        self.board, self.runtime, self.replica = MemoryStatusBoard(), VirtualRuntime(), Watched()
        self.error: LedgerUnavailableError | None = None
        self.readings = 0
        self.turns = OneTurn()
        self.monitor = Monitor(
            name="1",
            replica=self.replica,
            board=self.board,
            answers=lambda: PostAnswers(0, (0, 0)),
            usage=lambda: ReplicaUsage(0, None, 0),
            runtime=self.runtime,
        )
        self.overview = Overview(
            name="1",
            monitor=self.monitor,
            board=self.board,
            queries=self,
            bounds_s=(0.001,),
            runtime=self.runtime,
            make_turns=lambda _: self.turns,
        )

    def recorded(self) -> tuple[ProcessorTotal, ...]:
        self.readings += 1
        if self.error is not None:
            raise self.error
        return TOTALS

    def step(self) -> None:
        self.runtime.advance(1.0)
        self.monitor.step()


def test_a_replica_that_has_only_just_begun_tells_nothing() -> None:
    with pytest.raises(GatewayUnavailableError, match="only just started"):
        Watching().overview.look()


def test_all_replicas_are_told_by_name_with_what_they_did() -> None:
    watching = Watching()
    watching.step()
    now_s = watching.runtime.now_ms() // 1000
    watching.board.tell(changed(replica="0", at_ms=watching.runtime.now_ms()), [second(now_s - 1, 7)], [])
    look = watching.overview.look()
    assert [each.status.replica for each in look.heard] == ["0", "1"]
    assert (look.totals, look.trouble) == (TOTALS, None)
    assert [each.text for each in look.happenings] == ["replica 1 started"]
    assert watching.overview.series(["default"], None).accepted == [7]


def test_many_who_watch_share_a_reading() -> None:
    watching = Watching()
    watching.step()
    assert watching.overview.look() is watching.overview.look()
    assert watching.readings == 1
    watching.runtime.advance(SHARED_S + 0.01)
    watching.overview.look()
    assert watching.readings == 2


def test_without_redis_the_replica_tells_of_itself_and_why() -> None:
    watching = Watching()
    watching.board.error = StatusUnavailableError("Redis: gone")
    watching.step()
    look = watching.overview.look()
    assert ([each.status.replica for each in look.heard], look.trouble) == (["1"], "Redis: gone")
    assert [each.text for each in look.happenings] == ["replica 1 started"]
    assert len(watching.overview.series([], None).accepted) == 1


def test_without_postgres_the_totals_are_not_known() -> None:
    watching = Watching()
    watching.error = LedgerUnavailableError("planted")
    watching.step()
    assert watching.overview.look().totals is None


def test_a_postgres_that_is_in_trouble_is_not_asked_for_totals() -> None:
    watching = Watching()
    watching.replica.parts = {"postgres": "hangs"}
    watching.step()
    assert (watching.overview.look().totals, watching.readings) == (None, 0)


def test_who_waits_for_the_reading_of_others_too_long_is_told_the_one_before() -> None:
    watching = Watching()
    watching.step()
    look = watching.overview.look()
    watching.turns.is_taken = True
    watching.runtime.advance(SHARED_S + 1)
    assert watching.overview.look() is look


def test_who_does_not_get_a_turn_in_time_is_refused() -> None:
    watching = Watching()
    watching.step()
    watching.turns.is_taken = True
    with pytest.raises(GatewayUnavailableError, match="not read in time"):
        watching.overview.look()
