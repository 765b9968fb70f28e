"""A quorum's later news opens a breaker, one replica's trouble does not, and none that is down holds another down."""

from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.breaker import Breaker, BreakerState, Call, Transition
from actors.domain.breaker_causes import Cause
from actors.domain.breaker_limits import BreakerLimits
from actors.domain.quorum import (
    TRANSIT_S_MAX,
    Opinion,
    Order,
    is_turned_away,
    latest_order,
    peer_recovered,
    quorum_found_down,
)

FORCED_OPEN, FORCED_CLOSED = BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED


def up(changed_s_ago: float | None = None, replica: str = "a") -> Opinion:
    return Opinion(replica, "default", down=False, closed=True, changed_s_ago=changed_s_ago)


def down(changed_s_ago: float = 5.0, replica: str = "b") -> Opinion:
    return Opinion(replica, "default", down=True, closed=False, changed_s_ago=changed_s_ago)


def told(changed_s_ago: float = 5.0, replica: str = "b") -> Opinion:
    """The opinion of a replica whose breaker was opened by others, not by its own calls."""
    return Opinion(replica, "default", down=False, closed=False, changed_s_ago=changed_s_ago)


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        (up(), [], False),
        (up(), [down(), up()], False),
        (up(), [replace(down(), turns_away=True)], True),
        (up(6.0), [replace(down(5.0), turns_away=True)], True),
        (up(4.0), [replace(down(5.0), turns_away=True)], False),
        (told(4.0), [replace(down(5.0), turns_away=True)], True),
    ],
)
def test_one_replica_that_is_turned_away_is_believed_unless_this_one_got_through_since(
    own: Opinion,
    others: list[Opinion],
    expected: bool,  # noqa: FBT001  # a parameter
) -> None:
    assert is_turned_away(own, others) is expected


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        (up(), [], False),
        (up(), [down()], False),
        (up(), [down(), up()], False),
        (up(), [down(), down()], True),
        (up(), [down(), told()], False),
        (up(), [told(), told()], False),
        (up(), [down(), down(), up()], False),
        (up(), [down(), down(), down()], True),
        (up(60.0), [down(), down()], True),
        (up(4.0), [down(), down()], False),
        (up(4.0), [down(3.0), down()], False),
        (up(5.0), [down(5.0), down(5.0)], False),
        (up(5.0), [down(5.0 - TRANSIT_S_MAX / 2), down(1.0)], False),
        (down(), [down(1.0), down(1.0)], False),
    ],
    ids=[
        "alone",
        "two speak and one of them is down",
        "one of three",
        "two of three, heard by one that was restarted",
        "one of three is down and another was told so",
        "two that were told so",
        "two of four",
        "three of four",
        "two of three found it after this one closed",
        "two of three found it before this one closed",
        "one of them found it before",
        "at the same moment",
        "one of them too little later to be sure",
        "this one is open already",
    ],
)
def test_a_quorum_is_a_majority_with_newer_opinions_and_two_at_least(
    own: Opinion,
    others: list[Opinion],
    expected: bool,  # noqa: FBT001  # a parameter
) -> None:
    assert quorum_found_down(own, others) is expected


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        (down(), [up(4.0)], True),
        (told(), [up(4.0), down()], True),
        (down(), [up(6.0)], False),
        (down(), [up(5.0)], False),
        (down(), [up(None)], False),
        (down(), [down(4.0), told(4.0)], False),
        (up(5.0), [up(4.0)], False),
        (down(), [], False),
    ],
    ids=[
        "closed since",
        "one of several closed since",
        "closed before",
        "closed at the same moment",
        "never opened",
        "opened since",
        "is closed itself",
        "alone",
    ],
)
def test_a_peer_has_recovered_if_its_breaker_closed_since_this_one_opened(
    own: Opinion,
    others: list[Opinion],
    expected: bool,  # noqa: FBT001  # a parameter
) -> None:
    assert peer_recovered(own, others) is expected


