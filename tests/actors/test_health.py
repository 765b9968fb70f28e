"""Replicas around one board: one poll for all, one budget of probes, opinions that spread, whatever is forgotten."""

import logging
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import inf
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.breaker import BreakerState
from actors.domain.outage_log import QUIET_S
from actors.domain.probing import PROBE_PAUSE_S
from actors.domain.quorum import Opinion
from actors.domain.records import ProcessorHealth, SharedHealth
from actors.health import (
    HOLD_S,
    HOLD_S_MAX,
    HURRY_S,
    POLL_LEASE_S,
    POLL_S,
    PROBE_SHARE_S,
    READ_GAP_S_MAX,
    READ_S,
    HealthActor,
)
from actors.messages.health import BreakerChanged, DelaySeen, ForceBreaker, GetOrderReach, OrderReach, ProbeWanted
from actors.messages.processor import (
    DelayHeard,
    HealthReported,
    HoldBreaker,
    PeerRecovered,
    ProbeAnswered,
    QuorumFoundDown,
    TurnedAwayElsewhere,
)
from actors.messages.trouble import GetTrouble
from tests.actors.fakes import NOW_MS, MemoryBoard, Recorder, ScriptedProbe, VirtualRuntime, deliver
from tests.lines import lines

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
FORCED_OPEN, FORCED_CLOSED = BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED
PROCESSORS = ("default", "fallback")
ROUND_S = POLL_LEASE_S + HOLD_S + 2 * READ_S
"""Time from a start, or from the return of Redis, until each processor has been asked."""
PROBES_PER_S_MAX = 4

Message = TypeVar("Message")


class WatchedBoard(MemoryBoard):
    """A board that knows when it was read."""

    def __init__(self, cluster: "HealthCluster") -> None:
        super().__init__(lambda: cluster.time_s)
        self.read_at_s: list[float] = []

    def exchange(self, opinions: Sequence[Opinion]) -> SharedHealth:
        self.read_at_s.append(self._clock())
        return super().exchange(opinions)


class WatchedProbe(ScriptedProbe):
    """Health endpoints that know when they were asked."""

    def __init__(self, cluster: "HealthCluster") -> None:
        super().__init__()
        self._cluster = cluster
        self.asked_at_s: dict[str, list[float]] = {name: [] for name in PROCESSORS}

    def ask(self, processor: str) -> ProcessorHealth | None:
        self.asked_at_s[processor].append(self._cluster.time_s)
        return super().ask(processor)


class Member:
    """The health actor of one replica, which is not started, and recorders of what it tells the processors' actors."""

    def __init__(self, cluster: "HealthCluster", name: str) -> None:
        self.runtime = VirtualRuntime()
        self.runtime.time_s = cluster.time_s
        self.processors = {name: Recorder() for name in PROCESSORS}
        self.actor = HealthActor(
            processors=self.processors, board=cluster.board, probe=cluster.probe, runtime=self.runtime, replica=name
        )
        self.calls_wait = False
        self.actor.on_start()
        self.run_until(cluster.time_s)

    def run_until(self, time_s: float) -> None:
        self.runtime.advance(time_s - self.runtime.time_s)
        deliver(self.actor)
        if not self.calls_wait:
            self.runtime.run_spawned()
            deliver(self.actor)

    def change(
        self, state: BreakerState, *, down: bool = False, processor: str = "default", turns_away: bool = False
    ) -> None:
        self.actor.on_receive(BreakerChanged(processor, state, down, self.runtime.now_s(), turns_away))

    def told(self, message_type: type[Message], processor: str = "default") -> list[Message]:
        """Return the messages of this type that the processor's actor was told since the last call."""
        return [message for message in self.processors[processor].take() if isinstance(message, message_type)]

    def wants_probe(self, replicas: int = 3) -> bool:
        self.actor.on_receive(ProbeWanted("default", replicas))
        (answer,) = self.told(ProbeAnswered)
        return answer.granted


