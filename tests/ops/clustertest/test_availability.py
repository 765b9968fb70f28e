"""Times without an answer are found, and those in which nobody could have been answered are left out."""

from ops.chaostest.history import BookedCharge, FinalState, History
from ops.chaostest.nemesis import InjectedFault
from ops.chaostest.schedule import ScheduledFault
from ops.chaostest.workload import Attempt, OfferedAmount, OfferedPayment
from ops.clustertest.availability import Gaps, find_gaps, reachable_spans
from ops.clustertest.chaos_figures import gaps_by_replica, gaps_without_202, gaps_without_charge
from tests.ops.clustertest.runs import payment_id

LOAD = (0, 20_000)
FIRST, SECOND = "http://10.77.0.11:10000", "http://10.77.0.12:10000"


def test_the_longest_time_and_the_sum_of_the_long_ones_are_told() -> None:
    assert find_gaps([500, 1_400, 4_400, 9_900], [(0, 10_000)]) == Gaps(5.5, 8.5)
    assert find_gaps([], [(0, 10_000)]) == Gaps(10.0, 10.0)
    assert find_gaps([5_000], []) == Gaps(0, 0)


def test_a_replica_counts_as_reachable_again_from_its_first_answer_on() -> None:
    assert reachable_spans((0, 100), [], []) == [(0, 100)]
    assert reachable_spans((0, 100), [(20, 40)], [10, 55, 60]) == [(0, 20), (55, 100)]
    assert reachable_spans((0, 100), [(20, 40), (30, 70)], [45, 80]) == [(0, 20), (80, 100)]
    assert reachable_spans((0, 100), [(20, 40)], [10]) == [(0, 20)]


def answers(url: str, *ends: tuple[int, int]) -> list[OfferedPayment]:
    amount = OfferedAmount(100)
    return [
        OfferedPayment(payment_id(), amount, attempts=[Attempt(at, url, amount, status, answered_at_ms=at)])
        for at, status in ends
    ]


def test_a_replica_that_was_killed_is_not_blamed_and_one_that_refuses_is() -> None:
    offers = answers(FIRST, (500, 202), (3_000, 202), (15_000, 202), (19_500, 202))
    offers += answers(SECOND, *((at, 202) for at in range(0, 10_000, 500)), (12_000, 503), (17_000, 202), (19_900, 202))
    history = History(offers, FinalState(charges=[BookedCharge("default", payment_id(), 1, 0, booked_at_ms=5_000)]))
    kill = InjectedFault(ScheduledFault(3.0, "kill", "h1", 10.0), 3.0, 14.0)
    replicas = {FIRST: ("h1", "replica-1"), SECOND: ("h2", "replica-1")}
    assert gaps_by_replica(history, LOAD, replicas, [kill]) == {FIRST: Gaps(4.5, 7.0), SECOND: Gaps(7.5, 10.4)}
    assert gaps_without_202(history, LOAD) == Gaps(5.5, 10.0)
    assert gaps_without_charge(history, LOAD) == Gaps(15.0, 20.0)
