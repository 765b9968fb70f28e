"""Charges whose answer a fault of the network, a host or a replica may have kept back are told from all others."""

import pytest

from ops.chaostest.history import BookedCharge
from ops.chaostest.nemesis import InjectedFault
from ops.chaostest.schedule import ScheduledFault
from ops.clustertest.lost_answers import ANSWER_MS_MAX, SKEW_MS_MAX, may_lose_answers, without_lost_answers
from tests.ops.clustertest.runs import payment_id

BEGAN_MS = 1_000_000


def fault(name: str, target: str) -> ScheduledFault:
    return ScheduledFault(3.0, name, target, 4.0)


def booked(at_ms: int, *, requested_at_ms: int = 0, answered: bool = True) -> BookedCharge:
    return BookedCharge("default", payment_id(), 1990, requested_at_ms * 1000, booked_at_ms=at_ms, answered=answered)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("cut", "h1<>outside"),
        ("cut", "outside>h1"),
        ("stall", "h3>outside"),
        ("slow", "h3>outside"),
        ("kill", "h2"),
        ("pause", "h2"),
        ("wipe", "h1"),
        ("kill", "every-host"),
        ("kill", "h2/replica-1"),
        ("restart", "every-replica"),
    ],
)
def test_it_counts_where_an_answer_passes_or_is_waited_for(name: str, target: str) -> None:
    assert may_lose_answers(fault(name, target))


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("cut", "h1<>h2"),
        ("stall", "h1>h2"),
        ("kill", "h2/postgres"),
        ("skew", "h2/clock"),
        ("fill", "h2/disk-journal"),
        ("switchover", "patroni"),
        ("failures", "default"),
    ],
)
def test_it_does_not_count_elsewhere(name: str, target: str) -> None:
    assert not may_lose_answers(fault(name, target))


def test_charges_that_were_booked_during_such_a_fault_count_as_unanswered_and_no_others() -> None:
    injected = [
        InjectedFault(fault("stall", "h3>outside"), 3.0, 7.0),
        InjectedFault(fault("kill", "h2/postgres"), 20.0, 21.0),
        InjectedFault(fault("kill", "h2/replica-2"), 30.0),
    ]
    instants = [2_999, 3_000, 7_000 + ANSWER_MS_MAX, 7_001 + ANSWER_MS_MAX, 20_500, 30_000, 33_000]
    charges = without_lost_answers([booked(BEGAN_MS + each) for each in instants], injected, BEGAN_MS)
    assert [each.answered for each in charges] == [True, False, False, True, True, False, True]


def test_what_was_sent_over_a_cut_link_may_arrive_as_long_after_its_healing_as_it_was_cut() -> None:
    injected = [InjectedFault(fault("cut", "h1<>outside"), 5.0, 15.0)]
    charges = without_lost_answers([booked(BEGAN_MS + each) for each in (25_000, 25_001)], injected, BEGAN_MS)
    assert [each.answered for each in charges] == [False, True]


def test_what_was_asked_for_after_the_end_of_a_fault_counts_as_answered() -> None:
    injected = [InjectedFault(fault("stall", "h3>outside"), 5.0, 15.0)]
    late_ms = BEGAN_MS + 16_500
    charges = [booked(late_ms, requested_at_ms=BEGAN_MS + 15_000 + SKEW_MS_MAX + each) for each in (0, 1)]
    assert [each.answered for each in without_lost_answers(charges, injected, BEGAN_MS)] == [False, True]


def test_what_the_processor_has_kept_back_stays_unanswered() -> None:
    assert [each.answered for each in without_lost_answers([booked(5, answered=False)], [], 0)] == [False]