class HealthCluster:
    """Several replicas in virtual time, with the board that they share."""

    def __init__(self, replicas: str = "123") -> None:
        self.time_s = 1000.0
        self.board, self.probe = WatchedBoard(self), WatchedProbe(self)
        self.members: dict[str, Member] = {}
        self.suspended: set[str] = set()
        """Replicas whose process is suspended."""
        for name in replicas:
            self.start(name)

    def start(self, name: str) -> None:
        """Start a replica, or start it again in the place of the one before."""
        self.members[name] = Member(self, name)
        self.suspended.discard(name)

    def stop(self, name: str) -> None:
        self.members.pop(name, None)

    def wake(self, name: str) -> None:
        self.suspended.discard(name)
        if name in self.members:
            self.members[name].runtime.time_s = self.time_s
            self.members[name].calls_wait = False

    def advance(self, seconds: float) -> None:
        end_s = self.time_s + seconds
        while self.time_s < end_s:
            awake = [member for name, member in self.members.items() if name not in self.suspended]
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
    cluster = HealthCluster()
    cluster.advance(60.0)
    for name in PROCESSORS:
        gaps_s = [later - earlier for earlier, later in pairwise(cluster.asked_at_s(name))]
        assert len(gaps_s) >= 8
        assert min(gaps_s) >= POLL_S
        assert max(gaps_s) <= POLL_LEASE_S + (HOLD_S_MAX - HOLD_S) + 2 * READ_S


def test_one_answer_reaches_every_replica_once_with_its_age() -> None:
    cluster = HealthCluster()
    cluster.board.publish(answer(NOW_MS - 1500))
    cluster.advance(2 * READ_S)
    assert [[message] for (message,) in cluster.told(HealthReported)] == [
        [HealthReported(failing=True, asked_s_ago=1.75, response_time_s_min=0.1)]
    ] * 3
    cluster.board.publish(answer(NOW_MS + 250, failing=False))
    cluster.advance(READ_S)
    assert [[told.failing for told in each] for each in cluster.told(HealthReported)] == [[False]] * 3


def test_an_answer_counts_whatever_the_clock_of_the_replica_that_asked() -> None:
    cluster = HealthCluster("1")
    cluster.board.publish(answer(NOW_MS + 3_600_000))
    cluster.advance(READ_S)
    assert [told.asked_s_ago for told in cluster.members["1"].told(HealthReported)] == [0.0]
    cluster.board.publish(answer(failing=False))
    cluster.advance(READ_S)
    assert [told.failing for told in cluster.members["1"].told(HealthReported)] == [False]


def test_what_was_asked_is_shared_and_an_evicted_answer_is_not_told_again() -> None:
    cluster = HealthCluster()
    cluster.probe.answers["default"] = answer()
    cluster.advance(ROUND_S + READ_S)
    assert len(cluster.asked_at_s()) == 1
    assert [len(told) for told in cluster.told(HealthReported)] == [1, 1, 1]
    cluster.board.answers.clear()
    cluster.advance(2 * READ_S)
    assert cluster.told(HealthReported) == [[], [], []]


def test_without_redis_nobody_asks_and_after_its_return_all_read_the_board_first() -> None:
    cluster = HealthCluster()
    cluster.board.gone = True
    cluster.advance(2 * ROUND_S)
    assert cluster.asked_at_s() == []
    cluster.board.gone = False
    cluster.advance(POLL_LEASE_S)
    assert cluster.asked_at_s() == []
    cluster.advance(ROUND_S - POLL_LEASE_S)
    assert len(cluster.asked_at_s()) == 1


def test_a_lease_that_vanishes_while_it_is_held_leads_to_no_call() -> None:
    cluster = HealthCluster()
    while "default poll" not in cluster.board.leases:
        cluster.advance(0.05)
    cluster.advance(HOLD_S / 2)
    cluster.board.evict()
    cluster.advance(HOLD_S + 2 * READ_S)
    assert cluster.asked_at_s() == []
    cluster.advance(ROUND_S)
    assert len(cluster.asked_at_s()) == 1


def test_after_a_call_an_empty_board_leads_to_no_second_one() -> None:
    cluster = HealthCluster()
    while not cluster.asked_at_s():
        cluster.advance(0.05)
    for _ in range(10):
        cluster.board.evict()
        cluster.advance(POLL_S / 10 - 0.001)
    assert len(cluster.asked_at_s()) == 1


