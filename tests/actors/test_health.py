"""Replicas around one board: one poll for all, one budget of probes, opinions that spread, whatever is forgotten."""

import logging
from collections.abc import Sequence
from itertools import pairwise
from math import inf
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.breaker import BreakerState
from actors.domain.messages import (
    BreakerChanged,
    ForceBreaker,
    FoundDown,
    GotThrough,
    HealthReported,
    ProbeAnswered,
    ProbeWanted,
)
from actors.domain.quorum import Opinion
from actors.health import DEAF_S, HOLD_S, HOLD_S_MAX, HURRY_S, LEASE_S, POLL_S, PROBE_OWN_S, READ_S, HealthActor
from actors.ports import ProcessorHealth, SharedHealth
from tests.actors.fakes import NOW_MS, MemoryBoard, Recorder, ScriptedProbe, VirtualRuntime, deliver

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
FORCED_OPEN, FORCED_CLOSED = BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED
PROCESSORS = ("default", "fallback")
ROUND_S = LEASE_S + HOLD_S + 2 * READ_S
"""From a start, or from when Redis is back, until each processor has been asked."""
PROBES_PER_S_MAX = 4

Message = TypeVar("Message")


class WatchedBoard(MemoryBoard):
    """A board that knows when it was read."""

    def __init__(self, fleet: "Fleet") -> None:
        super().__init__(lambda: fleet.time_s)
        self.read_at_s: list[float] = []

    def exchange(self, opinions: Sequence[Opinion]) -> SharedHealth:
        self.read_at_s.append(self._clock())
        return super().exchange(opinions)


class WatchedProbe(ScriptedProbe):
    """Health endpoints that know when they were asked."""

    def __init__(self, fleet: "Fleet") -> None:
        super().__init__()
        self._fleet = fleet
        self.asked_at_s: dict[str, list[float]] = {name: [] for name in PROCESSORS}

    def ask(self, processor: str) -> ProcessorHealth | None:
        self.asked_at_s[processor].append(self._fleet.time_s)
        return super().ask(processor)


class Member:
    """The health actor of one replica, in one life of it, not started; and what it told its processors' actors."""

    def __init__(self, fleet: "Fleet", name: str) -> None:
        self.runtime = VirtualRuntime()
        self.runtime.time_s = fleet.time_s
        self.processors = {name: Recorder() for name in PROCESSORS}
        self.actor = HealthActor(
            processors=self.processors, board=fleet.board, probe=fleet.probe, runtime=self.runtime, replica=name
        )
        self.helpers_wait = False
        self.actor.on_start()
        self.run_until(fleet.time_s)

    def run_until(self, time_s: float) -> None:
        self.runtime.advance(time_s - self.runtime.time_s)
        deliver(self.actor)
        if not self.helpers_wait:
            self.runtime.run_spawned()
            deliver(self.actor)

    def change(self, state: BreakerState, *, down: bool = False, processor: str = "default") -> None:
        self.actor.on_receive(BreakerChanged(processor, state, down, self.runtime.now_s()))

    def told(self, message_type: type[Message], processor: str = "default") -> list[Message]:
        """Take what its processor's actor was told of this type."""
        return [message for message in self.processors[processor].take() if isinstance(message, message_type)]

    def wants_probe(self) -> bool:
        self.actor.on_receive(ProbeWanted("default"))
        (answer,) = self.told(ProbeAnswered)
        return answer.granted


