"""Each bound that neighbours may not break is found broken, and the quiet part is told from the other."""

import math
from dataclasses import replace

import pytest

from ops.chaostest.neighbour_verdict import MIB, NeighbourFigures, RunSpans, measure, percentile, spans_of
from ops.chaostest.schedule import ScheduledFault
from ops.chaostest.workload import Attempt, OfferedAmount
from tests.test_deployment import REPLICAS, limits_of, megabytes

SPANS = RunSpans((1_000, 2_000), (2_000, 3_000))
FAIR = NeighbourFigures(
    offered=999,
    expected=1000,
    requests=1000,
    unanswered=0,
    late=0,
    refused=3,
    refused_without_time=0,
    slowest_s=0.9,
    quiet_p99_s=0.02,
    neighbours_p99_s=0.1,
    peaks_bytes={"replica-1": 84 * MIB, "postgres": 200 * MIB},
    crowds={"idle": (10, 10)},
)


def attempt(at_ms: int, took_s: float, status: int | None = 202, *, says_when: bool = False) -> Attempt:
    return Attempt(at_ms, "http://127.0.0.1:1", OfferedAmount(1), status, took_s=took_s, says_when=says_when)


def figures_of(*attempts: Attempt) -> NeighbourFigures:
    return measure(attempts, SPANS, {}, {}, offered=10, expected=10)


def test_a_run_within_all_bounds_is_fair() -> None:
    assert list(FAIR.violations()) == []
    assert FAIR.to_dict()["ok"] is True


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        (replace(FAIR, unanswered=1), "1 of 1000 requests got no answer"),
        (replace(FAIR, late=2), "2 requests were answered after more than 1 s"),
        (replace(FAIR, refused_without_time=3), "3 of 3 refusals had no Retry-After"),
        (replace(FAIR, neighbours_p99_s=0.1001), "100.1 ms beside neighbours and 20.0 ms without"),
        (replace(FAIR, neighbours_p99_s=math.nan), "nan ms beside neighbours"),
        (replace(FAIR, quiet_p99_s=math.nan), "nan ms without"),
        (replace(FAIR, peaks_bytes={"replica-2": 84 * MIB + 100_000}), "replica-2 needed 84.1 MiB of 84"),
        (replace(FAIR, peaks_bytes={"replica-2": 0}), "the memory of replica-2 could not be read"),
        (replace(FAIR, crowds={"idle": (0, 0)}), "the crowd idle opened no connection"),
        (replace(FAIR, offered=949), "949 of 1000 payments were offered"),
    ],
)
def test_each_broken_bound_is_told_in_words(broken: NeighbourFigures, word: str) -> None:
    (told,) = broken.violations()
    assert word in told
    assert broken.to_dict()["ok"] is False


def test_times_of_accepted_answers_count_in_the_part_in_which_their_requests_were_sent() -> None:
    figures = figures_of(attempt(999, 0.7), attempt(1_000, 0.1), attempt(2_000, 0.3), attempt(3_000, 0.8))
    assert (figures.quiet_p99_s, figures.neighbours_p99_s, figures.slowest_s) == (0.1, 0.3, 0.8)


def test_requests_without_an_answer_late_answers_and_refusals_are_counted() -> None:
    figures = figures_of(
        attempt(1_500, 3.0, None),
        attempt(1_500, 1.1, 409),
        attempt(1_500, 2.0, 503, says_when=True),
        attempt(1_500, 0.1, 429),
        attempt(1_500, 0.2),
        attempt(2_500, 1.2),
    )
    assert (figures.requests, figures.unanswered, figures.late) == (6, 1, 2)
    assert (figures.refused, figures.refused_without_time) == (2, 1)
    assert (figures.quiet_p99_s, figures.neighbours_p99_s) == (0.2, 1.2)
    assert [(each.status, each.took_s) for each in figures.examples] == [
        (None, 3.0),
        (409, 1.1),
        (202, 1.2),
        (429, 0.1),
    ]


def test_a_part_in_which_nothing_was_accepted_has_no_p99() -> None:
    figures = figures_of(attempt(1_500, 0.2), attempt(2_500, 0.2, 503, says_when=True))
    assert math.isnan(figures.neighbours_p99_s)
    assert figures.to_dict()["neighbours_p99_ms"] is None


def test_the_quiet_part_lies_between_the_warm_up_and_the_first_fault() -> None:
    schedule = [ScheduledFault(40, "crowd", "idle", 10), ScheduledFault(30, "slow", "names", 50)]
    assert spans_of(schedule, 1_000, 100) == RunSpans((6_000, 31_000), (31_000, 81_000))


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (100, 99), (101, 100), (1000, 990)])
def test_a_percentile_is_the_least_value_that_its_share_does_not_exceed(count: int, expected: int) -> None:
    assert percentile(range(count, 0, -1), 0.99) == expected


def test_the_memory_of_a_replica_is_that_of_the_deployment() -> None:
    assert {megabytes(limits_of(each)["memory"]) for each in REPLICAS} == {84}