def test_after_a_replica_dies_during_its_call_another_makes_the_next_one_a_period_later() -> None:
    cluster = HealthCluster()
    while not cluster.asked_at_s():
        cluster.advance(0.05)
    cluster.stop("1")
    cluster.board.evict()
    cluster.start("1")
    cluster.stop("2")
    cluster.advance(2 * ROUND_S)
    first, second, *_ = cluster.asked_at_s()
    assert POLL_S <= second - first <= ROUND_S + HOLD_S_MAX


@pytest.mark.parametrize("seconds", [READ_GAP_S_MAX - READ_S, HOLD_S_MAX, POLL_S - HOLD_S])
def test_a_replica_that_was_suspended_while_others_asked_does_not_ask_again_though_the_board_is_empty(
    seconds: float,
) -> None:
    cluster = HealthCluster("1")
    cluster.advance(2 * READ_S / 3)
    cluster.start("2")
    cluster.suspended.add("2")
    while cluster.board.taken < len(PROCESSORS):
        cluster.wake("2")
        cluster.advance(READ_S / 3)
        cluster.suspended.add("2")
        cluster.advance(READ_S / 3)
    cluster.advance(seconds)
    cluster.board.evict()
    cluster.wake("2")
    cluster.advance(2 * ROUND_S)
    asked_at_s = cluster.asked_at_s()
    assert min(later - earlier for earlier, later in pairwise(asked_at_s)) >= POLL_S


def test_a_call_that_comes_too_late_is_not_made() -> None:
    cluster = HealthCluster("1")
    cluster.members["1"].calls_wait = True
    while not cluster.members["1"].runtime.spawned:
        cluster.advance(0.05)
    cluster.advance(HOLD_S_MAX)
    cluster.wake("1")
    cluster.advance(READ_S)
    assert cluster.asked_at_s() == []
    cluster.advance(ROUND_S)
    assert len(cluster.asked_at_s()) == 1


def test_a_call_that_takes_long_neither_holds_up_health_nor_is_made_twice() -> None:
    cluster = HealthCluster("1")
    member = cluster.members["1"]
    member.calls_wait = True
    cluster.advance(3 * ROUND_S)
    assert len(member.runtime.spawned) == len(PROCESSORS)
    assert cluster.board.read_at_s[-1] >= cluster.time_s - READ_S


members = st.sampled_from("123")
events = st.one_of(
    st.tuples(st.just("pass"), st.floats(0.01, 3.0)),
    st.tuples(st.just("pass until somebody takes a lease"), st.floats(0.0, HOLD_S_MAX)),
    st.tuples(st.just("forget"), st.sampled_from(["leases", "answers", "opinions", "all"])),
    st.tuples(st.sampled_from(["die", "start", "suspend", "leave calls waiting", "wake"]), members),
    st.tuples(st.sampled_from(["lose Redis", "find Redis"]), st.none()),
)


def happen(cluster: HealthCluster, event: str, what: object) -> None:  # noqa: C901, PLR0912  # one line for each event
    match event, what:
        case "pass", float(seconds):
            cluster.advance(seconds)
        case "pass until somebody takes a lease", float(seconds):
            taken, end_s = cluster.board.taken, cluster.time_s + ROUND_S
            while cluster.board.taken == taken and cluster.time_s < end_s:
                cluster.advance(0.05)
            cluster.advance(seconds)
        case "forget", "leases":
            cluster.board.leases.clear()
        case "forget", "answers":
            cluster.board.answers.clear()
        case "forget", "opinions":
            cluster.board.opinions.clear()
        case "forget", _:
            cluster.board.evict()
        case "die", str(name):
            cluster.stop(name)
        case "start", str(name):
            cluster.start(name)
        case "suspend", str(name):
            cluster.suspended.add(name)
        case "leave calls waiting", str(name) if name in cluster.members:
            cluster.members[name].calls_wait = True
        case "wake", str(name):
            cluster.wake(name)
        case "lose Redis" | "find Redis", _:
            cluster.board.gone = event == "lose Redis"


