"""`ops/bench cost` divides what it reads by the right numbers; a short run of a real gateway gives every figure."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from ops import OpsError
from ops.benchmarks import __main__ as bench
from ops.benchmarks.clients import Answers
from ops.benchmarks.cost import COUNTS, FIGURES, Cost, Observation, compare, cost_of, summarise
from ops.benchmarks.usage import Usage

SEEN = Observation(
    before={"replicas": Usage(1.0, {1: 100}), "postgres": Usage(5.0, {2: 7}), "redis": Usage(0.5, {3: 0})},
    after={"replicas": Usage(1.3, {1: 900}), "postgres": Usage(5.1, {2: 107}), "redis": Usage(0.6, {3: 50})},
    commits=25,
    warm_up=Answers(2, ["a", "b"], [9.0, 9.0]),
    measured=Answers(101, [str(number) for number in range(100)], [number / 1000 for number in range(101)]),
    charges=Counter(["a", "b", *map(str, range(99)), "0", "never accepted"]),
    unsettled=3,
    replica_peak_bytes=70_500_000,
)


def test_figures_per_payment_count_the_payments_accepted_while_measured() -> None:
    cost = cost_of(SEEN)
    assert cost.replicas_cpu_ms == pytest.approx(3.0)
    assert cost.postgres_cpu_ms == pytest.approx(1.0)
    assert cost.redis_cpu_ms == pytest.approx(1.0)
    assert cost.all_cpu_ms == pytest.approx(5.0)
    assert (cost.replicas_switches, cost.postgres_switches, cost.all_switches) == (8.0, 1.0, 9.5)
    assert cost.commits == 0.25
    assert cost.replica_peak_mb == 70.5


def test_percentiles_leave_the_warm_up_out() -> None:
    cost = cost_of(SEEN)
    assert [cost.p50_ms, cost.p99_ms] == pytest.approx([50.0, 99.0])


def test_what_failed_was_lost_charged_twice_or_not_settled_is_counted() -> None:
    cost = cost_of(SEEN)
    assert (cost.failed, cost.lost, cost.charged_twice, cost.unsettled) == (1, 1, 1, 3)


def test_a_gateway_that_accepts_nothing_has_no_cost() -> None:
    with pytest.raises(OpsError, match="none of 101 payments"):
        cost_of(replace(SEEN, measured=Answers(101)))


def costs(*figures: float) -> list[Cost]:
    return [Cost(**{name: 1 if name in COUNTS else figure for name in FIGURES}) for figure in figures]  # type: ignore[arg-type]  # counts are whole


def test_rounds_have_medians_and_what_went_wrong_is_added_up() -> None:
    figures = summarise(costs(1.0, 5.0, 2.0))
    assert {figures[name] for name in FIGURES if name not in COUNTS} == {2.0}
    assert {figures[name] for name in COUNTS} == {3}


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    ratios = compare(costs(1.0, 2.0, 3.0), costs(2.0, 2.0, 10.0))
    assert ratios == {name: 0.5 for name in FIGURES if name not in COUNTS}


def test_there_is_no_ratio_to_nothing() -> None:
    assert set(compare(costs(1.0), costs(0.0)).values()) == {None}


@pytest.mark.parametrize(
    "arguments",
    [["--rate", "0"], ["--seconds", "inf"], ["--rounds", "0"], ["--against", "no such"], ["--against", "--all"]],
)
def test_nonsense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(["cost", *arguments])
    assert ended.value.code == 2


@pytest.mark.long
def test_a_short_run_of_a_real_gateway_gives_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    # PostgreSQL counts commits up to a second late, and Linux counts CPU time in ticks: one second may show neither.
    assert bench.main(["cost", "--seconds", "3", "--rounds", "1", "--rate", "30"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    figures = result.pop("own")
    target = "no payment failed, lost, charged twice or left unsettled"
    assert result == {
        "target": target,
        "verdict": f"Kept: {target}.",
        "benchmark": "cost",
        "rate": 30,
        "seconds": 3,
        "rounds": 1,
        "against": None,
        "ratios": {},
        "ratio_to_baseline": None,
        "ok": True,
    }
    assert list(figures) == list(FIGURES)
    assert [name for name in FIGURES if name not in {*COUNTS, "redis_cpu_ms"} and figures[name] <= 0] == []
    assert [name for name in COUNTS if figures[name]] == []
