"""The monitor notes each second how its replica is, and shares what was not shared yet."""

from collections.abc import Mapping

import pytest

from actors.domain.breaker import BreakerState, Transition
from actors.domain.breaker_causes import Cause
from actors.domain.payment import EndState
from actors.domain.records import LastPurge
from actors.domain.replica_status import ReplicaUsage
from actors.domain.routing import Reason
from actors.domain.seconds import KEPT_S
from actors.domain.shared_status import SharedStatus
from actors.errors import GatewayUnavailableError, StatusUnavailableError
from actors.messages.persistence import Incidents
from actors.messages.processor import DatedTransition, ProcessorStatus
from actors.messages.router import RouterStats
from actors.monitor import Monitor, PostAnswers
from actors.readiness import Readiness
from ops.simulation.peers import MemoryStatusBoard
from tests.actors.fakes import VirtualRuntime


class Watched:
    """A replica whose answers a test sets."""

    def __init__(self) -> None:
        self.is_silent = False
        self.parts = {"postgres": "ok"}
        self.last_purge: LastPurge | None = LastPurge(2, 0)
        self.settled: dict[str, int] = {"default": 0}
        self.waiting = {"held": 4, "charging": 1}
        self.transitions: tuple[DatedTransition, ...] = ()
        self.state = BreakerState.CLOSED

    def readiness(self) -> Readiness:
        return Readiness(ready=True, parts=self.parts)

    def stats(self) -> RouterStats:
        self._answer()
        return RouterStats(self.waiting, 0, {(None, Reason.WAIT_FOR_ANY): 1}, 3, {"default": 6.5})

    def incidents(self) -> Incidents:
        self._answer()
        return Incidents(0, {EndState.DECLINED: 1}, dict(self.settled))

    def processors(self) -> Mapping[str, ProcessorStatus]:
        self._answer()
        status = ProcessorStatus(True, self.state, 1, 10, 0.012, 100.0, self.transitions, {}, 0.5, 0.0)  # noqa: FBT003
        return {"default": status}

    def _answer(self) -> None:
        if self.is_silent:
            raise GatewayUnavailableError("planted")


class Bench:
    """A monitor with what stands around it."""

    def __init__(self) -> None:
        self.replica, self.board, self.runtime = Watched(), MemoryStatusBoard(), VirtualRuntime()
        self.answers = PostAnswers(0, (0, 0))
        self.usage_error: OSError | None = None
        """Raised when it is asked for what the process uses of the machine."""
        self.restart()

    def restart(self) -> None:
        """Begin a new monitor on the board."""
        self.monitor = self.made()
        self.monitor.begin()

    def made(self) -> Monitor:
        """Make a monitor on the board."""
        return Monitor(
            name="1",
            replica=self.replica,
            board=self.board,
            answers=lambda: self.answers,
            usage=self._usage,
            runtime=self.runtime,
        )

    def step(self) -> None:
        self.runtime.advance(1.0)
        self.monitor.step()

    def _usage(self) -> ReplicaUsage:
        if self.usage_error is not None:
            raise self.usage_error
        return ReplicaUsage(60_000_000, None, 39)


def test_a_second_has_what_was_accepted_and_settled_since_the_one_before() -> None:
    bench = Bench()
    bench.answers, bench.replica.settled = PostAnswers(5, (4, 1)), {"default": 3}
    bench.step()
    bench.answers, bench.replica.settled = PostAnswers(12, (10, 3)), {"default": 9}
    bench.step()
    first, second = bench.board.seconds["1"]
    assert (first.accepted, first.settled, first.answers) == (5, {"default": 3}, (4, 1))
    assert (second.accepted, second.settled, second.answers) == (7, {"default": 6}, (6, 2))
    assert (second.waiting, second.latency_ms, second.down) == (5, {"default": 12.0}, ())
    assert second.at_s == first.at_s + 1


def test_actors_that_were_started_anew_count_from_nothing() -> None:
    bench = Bench()
    bench.replica.settled = {"default": 9}
    bench.step()
    bench.replica.settled = {"default": 2}
    bench.step()
    assert [each.settled for each in bench.board.seconds["1"]] == [{"default": 9}, {"default": 2}]


def test_the_state_tells_of_a_processor_what_began_its_outage_and_how_long_it_is_waited_for() -> None:
    bench = Bench()
    began = Transition(BreakerState.CLOSED, BreakerState.OPEN, Cause.FAILURE_RATE, 1.0)
    probed = Transition(BreakerState.OPEN, BreakerState.HALF_OPEN, Cause.FAILURE_RATE, 2.0)
    bench.replica.state = BreakerState.HALF_OPEN
    bench.replica.transitions = (DatedTransition(1000, began), DatedTransition(2000, probed))
    bench.step()
    seen = bench.board.statuses["1"].processors["default"]
    assert (seen.state, seen.since_ms, seen.waited_for_s, seen.failure_rate) == ("half-open", 1000, 6.5, 0.5)
    bench.replica.state = BreakerState.CLOSED
    bench.step()
    assert bench.board.statuses["1"].processors["default"].since_ms == 2000