@settings(max_examples=200, deadline=None)
@given(st.lists(events, max_size=60), st.floats(0.0, READ_S))
def test_whatever_dies_and_whatever_is_forgotten_no_processor_is_asked_twice_in_a_period(
    past: list[tuple[str, object]], offset_s: float
) -> None:
    cluster = HealthCluster("1")
    cluster.advance(offset_s)
    cluster.start("2")
    cluster.start("3")
    cluster.advance(ROUND_S)
    for event, what in past:
        happen(cluster, event, what)
    cluster.board.gone = False
    for name in "123":
        cluster.wake(name)
    cluster.start("1")
    healed_at_s = cluster.time_s
    cluster.advance(2 * ROUND_S)
    for name in PROCESSORS:
        asked_at_s = cluster.asked_at_s(name)
        assert min((later - earlier for earlier, later in pairwise(asked_at_s)), default=inf) >= POLL_S
        assert asked_at_s[-1] >= healed_at_s


# When the board is read.


def test_the_board_is_read_in_its_period_and_more_often_while_a_breaker_is_not_closed() -> None:
    cluster = HealthCluster("1")
    cluster.advance(10 * READ_S)
    assert len(cluster.board.read_at_s) == 11
    cluster.members["1"].change(OPEN)
    cluster.advance(READ_S)
    cluster.board.read_at_s.clear()
    cluster.advance(10 * HURRY_S + 0.01)
    assert len(cluster.board.read_at_s) == 10
    cluster.members["1"].change(CLOSED)
    cluster.advance(HURRY_S)
    cluster.board.read_at_s.clear()
    cluster.advance(10 * READ_S + 0.01)
    assert len(cluster.board.read_at_s) == 10


@given(st.lists(st.tuples(st.sampled_from([CLOSED, OPEN, HALF_OPEN]), st.floats(0.0, 0.5)), max_size=20))
def test_however_breakers_change_there_is_one_chain_of_timers_and_the_board_is_read_in_time(
    changes: list[tuple[BreakerState, float]],
) -> None:
    cluster = HealthCluster("1")
    for state, seconds in changes:
        cluster.members["1"].change(state)
        cluster.advance(seconds)
        assert len(cluster.members["1"].runtime.timers) == 1
    cluster.advance(2 * READ_S)
    assert max(later - earlier for earlier, later in pairwise(cluster.board.read_at_s)) <= READ_S + 0.001


def test_a_change_of_a_breaker_is_shared_at_once() -> None:
    cluster = HealthCluster("1")
    cluster.members["1"].change(OPEN, down=True)
    _, shared = cluster.board.opinions["default", "1"]
    assert shared == Opinion("1", "default", down=True, closed=False, changed_s_ago=0.0)