ages_s = st.none() | st.floats(0, 100)
orders = st.none() | st.builds(Order, st.sampled_from([FORCED_OPEN, FORCED_CLOSED, None]), st.integers(0, 3))
opinions = st.builds(
    lambda replica, age_s, kind, order: replace(kind(0.0, replica), changed_s_ago=age_s, order=order),
    st.sampled_from("bcdef"),
    ages_s,
    st.sampled_from([up, down, told]),
    orders,
)


@given(st.lists(opinions, max_size=5), ages_s)
def test_fewer_than_two_never_decide_for_another(others: list[Opinion], age_s: float | None) -> None:
    if sum(each.down for each in others) < 2:
        assert not quorum_found_down(up(age_s), others)


@given(st.lists(opinions, max_size=5), st.floats(0, 100))
def test_an_opinion_from_before_it_closed_never_opens_it(others: list[Opinion], age_s: float) -> None:
    older = [replace(each, changed_s_ago=age_s + (each.changed_s_ago or 0.0)) for each in others]
    assert not quorum_found_down(up(age_s), older)


def test_without_more_an_opinion_knows_no_order_is_not_turned_away_and_has_seen_no_delay() -> None:
    assert up() == Opinion("a", "default", False, True, None, None, False, 0.0)  # noqa: FBT003  # all fields in order


def test_of_orders_the_latest_counts_and_none_is_no_order() -> None:
    first, second, release = Order(FORCED_OPEN, 1), Order(FORCED_CLOSED, 2), Order(None, 3)
    assert latest_order([up(), down()]) is None
    assert latest_order([replace(up(), order=second), replace(down(), order=first), up()]) == second
    assert latest_order([replace(up(), order=second), replace(down(), order=release)]) == release


@given(st.lists(opinions, max_size=5), st.randoms(use_true_random=False))
def test_all_replicas_find_the_same_order(told_by_all: list[Opinion], rng: Random) -> None:
    expected = latest_order(told_by_all)
    rng.shuffle(told_by_all)
    assert latest_order(told_by_all) == expected


STEP_S = 0.02
"""From one call of a replica to the next."""
READ_S = 0.25
LATENCY_S_MAX = 1.0
RECOVERY_S_MAX = LATENCY_S_MAX + 2.5
"""From when the processor works again, or a call that is under way then has ended: what is left of the sliding window,
and the longest cool-down."""


@dataclass(frozen=True)
class Phase:
    """How a processor answers each replica for a while: whether it works, and after how long it says so."""

    steps: int
    answers: tuple[tuple[bool, float], ...]


@dataclass
class Member:
    """A replica as far as its breaker goes."""

    name: str
    breaker: Breaker
    reads_at_s: float
    under_way: list[tuple[float, bool, Call]] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)


class SimulatedReplicas:
    """Three replicas that call a processor all the time, and read each other's opinions every quarter of a second."""

    def __init__(self, rng: Random) -> None:
        self.now_s = 100.0
        self.board: dict[str, tuple[float, Opinion]] = {}
        self.members = [
            Member(name, Breaker(BreakerLimits(), rng), self.now_s + rng.uniform(0, READ_S)) for name in "abc"
        ]

    def run(self, phase: Phase) -> None:
        for _ in range(phase.steps):
            for member, (works, latency_s) in zip(self.members, phase.answers, strict=True):
                self._end_calls(member)
                if member.breaker.permits(self.now_s) != 0:
                    call = member.breaker.started(self.now_s)
                    member.under_way.append((self.now_s + latency_s, works, call))
                if member.reads_at_s <= self.now_s:
                    member.reads_at_s += READ_S
                    self._exchange(member)
                member.transitions += member.breaker.take_transitions()
            self.now_s += STEP_S

    def _end_calls(self, member: Member) -> None:
        ended = [each for each in member.under_way if each[0] <= self.now_s]
        member.under_way = [each for each in member.under_way if each[0] > self.now_s]
        for _, works, call in ended:
            member.breaker.ended(call, succeeded=works, now_s=self.now_s)

    def _exchange(self, member: Member) -> None:
        breaker = member.breaker
        closed = breaker.state(self.now_s).is_closed
        changed_s_ago = None if breaker.changed_at_s is None else self.now_s - breaker.changed_at_s
        own = Opinion(member.name, "default", breaker.is_down_by_own_calls, closed, changed_s_ago)
        self.board[member.name] = (self.now_s, own)
        others = [self._aged(*each) for name, each in self.board.items() if name != member.name]
        if quorum_found_down(own, others):
            breaker.quorum_found_down(self.now_s)
        elif peer_recovered(own, others):
            breaker.peer_recovered(self.now_s)

    def _aged(self, shared_at_s: float, opinion: Opinion) -> Opinion:
        changed_s_ago = opinion.changed_s_ago
        if changed_s_ago is None:
            return opinion
        return replace(opinion, changed_s_ago=changed_s_ago + self.now_s - shared_at_s)

    @property
    def states(self) -> list[BreakerState]:
        return [member.breaker.state(self.now_s) for member in self.members]


