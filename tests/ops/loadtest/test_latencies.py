"""Percentiles are k6's, and stages and seconds get the payments that were intended within them."""

import pytest

from ops.benchmarks.stages import WORKS, Stage
from ops.loadtest.latencies import LatencyFigures, PostedPayment, by_second, by_stage, latency_figures, percentile


def post(intended_s: float, took_ms: float, late_ms: float = 0, status: int = 202) -> PostedPayment:
    sent_s = intended_s + late_ms / 1000
    return PostedPayment(intended_s, sent_s, sent_s + took_ms / 1000, status)


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert percentile([1, 2, 3, 4], 0.5) == 2.5
    assert percentile(list(range(101)), 0.99) == 99
    assert percentile([0, 10], 0.99) == pytest.approx(9.9)
    assert percentile([7], 0.99) == 7
    assert percentile([], 0.5) == 0


def test_figures_are_those_of_all_latencies_in_any_order() -> None:
    assert latency_figures([3, 1, 2]) == LatencyFigures(3, 2, 2.9, 2.98, 3)
    assert latency_figures([]) == LatencyFigures(0, 0, 0, 0, 0)


def test_a_late_send_counts_from_the_intended_moment_alone() -> None:
    late = post(1, took_ms=2, late_ms=5)
    assert [late.sent_ms, late.intended_ms] == pytest.approx([2, 7])


def test_a_send_that_was_a_little_early_counts_from_the_send() -> None:
    early = post(1, took_ms=2, late_ms=-0.4)
    assert early.intended_ms == early.sent_ms == pytest.approx(2)


def test_a_stage_gets_the_accepted_payments_that_were_intended_within_it() -> None:
    stages = (Stage(0, WORKS, WORKS), Stage(10, WORKS, WORKS))
    posts = [post(0, 1), post(9.999, 3), post(10, 5), post(12, 100, status=503), post(70, 7)]
    assert [(each.count, each.max) for each in by_stage(posts, stages, lambda each: each.sent_ms)] == [(2, 3), (2, 7)]


def test_a_second_gets_what_was_intended_within_it_and_the_last_one_the_rest() -> None:
    posts = [post(0.5, 1), post(1, 2), post(1.9, 4), post(7, 8)]
    assert [(each.count, each.max) for each in by_second(posts, 3)] == [(1, 1), (2, 4), (1, 8)]


@pytest.mark.parametrize(
    ("status", "is_accepted"),
    [(200, True), (201, True), (202, True), (204, True), (203, False), (503, False), (0, False)],
)
def test_the_event_accepts_four_statuses(status: int, is_accepted: bool) -> None:  # noqa: FBT001 - an expected value
    assert post(0, 1, status=status).is_accepted == is_accepted