def test_that_redis_is_gone_is_logged_once_and_so_is_its_return(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    cluster = HealthCluster("1")
    for gone, duration_s in ((True, 1.0), (False, 1.0), (True, 1.0), (False, QUIET_S + 1), (True, 1.0)):
        cluster.board.gone = gone
        cluster.advance(duration_s)
    event = "Redis does not share what replicas know"
    assert lines(caplog, "outage") == [(event, "began"), (event, "ended"), (event, "began")]


# Opinions.


def test_two_of_three_that_found_a_processor_down_open_the_third_and_only_for_that_processor() -> None:
    cluster = HealthCluster()
    cluster.members["1"].change(OPEN, down=True)
    cluster.members["2"].change(OPEN, down=True)
    cluster.advance(READ_S)
    assert cluster.members["3"].told(QuorumFoundDown) == [QuorumFoundDown()]
    assert cluster.members["3"].told(QuorumFoundDown, "fallback") == []
    assert [cluster.members[name].told(QuorumFoundDown) for name in "12"] == [[], []]


@pytest.mark.parametrize("replicas", ["123", "12", "1"])
def test_one_replica_alone_opens_no_other_breaker(replicas: str) -> None:
    cluster = HealthCluster(replicas)
    cluster.members["1"].change(OPEN, down=True)
    cluster.advance(5.0)
    assert cluster.told(QuorumFoundDown) == [[] for _ in replicas]


def test_a_breaker_that_a_quorum_opened_does_not_count_towards_a_quorum() -> None:
    cluster = HealthCluster()
    cluster.members["1"].change(OPEN, down=True)
    cluster.members["2"].change(OPEN, down=False)
    cluster.advance(5.0)
    assert cluster.members["3"].told(QuorumFoundDown) == []


def test_one_replica_that_is_turned_away_tells_the_others_once_and_for_that_processor() -> None:
    cluster = HealthCluster()
    cluster.members["1"].change(OPEN, down=True, turns_away=True)
    cluster.advance(5.0)
    assert [cluster.members[name].told(TurnedAwayElsewhere, "fallback") for name in "123"] == [[], [], []]
    assert cluster.told(TurnedAwayElsewhere) == [[], [TurnedAwayElsewhere()], [TurnedAwayElsewhere()]]
    cluster.members["1"].change(CLOSED)
    cluster.advance(1.0)
    cluster.members["1"].change(OPEN, down=True, turns_away=True)
    cluster.advance(1.0)
    assert cluster.told(TurnedAwayElsewhere) == [[], [TurnedAwayElsewhere()], [TurnedAwayElsewhere()]]


def test_a_replica_that_a_quorum_opens_hears_that_the_others_are_turned_away() -> None:
    cluster = HealthCluster()
    for name in "12":
        cluster.members[name].change(OPEN, down=True, turns_away=True)
    cluster.advance(READ_S)
    told = cluster.members["3"].processors["default"].take()
    assert TurnedAwayElsewhere() in told
    assert QuorumFoundDown() in told


def test_a_restarted_replica_follows_the_quorum() -> None:
    cluster = HealthCluster()
    for name in "12":
        cluster.members[name].change(OPEN, down=True)
    cluster.advance(60.0)
    cluster.start("3")
    cluster.advance(READ_S)
    assert cluster.members["3"].told(QuorumFoundDown)[:1] == [QuorumFoundDown()]


def test_the_opinion_of_a_replica_that_is_gone_ends() -> None:
    cluster = HealthCluster()
    cluster.members["1"].change(OPEN, down=True)
    cluster.stop("1")
    cluster.advance(5.0)
    cluster.members["2"].change(OPEN, down=True)
    cluster.advance(5.0)
    assert cluster.members["3"].told(QuorumFoundDown) == []


def test_an_opinion_ages_while_its_replica_is_suspended() -> None:
    cluster = HealthCluster()
    for name in "12":
        cluster.members[name].change(OPEN, down=True)
        cluster.suspended.add(name)
    cluster.advance(0.3)
    # It has been open meanwhile, and closes later than the others opened, whatever they last said.
    cluster.members["3"].change(CLOSED)
    cluster.members["3"].told(QuorumFoundDown)
    cluster.advance(1.5)
    assert cluster.members["3"].told(QuorumFoundDown) == []


def test_when_a_replica_recovers_the_others_are_told_at_once_and_once() -> None:
    cluster = HealthCluster()
    for name in "123":
        cluster.members[name].change(OPEN, down=True)
        cluster.advance(0.4)
    cluster.members["1"].change(CLOSED)
    cluster.told(PeerRecovered)
    cluster.advance(HURRY_S + 0.001)
    assert cluster.told(PeerRecovered) == [[], [PeerRecovered()], [PeerRecovered()]]
    cluster.members["2"].change(HALF_OPEN, down=True)
    cluster.advance(2.0)
    assert cluster.told(PeerRecovered) == [[], [], []]


def test_after_a_failed_probe_an_earlier_success_is_no_news_and_a_later_one_is() -> None:
    cluster = HealthCluster("12")
    for name in "12":
        cluster.members[name].change(OPEN, down=True)
    cluster.advance(0.4)
    cluster.members["1"].change(CLOSED)
    cluster.advance(0.4)
    cluster.told(PeerRecovered)
    cluster.members["2"].change(OPEN, down=True)
    cluster.advance(2.0)
    assert cluster.members["2"].told(PeerRecovered) == []
    cluster.members["1"].change(OPEN, down=True)
    cluster.members["1"].change(CLOSED)
    cluster.advance(HURRY_S + 0.001)
    assert cluster.members["2"].told(PeerRecovered) == [PeerRecovered()]


def test_with_an_empty_board_opinions_are_back_with_the_next_exchange() -> None:
    cluster = HealthCluster()
    cluster.members["1"].change(OPEN, down=True)
    cluster.members["2"].change(OPEN, down=True)
    cluster.board.evict()
    cluster.advance(2 * READ_S)
    assert cluster.members["3"].told(QuorumFoundDown)[:1] == [QuorumFoundDown()]


def test_the_longest_charge_that_any_other_replica_has_seen_is_told_until_none_says_so() -> None:
    cluster = HealthCluster()
    cluster.advance(READ_S)
    assert cluster.told(DelayHeard) == [[], [], []]
    for name, delay_s in (("1", 25.0), ("2", 7.0)):
        cluster.members[name].actor.on_receive(DelaySeen("default", delay_s))
    cluster.advance(2 * READ_S)
    cluster.told(DelayHeard)
    cluster.advance(READ_S)
    assert cluster.told(DelayHeard) == [[DelayHeard(7.0)], [DelayHeard(25.0)], [DelayHeard(25.0)]]
    cluster.members["1"].actor.on_receive(DelaySeen("default", 0.0))
    cluster.stop("2")
    cluster.advance(5.0)
    cluster.told(DelayHeard)
    cluster.advance(5.0)
    assert cluster.told(DelayHeard) == [[], []]


# An operator's orders.


def order(cluster: HealthCluster, name: str, state: BreakerState | None) -> object:
    return cluster.members[name].actor.on_receive(ForceBreaker("default", state))


def test_an_order_reaches_every_replica_once() -> None:
    cluster = HealthCluster()
    assert order(cluster, "1", FORCED_OPEN) is True
    cluster.advance(1.0)
    assert cluster.told(HoldBreaker) == [[HoldBreaker(FORCED_OPEN)]] * 3
    assert order(cluster, "2", None) is True
    cluster.advance(1.0)
    assert cluster.told(HoldBreaker) == [[HoldBreaker(None)]] * 3


def reach(cluster: HealthCluster, name: str) -> object:
    return cluster.members[name].actor.on_receive(GetOrderReach("default"))


def test_who_gave_an_order_learns_in_time_how_many_replicas_hold_it() -> None:
    cluster = HealthCluster()
    cluster.advance(1.0)
    order(cluster, "1", FORCED_CLOSED)
    assert reach(cluster, "1") == OrderReach(1, of=3)
    cluster.advance(READ_S + 3 * HURRY_S)
    assert reach(cluster, "1") == OrderReach(3, of=3)


def test_an_order_that_the_board_does_not_carry_is_held_by_nobody_else() -> None:
    cluster = HealthCluster()
    cluster.advance(1.0)
    cluster.board.gone = True
    order(cluster, "1", FORCED_OPEN)
    cluster.advance(1.0)
    assert reach(cluster, "1") == OrderReach(1, of=1)


def test_it_tells_for_how_long_opinions_could_not_be_exchanged_and_why() -> None:
    cluster = HealthCluster()
    actor = cluster.members["1"].actor
    assert actor.on_receive(GetTrouble()) is None
    cluster.board.gone = True
    cluster.advance(3.0 + READ_S)
    assert actor.on_receive(GetTrouble()) == "opinions are not exchanged for 3 s: planted"
    cluster.board.gone = False
    cluster.advance(READ_S)
    assert actor.on_receive(GetTrouble()) is None


def test_a_lease_that_ends_later_than_one_can_is_not_waited_for() -> None:
    cluster = HealthCluster("1")
    cluster.board.leases["default poll"] = (cluster.time_s + 3600.0, "strange")
    taken_before = cluster.board.taken
    cluster.board.may_poll = lambda processor, period_s: MemoryBoard.may_poll(  # type: ignore[method-assign]
        cluster.board, f"{processor} mended", period_s
    )
    cluster.advance(ROUND_S)
    assert cluster.board.taken > taken_before


def test_an_order_for_a_processor_that_nobody_knows_is_refused() -> None:
    cluster = HealthCluster("1")
    assert cluster.members["1"].actor.on_receive(ForceBreaker("nobody", FORCED_OPEN)) is False


def test_of_two_orders_in_one_millisecond_all_replicas_keep_the_same() -> None:
    cluster = HealthCluster()
    cluster.board.gone = True
    order(cluster, "1", FORCED_OPEN)
    order(cluster, "2", FORCED_CLOSED)
    cluster.board.gone = False
    cluster.advance(1.0)
    assert len({told[-1].state for told in cluster.told(HoldBreaker)}) == 1


def test_an_order_counts_against_an_earlier_one_that_a_faster_clock_has_given() -> None:
    cluster = HealthCluster("12")
    cluster.members["1"].runtime.now_ms = lambda: NOW_MS + 3_600_000  # type: ignore[method-assign]
    order(cluster, "1", FORCED_OPEN)
    cluster.advance(1.0)
    order(cluster, "2", FORCED_CLOSED)
    cluster.advance(1.0)
    assert [told[-1].state for told in cluster.told(HoldBreaker)] == [FORCED_CLOSED] * 2


def test_an_order_outlives_an_empty_board_and_the_replica_that_took_it() -> None:
    cluster = HealthCluster()
    order(cluster, "1", FORCED_OPEN)
    cluster.advance(1.0)
    cluster.board.evict()
    cluster.start("1")
    cluster.advance(1.0)
    assert cluster.members["1"].told(HoldBreaker) == [HoldBreaker(FORCED_OPEN)]


# The budget of probes.


def test_a_probe_is_granted_to_one_of_several() -> None:
    cluster = HealthCluster()
    assert [cluster.members[name].wants_probe() for name in "123"] == [True, False, False]


def test_without_redis_each_replica_has_its_share() -> None:
    cluster = HealthCluster()
    cluster.board.gone = True
    assert [cluster.members[name].wants_probe() for name in "123"] == [True, True, True]
    cluster.advance(3 * PROBE_SHARE_S - 0.01)
    assert [cluster.members[name].wants_probe() for name in "123"] == [False, False, False]
    cluster.advance(0.02)
    assert cluster.members["1"].wants_probe()


changes = st.sampled_from(["nothing", "nothing", "forget", "lose Redis", "find Redis"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 0.3), changes, st.permutations("123")), min_size=1, max_size=60))
def test_whatever_becomes_of_redis_the_cluster_keeps_to_its_budget(wants: list[tuple[float, str, list[str]]]) -> None:
    cluster = HealthCluster()
    granted_at_s: list[float] = []
    for seconds, change, names in wants:
        cluster.advance(seconds)
        happen(cluster, change, "all")
        granted_at_s += [cluster.time_s for name in names if cluster.members[name].wants_probe()]
    windows = zip(granted_at_s, granted_at_s[PROBES_PER_S_MAX:], strict=False)
    assert min((later - earlier for earlier, later in windows), default=inf) > 1.0