class Fleet:
    """Some replicas, the board that they share, and time."""

    def __init__(self, replicas: str = "123") -> None:
        self.time_s = 1000.0
        self.board, self.probe = WatchedBoard(self), WatchedProbe(self)
        self.members: dict[str, Member] = {}
        self.standing: set[str] = set()
        """Replicas whose process stands still."""
        for name in replicas:
            self.start(name)

    def start(self, name: str) -> None:
        """Start a replica, also in the place of its earlier life."""
        self.members[name] = Member(self, name)
        self.standing.discard(name)

    def stop(self, name: str) -> None:
        self.members.pop(name, None)

    def wake(self, name: str) -> None:
        self.standing.discard(name)
        if name in self.members:
            self.members[name].runtime.time_s = self.time_s
            self.members[name].helpers_wait = False

    def advance(self, seconds: float) -> None:
        end_s = self.time_s + seconds
        while self.time_s < end_s:
            awake = [member for name, member in self.members.items() if name not in self.standing]
            due_s = min((timer[0] for member in awake for timer in member.runtime.timers), default=inf)
            self.time_s = min(max(due_s, self.time_s), end_s)
            for member in awake:
                member.run_until(self.time_s)

    def asked_at_s(self, processor: str = "default") -> list[float]:
        return self.probe.asked_at_s[processor]

    def told(self, message_type: type[Message]) -> list[list[Message]]:
        return [member.told(message_type) for member in self.members.values()]


def answer(asked_at_ms: int = NOW_MS, *, failing: bool = True) -> ProcessorHealth:
    return ProcessorHealth("default", failing, 100, asked_at_ms)


# Polls of the processors' health endpoints.


def test_each_processor_is_asked_once_in_its_period_over_all_replicas() -> None:
    fleet = Fleet()
    fleet.advance(60.0)
    for name in PROCESSORS:
        gaps_s = [later - earlier for earlier, later in pairwise(fleet.asked_at_s(name))]
        assert len(gaps_s) >= 8
        assert min(gaps_s) >= POLL_S
        assert max(gaps_s) <= LEASE_S + (HOLD_S_MAX - HOLD_S) + 2 * READ_S


def test_one_answer_reaches_every_replica_once_with_its_age() -> None:
    fleet = Fleet()
    fleet.board.publish(answer(NOW_MS - 1500))
    fleet.advance(2 * READ_S)
    assert [[message] for (message,) in fleet.told(HealthReported)] == [
        [HealthReported("default", failing=True, response_time_ms_min=100, asked_s_ago=1.75)]
    ] * 3
    fleet.board.publish(answer(NOW_MS + 250, failing=False))
    fleet.advance(READ_S)
    assert [[told.failing for told in each] for each in fleet.told(HealthReported)] == [[False]] * 3


def test_an_answer_counts_whatever_the_clock_of_the_replica_that_asked() -> None:
    fleet = Fleet("1")
    fleet.board.publish(answer(NOW_MS + 3_600_000))
    fleet.advance(READ_S)
    assert [told.asked_s_ago for told in fleet.members["1"].told(HealthReported)] == [0.0]
    fleet.board.publish(answer(failing=False))
    fleet.advance(READ_S)
    assert [told.failing for told in fleet.members["1"].told(HealthReported)] == [False]


def test_what_was_asked_is_shared_and_an_evicted_answer_is_not_told_again() -> None:
    fleet = Fleet()
    fleet.probe.answers["default"] = answer()
    fleet.advance(ROUND_S + READ_S)
    assert len(fleet.asked_at_s()) == 1
    assert [len(told) for told in fleet.told(HealthReported)] == [1, 1, 1]
    fleet.board.answers.clear()
    fleet.advance(2 * READ_S)
    assert fleet.told(HealthReported) == [[], [], []]


def test_without_redis_nobody_asks_and_when_it_is_back_they_listen_first() -> None:
    fleet = Fleet()
    fleet.board.gone = True
    fleet.advance(2 * ROUND_S)
    assert fleet.asked_at_s() == []
    fleet.board.gone = False
    fleet.advance(LEASE_S)
    assert fleet.asked_at_s() == []
    fleet.advance(ROUND_S - LEASE_S)
    assert len(fleet.asked_at_s()) == 1


def test_a_lease_that_vanishes_while_it_is_held_leads_to_no_call() -> None:
    fleet = Fleet()
    while "default poll" not in fleet.board.leases:
        fleet.advance(0.05)
    fleet.advance(HOLD_S / 2)
    fleet.board.evict()
    fleet.advance(HOLD_S + 2 * READ_S)
    assert fleet.asked_at_s() == []
    fleet.advance(ROUND_S)
    assert len(fleet.asked_at_s()) == 1