def test_a_replica_whose_actors_do_not_answer_is_told_as_far_as_it_is_known() -> None:
    bench = Bench()
    bench.replica.is_silent, bench.replica.last_purge = True, None
    bench.step()
    status, (second,) = bench.board.statuses["1"], bench.board.seconds["1"]
    assert (status.readiness, status.waiting, status.processors, status.generation) == ("ready", {}, {}, 0)
    assert (second.waiting, second.settled) == (None, {})


def test_what_could_not_be_shared_is_shared_later_and_no_more_than_is_shown() -> None:
    bench = Bench()
    bench.board.error = StatusUnavailableError("planted")
    for _ in range(KEPT_S + 10):
        bench.step()
    assert len(bench.monitor.seconds) == KEPT_S
    bench.board.error = None
    bench.step()
    assert len(bench.board.seconds["1"]) == KEPT_S
    assert [each.text for each in bench.board.happenings] == ["replica 1 started"]
    bench.step()
    assert len(bench.board.seconds["1"]) == KEPT_S + 1


def test_a_replica_that_starts_again_says_so() -> None:
    bench = Bench()
    bench.step()
    again = Bench()
    again.board = bench.board
    again.runtime.advance(30.0)
    again.restart()
    again.step()
    assert [each.text for each in bench.board.happenings] == [
        "replica 1 started",
        "replica 1 started again, 30.0 s after its last report",
    ]


def test_without_redis_a_start_is_a_start() -> None:
    bench = Bench()
    bench.board.error = StatusUnavailableError("planted")
    bench.restart()
    bench.step()
    assert [each.text for each in bench.monitor.happenings] == ["replica 1 started"]


def test_what_nobody_answers_for_a_second_is_no_news_when_it_is_answered_again() -> None:
    bench = Bench()
    bench.step()
    bench.replica.is_silent = True
    bench.step()
    assert (bench.board.statuses["1"].closed, bench.board.statuses["1"].adopted) == ({"declined": 1}, 3)
    bench.replica.is_silent = False
    bench.step()
    assert [each.text for each in bench.board.happenings] == ["replica 1 started"]


def test_a_replica_that_ends_in_good_order_says_so_and_is_not_missed() -> None:
    bench = Bench()
    bench.step()
    bench.monitor.stop()
    assert bench.board.statuses == {}
    assert bench.board.happenings[-1].text == "replica 1 ended"
    bench.board.error = StatusUnavailableError("planted")
    bench.monitor.stop()


def test_a_breaker_that_an_order_has_left_half_open_is_not_down() -> None:
    bench = Bench()
    began = Transition(BreakerState.CLOSED, BreakerState.OPEN, Cause.FAILURE_RATE, 1.0)
    freed = Transition(BreakerState.FORCED_OPEN, BreakerState.HALF_OPEN, Cause.OPERATOR, 2.0)
    bench.replica.state = BreakerState.HALF_OPEN
    bench.replica.transitions = (DatedTransition(1000, began), DatedTransition(2000, freed))
    bench.step()
    seen = bench.board.statuses["1"].processors["default"]
    assert (seen.since_ms, seen.cause, seen.is_down) == (2000, Cause.OPERATOR.value, False)


def test_it_notes_the_seconds_of_the_wall_clock_until_it_is_stopped() -> None:
    bench = Bench()
    bench.runtime.advance(0.4)
    bench.monitor.start()
    bench.runtime.call_later(3.0, bench.monitor.stop)
    bench.runtime.run_spawned()
    noted = [each.at_s for each in bench.board.seconds["1"]]
    assert noted == list(range(noted[0], noted[0] + 4))
    assert bench.runtime.now_ms() % 1000 == 0
    assert bench.board.statuses == {}


class UnreadableBoard(MemoryStatusBoard):
    """A board that holds what nobody can read."""

    def hear(self, seconds_max: int) -> SharedStatus:
        raise ValueError(f"planted: {seconds_max} seconds are no numbers")


def test_an_error_of_its_own_is_told_once_and_it_notes_the_next_seconds(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.board = UnreadableBoard()
    bench.monitor = bench.made()
    bench.usage_error = OSError("planted")
    bench.runtime.call_later(1.5, setattr, bench, "usage_error", None)
    bench.runtime.call_later(3.5, bench.monitor.stop)
    bench.monitor.start()
    bench.runtime.run_spawned()
    assert [each.levelname for each in caplog.records if "could not be noted" in each.getMessage()] == ["ERROR"]
    assert [each.levelname for each in caplog.records if "could not be read" in each.getMessage()] == ["ERROR"]
    assert len(bench.board.seconds["1"]) == 2
