"""The verdict over a cluster's run is that of the audit and of the judge, and says where a run proves too little."""

from dataclasses import replace

import pytest

from ops.chaostest.page import make_page
from ops.clustertest.chaos_options import parse_cluster_chaos
from ops.clustertest.chaos_runner import is_own_end
from tests.ops.chaostest.broken_run import broken_run, good_run
from tests.ops.clustertest.runs import result_of


def test_a_good_run_is_kept_and_says_how_long_nothing_was_accepted() -> None:
    result = result_of(good_run().history)
    assert result.verdict.kept
    assert result.verdict.words.startswith("Kept: 1 payments accepted; 1 charged, each once; 5 faults")
    assert "2 failovers and 3 partitions; at most 4 s without a 202, 6 s without a charge." in result.verdict.words
    assert result.to_dict()["lost"] == result.to_dict()["twice"] == result.to_dict()["untrue"] == 0


def test_a_lost_payment_and_one_that_was_charged_twice_break_it_and_the_judge_says_so_too() -> None:
    result = result_of(broken_run().history)
    assert not result.ok
    assert (result.to_dict()["lost"], result.to_dict()["twice"]) == (1, 1)
    assert result.further_violations == ["the independent judge found 1 lost, 1 twice_over_processors"]


def test_the_word_of_the_judge_alone_breaks_it() -> None:
    result = result_of(good_run().history)
    blamed = replace(result, judged={**result.judged, "ok": False, "lost": 2, "examples": {"lost": ["a", "b"]}})
    assert not blamed.ok
    assert "the independent judge found 2 lost" in blamed.verdict.words


def test_a_run_that_is_not_at_rest_or_not_healed_in_time_is_broken() -> None:
    assert not result_of(good_run().history, rest_s=None).ok
    assert not result_of(good_run().history, unhealed=["not all hosts were ready"]).ok


@pytest.mark.parametrize(
    ("payments", "faults", "words"),
    [
        (100, 0, "Not proven: only 1 of 100 payments were accepted."),
        (0, 6, "Not proven: only 5 of 6 failovers and partitions happened."),
    ],
)
def test_a_run_that_has_less_than_was_asked_for_proves_nothing(payments: int, faults: int, words: str) -> None:
    result = result_of(good_run().history, payments=payments, faults=faults)
    assert (result.verdict.words, result.ok) == (words, False)


def test_the_page_of_a_cluster_s_run_is_that_of_any_chaos_run() -> None:
    page = make_page(result_of(broken_run().history), broken_run())
    assert "cluster, seed 3" in page
    assert "ops/cluster chaos --seed 3 --rate 10" in page
    assert "The independent judge found 1 lost, 1 twice_over_processors." in page


def test_without_a_number_a_run_takes_five_minutes_and_with_one_until_it_has_that() -> None:
    given = ["--durability", "fsync"]
    assert parse_cluster_chaos(given).seconds == 300
    asked = parse_cluster_chaos([*given, "--payments", "100000", "--faults", "50"])
    assert (asked.seconds, asked.payments, asked.faults) == (0, 100_000, 50)
    assert asked.seconds_max == pytest.approx(1.5 * 100_000 / asked.rate)
    with pytest.raises(SystemExit) as ended:
        parse_cluster_chaos([*given, "--payments", "0"])
    assert ended.value.code == 2


def test_a_durability_that_the_gateway_does_not_know_is_refused_before_anything_starts() -> None:
    with pytest.raises(SystemExit) as ended:
        parse_cluster_chaos(["--durability", "hope"])
    assert ended.value.code == 2


def test_a_replica_that_ends_by_itself_is_told_from_one_that_was_killed() -> None:
    assert is_own_end("h1 replica-2 ended with exit status 1, again in 0.5 s")
    assert is_own_end("h1 replica-2 ended with exit status -11, again in 0.5 s")
    assert not is_own_end("h1 replica-2 ended with exit status -9, again in 0.5 s")
    assert not is_own_end("h1 replica-2 ended with exit status 0, again in 0.5 s")
    assert not is_own_end("h1 etcd ended with exit status 1, again in 0.5 s")
    assert not is_own_end("h1 replica-2 ready again   1.00 s")