def test_after_a_call_an_empty_board_leads_to_no_second_one() -> None:
    fleet = Fleet()
    while not fleet.asked_at_s():
        fleet.advance(0.05)
    for _ in range(10):
        fleet.board.evict()
        fleet.advance(POLL_S / 10 - 0.001)
    assert len(fleet.asked_at_s()) == 1


def test_who_dies_while_it_asks_leaves_the_next_call_to_others_a_period_later() -> None:
    fleet = Fleet()
    while not fleet.asked_at_s():
        fleet.advance(0.05)
    fleet.stop("1")
    fleet.board.evict()
    fleet.start("1")
    fleet.stop("2")
    fleet.advance(2 * ROUND_S)
    first, second, *_ = fleet.asked_at_s()
    assert POLL_S <= second - first <= ROUND_S + HOLD_S_MAX


@pytest.mark.parametrize("seconds", [DEAF_S - READ_S, HOLD_S_MAX, POLL_S - HOLD_S])
def test_who_stood_still_while_others_asked_does_not_ask_again_though_all_is_forgotten(seconds: float) -> None:
    fleet = Fleet("1")
    fleet.advance(2 * READ_S / 3)
    fleet.start("2")
    fleet.standing.add("2")
    while fleet.board.taken < len(PROCESSORS):
        fleet.wake("2")
        fleet.advance(READ_S / 3)
        fleet.standing.add("2")
        fleet.advance(READ_S / 3)
    fleet.advance(seconds)
    fleet.board.evict()
    fleet.wake("2")
    fleet.advance(2 * ROUND_S)
    asked_at_s = fleet.asked_at_s()
    assert min(later - earlier for earlier, later in pairwise(asked_at_s)) >= POLL_S


def test_a_call_that_comes_too_late_is_not_made() -> None:
    fleet = Fleet("1")
    fleet.members["1"].helpers_wait = True
    while not fleet.members["1"].runtime.spawned:
        fleet.advance(0.05)
    fleet.advance(HOLD_S_MAX)
    fleet.wake("1")
    fleet.advance(READ_S)
    assert fleet.asked_at_s() == []
    fleet.advance(ROUND_S)
    assert len(fleet.asked_at_s()) == 1


def test_a_call_that_takes_long_neither_holds_up_health_nor_is_made_twice() -> None:
    fleet = Fleet("1")
    member = fleet.members["1"]
    member.helpers_wait = True
    fleet.advance(3 * ROUND_S)
    assert len(member.runtime.spawned) == len(PROCESSORS)
    assert fleet.board.read_at_s[-1] >= fleet.time_s - READ_S


members = st.sampled_from("123")
events = st.one_of(
    st.tuples(st.just("pass"), st.floats(0.01, 3.0)),
    st.tuples(st.just("pass until somebody takes a lease"), st.floats(0.0, HOLD_S_MAX)),
    st.tuples(st.just("forget"), st.sampled_from(["leases", "answers", "opinions", "all"])),
    st.tuples(st.sampled_from(["die", "start", "stand still", "leave helpers waiting", "wake"]), members),
    st.tuples(st.sampled_from(["lose Redis", "find Redis"]), st.none()),
)


def happen(fleet: Fleet, event: str, what: object) -> None:  # noqa: C901, PLR0912  # one line for each event
    match event, what:
        case "pass", float(seconds):
            fleet.advance(seconds)
        case "pass until somebody takes a lease", float(seconds):
            taken, end_s = fleet.board.taken, fleet.time_s + ROUND_S
            while fleet.board.taken == taken and fleet.time_s < end_s:
                fleet.advance(0.05)
            fleet.advance(seconds)
        case "forget", "leases":
            fleet.board.leases.clear()
        case "forget", "answers":
            fleet.board.answers.clear()
        case "forget", "opinions":
            fleet.board.opinions.clear()
        case "forget", _:
            fleet.board.evict()
        case "die", str(name):
            fleet.stop(name)
        case "start", str(name):
            fleet.start(name)
        case "stand still", str(name):
            fleet.standing.add(name)
        case "leave helpers waiting", str(name) if name in fleet.members:
            fleet.members[name].helpers_wait = True
        case "wake", str(name):
            fleet.wake(name)
        case "lose Redis" | "find Redis", _:
            fleet.board.gone = event == "lose Redis"