@pytest.mark.parametrize("gone", [False, True], ids=["with Redis", "without"])
def test_the_cluster_makes_use_of_its_budget(gone: bool) -> None:  # noqa: FBT001  # a parameter
    cluster = HealthCluster()
    cluster.board.gone = gone
    granted = 0
    for _ in range(200):
        granted += sum(cluster.members[name].wants_probe() for name in "123")
        cluster.advance(0.05)
    assert 25 <= granted <= 34


@pytest.mark.parametrize("gone", [False, True], ids=["with Redis", "without"])
@pytest.mark.parametrize("names", ["1", "12345", "0123456789"])
def test_each_of_many_replicas_has_its_share_of_one_budget(names: str, gone: bool) -> None:  # noqa: FBT001  # a parameter
    cluster = HealthCluster(names)
    cluster.board.gone = gone
    granted_at_s: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(600):
        for each in range(len(names)):
            name = names[(each + 7 * turn) % len(names)]
            if cluster.members[name].wants_probe(len(names)):
                granted_at_s[name].append(cluster.time_s)
        cluster.advance(PROBE_PAUSE_S)
    shares = [len(each) for each in granted_at_s.values()]
    assert max(shares) - min(shares) <= 3
    assert 0.6 * 60 / PROBE_SHARE_S <= sum(shares) <= 60 / PROBE_SHARE_S + len(names)
    at_once = Counter(int(at_s) for each in granted_at_s.values() for at_s in each)
    assert max(at_once.values()) <= (PROBES_PER_S_MAX if not gone or len(names) == 1 else 2 * PROBES_PER_S_MAX)


def test_the_times_fit_together() -> None:
    """Whoever is not deaf sees each lease while it is held, with room for what an exchange may take."""
    assert READ_S < READ_GAP_S_MAX
    assert READ_GAP_S_MAX + 0.2 <= HOLD_S < HOLD_S_MAX