def steps(seconds: float) -> int:
    return round(seconds / STEP_S)


WORKS, FAILS = (True, 0.0), (False, 0.0)
answers = st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, LATENCY_S_MAX]))
phases = st.builds(Phase, st.integers(1, steps(3.0)), st.tuples(answers, answers, answers))


@settings(max_examples=150, deadline=None)
@given(st.lists(phases, max_size=6), st.randoms(use_true_random=False))
def test_whatever_happened_all_are_closed_soon_after_it_works_again_and_stay_so(past: list[Phase], rng: Random) -> None:
    simulation = SimulatedReplicas(rng)
    for phase in past:
        simulation.run(phase)
    simulation.run(Phase(steps(RECOVERY_S_MAX), (WORKS, WORKS, WORKS)))
    assert simulation.states == [BreakerState.CLOSED] * 3
    recovered_at_s = simulation.now_s
    simulation.run(Phase(steps(5.0), (WORKS, WORKS, WORKS)))
    later = [each for member in simulation.members for each in member.transitions if each.at_s >= recovered_at_s]
    assert later == []


@settings(max_examples=100, deadline=None)
@given(st.lists(phases, max_size=6), st.randoms(use_true_random=False))
def test_the_trouble_of_one_replica_opens_nobody_elses_breaker(past: list[Phase], rng: Random) -> None:
    simulation = SimulatedReplicas(rng)
    for phase in past:
        simulation.run(replace(phase, answers=(WORKS, phase.answers[1], WORKS)))
    assert [simulation.members[index].transitions for index in (0, 2)] == [[], []]


@pytest.mark.parametrize("seed", range(20))
def test_two_of_three_open_the_third_within_a_read_period(seed: int) -> None:
    simulation = SimulatedReplicas(Random(seed))
    simulation.run(Phase(steps(5.0), (WORKS, WORKS, WORKS)))
    simulation.run(Phase(steps(1.5), (FAILS, WORKS, FAILS)))
    first = simulation.members[1].transitions[0]
    both_s = max(simulation.members[index].transitions[0].at_s for index in (0, 2))
    assert first.cause is Cause.QUORUM
    assert first.at_s - both_s <= 2 * READ_S + STEP_S


@pytest.mark.parametrize("seed", range(20))
def test_the_first_that_recovers_is_not_opened_again_by_those_that_have_not_noticed(seed: int) -> None:
    simulation = SimulatedReplicas(Random(seed))
    simulation.run(Phase(steps(5.0), (FAILS, FAILS, FAILS)))
    works_at_s = simulation.now_s
    simulation.run(Phase(steps(3.0), (WORKS, WORKS, WORKS)))
    for member in simulation.members:
        since = [each.after for each in member.transitions if each.at_s >= works_at_s]
        assert since[-1] is BreakerState.CLOSED
        assert since.count(BreakerState.CLOSED) == 1