@settings(max_examples=200, deadline=None)
@given(st.lists(events, max_size=60), st.floats(0.0, READ_S))
def test_whatever_dies_and_whatever_is_forgotten_no_processor_is_asked_twice_in_a_period(
    past: list[tuple[str, object]], offset_s: float
) -> None:
    fleet = Fleet("1")
    fleet.advance(offset_s)
    fleet.start("2")
    fleet.start("3")
    fleet.advance(ROUND_S)
    for event, what in past:
        happen(fleet, event, what)
    fleet.board.gone = False
    for name in "123":
        fleet.wake(name)
    fleet.start("1")
    healed_at_s = fleet.time_s
    fleet.advance(2 * ROUND_S)
    for name in PROCESSORS:
        asked_at_s = fleet.asked_at_s(name)
        assert min((later - earlier for earlier, later in pairwise(asked_at_s)), default=inf) >= POLL_S
        assert asked_at_s[-1] >= healed_at_s


# When the board is read.


def test_the_board_is_read_in_its_period_and_more_often_while_a_breaker_is_not_closed() -> None:
    fleet = Fleet("1")
    fleet.advance(10 * READ_S)
    assert len(fleet.board.read_at_s) == 11
    fleet.members["1"].change(OPEN)
    fleet.advance(READ_S)
    fleet.board.read_at_s.clear()
    fleet.advance(10 * HURRY_S + 0.01)
    assert len(fleet.board.read_at_s) == 10
    fleet.members["1"].change(CLOSED)
    fleet.advance(HURRY_S)
    fleet.board.read_at_s.clear()
    fleet.advance(10 * READ_S + 0.01)
    assert len(fleet.board.read_at_s) == 10


@given(st.lists(st.tuples(st.sampled_from([CLOSED, OPEN, HALF_OPEN]), st.floats(0.0, 0.5)), max_size=20))
def test_however_breakers_change_there_is_one_chain_of_timers_and_the_board_is_read_in_time(
    changes: list[tuple[BreakerState, float]],
) -> None:
    fleet = Fleet("1")
    for state, seconds in changes:
        fleet.members["1"].change(state)
        fleet.advance(seconds)
        assert len(fleet.members["1"].runtime.timers) == 1
    fleet.advance(2 * READ_S)
    assert max(later - earlier for earlier, later in pairwise(fleet.board.read_at_s)) <= READ_S + 0.001


def test_a_change_of_a_breaker_is_shared_at_once() -> None:
    fleet = Fleet("1")
    fleet.members["1"].change(OPEN, down=True)
    _, shared = fleet.board.opinions["default", "1"]
    assert shared == Opinion("1", "default", down=True, closed=False, changed_s_ago=0.0)


def test_that_redis_is_gone_is_logged_once_and_so_is_its_return(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    fleet = Fleet("1")
    for gone in (True, False, True):
        fleet.board.gone = gone
        fleet.advance(1.0)
    assert [record.message for record in caplog.records] == [
        "shared health is gone: planted",
        "shared health is back",
        "shared health is gone: planted",
    ]


# Opinions.


def test_two_of_three_that_found_a_processor_down_open_the_third_and_only_for_that_processor() -> None:
    fleet = Fleet()
    fleet.members["1"].change(OPEN, down=True)
    fleet.members["2"].change(OPEN, down=True)
    fleet.advance(READ_S)
    assert fleet.members["3"].told(FoundDown) == [FoundDown()]
    assert fleet.members["3"].told(FoundDown, "fallback") == []
    assert [fleet.members[name].told(FoundDown) for name in "12"] == [[], []]


@pytest.mark.parametrize("replicas", ["123", "12", "1"])
def test_one_replica_opens_nobody_else(replicas: str) -> None:
    fleet = Fleet(replicas)
    fleet.members["1"].change(OPEN, down=True)
    fleet.advance(5.0)
    assert fleet.told(FoundDown) == [[] for _ in replicas]


def test_one_that_was_opened_by_the_others_is_no_voice_of_its_own() -> None:
    fleet = Fleet()
    fleet.members["1"].change(OPEN, down=True)
    fleet.members["2"].change(OPEN, down=False)
    fleet.advance(5.0)
    assert fleet.members["3"].told(FoundDown) == []


def test_a_restarted_replica_follows_the_quorum() -> None:
    fleet = Fleet()
    for name in "12":
        fleet.members[name].change(OPEN, down=True)
    fleet.advance(60.0)
    fleet.start("3")
    fleet.advance(READ_S)
    assert fleet.members["3"].told(FoundDown)[:1] == [FoundDown()]


def test_the_opinion_of_a_replica_that_is_gone_ends() -> None:
    fleet = Fleet()
    fleet.members["1"].change(OPEN, down=True)
    fleet.stop("1")
    fleet.advance(5.0)
    fleet.members["2"].change(OPEN, down=True)
    fleet.advance(5.0)
    assert fleet.members["3"].told(FoundDown) == []


def test_an_opinion_ages_while_its_replica_stands_still() -> None:
    fleet = Fleet()
    for name in "12":
        fleet.members[name].change(OPEN, down=True)
        fleet.standing.add(name)
    fleet.advance(0.3)
    # It has been open meanwhile, and closes later than the others opened, whatever they last said.
    fleet.members["3"].change(CLOSED)
    fleet.members["3"].told(FoundDown)
    fleet.advance(1.5)
    assert fleet.members["3"].told(FoundDown) == []


def test_when_one_gets_through_the_others_hear_of_it_at_once_and_once() -> None:
    fleet = Fleet()
    for name in "123":
        fleet.members[name].change(OPEN, down=True)
        fleet.advance(0.4)
    fleet.members["1"].change(CLOSED)
    fleet.told(GotThrough)
    fleet.advance(HURRY_S + 0.001)
    assert fleet.told(GotThrough) == [[], [GotThrough()], [GotThrough()]]
    fleet.members["2"].change(HALF_OPEN, down=True)
    fleet.advance(2.0)
    assert fleet.told(GotThrough) == [[], [], []]


def test_after_a_failed_probe_an_earlier_success_is_no_news_and_a_later_one_is() -> None:
    fleet = Fleet("12")
    for name in "12":
        fleet.members[name].change(OPEN, down=True)
    fleet.advance(0.4)
    fleet.members["1"].change(CLOSED)
    fleet.advance(0.4)
    fleet.told(GotThrough)
    fleet.members["2"].change(OPEN, down=True)
    fleet.advance(2.0)
    assert fleet.members["2"].told(GotThrough) == []
    fleet.members["1"].change(OPEN, down=True)
    fleet.members["1"].change(CLOSED)
    fleet.advance(HURRY_S + 0.001)
    assert fleet.members["2"].told(GotThrough) == [GotThrough()]


def test_with_an_empty_board_opinions_are_back_with_the_next_exchange() -> None:
    fleet = Fleet()
    fleet.members["1"].change(OPEN, down=True)
    fleet.members["2"].change(OPEN, down=True)
    fleet.board.evict()
    fleet.advance(2 * READ_S)
    assert fleet.members["3"].told(FoundDown)[:1] == [FoundDown()]


# An operator's orders.


def order(fleet: Fleet, name: str, state: BreakerState | None) -> object:
    return fleet.members[name].actor.on_receive(ForceBreaker("default", state))


def test_an_order_reaches_every_replica_once() -> None:
    fleet = Fleet()
    assert order(fleet, "1", FORCED_OPEN) is True
    fleet.advance(1.0)
    assert fleet.told(ForceBreaker) == [[ForceBreaker("default", FORCED_OPEN)]] * 3
    assert order(fleet, "2", None) is True
    fleet.advance(1.0)
    assert fleet.told(ForceBreaker) == [[ForceBreaker("default", None)]] * 3


def test_an_order_for_a_processor_that_nobody_knows_is_refused() -> None:
    fleet = Fleet("1")
    assert fleet.members["1"].actor.on_receive(ForceBreaker("nobody", FORCED_OPEN)) is False


def test_of_two_orders_in_one_millisecond_all_replicas_keep_the_same() -> None:
    fleet = Fleet()
    fleet.board.gone = True
    order(fleet, "1", FORCED_OPEN)
    order(fleet, "2", FORCED_CLOSED)
    fleet.board.gone = False
    fleet.advance(1.0)
    assert len({told[-1].state for told in fleet.told(ForceBreaker)}) == 1


def test_an_order_counts_against_an_earlier_one_that_a_faster_clock_has_given() -> None:
    fleet = Fleet("12")
    fleet.members["1"].runtime.now_ms = lambda: NOW_MS + 3_600_000  # type: ignore[method-assign]
    order(fleet, "1", FORCED_OPEN)
    fleet.advance(1.0)
    order(fleet, "2", FORCED_CLOSED)
    fleet.advance(1.0)
    assert [told[-1].state for told in fleet.told(ForceBreaker)] == [FORCED_CLOSED] * 2


def test_an_order_outlives_an_empty_board_and_the_replica_that_took_it() -> None:
    fleet = Fleet()
    order(fleet, "1", FORCED_OPEN)
    fleet.advance(1.0)
    fleet.board.evict()
    fleet.start("1")
    fleet.advance(1.0)
    assert fleet.members["1"].told(ForceBreaker) == [ForceBreaker("default", FORCED_OPEN)]


# The budget of probes.


def test_a_probe_is_granted_to_one_of_several() -> None:
    fleet = Fleet()
    assert [fleet.members[name].wants_probe() for name in "123"] == [True, False, False]


def test_without_redis_each_replica_has_its_share() -> None:
    fleet = Fleet()
    fleet.board.gone = True
    assert [fleet.members[name].wants_probe() for name in "123"] == [True, True, True]
    fleet.advance(PROBE_OWN_S - 0.01)
    assert [fleet.members[name].wants_probe() for name in "123"] == [False, False, False]
    fleet.advance(0.02)
    assert fleet.members["1"].wants_probe()


changes = st.sampled_from(["nothing", "nothing", "forget", "lose Redis", "find Redis"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 0.3), changes, st.permutations("123")), min_size=1, max_size=60))
def test_whatever_becomes_of_redis_the_fleet_keeps_to_its_budget(wants: list[tuple[float, str, list[str]]]) -> None:
    fleet = Fleet()
    granted_at_s: list[float] = []
    for seconds, change, names in wants:
        fleet.advance(seconds)
        happen(fleet, change, "all")
        granted_at_s += [fleet.time_s for name in names if fleet.members[name].wants_probe()]
    windows = zip(granted_at_s, granted_at_s[PROBES_PER_S_MAX:], strict=False)
    assert min((later - earlier for earlier, later in windows), default=inf) > 1.0


@pytest.mark.parametrize("gone", [False, True], ids=["with Redis", "without"])
def test_the_fleet_makes_use_of_its_budget(gone: bool) -> None:  # noqa: FBT001  # a parameter
    fleet = Fleet()
    fleet.board.gone = gone
    granted = 0
    for _ in range(200):
        granted += sum(fleet.members[name].wants_probe() for name in "123")
        fleet.advance(0.05)
    assert 25 <= granted <= 34


def test_the_times_fit_together() -> None:
    """Whoever is not deaf sees each lease while it is held, with room for what an exchange may take."""
    assert READ_S < DEAF_S
    assert DEAF_S + 0.2 <= HOLD_S < HOLD_S_MAX
